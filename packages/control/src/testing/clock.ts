// Clocks for tests: one that stands still until it is told to move.
import type { Clock, Timer } from '@heddle/runtime';

interface Pending {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

export class ManualClock implements Clock {
  #nowMs = 0;
  #order = 0;
  readonly #pending = new Set<Pending>();

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): Timer {
    this.#order += 1;
    const pending: Pending = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order, run };
    this.#pending.add(pending);
    return { cancel: () => this.#pending.delete(pending) };
  }

  /** Timers that have not fired. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Runs what falls due, in order, with the clock at its due time. */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (let due = this.#next(endMs); due !== undefined; due = this.#next(endMs)) {
      this.#pending.delete(due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.run();
    }
    this.#nowMs = endMs;
  }

  /** The clock moves first and timers run late: what a process sees that was paused. */
  stall(byMs: number): void {
    this.#nowMs += byMs;
    this.advance(0);
  }

  #next(endMs: number): Pending | undefined {
    let best: Pending | undefined;
    for (const pending of this.#pending) {
      if (pending.atMs > endMs) continue;
      if (best === undefined || pending.atMs < best.atMs || (pending.atMs === best.atMs && pending.order < best.order)) best = pending;
    }
    return best;
  }
}
