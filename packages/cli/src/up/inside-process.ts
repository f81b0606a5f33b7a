// One instance whose data plane is inside it: a process with an environment, and nothing beside it. It joins by itself, and drains by itself when it is
// told to end; here it is started again when it crashes, always at the same ports, and the mesh is told that it has gone.
import type { Readable } from 'node:stream';
import { DEFAULT_RESTART_POLICY, type ServiceRef, type SocketAddress } from '@heddle/core';
import { commandLine, commandProblem } from '../supervisor/command.ts';
import type { Guard } from '../supervisor/guard.ts';
import type { Level } from '../supervisor/process-machine.ts';
import { SupervisedProcess, type Launch, type ProcessStatus } from '../supervisor/supervised-process.ts';
import { type InsidePlace, insideEnvironment } from './environment.ts';
import { TELL_MS } from './leaving.ts';
import { listenProblem, type PortAllocator } from './ports.ts';

export interface InsideProcessOptions
  extends Pick<
    InsidePlace,
    'service' | 'instance' | 'uses' | 'control' | 'inbound' | 'identityDirectory' | 'admin' | 'described' | 'register'
  > {
  readonly service: ServiceRef;
  readonly command: readonly string[];
  readonly directory: string;
  readonly loopback: string;
  /** Where it was chosen by a person; it is then never changed. */
  readonly port?: number;
  readonly ports: PortAllocator;
  /** A fresh one for each start; undefined when none can be had now: then its certificate of before has to do. */
  readonly joinToken: () => Promise<string | undefined>;
  /** What requests under way have, and then the application for what it does at its end. */
  readonly drainMs: number;
  readonly guard: Guard;
  readonly onOutput: (stream: Readable) => void;
  readonly onTell: (level: Level, message: string) => void;
  readonly onChange: (status: ProcessStatus) => void;
  /** The process has gone, its data plane with it, and nobody has asked for that. Aborted when another one is about to start. */
  readonly onGone: (reason: string, aborted: AbortSignal) => void;
}

export class InsideProcess {
  #application: SocketAddress | undefined;
  #down = new AbortController();
  readonly #options: InsideProcessOptions;
  readonly #process: SupervisedProcess;

  constructor(options: InsideProcessOptions) {
    this.#options = options;
    const { guard, drainMs, onOutput, onTell, onChange, onGone } = options;
    this.#process = new SupervisedProcess({
      // Other data planes are waited for, then requests, then the application.
      policy: { restart: DEFAULT_RESTART_POLICY, stopTimeoutMs: TELL_MS + 2 * drainMs, livenessAfterMs: Infinity },
      guard,
      random: Math.random,
      prepare: () => this.#prepare(),
      onOutput,
      onTell,
      onDown: (reason) => {
        this.#down.abort();
        this.#down = new AbortController();
        onGone(reason, this.#down.signal);
      },
      onChange,
    });
  }

  /** Where the application is to listen; undefined before its first launch. */
  get application(): SocketAddress | undefined {
    return this.#application;
  }

  start(): void {
    this.#process.start();
  }

  /** Gracefully: it leaves rotation by itself. */
  stop(): Promise<void> {
    this.#down.abort();
    return this.#process.stop();
  }

  kill(): Promise<void> {
    this.#down.abort();
    return this.#process.kill();
  }

  async #prepare(): Promise<Launch> {
    const { command, directory, joinToken } = this.#options;
    this.#down.abort();
    const problem = commandProblem(command, process.env['PATH'] ?? '', directory);
    if (problem !== undefined) throw new Error(problem);
    const application = await this.#applicationPort();
    const environment = insideEnvironment(process.env, { ...this.#options, application, joinToken: await joinToken() });
    return { argv: commandLine(command), directory, environment };
  }

  /** While the process was down, another one may have taken its port. */
  async #applicationPort(): Promise<SocketAddress> {
    const { loopback, ports, port: chosen } = this.#options;
    this.#application ??= { address: loopback, port: chosen ?? (await ports.take()) };
    const problem = await listenProblem(loopback, this.#application.port);
    if (problem === undefined) return this.#application;
    if (chosen !== undefined) throw new Error(`port ${chosen} cannot be used: ${problem.message}`);
    this.#application = { address: loopback, port: await ports.take() };
    return this.#application;
  }
}
