// When a request gets another try while the earlier ones are still under way (hedging), and which requests may. The first answer wins, the
// rest is cancelled; each further try is taken from the retry budget.
import { DEFAULT_LIMITS } from '../limits/table.ts';
import type { HedgePolicy } from '../model/resilience.ts';
import { isIdempotent } from './retry.ts';

export interface HedgeInput {
  readonly policy: HedgePolicy | undefined;
  readonly method: string;
  /** `retry.nonIdempotent`: such requests may be executed twice. gRPC calls need it. */
  readonly nonIdempotent: boolean;
  /** Of this request so far; retries are not among them. */
  readonly hedgesMade: number;
  /** As for a retry; a body that is still being sent is not. */
  readonly bodyReplayable: boolean;
  /** The head of a response that is kept has come. */
  readonly responseStarted: boolean;
  readonly nowMs: number;
  /** Infinity when there is no limit. */
  readonly deadlineMs: number;
}

/** `hedge`, or why not. `budget-spent` is said by whoever asks the budget, as for retries. */
export type HedgeVerdict =
  | 'hedge'
  | 'off'
  | 'response-started'
  | 'not-idempotent'
  | 'body-gone'
  | 'hedges-used-up'
  | 'deadline-passed'
  | 'budget-spent';

/** To be asked when `nextHedgeAtMs` has come. */
export function decideHedge(input: HedgeInput): HedgeVerdict {
  const { policy } = input;
  if (policy === undefined || policy.attempts === 0) return 'off';
  if (input.responseStarted) return 'response-started';
  if (!input.nonIdempotent && !isIdempotent(input.method)) return 'not-idempotent';
  if (!input.bodyReplayable) return 'body-gone';
  if (input.hedgesMade >= hedgesMax(policy)) return 'hedges-used-up';
  if (input.nowMs >= input.deadlineMs) return 'deadline-passed';
  return 'hedge';
}

/**
 * When the next further try is due: `afterMs` after the latest try began. Infinity: never. Whether the method allows it need not be asked
 * before; `decideHedge` does.
 */
export function nextHedgeAtMs(policy: HedgePolicy | undefined, lastTryMs: number, hedgesMade: number): number {
  return policy === undefined || hedgesMade >= hedgesMax(policy) ? Infinity : lastTryMs + policy.afterMs;
}

function hedgesMax({ attempts }: HedgePolicy): number {
  return Math.min(attempts, DEFAULT_LIMITS.hedgesPerRequestMax);
}
