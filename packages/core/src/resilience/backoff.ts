// Exponential backoff with full jitter: the wait is uniform between 0 and a bound that doubles. Spreading over the whole
// range keeps many clients that failed together from coming back together.

export interface Backoff {
  /** Upper bound of the first wait, above 0. */
  readonly baseMs: number;
  /** No wait is longer. */
  readonly maxMs: number;
  /** Growth of the bound per attempt, at least 1. Default 2. */
  readonly factor?: number;
}

/** Upper bound of the wait before attempt `attempt` (0 is the first repetition). */
export function backoffBoundMs(backoff: Backoff, attempt: number): number {
  const bound = backoff.baseMs * (backoff.factor ?? 2) ** Math.max(0, attempt);
  return Math.min(backoff.maxMs, bound);
}

/**
 * How long to wait before repeating something that failed.
 * @param attempt 0 for the first repetition.
 * @param random uniform in [0, 1).
 */
export function backoffMs(backoff: Backoff, attempt: number, random: () => number): number {
  return random() * backoffBoundMs(backoff, attempt);
}

/**
 * Between reconnections to the control plane. At most 2 s, so that whoever waits is back within 5 s of its return, handshake included; the
 * jitter spreads 1,000 data planes that lost it together over that time, some 500 handshakes a second.
 */
export const RECONNECT_BACKOFF: Backoff = Object.freeze({ baseMs: 200, maxMs: 2_000, factor: 2 });
