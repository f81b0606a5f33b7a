// When a supervised process is started again: after a backoff that grows with every crash, after a long one when it
// crashes over and over (crash loop), from the beginning once it has run stably. Drives nothing; the supervisor does.
import type { Backoff } from './backoff.ts';
import { backoffBoundMs, backoffMs } from './backoff.ts';

export interface RestartPolicy {
  readonly backoff: Backoff;
  /** This many crashes within `crashWindowMs` are a crash loop. */
  readonly crashLoopAfter: number;
  readonly crashWindowMs: number;
  /** Waits in a crash loop lie between half of this and this: a process that heals still comes back by itself. */
  readonly crashLoopDelayMs: number;
  /** A process that has run so long is stable: earlier crashes are forgotten. */
  readonly stableAfterMs: number;
}

export const DEFAULT_RESTART_POLICY: RestartPolicy = Object.freeze({
  backoff: Object.freeze({ baseMs: 200, maxMs: 10_000, factor: 2 }),
  crashLoopAfter: 5,
  crashWindowMs: 60_000,
  crashLoopDelayMs: 30_000,
  stableAfterMs: 30_000,
});

/**
 * `idle`: not started yet. `running`: the process is there. `backoff`: it crashed and is started again soon.
 * `crash-loop`: it crashed too often and is started again seldom. `stopped`: it is to stay down.
 */
export type RestartState = 'idle' | 'running' | 'backoff' | 'crash-loop' | 'stopped';

export class RestartMachine {
  #state: RestartState = 'idle';
  /** Times of the crashes inside the window; never more than `crashLoopAfter`. */
  #crashes: number[] = [];
  #crashesInRow = 0;
  #startedAtMs = 0;
  #timeoutMs: number | undefined;
  readonly #policy: RestartPolicy;
  readonly #random: () => number;

  constructor(policy: RestartPolicy, random: () => number) {
    this.#policy = policy;
    this.#random = random;
  }

  get state(): RestartState {
    return this.#state;
  }

  /** Crashes since the process last ran stably. */
  get crashes(): number {
    return this.#crashesInRow;
  }

  /** When to call `handleTimeout`, on the clock of `nowMs`; undefined when nothing is awaited. */
  nextTimeoutMs(): number | undefined {
    return this.#timeoutMs;
  }

  /** The process was started. */
  started(nowMs: number): void {
    if (this.#state === 'stopped') return;
    this.#state = 'running';
    this.#startedAtMs = nowMs;
    this.#timeoutMs = this.#crashesInRow > 0 ? nowMs + this.#policy.stableAfterMs : undefined;
  }

  /** The process ended by itself, could not be started, or was ended because it failed its liveness checks. Returns the new state. */
  crashed(nowMs: number): RestartState {
    if (this.#state === 'stopped') return this.#state;
    if (this.#state === 'running' && nowMs - this.#startedAtMs >= this.#policy.stableAfterMs) this.#forget();
    const { crashLoopAfter, crashWindowMs } = this.#policy;
    this.#crashes = [...this.#crashes, nowMs].filter((atMs) => nowMs - atMs < crashWindowMs).slice(-crashLoopAfter);
    const delayMs = this.#delayMs(this.#crashes.length >= crashLoopAfter);
    this.#crashesInRow++;
    this.#timeoutMs = nowMs + delayMs;
    return this.#state;
  }

  /** To be called at `nextTimeoutMs` or later. `start`: start the process now, then call `started` or `crashed`. */
  handleTimeout(nowMs: number): 'start' | undefined {
    if (this.#timeoutMs === undefined || nowMs < this.#timeoutMs) return undefined;
    this.#timeoutMs = undefined;
    if (this.#state === 'running') {
      this.#forget();
      return undefined;
    }
    return 'start';
  }

  /** The process is to stay down, whatever happens; final until `reset`. */
  stop(): void {
    this.#state = 'stopped';
    this.#timeoutMs = undefined;
  }

  /** As new: for a restart that a person asked for. */
  reset(): void {
    this.#state = 'idle';
    this.#timeoutMs = undefined;
    this.#forget();
  }

  #delayMs(looping: boolean): number {
    if (looping) {
      this.#state = 'crash-loop';
      return this.#policy.crashLoopDelayMs * (1 + this.#random()) * 0.5;
    }
    this.#state = 'backoff';
    const { backoff } = this.#policy;
    // A tenth of the bound at least: full jitter alone may give 0, and starting a process is not free.
    return Math.max(backoffBoundMs(backoff, this.#crashesInRow) / 10, backoffMs(backoff, this.#crashesInRow, this.#random));
  }

  #forget(): void {
    this.#crashes = [];
    this.#crashesInRow = 0;
  }
}
