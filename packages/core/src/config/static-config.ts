// What the file of a static proxy means once it has been read: complete, immutable, with every default filled in.
import type { HealthCheckPolicy, Protocol, Service, SocketAddress } from '../model/service.ts';
import type { TelemetryConfig } from '../model/telemetry.ts';

export interface StaticConfig {
  readonly listeners: readonly StaticListener[];
  readonly services: readonly StaticService[];
  /** Absent: nothing is told. */
  readonly telemetry?: Pick<TelemetryConfig, 'tracing' | 'accessLog'>;
}

export interface StaticListener {
  readonly address: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** `http`, `http2` and `grpc` are the same here: requests by HTTP/1.1 or HTTP/2. `tls`: encrypted bytes that pass through. */
  readonly protocol: Protocol;
  /** Name of the service that everything goes to, but for `serverNames`. Absent only with these: then other connections are refused. */
  readonly service?: string;
  /** Absent: what arrives is not encrypted, or passes through. */
  readonly tls?: StaticListenerTls;
  /** Only with protocol `tls`. */
  readonly serverNames?: readonly { readonly name: string; readonly service: string }[];
}

export interface StaticListenerTls {
  readonly certificate: StaticCertificate;
  /** Clients must show a certificate that leads to these. Absent: none is asked for. */
  readonly rootsPem?: string;
}

/** Not for logs: it has the private key. */
export interface StaticCertificate {
  /** The server's or client's own first, then intermediates. */
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** What a service of the mesh has too, as far as it concerns a caller. */
type StaticTraffic = Pick<
  Service,
  | 'protocol'
  | 'balance'
  | 'hash'
  | 'session'
  | 'timeoutMs'
  | 'connectTimeoutMs'
  | 'idleTimeoutMs'
  | 'retry'
  | 'retryBudget'
  | 'hedge'
  | 'breaker'
  | 'adaptiveConcurrency'
  | 'outlier'
>;

export interface StaticService extends StaticTraffic {
  readonly name: string;
  readonly endpoints: readonly StaticEndpoint[];
  /** Absent: endpoints are not checked and always get traffic. */
  readonly health?: HealthCheckPolicy;
  /** Absent: endpoints are called without TLS. */
  readonly tls?: StaticServiceTls;
}

export interface StaticEndpoint extends SocketAddress {
  /** 1 to 1,000,000; the share of the traffic, next to the others'. */
  readonly weight: number;
}

export interface StaticServiceTls {
  readonly rootsPem: string;
  /** What endpoints are asked for, and what their certificates must be for. */
  readonly serverName: string;
  /** Shown to endpoints that ask. */
  readonly certificate?: StaticCertificate;
}
