// Who waits until all data planes have what they should have. Each that is connected at the begin counts once it was seen, then or later, with
// nothing left to send and nothing unanswered: what changes after that is not waited for.
import type { Confirmation } from '@heddle/api';
import type { Clock, Timer } from '@heddle/runtime';
import { DrainBarrier } from '../drain/barrier.ts';
import type { DrainProgress } from '../drain/barrier.ts';
import { DEPARTED_MS } from '../drain/departures.ts';
import { DRAIN_TIMEOUT_MS, DRAIN_TIMEOUT_MS_MAX } from '../drain/desk.ts';
import type { RunningDrain } from '../drain/desk.ts';
import { RegistryError } from '../registry/errors.ts';

export interface SyncStream {
  /** Empty until it has said it. */
  readonly node: string;
  readonly session: { holdsAll(): Confirmation };
}

export interface SyncDeskOptions {
  /** Those that are open, each as it is to be sent now. */
  readonly streams: () => Iterable<SyncStream>;
  readonly clock: Pick<Clock, 'nowMs' | 'after'>;
}

/** People and programs that wait, not data planes. */
const WAITING_MAX = 100;
/** What needs no answer is not told: a stream may be done without having said a word. */
const LOOK_MS = 100;

export class SyncDesk {
  readonly #options: SyncDeskOptions;
  readonly #waiting = new Set<Wait>();

  constructor(options: SyncDeskOptions) {
    this.#options = options;
  }

  /** To be called after the change that is waited for. `onProgress` is called at every step. Throws RegistryError LIMIT. */
  begin(timeoutMs = DRAIN_TIMEOUT_MS, onProgress: () => void = () => {}): RunningDrain {
    if (this.#waiting.size >= WAITING_MAX)
      throw new RegistryError('LIMIT', `${WAITING_MAX} callers wait for data planes already, the limit`);
    const wait = new Wait(this.#options, Math.min(timeoutMs, DRAIN_TIMEOUT_MS_MAX), onProgress, (over) => this.#waiting.delete(over));
    this.#waiting.add(wait);
    wait.begin();
    return wait;
  }

  /** A stream asked, acknowledged or refused. */
  progressed(stream: SyncStream): void {
    for (const wait of this.#waiting) wait.look(stream);
  }

  ended(stream: SyncStream): void {
    for (const wait of this.#waiting) wait.ended(stream);
  }

  close(): void {
    for (const wait of [...this.#waiting]) wait.close();
  }
}

class Wait implements RunningDrain {
  readonly done: Promise<DrainProgress>;
  readonly #options: SyncDeskOptions;
  readonly #onProgress: () => void;
  readonly #onOver: (wait: Wait) => void;
  readonly #resolve: (progress: DrainProgress) => void;
  readonly #barrier: DrainBarrier<SyncStream>;
  /** Ended, and not back yet. */
  readonly #lost = new Set<SyncStream>();
  #timer: Timer | undefined;

  constructor(options: SyncDeskOptions, timeoutMs: number, onProgress: () => void, onOver: (wait: Wait) => void) {
    this.#options = options;
    this.#onProgress = onProgress;
    this.#onOver = onOver;
    const { promise, resolve } = Promise.withResolvers<DrainProgress>();
    this.done = promise;
    this.#resolve = resolve;
    this.#barrier = new DrainBarrier({ nowMs: options.clock.nowMs(), timeoutMs });
  }

  progress(): DrainProgress {
    return this.#barrier.progress();
  }

  begin(): void {
    for (const stream of this.#options.streams()) {
      if (stream.node === '') continue;
      this.#barrier.holds(stream, stream.node, 'unacknowledged');
      this.#take(stream);
    }
    this.#barrier.begin();
    this.#went();
  }

  look(stream: SyncStream): void {
    if (stream.node === '' || !this.#take(stream)) return;
    this.#went();
  }

  ended(stream: SyncStream): void {
    if (!this.#barrier.awaits(stream)) return;
    this.#lost.add(stream);
    this.#barrier.lost(stream, stream.node, this.#options.clock.nowMs() + DEPARTED_MS);
    this.#went();
  }

  close(): void {
    this.#timer?.cancel();
    this.#onOver(this);
  }

  /** Whether anything has changed by it. */
  #take(stream: SyncStream): boolean {
    const back = [...this.#lost].filter(({ node }) => node === stream.node);
    if (!this.#barrier.awaits(stream) && back.length === 0) return false;
    const has = stream.session.holdsAll();
    if (has !== 'yes') {
      if (this.#barrier.awaits(stream)) this.#barrier.holds(stream, stream.node, has);
      return true;
    }
    for (const one of [stream, ...back]) {
      this.#barrier.confirmed(one);
      this.#lost.delete(one);
    }
    return true;
  }

  #went(): void {
    const { clock } = this.#options;
    this.#onProgress();
    if (this.#barrier.nextTimeoutMs() === undefined) {
      this.close();
      this.#resolve(this.#barrier.progress());
      return;
    }
    this.#timer?.cancel();
    this.#timer = clock.after(Math.max(0, Math.min(LOOK_MS, this.#barrier.deadlineMs - clock.nowMs())), () => {
      for (const stream of this.#options.streams()) if (stream.node !== '') this.#take(stream);
      this.#barrier.handleTimeout(clock.nowMs());
      this.#went();
    });
  }
}
