// How many refused attempts are noted: a burst, then a trickle. Those beyond are counted, and the next one that is noted says how many.

/** As many as a night of misconfigured workloads brings together. */
const BURST = 500;
/** 4,300 a day: files of the default size then reach back for a month, whatever comes. */
const PER_SECOND = 0.05;

export class Refusals {
  #left = BURST;
  #atMs: number;
  #missed = 0;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /** How many were not noted since the last one that was; undefined: this one is not to be noted either. */
  take(nowMs: number): number | undefined {
    this.#left = Math.min(BURST, this.#left + (Math.max(0, nowMs - this.#atMs) / 1_000) * PER_SECOND);
    this.#atMs = nowMs;
    if (this.#left < 1) {
      this.#missed += 1;
      return undefined;
    }
    this.#left -= 1;
    const missed = this.#missed;
    this.#missed = 0;
    return missed;
  }
}
