// Access decisions that wait to be told: the newest of them; of the others, how many there were.
import type { AccessDecision } from './traffic.ts';

export interface TakenDecisions {
  /** Newest last. */
  readonly decisions: readonly AccessDecision[];
  /** So many more there were. */
  readonly lost: number;
}

export class DecisionRing {
  readonly #max: number;
  #decisions: AccessDecision[] = [];
  /** Where the oldest is, once it is full. */
  #oldest = 0;
  #lost = 0;

  /** @param max some 500 bytes each. */
  constructor(max = 100) {
    this.#max = max;
  }

  push(decision: AccessDecision): void {
    if (this.#decisions.length < this.#max) {
      this.#decisions.push(decision);
      return;
    }
    this.#decisions[this.#oldest] = decision;
    this.#oldest = (this.#oldest + 1) % this.#max;
    this.#lost += 1;
  }

  /** What somebody else has taken. */
  add({ decisions, lost }: TakenDecisions): void {
    for (const decision of decisions) this.push(decision);
    this.#lost += lost;
  }

  /** What came since the call before. */
  take(): TakenDecisions {
    const taken = { decisions: this.list(), lost: this.#lost };
    this.#decisions = [];
    this.#oldest = 0;
    this.#lost = 0;
    return taken;
  }

  /** Newest last. */
  list(): AccessDecision[] {
    return [...this.#decisions.slice(this.#oldest), ...this.#decisions.slice(0, this.#oldest)];
  }
}
