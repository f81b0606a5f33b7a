// The door to the data path: what the agent (control-plane client, admin API) tells it and asks of it. Configuration comes in as
// resources, one xDS update at a time, and is applied whole or not at all. No control-plane protocol is known beyond this door.
import type { Cluster, Limits, Locality, Resource, ResourceKind, TakenDecisions, TapOrder, TapTold } from '@heddle/core';
import type { Clock, Logger, Metrics, Network, Random } from '@heddle/runtime';

export interface SocketBind {
  readonly address: string;
  /** 0 in a request: the system chooses. */
  readonly port: number;
}

export interface DataPlaneOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Name of this proxy process, for logs and the config dump. */
  readonly node: string;
  readonly limits?: Partial<Limits>;
  /** Where it runs: near instances may be preferred. Absent: not known. */
  readonly locality?: Locality;
  /** Requests to the application carry the claims of the token that was checked in `x-heddle-claims`: where it reads them in this process. */
  readonly tellsClaims?: true;
}

/** One update of one kind, as the xDS client hands it over. */
export interface ResourceUpdate<K extends ResourceKind = ResourceKind> {
  readonly kind: K;
  readonly upserts: readonly Resource<K>[];
  readonly removed: readonly string[];
}

/** PEM as it comes from the certificate authority (leaf first) and the key that never left this process. */
export interface WorkloadIdentity {
  readonly certificatePem: string;
  readonly keyPem: string;
  /** Of a workload: where it runs, so that near instances may be preferred. Absent: where the data plane does. */
  readonly locality?: Locality;
}

/** Names that the applied resources refer to, sorted. */
export interface WantedResources {
  readonly routes: readonly string[];
  readonly endpoints: readonly string[];
  readonly secrets: readonly string[];
}

export interface ListenerStatus {
  /** Undefined while the socket is only reserved. */
  readonly name: string | undefined;
  readonly address: string;
  readonly port: number;
  /** `accepting`; `reserved`: no listener applied yet; `waiting`: applied, but `reason` is missing. */
  readonly state: 'accepting' | 'reserved' | 'waiting' | 'draining';
  readonly reason: string;
  readonly openConnections: number;
  /** Requests and streams that came in by it and have not ended. */
  readonly activeRequests: number;
  readonly refusedHandshakes: number;
}

export interface DataPlaneStatus {
  readonly listeners: readonly ListenerStatus[];
  /** Downstream connections. */
  readonly openConnections: number;
  /** HTTP requests and TCP streams that have begun and not ended. */
  readonly activeRequests: number;
  readonly draining: boolean;
}

/** Live requests, for who asks for them. */
export interface TapPort {
  /** Until it is stopped, or its time is over. The same id again: in place of the one before. @param tell false: it was not sent; tried again. */
  start(order: TapOrder, tell: (told: TapTold) => boolean): void;
  /** What waits is told first. */
  stop(id: string): void;
  stopAll(): void;
}

export interface DataPlane {
  /**
   * Binds now, so that the real port can be registered. Connections are closed at once until a listener with that address and port is
   * applied. The same address and port again (not 0) returns the same socket. Throws NetworkError (`address-in-use`, `not-permitted`, `other`).
   */
  reserve(bind: SocketBind): Promise<SocketBind>;
  /** Gives the port back unless an applied listener uses it; then it is given back when that listener goes. */
  release(bind: SocketBind): Promise<void>;
  /** Applies one xDS update whole or not at all. Resolves to the reason when it cannot be applied (NACK it; the last good stays). Updates queue. */
  apply(update: ResourceUpdate): Promise<string | undefined>;
  /** `workload`: `<namespace>/<service>/<instance>`. Again: rotation; new connections use it, live ones go on. Throws NetworkError `tls` on unusable PEM. */
  setIdentity(workload: string, identity: WorkloadIdentity): void;
  removeIdentity(workload: string): void;
  /** A certificate that configuration refers to by this name. Again: as with identities. Throws NetworkError `tls` on unusable PEM. */
  setCertificate(name: string, certificate: WorkloadIdentity): void;
  removeCertificate(name: string): void;
  /** `Proxy-Authorization` user name → the workload whose identity the call carries on the shared outbound HTTP proxy. */
  setCredential(credential: string, workload: string): void;
  removeCredential(credential: string): void;
  /** The workload whose identity calls without a credential carry; undefined (at first): such calls get 407. */
  setAnonymousWorkload(workload: string | undefined): void;
  wanted(): WantedResources;
  /** Called after an applied update when `wanted()` differs from before. */
  onWantedChange: (() => void) | undefined;
  /** Clusters that lead to an application on this machine: those with a health check. */
  localClusters(): readonly Cluster[];
  /** Called after an applied update of clusters. */
  onClustersChange: (() => void) | undefined;
  /** Called with the number of connections that failed to endpoints of a cluster which the configuration calls healthy; at most a few times a second. */
  onConnectFailures: ((cluster: string, count: number) => void) | undefined;
  /** Plain JSON; holds no private key and no credential. */
  configDump(): object;
  status(): DataPlaneStatus;
  /** Access decisions that refused something, or that a rule which only watches would have made, since the call before. */
  takeDecisions(): TakenDecisions;
  readonly taps: TapPort;
  /**
   * Stops accepting, answers `connection: close`, waits for requests in flight up to `graceMs`, then closes what is left.
   * @param waysIn the listeners that stop accepting at once. Default: inbound ones, as requests in flight may need calls out.
   * @param idleMs how long idle connections stay open for a last request once nothing is in flight. Default 1 s.
   */
  drain(graceMs: number, waysIn?: 'inbound' | 'all', idleMs?: number): Promise<void>;
  /** Drops everything at once. */
  close(): Promise<void>;
}
