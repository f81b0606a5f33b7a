// A token bucket in whole numbers, so that nothing is lost or gained by rounding however long it runs. What a token is worth is chosen so
// that both refilling and taking are integers: a token is `perMs` × 1,000 units, and each microsecond brings `requests` units.

/** What of a rate limit a bucket needs: whole numbers of at least 1. Exact while `burst` × `perMs` stays below 2^43 (8.8 × 10^12). */
export interface BucketRate {
  readonly requests: number;
  readonly perMs: number;
  readonly burst: number;
}

const MICROSECONDS = 1_000;

/** In any time of `t` ms at most `burst` + `t` × `requests` / `perMs` tokens. Begins full. O(1), 32 bytes. */
export class TokenBucket {
  #units: number;
  /** In whole microseconds. */
  #at: number;

  constructor(rate: BucketRate, nowMs: number) {
    this.#units = rate.burst * rate.perMs * MICROSECONDS;
    this.#at = Math.round(nowMs * MICROSECONDS);
  }

  /** Whether a token is there; it stays. */
  has(rate: BucketRate, nowMs: number): boolean {
    this.#refill(rate, nowMs);
    return this.#units >= rate.perMs * MICROSECONDS;
  }

  /** Takes one if it is there. */
  tryTake(rate: BucketRate, nowMs: number): boolean {
    if (!this.has(rate, nowMs)) return false;
    this.#units -= rate.perMs * MICROSECONDS;
    return true;
  }

  /** Until a token is there, in whole milliseconds, rounded up; 0: there is one. */
  waitMs(rate: BucketRate, nowMs: number): number {
    if (this.has(rate, nowMs)) return 0;
    return Math.ceil((rate.perMs * MICROSECONDS - this.#units) / (rate.requests * MICROSECONDS));
  }

  #refill({ requests, perMs, burst }: BucketRate, nowMs: number): void {
    // Rounded to the nearest, so that a sum of two times that ends in …999 is what it was meant to be.
    const at = Math.round(nowMs * MICROSECONDS);
    const passed = at - this.#at;
    if (passed <= 0) return;
    this.#at = at;
    const full = burst * perMs * MICROSECONDS;
    const units = this.#units + passed * requests;
    this.#units = units < full ? units : full;
  }
}
