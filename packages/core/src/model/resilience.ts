// How a request is limited, repeated and refused, as plain data. Durations are milliseconds.

/**
 * Why a try may be repeated. `connect-failure`, `refused`: the application never saw the request. `reset`: the connection broke. `timeout`: the
 * time of one try (`perTryMs`) is over. `gateway-error`: 502, 503, 504. `5xx`: any of these. `retriable-status`: one of `statuses`. The gRPC
 * ones: the call ended with that status. All but the first two are repeated only for idempotent methods, unless `nonIdempotent`.
 */
export const RETRY_CONDITIONS = [
  'connect-failure',
  'refused',
  'reset',
  'timeout',
  'gateway-error',
  '5xx',
  'retriable-status',
  'grpc-cancelled',
  'grpc-deadline-exceeded',
  'grpc-internal',
  'grpc-resource-exhausted',
  'grpc-unavailable',
] as const;
export type RetryCondition = (typeof RETRY_CONDITIONS)[number];

export interface RetryPolicy {
  /** Tries after the first one; 0 switches retries off. */
  readonly attempts: number;
  readonly on: readonly RetryCondition[];
  /** Time for one try; 0: only the whole request's limit holds. */
  readonly perTryMs: number;
  /** HTTP statuses that `retriable-status` means. */
  readonly statuses: readonly number[];
  /** Requests of methods that are not idempotent may be executed twice. */
  readonly nonIdempotent: boolean;
  /** Between tries when no other instance is left; with full jitter. */
  readonly backoff: { readonly baseMs: number; readonly maxMs: number };
}

/** A second try is sent while the first is still under way; the first answer wins (Envoy's `hedge_on_per_try_timeout`). Idempotent methods only, unless
 * `retry.nonIdempotent`. */
export interface HedgePolicy {
  /** After so long without a response. */
  readonly afterMs: number;
  /** Tries beyond the first; each after another `afterMs`. */
  readonly attempts: number;
}

/**
 * Of all tries that a data plane sends to a service, retries and hedges may be so many percent of the first tries of the last 10 seconds, and
 * `minPerSecond` on top. 0 and 0: none.
 */
export interface RetryBudget {
  readonly percent: number;
  readonly minPerSecond: number;
}

/** Of one data plane, towards one service. 0: no limit beyond those of the data plane. */
export interface BreakerPolicy {
  /** Connections to one instance. */
  readonly connections: number;
  /** Requests that wait for a connection, or for room. */
  readonly pending: number;
  /** Requests under way. */
  readonly requests: number;
}

/**
 * The limit of requests under way finds itself: it grows while latency stays near the best that was seen and shrinks when it rises (gradient,
 * as Netflix's concurrency-limits and Envoy's adaptive concurrency). Beyond it requests are refused with OVERLOADED.
 */
export interface AdaptiveConcurrencyPolicy {
  readonly minRequests: number;
  readonly maxRequests: number;
}

/** Token bucket at the data plane that serves the route: each keeps its own. */
export interface RateLimit {
  /** Tokens that come back per `perMs`. */
  readonly requests: number;
  readonly perMs: number;
  /** Tokens that may gather: at least 1. */
  readonly burst: number;
  /** Who shares a bucket. `identity`: each calling service has one of its own. `header`: each value of it; requests without share one. */
  readonly by: { readonly kind: 'all' } | { readonly kind: 'identity' } | { readonly kind: 'header'; readonly name: string };
}

export interface FaultPolicy {
  /** Held back before it is passed on, or aborted, and after its rate limits. */
  readonly delay?: { readonly percent: number; readonly delayMs: number };
  /** Answered in place of the service. */
  readonly abort?: { readonly percent: number; readonly status: FaultStatus };
}

/** `http`: 200 to 599. `grpc`: 1 to 16, answered as gRPC to gRPC requests. */
export type FaultStatus = { readonly kind: 'http'; readonly code: number } | { readonly kind: 'grpc'; readonly code: number };
