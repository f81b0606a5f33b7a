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

export class DecisionLog {
  /** Oldest first. */
  #decisions: ToldDecision[] = [];
  /** Since the beginning: made, and not told one by one. */
  lost = 0;

  add(node: string, decisions: readonly AccessDecision[], lost: number, wallMs: number): void {
    this.lost += lost;
    for (const decision of decisions) {
      const timeMs = Math.min(decision.timeMs, wallMs + AHEAD_MS);
      this.#decisions.push({ ...decision, timeMs, node });
    }
    let ofNode = this.#decisions.reduce((count, decision) => count + Number(decision.node === node), 0) - OF_ONE_NODE_MAX;
    if (ofNode > 0) this.#decisions = this.#decisions.filter((decision) => decision.node !== node || (ofNode -= 1) < 0);
    if (this.#decisions.length > DECISIONS_MAX) this.#decisions.splice(0, this.#decisions.length - DECISIONS_MAX);
  }

  /** Newest first. */
  list({ service, outcome }: DecisionFilter, limit: number): ToldDecision[] {
    return this.#decisions
      .filter(
        (decision) => (service === undefined || decision.service === service) && (outcome === undefined || decision.outcome === outcome),
      )
      .sort((a, b) => b.timeMs - a.timeMs)
      .slice(0, limit);
  }
}
