// What a service and its instances are, as every plane sees them. Plain data, immutable, no behaviour.
// All durations are milliseconds and end in `Ms`.
import type { BalancePolicy, HashSource, OutlierPolicy, SessionPolicy } from './balance.ts';
import type { AdaptiveConcurrencyPolicy, BreakerPolicy, HedgePolicy, RetryBudget, RetryPolicy } from './resilience.ts';
import type { MtlsMode } from './security.ts';
import type { ServiceRef } from './service-ref.ts';
import type { ServiceRateLimit, TrafficRule } from './traffic.ts';
import type { ServiceTelemetry } from './telemetry.ts';

export type { ServiceRef } from './service-ref.ts';

/**
 * How a service speaks. `http`: HTTP/1.1. `http2`: HTTP/2 with prior knowledge. `grpc`: the same, with gRPC's statuses. `tcp`: opaque bytes.
 * `tls`: opaque bytes that begin with a ClientHello. `auto`: found out for each connection, `http` or `tcp`.
 */
export type Protocol = 'http' | 'http2' | 'grpc' | 'tcp' | 'tls' | 'auto';

export interface HealthCheckPolicy {
  readonly kind: 'http' | 'tcp' | 'grpc';
  /** Path asked for with GET; present exactly when `kind` is `http`. */
  readonly path?: string;
  /** Answers to `http` that pass, as ranges that include both ends. Absent: 200 to 299. */
  readonly statuses?: readonly (readonly [from: number, to: number])[];
  /** Asked about by `grpc.health.v1.Health/Check`; present exactly when `kind` is `grpc`, empty: the whole server. SERVING passes. */
  readonly grpcService?: string;
  /** Where the check goes to. Absent: the application's port. */
  readonly port?: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Consecutive failures after which a healthy instance counts as unhealthy. */
  readonly unhealthyAfter: number;
  /** Consecutive passes after which an unhealthy instance counts as healthy. */
  readonly healthyAfter: number;
}

export interface Service extends ServiceRef {
  /** The port callers name (`http://orders.mesh.internal:8081/`); for HTTP, the authority's port is optional. */
  readonly port: number;
  readonly protocol: Protocol;
  /** Short names and values of its own, by which others choose: routing, policies. */
  readonly labels: Readonly<Record<string, string>>;
  /** What its owners want to say about it: kept and shown, never acted upon. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Other ports that its instances have, by name; see `Instance.ports`. */
  readonly ports: NamedPorts;
  readonly health: HealthCheckPolicy;
  readonly balance: BalancePolicy;
  /** Time for a whole request, retries included; 0 means no limit. */
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Of a request or byte stream without a byte in either direction; 0: the data plane's own limit. */
  readonly idleTimeoutMs: number;
  readonly retry: RetryPolicy;
  readonly retryBudget: RetryBudget;
  readonly hedge?: HedgePolicy;
  readonly breaker: BreakerPolicy;
  readonly adaptiveConcurrency?: AdaptiveConcurrencyPolicy;
  /** Absent: callers eject nothing by themselves. */
  readonly outlier?: OutlierPolicy;
  /** For ring-hash, maglev and splits by hash. */
  readonly hash: readonly HashSource[];
  readonly session?: SessionPolicy;
  /** Absent: as the mesh has it. */
  readonly mtls?: MtlsMode;
  readonly rateLimits: readonly ServiceRateLimit[];
  /** Absent: as the mesh has it. */
  readonly telemetry?: ServiceTelemetry;
  /** In order; the first that fits counts. */
  readonly rules: readonly TrafficRule[];
  /** Stands for the service on every machine (see virtual-address.ts). Given by the registry; absent before it has one. */
  readonly virtualAddress?: string;
}

export interface SocketAddress {
  /** An IPv4 or IPv6 address without brackets. */
  readonly address: string;
  readonly port: number;
}

/** Name of RFC 6335 §5.1 in lower case, so that DNS can carry it (`_metrics._tcp`), to the port. */
export type NamedPorts = Readonly<Record<string, number>>;

/** Where an instance runs. Instances in one zone are near to one another. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone?: string;
}

/** The verdict the registry gives about an instance. Only `healthy` instances get traffic. */
export type InstanceHealth = 'starting' | 'healthy' | 'unhealthy' | 'draining';

export interface Instance {
  readonly service: ServiceRef;
  /** Unique within the service, for example `orders-1`. A restarted instance keeps its id and replaces itself. */
  readonly id: string;
  /** Name of the data plane (proxy process) that hosts the instance. */
  readonly node: string;
  /** Where peers reach the instance: the inbound mTLS port of its data plane. */
  readonly inbound: SocketAddress;
  /** Where the application itself listens; only its own data plane connects there. */
  readonly application: SocketAddress;
  /** Local ports on which this instance's application calls other services. */
  readonly outbounds: readonly OutboundPort[];
  readonly version: string;
  readonly labels: Readonly<Record<string, string>>;
  /** As `Service.metadata`, of this instance. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Other ports on which the application listens: told to whoever asks, not carried by the mesh. */
  readonly ports: NamedPorts;
  /** Absent: not known. */
  readonly locality?: Locality;
  readonly weight: number;
  readonly health: InstanceHealth;
  /** Why the health is what it is, in words for people. */
  readonly healthReason: string;
  /** The registry's revision at which the instance was last written; 0 before it was. A change may be made to depend on it. */
  readonly revision: number;
}

export interface OutboundPort {
  readonly service: ServiceRef;
  readonly listen: SocketAddress;
}

export const MESH_DOMAIN = 'mesh.internal';
export const DEFAULT_NAMESPACE = 'default';
/** Namespace of the mesh's own identities: `control` (the control plane) and `operator` (the person at this machine). */
export const SYSTEM_NAMESPACE = 'heddle-system';
/** Stands as the namespace of hosts outside the mesh, whose name is `<host>:<port>`, where a service is named. */
export const EGRESS_NAMESPACE = 'heddle-egress';

export function serviceKey(ref: ServiceRef): string {
  return `${ref.namespace}/${ref.name}`;
}

/** Names by which a service is called, most specific first; those without a namespace exist only in the default namespace. */
export function serviceHostnames(ref: ServiceRef): string[] {
  const full = [`${ref.name}.${ref.namespace}.${MESH_DOMAIN}`, `${ref.name}.${ref.namespace}`];
  return ref.namespace === DEFAULT_NAMESPACE ? [...full, `${ref.name}.${MESH_DOMAIN}`, ref.name] : full;
}
