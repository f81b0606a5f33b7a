// The driver of a `ProcessMachine`: spawns in a process group of its own, signals the group, and tells when all of it is gone.
// The child starts as a shell that waits for one line: only once the guard knows its group does it become the real command,
// so that not even SIGKILL at the worst moment leaves a process behind.
import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { Guard } from './guard.ts';
import { groupExists, signalGroup } from './process-info.ts';
import { ProcessMachine, type Level, type ProcessAction, type ProcessPolicy, type Verdict } from './process-machine.ts';

const WAIT_FOR_GUARD = 'IFS= read -r go <&3 || exit 125; exec 3<&-; exec "$@"';
/** How often a group without its first process is looked for. */
const GROUP_POLL_MS = 25;

export interface Launch {
  readonly argv: readonly string[];
  readonly directory: string;
  readonly environment: NodeJS.ProcessEnv;
}

export interface ProcessStatus {
  readonly pid: number | undefined;
  readonly running: boolean;
  readonly crashLoop: boolean;
  readonly restarts: number;
}

export interface SupervisedOptions {
  readonly policy: ProcessPolicy;
  readonly guard: Guard;
  readonly random: () => number;
  /** Asked before every launch, also the repeated ones. A rejection counts as a crash, with its message. Aborted by `stop`. */
  readonly prepare: (aborted: AbortSignal) => Promise<Launch>;
  readonly onOutput: (stream: Readable) => void;
  readonly onTell: (level: Level, message: string) => void;
  /** It has ended, or could not be started, and nobody has asked for that: why, and whether it starts again. It is down until the next `prepare`. */
  readonly onDown?: (reason: string) => void;
  /** After every launch and every end. */
  readonly onChange?: (status: ProcessStatus) => void;
}

export class SupervisedProcess {
  #child: ChildProcess | undefined;
  /** The group that is running or ending. */
  #pgid: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Hears whether the next launch was one. */
  #onLaunch: ((isThere: boolean) => void) | undefined;
  readonly #abort = new AbortController();
  readonly #stopped = Promise.withResolvers<void>();
  readonly #machine: ProcessMachine;
  readonly #options: SupervisedOptions;

  constructor(options: SupervisedOptions) {
    this.#options = options;
    this.#machine = new ProcessMachine(options.policy, options.random);
  }

  get status(): ProcessStatus {
    const running = this.#machine.phase === 'running';
    return { pid: running ? this.#pgid : undefined, running, crashLoop: this.#machine.crashLoop, restarts: this.#machine.restarts };
  }

  start(): void {
    this.#do(this.#machine.start());
  }

  /** Resolves when the process and everything it started in its group are gone. */
  stop(): Promise<void> {
    this.#abort.abort();
    this.#do(this.#machine.stop(performance.now()));
    return this.#stopped.promise;
  }

  /** Without grace. Resolves as `stop` does. */
  kill(): Promise<void> {
    this.#abort.abort();
    this.#do(this.#machine.kill(performance.now()));
    return this.#stopped.promise;
  }

  /** Gracefully, and up again after the usual wait. `why` continues a sentence that begins with the name: `has lost its port`. */
  restart(why: string): void {
    this.#do(this.#machine.restart(why, performance.now()));
  }

  /** Gracefully, and up again at once. Resolves when the new process is there; false: there was nothing to end, or it could not be launched. */
  relaunch(): Promise<boolean> {
    const actions = this.#machine.relaunch(performance.now());
    if (actions === undefined) return Promise.resolve(false);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#onLaunch = resolve;
    void this.#stopped.promise.then(() => resolve(false));
    this.#do(actions);
    return promise;
  }

  verdict(verdict: Verdict): void {
    this.#do(this.#machine.verdict(verdict, performance.now()));
  }

  #do(actions: readonly ProcessAction[]): void {
    for (const action of actions) {
      if (action.kind === 'launch') void this.#launch();
      else if (action.kind === 'tell') this.#options.onTell(action.level, action.message);
      else if (action.kind === 'down') this.#options.onDown?.(action.reason);
      else if (action.kind === 'stopped') this.#stopped.resolve();
      else if (this.#pgid !== undefined) {
        signalGroup(this.#pgid, action.signal);
        // A process that was stopped (SIGSTOP) gets its SIGTERM only once it goes on.
        if (action.signal === 'SIGTERM') signalGroup(this.#pgid, 'SIGCONT');
      }
    }
    this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const atMs = this.#machine.nextTimeoutMs();
    if (atMs === undefined) return;
    // Rounded up: a timer that fires a fraction of a millisecond early would only be set again.
    this.#timer = setTimeout(
      () => this.#do(this.#machine.handleTimeout(performance.now())),
      Math.ceil(Math.max(0, atMs - performance.now())),
    );
  }

  async #launch(): Promise<void> {
    try {
      const launch = await this.#options.prepare(this.#abort.signal);
      await this.#spawn(launch);
    } catch (error) {
      this.#do(this.#machine.launchFailed(error instanceof Error ? error.message : String(error), performance.now()));
      this.#changed();
      this.#launchEnded(false);
    }
  }

  #launchEnded(isThere: boolean): void {
    this.#onLaunch?.(isThere);
    this.#onLaunch = undefined;
  }

  #spawn(launch: Launch): Promise<void> {
    return new Promise((resolve, reject) => {
      const child = spawn('/bin/sh', ['-c', WAIT_FOR_GUARD, 'heddle', ...launch.argv], {
        cwd: launch.directory,
        env: launch.environment,
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      });
      child.on('error', reject);
      child.once('spawn', () => {
        const pgid = child.pid!;
        this.#child = child;
        this.#pgid = pgid;
        this.#options.guard.add(pgid);
        const go = child.stdio[3] as NodeJS.WritableStream;
        // The child may be dead already; its exit is what counts.
        go.on('error', () => {});
        go.end('go\n');
        this.#options.onOutput(child.stdout!);
        this.#options.onOutput(child.stderr!);
        child.once('exit', (code, signal) => this.#exited(child, { code, signal }));
        this.#do(this.#machine.launched(performance.now()));
        this.#changed();
        this.#launchEnded(true);
        resolve();
      });
    });
  }

  #exited(child: ChildProcess, exit: { code: number | null; signal: NodeJS.Signals | null }): void {
    if (child !== this.#child) return;
    this.#do(this.#machine.exited(exit, performance.now(), groupExists(child.pid!)));
    this.#changed();
    this.#awaitGroup(child.pid!);
  }

  #awaitGroup(pgid: number): void {
    // A group that was given up stays with the guard.
    if (this.#pgid !== pgid || this.#machine.phase !== 'ending') return;
    if (groupExists(pgid)) setTimeout(() => this.#awaitGroup(pgid), GROUP_POLL_MS);
    else this.#gone(pgid);
  }

  #gone(pgid: number): void {
    this.#options.guard.remove(pgid);
    this.#pgid = undefined;
    this.#child = undefined;
    this.#do(this.#machine.groupGone(performance.now()));
    this.#changed();
  }

  #changed(): void {
    this.#options.onChange?.(this.status);
  }
}
