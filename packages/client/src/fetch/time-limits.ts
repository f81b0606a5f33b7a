// Time limits of calls, looked at together and coarsely, as undici does: one timer for all of them, none while there are no calls. Short ones get
// a timer each.
import type { Clock, Timer } from '@heddle/runtime';
import type { OpenRequest, OpenRequests } from './open-requests.ts';

/** How late a limit may be. */
const TICK_MS = 500;
const SHORT_MS = 1_000;

export interface Limited extends OpenRequest {
  /** Set by TimeLimits. */
  ownTimer: Timer | undefined;
}

export class TimeLimits {
  private readonly clock: Clock;
  private readonly requests: OpenRequests;
  private readonly tick: () => void;
  private isTicking = false;
  /** As of the last tick. */
  private aboutMs = 0;

  constructor(clock: Clock, requests: OpenRequests) {
    this.clock = clock;
    this.requests = requests;
    this.tick = () => this.look();
  }

  /** From now on. 0: no limit. */
  set(of: Limited, timeoutMs: number): void {
    this.clear(of);
    if (timeoutMs === 0) return;
    if (timeoutMs <= SHORT_MS) {
      of.ownTimer = this.clock.after(timeoutMs, () => of.timedOut());
      return;
    }
    if (!this.isTicking) this.start();
    of.deadlineMs = this.aboutMs + TICK_MS + timeoutMs;
  }

  clear(of: Limited): void {
    of.ownTimer?.cancel();
    of.ownTimer = undefined;
    of.deadlineMs = Number.POSITIVE_INFINITY;
  }

  private start(): void {
    this.isTicking = true;
    this.aboutMs = this.clock.nowMs();
    this.clock.after(TICK_MS, this.tick);
  }

  private look(): void {
    this.isTicking = false;
    const limited: OpenRequest[] = [];
    for (let one = this.requests.first; one !== undefined; one = one.after)
      if (one.deadlineMs !== Number.POSITIVE_INFINITY) limited.push(one);
    if (limited.length === 0) return;
    this.start();
    // What one does may end others, or move their limits.
    for (const one of limited) {
      if (one.deadlineMs > this.aboutMs) continue;
      one.deadlineMs = Number.POSITIVE_INFINITY;
      one.timedOut();
    }
  }
}
