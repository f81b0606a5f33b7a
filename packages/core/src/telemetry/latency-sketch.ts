// Quantiles of many latencies in little memory: counts in buckets whose bounds grow by a constant factor, so that the relative error is the
// same at 1 ms and at 10 s and is known beforehand. Adding is O(1) and allocates nothing.

/** 2^-5 ms, some 30 µs: nothing over a socket is faster. */
const LOG2_MIN = -5;
/** 2^18 ms, more than 4 minutes. */
const LOG2_MAX = 18;

export class LatencySketch {
  readonly #buckets: Uint32Array;
  readonly #stepsPerDoubling: number;
  #count = 0;

  /**
   * @param stepsPerDoubling Buckets between a latency and its double. A quantile is off by a factor of at most 2^(1/(2·steps)): 9 % with 4
   * (368 bytes), 2.2 % with 16 (1.5 kB).
   */
  constructor(stepsPerDoubling: number) {
    this.#stepsPerDoubling = stepsPerDoubling;
    this.#buckets = new Uint32Array((LOG2_MAX - LOG2_MIN) * stepsPerDoubling);
  }

  get count(): number {
    return this.#count;
  }

  /** Latencies out of range count as the least or the greatest of it. */
  add(latencyMs: number): void {
    const at = latencyMs > 0 ? Math.floor((Math.log2(latencyMs) - LOG2_MIN) * this.#stepsPerDoubling) : 0;
    this.#buckets[at < 0 ? 0 : Math.min(at, this.#buckets.length - 1)]! += 1;
    this.#count += 1;
  }

  /** The latency in milliseconds that the share `quantile` (0 to 1) stays at or below; 0 when there is none. */
  quantileMs(quantile: number): number {
    if (this.#count === 0) return 0;
    let left = Math.max(1, Math.ceil(quantile * this.#count));
    let at = 0;
    for (; at < this.#buckets.length - 1; at += 1) {
      left -= this.#buckets[at]!;
      if (left <= 0) break;
    }
    return 2 ** ((at + 0.5) / this.#stepsPerDoubling + LOG2_MIN);
  }

  clear(): void {
    if (this.#count === 0) return;
    this.#buckets.fill(0);
    this.#count = 0;
  }
}
