// A process of instances (tests/fixtures/instances.mjs), which can be told to misbehave, stopped, and killed.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Cleanup } from '../../support/planes.ts';

const PROGRAM = fileURLToPath(new URL('../../fixtures/instances.mjs', import.meta.url));

export type Mode = 'good' | 'slow' | 'error-500' | 'garbage' | 'reset' | 'reset-in-response' | 'refuse';

export class InstanceProcess {
  #child: ChildProcess | undefined;
  readonly #ports = new Map<string, number>();

  constructor(cleanup: Cleanup) {
    cleanup.add(() => this.kill());
  }

  /** Has the process serve an instance; resolves to its port. */
  async serve(name: string, port = 0): Promise<number> {
    const served = await this.#tell({ name, port });
    this.#ports.set(name, served);
    return served;
  }

  async turn(name: string, mode: Mode): Promise<void> {
    await this.#tell({ name, mode });
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#running().kill(signal);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  /** A new process with the same instances on the same ports. */
  async restart(): Promise<void> {
    for (const [name, port] of this.#ports) await this.#tell({ name, port });
  }

  #running(): ChildProcess {
    if (this.#child === undefined) {
      this.#child = fork(PROGRAM, { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
      this.#child.setMaxListeners(0);
    }
    return this.#child;
  }

  #tell(message: { readonly name: string; readonly port: number } | { readonly name: string; readonly mode: Mode }): Promise<number> {
    const child = this.#running();
    return new Promise((resolve, reject) => {
      const onAnswer = (answer: unknown): void => {
        const { name, port } = answer as { readonly name: string; readonly port: number };
        if (name !== message.name) return;
        child.off('message', onAnswer);
        child.off('exit', onExit);
        resolve(port);
      };
      const onExit = (): void => reject(new Error(`the process of ${message.name} has ended`));
      child.on('message', onAnswer).once('exit', onExit);
      child.send(message);
    });
  }
}
