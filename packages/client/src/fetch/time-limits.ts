// Time limits of calls, looked at together and coarsely, as undici does: one timer for all of them, none while there are no calls. Short ones get
// a timer each.
import type { Clock, Timer } from '@heddle/runtime';

/** How late a limit may be. */
const TICK_MS = 500;
const SHORT_MS = 1_000;

export interface Limited {
  /** Where there is none: infinity. Set by TimeLimits. */
  deadlineMs: number;
  ownTimer: Timer | undefined;
  timedOut(): void;
}

export class TimeLimits {
  private readonly clock: Clock;
  private readonly all = new Set<Limited>();
  private readonly tick: () => void;
  private isTicking = false;
  /** As of the last tick. */
  private aboutMs = 0;

  constructor(clock: Clock) {
    this.clock = clock;
    this.tick = () => this.look();
  }

  /** From now on. 0: no limit. */
  set(of: Limited, timeoutMs: number): void {
    of.ownTimer?.cancel();
    of.ownTimer = undefined;
    of.deadlineMs = Number.POSITIVE_INFINITY;
    if (timeoutMs === 0) {
      this.all.delete(of);
    } else if (timeoutMs <= SHORT_MS) {
      this.all.delete(of);
      of.ownTimer = this.clock.after(timeoutMs, () => of.timedOut());
    } else {
      this.all.add(of);
      if (!this.isTicking) this.start();
      of.deadlineMs = this.aboutMs + TICK_MS + timeoutMs;
    }
  }

  clear(of: Limited): void {
    of.ownTimer?.cancel();
    of.ownTimer = undefined;
    this.all.delete(of);
  }

  private start(): void {
    this.isTicking = true;
    this.aboutMs = this.clock.nowMs();
    this.clock.after(TICK_MS, this.tick);
  }

  private look(): void {
    this.isTicking = false;
    if (this.all.size === 0) return;
    this.start();
    for (const one of this.all) {
      if (one.deadlineMs > this.aboutMs) continue;
      this.all.delete(one);
      one.timedOut();
    }
  }
}
