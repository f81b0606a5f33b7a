// One worker as the primary sees it: a process that is started again, after a growing pause, whenever it ends or no longer answers.
import { type Backoff, backoffBoundMs, type TapTold } from '@heddle/core';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import { type BoundSocket, type Child, type ProcessEnd, startModule } from '@heddle/runtime/node';
import { type Answer, BEAT_MS, type FromWorker, type ToWorker, type WorkerReport, type WorkerRequest } from './messages.ts';

export interface WorkerProcessOptions {
  /** From 1 on. */
  readonly number: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A new process waits for everything it has to know. Resolves when it serves; rejects when it cannot. */
  readonly onStarted: (worker: WorkerProcess) => Promise<void>;
  /** It serves. */
  readonly onUp: (worker: WorkerProcess) => void;
  readonly onReport: (worker: WorkerProcess, report: WorkerReport) => void;
  readonly onConnectFailures: (cluster: string, count: number) => void;
  readonly onTapped: (told: TapTold) => void;
  /** The process has ended; another one follows unless it was closed. `wasUp`: it had served. */
  readonly onEnd: (worker: WorkerProcess, wasUp: boolean) => void;
}

/** The first follows at once: a single crash should cost nothing more. */
const RESTART: Backoff = { baseMs: 200, maxMs: 10_000, factor: 2 };
/** A worker that has served for so long has not crashed in a loop. */
const STEADY_MS = 30_000;
/** Without a sign of life; longer than any collection of garbage or a burst of handshakes takes. */
const SILENCE_MAX_MS = 30_000;
const SIGNALS_BY_US = 'it no longer answered';

class WorkerEndedError extends Error {}

export class WorkerProcess {
  readonly number: number;
  /** `starting` until it has been told everything. */
  state: 'starting' | 'up' | 'waiting' | 'closed' = 'waiting';
  /** Of this process's life, for the sum of the metrics. */
  incarnation = 0;
  lastReport: WorkerReport | undefined;
  restarts = 0;
  private readonly options: WorkerProcessOptions;
  private readonly pending = new Map<number, { readonly resolve: (answer: Answer) => void; readonly reject: (error: Error) => void }>();
  private child: Child | undefined;
  private nextId = 1;
  private crashes = 0;
  private upSinceMs = 0;
  private heardMs = 0;
  private why = '';
  private timer: Timer | undefined;

  constructor(options: WorkerProcessOptions) {
    this.options = options;
    this.number = options.number;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  start(): void {
    this.timer?.cancel();
    this.state = 'starting';
    this.incarnation += 1;
    this.lastReport = undefined;
    this.why = '';
    this.heardMs = this.options.clock.nowMs();
    const module = new URL(import.meta.url.endsWith('.ts') ? './worker-main.ts' : './worker-main.js', import.meta.url);
    this.child = startModule(module, {
      onMessage: (message) => this.take(message as FromWorker),
      onEnd: (end) => this.ended(end),
    });
    this.watch();
  }

  /** Lost when the process is not there: the next one is told everything anew. */
  tell(message: ToWorker, socket?: BoundSocket): void {
    this.child?.send(message, socket);
  }

  /** Rejects when the process ends before it has answered. */
  ask(request: WorkerRequest): Promise<Answer> {
    const { child } = this;
    if (child === undefined) return Promise.reject(new WorkerEndedError(`worker ${this.number} is not there`));
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      child.send({ ...request, id });
    });
  }

  /** Ends the process, which cannot be used any more; another one follows. */
  replace(why: string): void {
    this.why = why;
    this.child?.kill('SIGKILL');
  }

  /** For good; no other one follows. */
  close(): void {
    this.state = 'closed';
    this.timer?.cancel();
    this.child?.kill('SIGKILL');
  }

  /** What ends from now on is not started again. */
  expectEnd(): void {
    this.state = 'closed';
  }

  private take(message: FromWorker): void {
    this.heardMs = this.options.clock.nowMs();
    if (message.type === 'started') return this.started();
    if (message.type === 'connect-failures') return this.options.onConnectFailures(message.cluster, message.count);
    if (message.type === 'tapped') return this.options.onTapped(message.told);
    if (message.type === 'beat') return this.reported(message.report);
    if (message.report !== undefined) this.reported(message.report);
    const pending = this.pending.get(message.id);
    this.pending.delete(message.id);
    pending?.resolve(message);
  }

  private reported(report: WorkerReport): void {
    this.lastReport = report;
    this.options.onReport(this, report);
  }

  private started(): void {
    const { incarnation } = this;
    this.options.onStarted(this).then(
      () => {
        if (this.incarnation !== incarnation || this.state !== 'starting') return;
        this.state = 'up';
        this.upSinceMs = this.options.clock.nowMs();
        this.options.onUp(this);
      },
      (error: unknown) => {
        // An end is told by `ended`.
        if (this.incarnation === incarnation && !(error instanceof WorkerEndedError)) this.replace((error as Error).message);
      },
    );
  }

  private ended({ code, signal, reason }: ProcessEnd): void {
    const { clock, logger } = this.options;
    const { pid } = this;
    const wasUp = this.state === 'up';
    const isExpected = this.state === 'closed';
    this.timer?.cancel();
    this.child = undefined;
    for (const { reject } of this.pending.values()) reject(new WorkerEndedError(`worker ${this.number} has ended`));
    this.pending.clear();
    if (isExpected) return this.options.onEnd(this, wasUp);
    this.state = 'waiting';
    if (wasUp && clock.nowMs() - this.upSinceMs >= STEADY_MS) this.crashes = 0;
    const delayMs = wasUp && this.crashes === 0 ? 0 : backoffBoundMs(RESTART, this.crashes);
    this.crashes += 1;
    this.restarts += 1;
    const what = this.why || reason || (signal === null ? `exit code ${code}` : `signal ${signal}`);
    logger.error(
      { worker: this.number, pid, what, delayMs, crashes: this.crashes },
      'a worker has ended; its connections are lost, the other workers take new ones, and another worker follows',
    );
    this.options.onEnd(this, wasUp);
    this.timer = clock.after(delayMs, () => this.start());
  }

  private watch(): void {
    const { clock } = this.options;
    this.timer = clock.after(BEAT_MS, () => {
      if (clock.nowMs() - this.heardMs > SILENCE_MAX_MS) return this.replace(`${SIGNALS_BY_US} for ${SILENCE_MAX_MS / 1_000} s`);
      this.watch();
    });
  }
}
