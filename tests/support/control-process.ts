// `heddle control` as a real process: stopped, killed, started again with another state or another mesh file, and called like one that
// runs in the test itself.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { heddleArguments } from '../../packages/cli/src/testing/command.ts';
import type { Cleanup, ControlRef } from './planes.ts';
import { freePort } from './ports.ts';
import { waitFor } from './wait.ts';

export class ControlProcess {
  readonly stateDir: string;
  readonly #file: string;
  #port: number | undefined;
  #child: ChildProcess | undefined;
  #ended: Promise<unknown> = Promise.resolve();
  output = '';

  /** `stateDir` outlives the process. */
  constructor(cleanup: Cleanup, stateDir: string) {
    this.stateDir = stateDir;
    this.#file = join(stateDir, 'mesh.yaml');
    cleanup.add(() => this.end('SIGKILL'));
  }

  /** Resolves when it serves, at the same port each time. */
  async start(yaml: string, options: readonly string[] = []): Promise<ControlRef> {
    this.#port ??= await freePort();
    await writeFile(this.#file, yaml);
    // Of the one before, which may have been killed.
    rmSync(join(this.stateDir, 'control.json'), { force: true });
    const places = [
      '-f',
      this.#file,
      '--state-dir',
      this.stateDir,
      '--listen',
      `127.0.0.1:${this.#port}`,
      '--dns-listen',
      'off',
      '--rest-listen',
      'off',
    ];
    const child = spawn(process.execPath, heddleArguments('control', ...places, '--log-format', 'json', ...options), {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (chunk: string) => void (this.output += chunk));
    this.#ended = new Promise((resolve) => child.once('exit', resolve));
    return waitFor('the control plane', () => {
      if (child.exitCode !== null) throw new Error(`it ended: ${this.output}`);
      return this.#reach();
    });
  }

  /** Has it read a changed mesh file. */
  async reload(yaml: string): Promise<void> {
    await writeFile(this.#file, yaml);
    this.signal('SIGHUP');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Resolves when the process is gone. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.signal(signal);
    await this.#ended;
  }

  #reach(): ControlRef | undefined {
    const read = (...path: string[]): string => readFileSync(join(this.stateDir, ...path), 'utf8');
    try {
      const address = JSON.parse(read('control.json')) as Pick<ControlRef, 'address' | 'port' | 'trustDomain'>;
      return { ...address, rootsPem: read('ca', 'root.pem'), operatorToken: read('operator.token').trim() };
    } catch {
      return undefined;
    }
  }
}
