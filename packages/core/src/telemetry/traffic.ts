// What data planes report of their traffic, as plain data: differences since the report before.
import type { SparseDurations } from './duration-buckets.ts';

/** Requests, or streams of bytes where the protocol is `tcp`, that have ended. */
export interface TrafficCounts {
  /** `inbound`: as the called side has seen them. */
  readonly side: 'outbound' | 'inbound';
  /** `<namespace>/<service>`; `unknown` where nobody has proven anything. */
  readonly source: string;
  /** `<namespace>/<service>`, or what stands in its place of a host outside the mesh. */
  readonly destination: string;
  readonly route: string;
  /** `http1`, `http2`, `grpc`, `tcp`. */
  readonly protocol: string;
  readonly requests: number;
  /** By response class. */
  readonly classes: Readonly<Record<string, number>>;
  /** By code of the data plane's error; `5xx` where the application answered so. */
  readonly errors: Readonly<Record<string, number>>;
  readonly durations: SparseDurations;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly retries: number;
}

/** Tries that went to one instance. */
export interface InstanceCounts {
  readonly destination: string;
  readonly instance: string;
  readonly requests: number;
  readonly failures: number;
  readonly durations: SparseDurations;
}

/** Requests under way. */
export interface PairInProgress {
  readonly source: string;
  readonly destination: string;
  readonly requests: number;
}

/** What is known of the process, or of several together: the worst, or the sum. */
export interface ProcessFacts {
  /** Longest time in the last 15 s for which nothing else ran. */
  readonly eventLoopDelayMaxMs?: number;
  readonly residentBytes?: number;
  readonly openConnections?: number;
  /** Until the first certificate ends. */
  readonly certificateSecondsLeft?: number;
  /** Since the configuration was last known to be what the control plane says. */
  readonly snapshotAgeMs?: number;
}

export interface TrafficReport {
  /** What it is of. */
  readonly intervalMs: number;
  readonly traffic: readonly TrafficCounts[];
  readonly instances: readonly InstanceCounts[];
  readonly inProgress: readonly PairInProgress[];
  readonly process: ProcessFacts;
}

/** An access decision that refused a request, or that a rule which only watches would have made. */
export interface AccessDecision {
  /** Unix time. */
  readonly timeMs: number;
  /** Whose policy it was. */
  readonly service: string;
  readonly side: 'inbound' | 'outbound';
  readonly outcome: 'denied' | 'would-deny' | 'would-allow' | 'unavailable';
  /** SPIFFE id of the caller, or `unknown`. */
  readonly source: string;
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  /** Empty: none. */
  readonly rule: string;
  /** What decided: `rule`, `default`, `token`, `authorizer`, `form`, `caller`. */
  readonly by: string;
  readonly reason: string;
}
