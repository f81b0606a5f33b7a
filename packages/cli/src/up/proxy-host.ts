// A supervised `heddle proxy` and what others need to know about it: whether it answers, and which process it is by now. Every
// new process has lost its workloads; whoever put them there is told, and puts them again.
import type { Readable } from 'node:stream';
import { DEFAULT_RESTART_POLICY } from '@heddle/core';
import type { Guard } from '../supervisor/guard.ts';
import type { Level } from '../supervisor/process-machine.ts';
import { SupervisedProcess, type ProcessStatus } from '../supervisor/supervised-process.ts';
import { heddleProcess } from '../self.ts';
import { SUPERVISOR_VARIABLE } from './supervision.ts';
import { FirstStart } from './first-start.ts';
import { poll } from './poll.ts';
import type { ProxyAdmin } from './proxy-admin.ts';

export interface ProxyHostOptions {
  readonly admin: ProxyAdmin;
  /** Of `heddle proxy`. */
  readonly args: readonly string[];
  /** Asked before every launch: a token works once. Undefined: the proxy has no identity of its own. */
  readonly joinToken: (aborted: AbortSignal) => Promise<string | undefined>;
  /** What requests in flight have when it stops. */
  readonly drainSeconds: number;
  /** How long other data planes are waited for before. Its workloads have left rotation by then, if they could. */
  readonly drainWaitSeconds: number;
  readonly workers: number;
  readonly guard: Guard;
  readonly onOutput: (stream: Readable) => void;
  readonly onTell: (level: Level, message: string) => void;
  readonly onChange: (status: ProcessStatus) => void;
  /** A process that answers, the first one and each after it. */
  readonly onUp: () => void;
}

/** Beyond its drain, a proxy tells the mesh that it goes, and deregisters. */
const STOP_MARGIN_MS = 5_000;
/** A proxy that does not answer by then is told about; it is still waited for. */
const ANSWER_TIMEOUT_MS = 15_000;

export class ProxyHost {
  /** Rises with every process of the proxy that answers; 0: none has yet. */
  #generation = 0;
  #up = Promise.withResolvers<void>();
  #isUp = false;
  #pid: number | undefined;
  readonly #first: FirstStart;
  readonly #abort = new AbortController();
  readonly #options: ProxyHostOptions;
  readonly #process: SupervisedProcess;

  constructor(options: ProxyHostOptions) {
    this.#options = options;
    // The failure of a start that nobody waits for is no fault of this program.
    this.#up.promise.catch(() => {});
    this.#first = new FirstStart('the proxy', options.onOutput);
    this.#process = new SupervisedProcess({
      policy: {
        restart: DEFAULT_RESTART_POLICY,
        stopTimeoutMs: (options.drainSeconds + options.drainWaitSeconds) * 1_000 + STOP_MARGIN_MS,
        livenessAfterMs: Infinity,
      },
      guard: options.guard,
      random: Math.random,
      prepare: async (aborted) => {
        const joinToken = await options.joinToken(aborted);
        const environment = { ...process.env };
        for (const secret of ['HEDDLE_JOIN_TOKEN', 'HEDDLE_CA_PASSPHRASE']) delete environment[secret];
        // Its process id is what is supervised: it must not give way to another process by itself.
        environment[SUPERVISOR_VARIABLE] = `heddle process ${process.pid}`;
        if (joinToken !== undefined) environment['HEDDLE_JOIN_TOKEN'] = joinToken;
        return {
          argv: heddleProcess('proxy', ...options.args, '--workers', String(options.workers), ...drainArguments(options)),
          directory: process.cwd(),
          environment,
        };
      },
      onOutput: (stream) => this.#first.output(stream),
      onTell: options.onTell,
      onChange: (status) => this.#changed(status),
    });
  }

  get generation(): number {
    return this.#generation;
  }

  get status(): ProcessStatus {
    return this.#process.status;
  }

  start(): void {
    this.#process.start();
  }

  /** Resolves when a proxy answers. Rejects when aborted, and with CliError when the first one ended before it ever answered. */
  up(aborted: AbortSignal): Promise<void> {
    if (this.#isUp) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const stop = (): void => reject(new Error('stopped while waiting for the proxy'));
      if (aborted.aborted) return stop();
      aborted.addEventListener('abort', stop, { once: true });
      this.#up.promise.finally(() => aborted.removeEventListener('abort', stop)).then(resolve, reject);
    });
  }

  stop(): Promise<void> {
    this.#abort.abort();
    this.#first.release();
    return this.#process.stop();
  }

  kill(): Promise<void> {
    this.#abort.abort();
    this.#first.release();
    return this.#process.kill();
  }

  #changed(status: ProcessStatus): void {
    if (status.pid !== this.#pid) {
      this.#pid = status.pid;
      if (this.#isUp) this.#up = Promise.withResolvers<void>();
      this.#isUp = false;
      if (status.pid !== undefined) void this.#awaitAnswer(status.pid);
      else if (!this.#first.decided) this.#failed();
    }
    this.#options.onChange(status);
  }

  #failed(): void {
    void this.#process.stop();
    void this.#first.failed().then((error) => this.#up.reject(error));
  }

  async #awaitAnswer(pid: number): Promise<void> {
    const { admin, onTell, onUp } = this.#options;
    for (;;) {
      const there = await poll(ANSWER_TIMEOUT_MS, this.#abort.signal, async () => this.#pid !== pid || (await admin.alive()));
      if (this.#abort.signal.aborted || this.#pid !== pid) return;
      if (there === true) break;
      onTell('warn', `has not answered on its admin port for ${ANSWER_TIMEOUT_MS / 1000} s`);
    }
    this.#first.release();
    this.#isUp = true;
    this.#generation++;
    this.#up.resolve();
    onUp();
  }
}

function drainArguments({ drainSeconds, drainWaitSeconds }: ProxyHostOptions): string[] {
  return ['--drain', `${drainSeconds}s`, '--drain-wait', `${drainWaitSeconds}s`];
}
