// One workload leaves rotation while it still answers: first everybody is told and has to acknowledge, then what is under way may end. Both are
// bounded, and how they ended is kept for whoever asks. Without a control plane nobody can be told; then only a moment is waited.
import type { Clock, Logger, Timer } from '@heddle/runtime';
import type { DrainNews } from './registration.ts';

/** How long the data planes are waited for, unless it is said otherwise: a connection that broke is back by then, or counts as gone. */
export const TELL_MS = 30_000;
/** Where nobody acknowledges: what a change takes to reach data planes that are well. */
export const SPREAD_MS = 500;
/** A request that was sent before its sender acknowledged may still be on its way: several times as long as that takes. */
export const SETTLE_MS = 100;
/** A registration that broke is back within 5 s, if there is a control plane. */
const LOST_MS = 5_000;
/** The control plane ends the wait; when it does not, we do, a moment later. */
const MARGIN_MS = 1_000;
const LOOK_MS = 20;

/** `untold`: there is no control plane, or it knows nothing of this. Otherwise as the control plane says. */
export type LeaveOutcome = 'waiting' | 'complete' | 'timed-out' | 'returned' | 'untold';

/** Plain JSON, as the admin API shows it. */
export interface LeaveStatus {
  /** `telling`: data planes are waited for. `finishing`: requests under way are. `left`: it may stop. */
  readonly phase: 'telling' | 'finishing' | 'left';
  /** Of the telling. */
  readonly outcome: LeaveOutcome;
  readonly dataPlanes: number;
  readonly acknowledged: number;
  readonly gone: number;
  /** Names of data planes. */
  readonly stragglers: readonly string[];
  /** Requests and streams from peers that have not ended, when it was last looked. */
  readonly activeRequests: number;
}

/** What of a registration is used. */
export interface LeavingRegistration {
  readonly state: { readonly registered: boolean };
  readonly drainNews: DrainNews | undefined;
  onDrainNews: (() => void) | undefined;
  drain(timeoutMs: number): void;
}

export interface LeaveOptions {
  readonly registration: LeavingRegistration;
  /** How long data planes are waited for. */
  readonly tellMs: number;
  /** How long requests under way are waited for. */
  readonly finishMs: number;
  readonly activeRequests: () => Promise<number>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Leave {
  /** Resolves when nobody new is expected. Never rejects. */
  readonly told: Promise<LeaveOutcome>;
  /** Resolves when what was under way has ended, or its time is over. Never rejects. */
  readonly done: Promise<void>;
  readonly #options: LeaveOptions;
  readonly #startedMs: number;
  readonly #resolveTold: (outcome: LeaveOutcome) => void;
  #phase: LeaveStatus['phase'] = 'telling';
  #outcome: LeaveOutcome = 'waiting';
  #activeRequests = 0;
  #timer: Timer | undefined;
  /** Since when there has been no registration. */
  #lostMs: number | undefined;
  #isCancelled = false;
  #isSpreading = false;

  constructor(options: LeaveOptions) {
    this.#options = options;
    const { registration, clock, tellMs } = options;
    this.#startedMs = clock.nowMs();
    const { promise, resolve } = Promise.withResolvers<LeaveOutcome>();
    this.told = promise;
    this.#resolveTold = resolve;
    this.done = this.told.then(() => this.#finish());
    const isAlone = !registration.state.registered;
    registration.onDrainNews = () => this.#look();
    registration.drain(tellMs);
    if (isAlone) this.#spread('no control plane answers');
    else this.#look();
  }

  status(): LeaveStatus {
    const news = this.#options.registration.drainNews;
    const { dataPlanes = 0, acknowledged = 0, gone = 0, stragglers = [] } = news === undefined || news === 'unsupported' ? {} : news;
    return {
      phase: this.#phase,
      outcome: this.#outcome,
      ...{ dataPlanes, acknowledged, gone, stragglers },
      activeRequests: this.#activeRequests,
    };
  }

  /** The workload stays, or its process ends in another way. */
  cancel(): void {
    this.#isCancelled = true;
    this.#tell('returned');
  }

  #look(): void {
    if (this.#outcome !== 'waiting' || this.#isSpreading) return;
    const { registration, clock, tellMs } = this.#options;
    const nowMs = clock.nowMs();
    const news = registration.drainNews;
    if (news === 'unsupported') return this.#spread('the control plane does not tell who has acknowledged');
    if (news !== undefined && news.outcome !== 'waiting') return this.#tell(news.outcome);
    this.#lostMs = registration.state.registered ? undefined : (this.#lostMs ?? nowMs);
    if (nowMs - this.#startedMs >= tellMs + MARGIN_MS) return this.#tell('timed-out');
    if (this.#lostMs !== undefined && nowMs - this.#lostMs >= LOST_MS) return this.#tell('untold');
    const dueMs = Math.min(this.#startedMs + tellMs + MARGIN_MS, (this.#lostMs ?? Infinity) + LOST_MS);
    this.#timer?.cancel();
    this.#timer = clock.after(Math.max(1, Math.ceil(dueMs - nowMs)), () => this.#look());
  }

  #spread(why: string): void {
    const { clock, logger } = this.#options;
    this.#isSpreading = true;
    logger.warn(
      { why, waitMs: SPREAD_MS },
      'nobody can say that data planes have stopped choosing this workload; waiting a moment instead',
    );
    this.#timer?.cancel();
    this.#timer = clock.after(SPREAD_MS, () => this.#tell('untold'));
  }

  #tell(outcome: LeaveOutcome): void {
    if (this.#outcome !== 'waiting') return;
    const { logger, clock, registration } = this.#options;
    this.#timer?.cancel();
    this.#outcome = outcome;
    const { dataPlanes, stragglers } = this.status();
    registration.onDrainNews = undefined;
    const fields = { outcome, dataPlanes, afterMs: Math.round(clock.nowMs() - this.#startedMs) };
    if (outcome === 'complete') logger.info(fields, 'no data plane chooses this workload any more');
    else if (outcome !== 'returned') logger.warn({ ...fields, stragglers }, 'some data planes may still choose this workload');
    this.#phase = 'finishing';
    this.#resolveTold(outcome);
  }

  async #finish(): Promise<void> {
    const { clock, logger, activeRequests, finishMs } = this.#options;
    const startedMs = clock.nowMs();
    const endMs = startedMs + finishMs;
    let quietSinceMs = startedMs;
    while (!this.#isCancelled) {
      this.#activeRequests = await activeRequests();
      const nowMs = clock.nowMs();
      if (this.#activeRequests > 0) quietSinceMs = nowMs;
      else if (nowMs - quietSinceMs >= Math.min(SETTLE_MS, finishMs)) break;
      if (nowMs >= endMs) {
        logger.warn({ activeRequests: this.#activeRequests, finishMs }, 'requests under way did not end in their time');
        break;
      }
      await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve));
    }
    this.#phase = 'left';
  }
}
