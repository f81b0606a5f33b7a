// Whether a failed try may be repeated: one pure decision for every placement. A request that may have been executed is repeated only when
// its method is idempotent (RFC 9110 §9.2.2: a proxy must not repeat others by itself), unless its service allows it.
import { ERRORS } from '../errors/table.ts';
import type { ErrorCode } from '../errors/table.ts';
import { DEFAULT_LIMITS } from '../limits/table.ts';
import type { RetryCondition, RetryPolicy } from '../model/resilience.ts';
import { backoffMs } from './backoff.ts';

/** How a try ended. */
export interface TryEnd {
  /**
   * What it failed with; for an error that the called data plane answered, the code from its `x-heddle-error`. Undefined: the application
   * answered. TRY_TIMEOUT when `perTryMs` is over.
   */
  readonly error: ErrorCode | undefined;
  /** Of the answer; 0: there is none. */
  readonly httpStatus: number;
  /** Of the answer; undefined: it has none. */
  readonly grpcStatus: number | undefined;
  /**
   * So long the application asks to be left alone, by `retry-after` or `grpc-retry-pushback-ms`; undefined: it does not, Infinity: for
   * ever. What a data plane asks for is of no account, as another instance may be asked at once; RATE_LIMITED excepted.
   */
  readonly retryAfterMs: number | undefined;
}

export interface RetryInput {
  readonly policy: RetryPolicy;
  readonly end: TryEnd;
  /** As sent: method names are case-sensitive (RFC 9110 §9.1). gRPC's is POST, so that calls are repeated only if nobody saw them. */
  readonly method: string;
  /** Errors then count as the gRPC statuses that they are answered with. */
  readonly isGrpc: boolean;
  /** Tries made so far, the first included, hedges not: at least 1. */
  readonly triesMade: number;
  /** The whole body is still there to be sent again. True without a body, or when nothing of the body was sent yet. */
  readonly bodyReplayable: boolean;
  /** A byte of the response has been passed on downstream. */
  readonly responseStarted: boolean;
  readonly nowMs: number;
  /** On the clock of `nowMs`; Infinity when there is no limit. */
  readonly deadlineMs: number;
}

/** `retry`, or why not. The words go into access logs and metric labels. `budget-spent` is said by whoever asks the budget. */
export type RetryVerdict =
  | 'retry'
  | 'off'
  | 'response-started'
  | 'condition-not-listed'
  | 'not-idempotent'
  | 'body-gone'
  | 'tries-used-up'
  | 'deadline-passed'
  | 'retry-after-too-long'
  | 'budget-spent';

/** The condition of `retry.on` that an error falls under by itself. */
const CONDITIONS: Readonly<Partial<Record<ErrorCode, RetryCondition>>> = {
  CONNECT_FAILED: 'connect-failure',
  CONNECT_TIMEOUT: 'connect-failure',
  PEER_NOT_TRUSTED: 'connect-failure',
  APPLICATION_REFUSED: 'refused',
  STREAM_REFUSED: 'refused',
  OVERLOADED: 'refused',
  DRAINING: 'refused',
  UPSTREAM_RESET: 'reset',
  TRY_TIMEOUT: 'timeout',
};

/** Errors without a condition of their own that count as their status: another try may mend them. */
const BY_STATUS: Readonly<Partial<Record<ErrorCode, true>>> = { UPSTREAM_PROTOCOL: true, REQUEST_TIMEOUT: true, RATE_LIMITED: true };

/** Undefined for errors that are repeated only for the sake of their status, or never. */
export function retryCondition(error: ErrorCode): RetryCondition | undefined {
  return CONDITIONS[error];
}

/** RFC 9110 §9.2.2: the safe methods, PUT and DELETE. Unknown methods are not. */
export function isIdempotent(method: string): boolean {
  switch (method) {
    case 'GET':
    case 'HEAD':
    case 'OPTIONS':
    case 'TRACE':
    case 'PUT':
    case 'DELETE':
      return true;
    default:
      return false;
  }
}

/**
 * Whether the end of a try is one that the policy repeats. As in Envoy, `5xx` and `gateway-error` include whatever failed without an
 * answer; other than there, the time limit of a try is no `reset` but `timeout`, `retriable-status` and the conditions of gRPC also take
 * errors that a data plane answers with such a status, and a gRPC status counts in a response that is nothing but trailers as well as in a
 * head.
 */
export function meetsRetryCondition(policy: RetryPolicy, end: TryEnd, isGrpc: boolean): boolean {
  const { error } = end;
  if (error !== undefined && CONDITIONS[error] === undefined && BY_STATUS[error] !== true) return false;
  const status = error === undefined ? end.httpStatus : ERRORS[error].httpStatus;
  const grpcStatus = error === undefined ? end.grpcStatus : isGrpc ? ERRORS[error].grpcStatus : undefined;
  for (const condition of policy.on) if (meets(condition, policy, error, status, grpcStatus)) return true;
  return false;
}

function meets(
  condition: RetryCondition,
  policy: RetryPolicy,
  error: ErrorCode | undefined,
  status: number,
  grpcStatus: number | undefined,
): boolean {
  switch (condition) {
    case '5xx':
      return status >= 500;
    case 'gateway-error':
      return status >= 502 && status <= 504;
    case 'retriable-status':
      return policy.statuses.includes(status);
    case 'grpc-cancelled':
      return grpcStatus === 1;
    case 'grpc-deadline-exceeded':
      return grpcStatus === 4;
    case 'grpc-resource-exhausted':
      return grpcStatus === 8;
    case 'grpc-internal':
      return grpcStatus === 13;
    case 'grpc-unavailable':
      return grpcStatus === 14;
    default:
      return error !== undefined && CONDITIONS[error] === condition;
  }
}

/**
 * What was never delivered may be repeated for every method. The rest, an answer of the application as well as a broken connection, may
 * have been executed. On `retry`, ask the budget of the upstream next (`RetryBudgetMeter.tryTake`), and wait as `retryWaitMs` says.
 */
export function decideRetry(input: RetryInput): RetryVerdict {
  const { policy, end } = input;
  if (policy.attempts === 0) return 'off';
  // What the client has seen cannot be taken back.
  if (input.responseStarted) return 'response-started';
  if (!meetsRetryCondition(policy, end, input.isGrpc)) return 'condition-not-listed';
  const neverDelivered = end.error !== undefined && ERRORS[end.error].neverDelivered;
  if (!neverDelivered && !policy.nonIdempotent && !isIdempotent(input.method)) return 'not-idempotent';
  if (!input.bodyReplayable) return 'body-gone';
  if (input.triesMade > policy.attempts) return 'tries-used-up';
  if (input.nowMs >= input.deadlineMs) return 'deadline-passed';
  const waitMs = askedWaitMs(end);
  // The answer says more to the client than a try that cannot end in time, or one that is made against the application's wish.
  if (waitMs > DEFAULT_LIMITS.retryAfterTimeoutMs || input.nowMs + waitMs >= input.deadlineMs) return 'retry-after-too-long';
  return 'retry';
}

/**
 * How long to wait before the try that `decideRetry` allowed: as long as the application asked for, plus jitter, so that those who were
 * sent away together do not return together; else not at all while there is an instance that has not failed this request; else the policy's
 * backoff. Always less than what is left until the deadline.
 * @param hasOther another instance can be tried.
 * @param random uniform in [0, 1).
 */
export function retryWaitMs(input: RetryInput, hasOther: boolean, random: () => number): number {
  const askedMs = askedWaitMs(input.end);
  if (askedMs === 0 && hasOther) return 0;
  const jitterMs = backoffMs(input.policy.backoff, input.triesMade - 1, random);
  // Half of the rest at most, so that the try still has time.
  return askedMs + Math.min(jitterMs, Math.max(0, input.deadlineMs - input.nowMs - askedMs) / 2);
}

function askedWaitMs({ error, retryAfterMs }: TryEnd): number {
  return retryAfterMs === undefined || (error !== undefined && error !== 'RATE_LIMITED') ? 0 : retryAfterMs;
}
