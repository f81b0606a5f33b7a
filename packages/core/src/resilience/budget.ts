// The retry budget of one upstream: what keeps retries from multiplying an outage. Retries and hedges of the last 10 seconds never exceed a
// share of the first tries of the same 10 seconds plus a small constant; however long a storm lasts, the upstream gets no more than
// (1 + share) times what was asked for, plus `minPerSecond`. O(1) per request, 160 bytes.
import type { RetryBudget } from '../model/resilience.ts';

const SLOTS = 10;
const SLOT_MS = 1_000;

export const RETRY_BUDGET_WINDOW_MS = SLOTS * SLOT_MS;

/**
 * Counts in slots of a second. Envoy's retry budget looks at requests under way at once instead; a window also bounds retries of requests
 * that fail at once, which are under way for no time at all.
 */
export class RetryBudgetMeter {
  #policy: RetryBudget;
  readonly #firsts = new Float64Array(SLOTS);
  readonly #repeats = new Float64Array(SLOTS);
  #firstSum = 0;
  #repeatSum = 0;
  /** Number of the slot that is counted in, since the clock began. */
  #slot = 0;

  constructor(policy: RetryBudget) {
    this.#policy = policy;
  }

  /** What was counted stays. */
  setPolicy(policy: RetryBudget): void {
    this.#policy = policy;
  }

  /** The first try of a request goes out. */
  countFirst(nowMs: number): void {
    this.#advance(nowMs);
    this.#firsts[this.#slot % SLOTS]! += 1;
    this.#firstSum += 1;
  }

  /** Whether a retry or hedge may go out now; if so, it is counted. */
  tryTake(nowMs: number): boolean {
    if (this.left(nowMs) < 1) return false;
    this.#repeats[this.#slot % SLOTS]! += 1;
    this.#repeatSum += 1;
    return true;
  }

  /** So many may go out now; with fractions. */
  left(nowMs: number): number {
    this.#advance(nowMs);
    const { percent, minPerSecond } = this.#policy;
    return (percent * this.#firstSum) / 100 + minPerSecond * SLOTS - this.#repeatSum;
  }

  #advance(nowMs: number): void {
    const slot = Math.floor(nowMs / SLOT_MS);
    const passed = slot - this.#slot;
    if (passed <= 0) return;
    if (passed >= SLOTS) {
      this.#firsts.fill(0);
      this.#repeats.fill(0);
      this.#firstSum = 0;
      this.#repeatSum = 0;
      this.#slot = slot;
      return;
    }
    while (this.#slot < slot) {
      this.#slot += 1;
      const at = this.#slot % SLOTS;
      this.#firstSum -= this.#firsts[at]!;
      this.#repeatSum -= this.#repeats[at]!;
      this.#firsts[at] = 0;
      this.#repeats[at] = 0;
    }
  }
}
