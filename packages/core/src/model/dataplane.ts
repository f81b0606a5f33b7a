// What a data plane is told: the subset of xDS v3 that Heddle uses, as plain data. `@heddle/api` maps it to and from
// protobuf without loss. References between resources are by name, exactly as in xDS.
import type { BalancePolicy, OutlierPolicy, SessionPolicy } from './balance.ts';
import type { AdaptiveConcurrencyPolicy, BreakerPolicy, RetryBudget } from './resilience.ts';
import type { Route } from './route.ts';
import type { AccessPolicy, IdentityMatch, OutboundToken, TokenPolicy } from './security.ts';
import type { HealthCheckPolicy, Locality, ServiceRef } from './service.ts';
import type { AccessLogPolicy, TracingPolicy } from './telemetry.ts';

/** The secret name that stands for "the certificate of the workload that makes the call": a data plane hosts several. */
export const WORKLOAD_CERTIFICATE = 'workload';
/** SDS name of the mesh's roots. */
export const TRUST_BUNDLE = 'trust-bundle';
/** A trust bundle that no control plane publishes: the authorities that the platform of the data plane trusts. For hosts outside the mesh. */
export const SYSTEM_ROOTS = 'system-roots';

export interface Listener {
  readonly name: string;
  readonly direction: 'inbound' | 'outbound';
  readonly address: string;
  readonly port: number;
  /** The workload whose identity this listener serves (inbound) or calls with (outbound). Absent on the shared outbound
   *  HTTP proxy, where the caller's `Proxy-Authorization` names the workload. Form: `<namespace>/<service>/<instance>`. */
  readonly workload?: string;
  /** Present where the listener ends TLS. Inbound listeners without it have callers that nobody knows. */
  readonly tls?: DownstreamTls;
  /** Connections that begin with a TLS ClientHello for one of these names pass through, still encrypted. Exact names, lower case. */
  readonly serverNames?: readonly ServerNameRoute[];
  /** All other connections. */
  readonly filter: HttpFilter | TcpFilter;
}

export interface DownstreamTls {
  /** WORKLOAD_CERTIFICATE: that of the listener's workload. Another name: a certificate that was given to the data plane by this name. */
  readonly certificateName: string;
  /** Clients must show a certificate that leads to these roots. Absent: none is asked for. */
  readonly trustBundleName?: string;
  /** Clients must show a SPIFFE identity of this trust domain; needs the bundle. Absent: any name will do. */
  readonly trustDomain?: string;
  /** Connections that do not begin with TLS are taken as well; nobody has proven anything on them. */
  readonly plaintext?: true;
  /** Absent: TLS 1.3. */
  readonly minVersion?: '1.2';
}

export interface ServerNameRoute {
  readonly names: readonly string[];
  readonly filter: TcpFilter;
}

/** HTTP/1.1 and HTTP/2, told apart by ALPN, without TLS by the first bytes. The route configuration comes by RDS. */
export interface HttpFilter {
  readonly kind: 'http';
  readonly routeConfigName: string;
  /** Callers are clients of this listener, not of a data plane before it: requests get `x-forwarded-for`, to which the caller's address is
   *  appended, and `x-forwarded-proto` where it is missing (Envoy's `use_remote_address`). */
  readonly useRemoteAddress?: true;
  /** For connections whose first bytes are no HTTP, or on which the server speaks first. Absent: they are refused. */
  readonly otherwise?: TcpFilter;
  /** Absent: traces pass through as they come. On the shared outbound proxy, for callers that have no inbound listener here; so is the next. */
  readonly tracing?: TracingPolicy;
  /** Absent: no line for any request. */
  readonly accessLog?: AccessLogPolicy;
}

/** Opaque bytes to one cluster. */
export interface TcpFilter {
  readonly kind: 'tcp';
  readonly cluster: string;
  /** `host:port` to ask the endpoint for by CONNECT over HTTP/2 (RFC 9113 §8.5). Absent: the bytes go to the endpoint as they are. */
  readonly tunnel?: string;
  /** Without a byte in either direction. Absent: the data plane's own limit (Envoy's `tcp_proxy.idle_timeout`). */
  readonly idleTimeoutMs?: number;
}

export interface RouteConfig {
  readonly name: string;
  readonly virtualHosts: readonly VirtualHost[];
}

export interface VirtualHost {
  readonly name: string;
  /** Exact authorities, with or without a port, `*.example.com` for all names below, or `*`. Compared without regard to case. */
  readonly domains: readonly string[];
  /** The first match wins. */
  readonly routes: readonly Route[];
  /** Inbound: who may make requests. Absent: every peer that the listener admits. */
  readonly access?: AccessPolicy;
  /** Inbound: which tokens count. Absent: none is looked at, and all are passed on. */
  readonly tokens?: TokenPolicy;
  /** Outbound: callers that would be refused whatever they ask, are refused here already. */
  readonly callers?: CallerPolicy;
  /** Outbound: the first whose `from` has the caller's service is attached. */
  readonly attach?: readonly AttachedToken[];
}

/** Whose calls to a service can be allowed at all, as far as identities tell. A caller must be allowed and not denied. */
export interface CallerPolicy {
  readonly allowed: 'everyone' | readonly IdentityMatch[];
  readonly denied: readonly IdentityMatch[];
}

export interface AttachedToken {
  /** SPIFFE ids of callers. Empty: all. */
  readonly from: readonly string[];
  readonly token: OutboundToken;
}

export interface Cluster {
  readonly name: string;
  /** The service the cluster leads to. */
  readonly service: ServiceRef;
  readonly endpoints:
    | { readonly kind: 'eds' }
    | { readonly kind: 'static'; readonly endpoints: readonly Endpoint[] }
    /** A host outside the mesh, looked up when a connection is made (Envoy's LOGICAL_DNS). */
    | { readonly kind: 'dns'; readonly host: string; readonly port: number };
  readonly balance: BalancePolicy;
  readonly connectTimeoutMs: number;
  readonly breaker: BreakerPolicy;
  readonly retryBudget: RetryBudget;
  readonly adaptiveConcurrency?: AdaptiveConcurrencyPolicy;
  readonly outlier?: OutlierPolicy;
  readonly session?: SessionPolicy;
  /** What the endpoints speak when they get HTTP. Without TLS, HTTP/2 is begun with prior knowledge (RFC 9113 §3.3). */
  readonly http: HttpVersion;
  /** Present on clusters that lead to the application itself: the data plane checks it and reports the verdict. */
  readonly health?: HealthCheckPolicy;
  /** Absent means plaintext: towards the application on the same machine, hosts outside, and `plainPeers`. */
  readonly tls?: UpstreamTls;
  /** Only without `tls`: the endpoints are data planes all the same, where the mesh has no TLS. What they say about errors and load counts. */
  readonly plainPeers?: true;
}

export interface UpstreamTls {
  /** WORKLOAD_CERTIFICATE: that of the calling workload. Another name: see DownstreamTls. Absent: no certificate is shown. */
  readonly certificateName?: string;
  readonly trustBundleName: string;
  /** The SPIFFE ids of which the peer must show one. Empty only with `serverName`. */
  readonly peerIds: readonly string[];
  /** Sent as SNI; the peer's certificate must be for this name. Only without `peerIds`. */
  readonly serverName?: string;
  readonly alpn: readonly string[];
  /** Absent: TLS 1.3. */
  readonly minVersion?: '1.2';
}

export type HttpVersion = 'http1' | 'http2';

export interface EndpointSet {
  readonly cluster: string;
  /** Those of one locality stand together. */
  readonly endpoints: readonly Endpoint[];
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
  readonly health: 'healthy' | 'unhealthy' | 'draining';
  readonly weight: number;
  /** Instance id, for people and logs. */
  readonly instance: string;
  /** Absent: not known. */
  readonly locality?: Locality;
}

/** An SDS secret. Only roots travel by SDS: private keys never leave the data plane (it sends a CSR instead). */
export interface TrustBundle {
  readonly name: string;
  readonly rootsPem: string;
  /** SPIFFE ids that are refused although their certificates are valid; connections with them are closed when they come to stand here. */
  readonly denied?: readonly string[];
}

export type ResourceKind = 'listener' | 'route' | 'cluster' | 'endpoints' | 'secret';

export interface ResourceTypes {
  readonly listener: Listener;
  readonly route: RouteConfig;
  readonly cluster: Cluster;
  readonly endpoints: EndpointSet;
  readonly secret: TrustBundle;
}

export type Resource<K extends ResourceKind = ResourceKind> = ResourceTypes[K];

/** The name of a resource in its kind. */
export function resourceName(kind: ResourceKind, resource: PublishedResource): string {
  return kind === 'endpoints' ? (resource as EndpointSet).cluster : (resource as Exclude<PublishedResource, EndpointSet>).name;
}

/** ALPN protocol ids (RFC 7301). Between two data planes it is always HTTP/2; other bytes travel in its CONNECT streams. */
export const ALPN_HTTP1 = 'http/1.1';
export const ALPN_HTTP2 = 'h2';

/**
 * Who reads the resources. `heddle`: our own data planes; nothing is lost or ignored. `envoy`, `grpc`: Envoy and the gRPC libraries, which get
 * the same meaning in the form that they follow.
 */
export type DataPlaneFlavour = 'heddle' | 'envoy' | 'grpc';

/**
 * A certificate in files of the data plane's own machine: `cert.pem`, `key.pem`, `ca.pem`, kept fresh by `heddle identity watch`. A foreign
 * data plane reads them by itself, so that its private key never leaves the machine.
 */
export interface CertificateFiles {
  readonly name: string;
  readonly certificateFiles: { readonly directory: string };
}

/** What a gRPC client asks for by `xds:///<name>`: where the routes of its calls are. */
export interface ClientListener {
  readonly name: string;
  readonly routeConfigName: string;
}

/** All that a control plane publishes: what our own data planes follow, and what only foreign ones are given. */
export interface PublishedTypes extends Omit<ResourceTypes, 'listener' | 'secret'> {
  readonly listener: Listener | ClientListener;
  readonly secret: TrustBundle | CertificateFiles;
}

export type PublishedResource = PublishedTypes[ResourceKind];
