// What the end of a try says about the instance that had it: one mapping for balancers, outlier detection and adaptive concurrency, so that
// they never disagree about what a failure is.
import type { TryResult } from '../balancing/balancer.ts';
import type { ErrorCode } from '../errors/table.ts';

/**
 * By the place where the error arose. What the instance or the way to it did is its failure, also when its own data plane tells of it. What
 * the client, a rule of the mesh or this data plane did says nothing about the instance. A limit of time counts as the instance's even when
 * the caller set it: an instance that is frozen is found by callers with short deadlines only.
 */
const RESULTS: Readonly<Record<ErrorCode, TryResult>> = Object.freeze({
  NO_SUCH_SERVICE: 'cancelled',
  NO_HEALTHY_INSTANCE: 'cancelled',
  CONNECT_FAILED: 'local-error',
  CONNECT_TIMEOUT: 'local-error',
  PEER_NOT_TRUSTED: 'local-error',
  APPLICATION_REFUSED: 'gateway-error',
  NO_IDENTITY: 'cancelled',
  STREAM_REFUSED: 'local-error',
  UPSTREAM_RESET: 'local-error',
  UPSTREAM_PROTOCOL: 'local-error',
  REQUEST_TIMEOUT: 'local-error',
  TRY_TIMEOUT: 'local-error',
  DEADLINE_EXCEEDED: 'local-error',
  IDLE_TIMEOUT: 'local-error',
  BAD_REQUEST: 'cancelled',
  HEAD_TOO_LARGE: 'cancelled',
  BODY_TOO_LARGE: 'cancelled',
  NOT_IMPLEMENTED: 'cancelled',
  CLIENT_TIMEOUT: 'cancelled',
  UNKNOWN_WORKLOAD: 'cancelled',
  RATE_LIMITED: 'success',
  FAULT_INJECTED: 'cancelled',
  EGRESS_REFUSED: 'cancelled',
  ACCESS_DENIED: 'cancelled',
  TOKEN_REQUIRED: 'cancelled',
  TOKEN_INVALID: 'cancelled',
  AUTHORIZER_UNAVAILABLE: 'gateway-error',
  CIRCUIT_OPEN: 'cancelled',
  OVERLOADED: 'gateway-error',
  DRAINING: 'gateway-error',
});

/**
 * @param error what the try failed with, or what the called data plane named in `x-heddle-error`; undefined for an answer of the
 * application.
 * @param httpStatus 0: no answer came; without an error, the caller gave up.
 * @param grpcStatus undefined: no gRPC call, or its answer has none.
 *
 * Envoy differs in two statuses of gRPC: it takes UNIMPLEMENTED for a failure of the server, and CANCELLED for an answer.
 */
export function tryResultOf(error: ErrorCode | undefined, httpStatus: number, grpcStatus: number | undefined): TryResult {
  if (error !== undefined) return RESULTS[error];
  if (httpStatus >= 500) return httpStatus >= 502 && httpStatus <= 504 ? 'gateway-error' : 'server-error';
  if (httpStatus === 0) return 'cancelled';
  if (grpcStatus === undefined || grpcStatus === 0) return 'success';
  switch (grpcStatus) {
    case 1:
      return 'cancelled';
    case 2:
    case 13:
    case 15:
      return 'server-error';
    case 4:
    case 14:
      return 'gateway-error';
    default:
      return 'success';
  }
}
