// The newest access decisions that refused something, or that a rule which only watches would have made, of all data planes.
import { CONTROL_LIMITS } from '@heddle/core';
import type { AccessDecision } from '@heddle/core';

const DECISIONS_MAX = CONTROL_LIMITS.decisionsMax.value;
const OF_ONE_NODE_MAX = CONTROL_LIMITS.decisionsPerNodeMax.value;
/** Clocks of machines differ; what lies further ahead is a claim. */
const AHEAD_MS = 60_000;

export interface ToldDecision extends AccessDecision {
  readonly node: string;
}

export interface DecisionFilter {
  readonly service?: string | undefined;
  readonly outcome?: string | undefined;
}

export interface DecisionPage {
  /** Newest first. */
  readonly items: readonly ToldDecision[];
  /** Since the beginning, of all services and outcomes: made, and no longer here or never told one by one. */
  readonly lost: number;
}

export class DecisionLog {
  /** Oldest first. */
  #decisions: ToldDecision[] = [];
  #lost = 0;

  add(node: string, decisions: readonly AccessDecision[], lost: number, wallMs: number): void {
    const keptBefore = this.#decisions.length;
    for (const decision of decisions) {
      const timeMs = Math.min(decision.timeMs, wallMs + AHEAD_MS);
      this.#decisions.push({ ...decision, timeMs, node });
    }
    let ofNode = this.#decisions.reduce((count, decision) => count + Number(decision.node === node), 0) - OF_ONE_NODE_MAX;
    if (ofNode > 0) this.#decisions = this.#decisions.filter((decision) => decision.node !== node || (ofNode -= 1) < 0);
    if (this.#decisions.length > DECISIONS_MAX) this.#decisions.splice(0, this.#decisions.length - DECISIONS_MAX);
    // What data planes claim may be anything.
    this.#lost = Math.min(this.#lost + lost + keptBefore + decisions.length - this.#decisions.length, Number.MAX_SAFE_INTEGER);
  }

  list({ service, outcome }: DecisionFilter, limit: number): DecisionPage {
    const items = this.#decisions
      .filter(
        (decision) => (service === undefined || decision.service === service) && (outcome === undefined || decision.outcome === outcome),
      )
      .sort((a, b) => b.timeMs - a.timeMs)
      .slice(0, limit);
    return { items, lost: this.#lost };
  }
}
