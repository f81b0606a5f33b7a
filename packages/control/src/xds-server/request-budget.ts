// How much one data plane may ask. An answer to what it was sent costs nothing in the end; everything else comes out of a budget that refills
// slowly: far more than any honest client needs at its start, and far less than what would keep the control plane from the others.

/** Subscribing to 2,000 services one by one, as gRPC clients do it, goes through at once. */
const UNITS_MAX = 3_000;
const UNITS_PER_SECOND = 200;
/** Names are read and compared one by one: so many are as much work as a request. */
const NAMES_PER_UNIT = 500;

export class RequestBudget {
  #units = UNITS_MAX;
  #filledMs: number;

  constructor(nowMs: number) {
    this.#filledMs = nowMs;
  }

  /** A response was sent, which is to be answered. */
  refund(): void {
    this.#units = Math.min(UNITS_MAX, this.#units + 1);
  }

  /** Takes what a request costs that names so many resources. False: that is too much, and the stream should end. */
  spend(names: number, nowMs: number): boolean {
    this.#units = Math.min(UNITS_MAX, this.#units + (Math.max(0, nowMs - this.#filledMs) / 1_000) * UNITS_PER_SECOND);
    this.#filledMs = nowMs;
    this.#units -= 1 + names / NAMES_PER_UNIT;
    return this.#units >= 0;
  }
}

/** For the one who asked too much. */
export const BUDGET_EXCEEDED = `this stream asks too much: ${UNITS_MAX} requests at once and ${UNITS_PER_SECOND} a second are allowed besides answers, and ${NAMES_PER_UNIT} names count as one more`;
