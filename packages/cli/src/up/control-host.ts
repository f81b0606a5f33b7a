// A supervised `heddle control` and the way to it. Its port, root and operator token stay the same over restarts, so one client
// serves throughout; whether it answers at the moment is asked when it matters.
import type { Readable } from 'node:stream';
import { DEFAULT_RESTART_POLICY } from '@heddle/core';
import type { ControlClient } from '../control-client.ts';
import { openControl } from '../control-client.ts';
import { CliError } from '../errors.ts';
import { heddleProcess } from '../self.ts';
import { readControlInfo } from '../state-directory.ts';
import type { Guard } from '../supervisor/guard.ts';
import type { Level } from '../supervisor/process-machine.ts';
import { SupervisedProcess, type ProcessStatus } from '../supervisor/supervised-process.ts';
import { FirstStart } from './first-start.ts';
import { pause, poll } from './poll.ts';

export interface ControlHostOptions {
  readonly stateDirectory: string;
  /** Of `heddle control`. */
  readonly args: readonly string[];
  readonly guard: Guard;
  readonly onOutput: (stream: Readable) => void;
  readonly onTell: (level: Level, message: string) => void;
  readonly onChange: (status: ProcessStatus) => void;
}

const STOP_TIMEOUT_MS = 5_000;
/** Making the root and the database takes well under a second. */
const UP_TIMEOUT_MS = 20_000;
/** How long a token is waited for while the control plane restarts. */
const TOKEN_TIMEOUT_MS = 10_000;
const TOKEN_RETRY_MS = 250;

export class ControlHost {
  #client: ControlClient | undefined;
  /** It has ended before it ever served. */
  #failed = false;
  readonly #first: FirstStart;
  readonly #abort = new AbortController();
  readonly #options: ControlHostOptions;
  readonly #process: SupervisedProcess;

  constructor(options: ControlHostOptions) {
    this.#options = options;
    this.#first = new FirstStart('the control plane', options.onOutput);
    this.#process = new SupervisedProcess({
      policy: { restart: DEFAULT_RESTART_POLICY, stopTimeoutMs: STOP_TIMEOUT_MS, livenessAfterMs: Infinity },
      guard: options.guard,
      random: Math.random,
      prepare: () =>
        Promise.resolve({ argv: heddleProcess('control', ...options.args), directory: process.cwd(), environment: process.env }),
      onOutput: (stream) => this.#first.output(stream),
      onTell: options.onTell,
      onChange: (status) => this.#changed(status),
    });
  }

  /** Resolves once it answers. Throws CliError when it does not come up. */
  async start(): Promise<void> {
    const { stateDirectory } = this.#options;
    this.#process.start();
    const up = await poll(UP_TIMEOUT_MS, this.#abort.signal, async () => {
      if (this.#failed) return 'failed' as const;
      const { pid } = this.#process.status;
      // A file from an earlier run names another process.
      if (pid === undefined || servingProcess(stateDirectory) !== pid) return undefined;
      this.#client ??= openControl(stateDirectory, 'operator');
      return this.#client.mesh().then(
        () => 'up' as const,
        () => undefined,
      );
    });
    if (this.#abort.signal.aborted) return;
    if (up === 'failed') throw await this.#first.failed();
    this.#first.release();
    if (up !== 'up')
      throw new CliError(
        `the control plane does not answer ${UP_TIMEOUT_MS / 1000} s after its start`,
        'what it writes is above, after `control |`; is the machine overloaded?',
      );
  }

  /** Throws CliError before the first start. */
  get client(): ControlClient {
    if (this.#client === undefined) throw new CliError('the control plane has not been started');
    return this.#client;
  }

  /** A fresh join token; waits a while for a control plane that restarts. Throws its last error. */
  async joinToken(namespace: string, service: string, aborted: AbortSignal, timeoutMs = TOKEN_TIMEOUT_MS): Promise<string> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      try {
        return (await this.client.createToken(namespace, service)).token;
      } catch (error) {
        if (aborted.aborted || performance.now() > deadlineMs) throw error;
        await pause(TOKEN_RETRY_MS, aborted);
      }
    }
  }

  async stop(): Promise<void> {
    this.#end();
    await this.#process.stop();
  }

  async kill(): Promise<void> {
    this.#end();
    await this.#process.kill();
  }

  #end(): void {
    this.#abort.abort();
    this.#first.release();
    this.#client?.close();
  }

  #changed(status: ProcessStatus): void {
    this.#options.onChange(status);
    if (this.#first.decided || this.#failed || status.running) return;
    this.#failed = true;
    void this.#process.stop();
  }
}

/** A damaged file is no matter: a control plane that serves writes it anew. */
function servingProcess(stateDirectory: string): number | undefined {
  try {
    return readControlInfo(stateDirectory)?.pid;
  } catch {
    return undefined;
  }
}
