// What a data plane is told: the subset of xDS v3 that Heddle uses, as plain data. `@heddle/api` maps it to and from
// protobuf without loss. References between resources are by name, exactly as in xDS.
import type { BalancePolicy, HealthCheckPolicy, RetryPolicy, ServiceRef } from './service.ts';

/** The secret name that stands for "the certificate of the workload that makes the call": a data plane hosts several. */
export const WORKLOAD_CERTIFICATE = 'workload';
/** SDS name of the mesh's roots. */
export const TRUST_BUNDLE = 'trust-bundle';

export interface Listener {
  readonly name: string;
  readonly direction: 'inbound' | 'outbound';
  readonly address: string;
  readonly port: number;
  /** The workload whose identity this listener serves (inbound) or calls with (outbound). Absent on the shared outbound
   *  HTTP proxy, where the caller's `Proxy-Authorization` names the workload. Form: `<namespace>/<service>/<instance>`. */
  readonly workload?: string;
  /** Present on inbound listeners: mutual TLS, the peer must show a SPIFFE identity of this trust domain. */
  readonly tls?: DownstreamTls;
  readonly filter: HttpFilter | TcpFilter;
}

export interface DownstreamTls {
  readonly certificateName: string;
  readonly trustBundleName: string;
  readonly trustDomain: string;
}

/** HTTP/1.1 on both sides; the route configuration comes by RDS. */
export interface HttpFilter {
  readonly kind: 'http';
  readonly routeConfigName: string;
}

/** Opaque bytes to one cluster. */
export interface TcpFilter {
  readonly kind: 'tcp';
  readonly cluster: string;
}

export interface RouteConfig {
  readonly name: string;
  readonly virtualHosts: readonly VirtualHost[];
}

export interface VirtualHost {
  readonly name: string;
  /** Exact authorities, with or without a port, or `*`. Compared without regard to case. */
  readonly domains: readonly string[];
  /** The first match wins. */
  readonly routes: readonly Route[];
}

export interface Route {
  readonly prefix: string;
  readonly cluster: string;
  /** Whole request, retries included; 0 means no limit. */
  readonly timeoutMs: number;
  readonly retry: RetryPolicy;
}

export interface Cluster {
  readonly name: string;
  /** The service the cluster leads to. */
  readonly service: ServiceRef;
  readonly endpoints: { readonly kind: 'eds' } | { readonly kind: 'static'; readonly endpoints: readonly Endpoint[] };
  readonly balance: BalancePolicy;
  readonly connectTimeoutMs: number;
  /** Present on clusters that lead to the application itself: the data plane checks it and reports the verdict. */
  readonly health?: HealthCheckPolicy;
  /** Absent means plaintext (only towards the application on the same machine). */
  readonly tls?: UpstreamTls;
}

export interface UpstreamTls {
  readonly certificateName: string;
  readonly trustBundleName: string;
  /** The SPIFFE ids of which the peer must show one. */
  readonly peerIds: readonly string[];
  readonly alpn: readonly string[];
}

export interface EndpointSet {
  readonly cluster: string;
  readonly endpoints: readonly Endpoint[];
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
  readonly health: 'healthy' | 'unhealthy' | 'draining';
  readonly weight: number;
  /** Instance id, for people and logs. */
  readonly instance: string;
}

/** An SDS secret. Only roots travel by SDS: private keys never leave the data plane (it sends a CSR instead). */
export interface TrustBundle {
  readonly name: string;
  readonly rootsPem: string;
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
export function resourceName(kind: ResourceKind, resource: Resource): string {
  return kind === 'endpoints' ? (resource as EndpointSet).cluster : (resource as Exclude<Resource, EndpointSet>).name;
}

/** ALPN between two data planes: which filter the bytes inside mTLS are for. */
export const ALPN_HTTP1 = 'http/1.1';
export const ALPN_TCP = 'heddle-tcp';
