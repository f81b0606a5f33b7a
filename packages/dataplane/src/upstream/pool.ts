// What the pools of both versions have in common: who uses them, whom they belong to, and what a failed connection is called.
import type { Breaker, Cluster, ErrorCode } from '@heddle/core';
import type { NetworkError } from '@heddle/runtime';
import type { Http1Limits, Http2Limits } from '@heddle/wire';
import type { UpstreamCall } from '../stack/ends.ts';
import type { UpstreamMetrics } from '../telemetry/connections.ts';
import type { ClusterTls } from './cluster-tls.ts';
import type { LoadProbes } from './load-probe.ts';

export interface PoolUser {
  /** `reused`: the connection carried requests before, so it may turn out to be closed. */
  onReady(upstream: UpstreamCall, reused: boolean): void;
  onNoConnection(code: ErrorCode, detail: string): void;
}

/** Connections to one endpoint for one calling workload. */
export interface Pool {
  /** Calls the user back, perhaps at once. `fresh`: no connection that carried requests before. */
  acquire(user: PoolUser, fresh: boolean): void;
  /** The user no longer waits. */
  cancel(user: PoolUser): void;
  /** No new connections; idle ones are closed now, the others when their last request ends. */
  retire(): void;
  /** Identities or roots have changed, or the endpoint is not picked any more: idle connections are closed, and those in use carry no
   *  further requests. */
  dropIdle(): void;
  readonly isUnused: boolean;
  readonly counts: { readonly open: number; readonly idle: number; readonly pending: number };
}

/** What those who waited for a connection are told. */
export interface ConnectFailure {
  readonly code: ErrorCode;
  readonly detail: string;
}

/** What all pools of a cluster share. */
export interface PoolCluster {
  readonly config: Cluster;
  readonly tls: ClusterTls;
  readonly metrics: UpstreamMetrics;
  readonly loadProbes: LoadProbes;
  readonly parserLimits: Partial<Http1Limits>;
  readonly http2Limits: Partial<Http2Limits>;
  /** Counts who waits for a connection, in all pools of the cluster. */
  readonly breaker: Breaker;
  /** A limit of the breaker was reached: why, in words for people. */
  refused(limit: 'pending'): string;
  /** A connection could not be made. */
  connectFailed(host: PoolHost, error: NetworkError | undefined): ConnectFailure;
}

/** The endpoint that the pool's connections lead to. */
export interface PoolHost {
  readonly instance: string;
  readonly address: string;
  readonly port: number;
  /** A connection to it could not be made. */
  connectFailed(): void;
  /** A workload that left must not leave an empty pool behind for ever. */
  forgetIfUnused(workload: string, pool: Pool): void;
}

/** `towardsPeer`: to a data plane or a host elsewhere. Else to the application itself, whose absence must be told from that of a data plane. */
export function connectErrorCode(error: NetworkError | undefined, towardsPeer: boolean): ErrorCode {
  if (!towardsPeer) return 'APPLICATION_REFUSED';
  switch (error?.kind) {
    case 'timeout':
      return 'CONNECT_TIMEOUT';
    case 'identity':
    case 'tls':
      return 'PEER_NOT_TRUSTED';
    default:
      return 'CONNECT_FAILED';
  }
}
