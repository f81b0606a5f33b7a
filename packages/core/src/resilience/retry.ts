// Whether a failed try may be repeated: one pure decision for every placement. A request that reached the application is
// repeated only when its method is idempotent (RFC 9110 §9.2.2: a proxy must not repeat others by itself).
import { ERRORS } from '../errors/table.ts';
import type { ErrorCode } from '../errors/table.ts';
import type { RetryCondition, RetryPolicy } from '../model/service.ts';

export interface RetryInput {
  readonly policy: RetryPolicy;
  /** What the last try ended with; for an error the called data plane answered, the code from its `x-heddle-error`. */
  readonly error: ErrorCode;
  /** As sent: method names are case-sensitive (RFC 9110 §9.1). */
  readonly method: string;
  /** Tries made so far, the first included: at least 1. */
  readonly triesMade: number;
  /** The whole body is still there to be sent again. True without a body, or when nothing of the body was sent yet. */
  readonly bodyReplayable: boolean;
  /** A byte of the response has been passed on downstream. */
  readonly responseStarted: boolean;
  readonly nowMs: number;
  /** On the clock of `nowMs`; Infinity when there is no limit. */
  readonly deadlineMs: number;
}

/** `retry`, or why not. The words go into access logs and metric labels. */
export type RetryVerdict =
  | 'retry'
  | 'off'
  | 'response-started'
  | 'condition-not-listed'
  | 'not-idempotent'
  | 'body-gone'
  | 'tries-used-up'
  | 'deadline-passed';

/** The condition of `retry.on` that an error falls under; errors without one are never repeated. */
const CONDITIONS: Readonly<Partial<Record<ErrorCode, RetryCondition>>> = {
  CONNECT_FAILED: 'connect-failure',
  CONNECT_TIMEOUT: 'connect-failure',
  PEER_NOT_TRUSTED: 'connect-failure',
  APPLICATION_REFUSED: 'refused',
  STREAM_REFUSED: 'refused',
  OVERLOADED: 'refused',
  DRAINING: 'refused',
  UPSTREAM_RESET: 'reset',
};

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

export function decideRetry(input: RetryInput): RetryVerdict {
  if (input.policy.attempts === 0) return 'off';
  // What the client has seen cannot be taken back.
  if (input.responseStarted) return 'response-started';
  const condition = CONDITIONS[input.error];
  if (condition === undefined || !input.policy.on.includes(condition)) return 'condition-not-listed';
  if (!ERRORS[input.error].neverDelivered && !isIdempotent(input.method)) return 'not-idempotent';
  if (!input.bodyReplayable) return 'body-gone';
  if (input.triesMade > input.policy.attempts) return 'tries-used-up';
  if (input.nowMs >= input.deadlineMs) return 'deadline-passed';
  return 'retry';
}
