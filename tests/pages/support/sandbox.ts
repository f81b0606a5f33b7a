// A machine of its own for the commands of a page, as far as they can see: no network but its loopback, so that every default port is free; no other
// processes, so that `pkill` finds only theirs; an empty /run. One shell runs the commands one after the other. What is left when it ends, ends
// with it.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Hopeless, waitFor } from '../../support/wait.ts';

const NAMESPACES = ['--net', '--pid', '--fork', '--kill-child', '--mount', '--mount-proc', '--uts'];
const UNSHARE = userInfo().uid === 0 ? NAMESPACES : ['--user', '--map-root-user', ...NAMESPACES];

/** Those of machines in the pages, besides 127.0.0.1. */
const ADDRESSES = ['10.0.0.5', '10.0.0.7', '10.0.0.8'];
const SBIN = '/usr/sbin:/sbin';

/** Runs the lines that it reads. */
const SERVE = 'serve() { while read -r line; do eval "$line"; done; }';

/** A command that takes longer hangs. Some of those in the pages install packages. */
const COMMAND_TIMEOUT_MS = 180_000;

/** Why no sandbox can be made here; undefined: it can. */
export function noSandbox(): string | undefined {
  const { status, error, stderr } = spawnSync('unshare', [...UNSHARE, 'ip', 'link', 'set', 'lo', 'up'], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${process.env['PATH']}:${SBIN}` },
  });
  if (status === 0) return undefined;
  return `no namespaces of Linux: ${error?.message ?? stderr.trim()}; needs unshare, ip, and root or user namespaces`;
}

export interface Ended {
  readonly code: number;
  readonly output: string;
}

interface Beside {
  readonly text: string;
  readonly number: number;
  readonly pid: number;
}

export class Sandbox {
  readonly folder: string;
  readonly #files: string;
  readonly #shell: ChildProcess;
  readonly #answers = new Map<string, string>();
  #ended: string | undefined;
  #number = 0;
  #beside: Beside[] = [];
  /** Those that the shell of a page did not start. */
  #outside: Beside[] = [];

  /** `folder` is where commands begin. `environment` is added to that of this process. */
  constructor(folder: string, environment: NodeJS.ProcessEnv) {
    this.folder = folder;
    this.#files = mkdtempSync(`${folder}.`);
    const env: NodeJS.ProcessEnv = { ...process.env, ...environment };
    env['PATH'] = `${env['PATH']}:${SBIN}`;
    // What a test runner and this repository's own runs set is not there for a newcomer.
    for (const name of Object.keys(env)) if (/^(npm_|NODE_TEST|NODE_OPTIONS$|HEDDLE_|CI$)/.test(name)) delete env[name];
    const addresses = ADDRESSES.map((address) => `ip address add ${address}/32 dev lo`).join('; ');
    const first = `set -m; hostname laptop; ip link set lo up; ${addresses}; mount -t tmpfs tmpfs /run; ${SERVE}; serve`;
    this.#shell = spawn('unshare', [...UNSHARE, 'bash', '--norc', '-c', first], {
      ...{ cwd: folder, env, stdio: ['pipe', 'ignore', 'pipe', 'pipe'] },
    });
    const said: string[] = [];
    this.#shell.stderr?.setEncoding('utf8').on('data', (text: string) => said.push(text));
    this.#shell.on('close', (code) => (this.#ended = `the shell ended with ${code}: ${said.join('')}`));
    this.#shell.stdin?.on('error', () => {});
    createInterface({ input: this.#shell.stdio[3] as NodeJS.ReadableStream }).on('line', (line) => {
      const [number = '', answer = ''] = line.split(' ');
      this.#answers.set(number, answer);
    });
  }

  /** What follows runs in a shell of its own, in the folder of the sandbox, until `end`. */
  begin(): void {
    this.#outside = this.#beside;
    this.#beside = [];
    this.#send(`( set -m; cd ${this.folder}; serve )`);
  }

  async end(): Promise<void> {
    await this.stopAll();
    this.#send('exit');
    this.#beside = this.#outside;
    this.#outside = [];
  }

  /** Runs a command of the shell to its end. */
  async run(text: string): Promise<Ended> {
    const number = this.#write(text);
    this.#send(`eval "$(cat ${this.#path(number, 'in')})" >${this.#path(number, 'out')} 2>&1 </dev/null; echo "${number} $?" >&3`);
    try {
      return { code: Number(await this.#answer(number)), output: this.output(number) };
    } catch (error) {
      throw new Error(`${(error as Error).message}; it wrote:\n${this.output(number)}`);
    }
  }

  /** Starts a command that goes on beside those that follow; resolves when it has written `until`. */
  async beside(text: string, until: string): Promise<Beside> {
    const number = this.#write(text);
    this.#send(
      `{ eval "$(cat ${this.#path(number, 'in')})"; echo "$?" >${this.#path(number, 'code')}; } >${this.#path(number, 'out')} 2>&1 </dev/null & disown; echo "${number} $!" >&3`,
    );
    const beside = { text, number, pid: Number(await this.#answer(number)) };
    this.#beside.push(beside);
    try {
      await waitFor(`"${until}"`, () => {
        if (this.output(number).includes(until)) return true;
        if (this.#code(number) !== undefined) throw new Hopeless(`it ended with ${this.#code(number)} and did not write "${until}"`);
        return false;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}; it wrote:\n${this.output(number)}`);
    }
    return beside;
  }

  /** What the latest command beside that holds the text has written. */
  written(holds: string): string {
    return this.output(this.#find(holds).number);
  }

  /** Ctrl-C for the latest command beside that holds the text; resolves when it has ended, with all that it wrote. */
  async stop(holds: string): Promise<Ended> {
    const found = this.#find(holds);
    this.#beside = this.#beside.filter((one) => one !== found);
    const number = (this.#number += 1);
    this.#send(`pkill -INT -P ${found.pid}; echo "${number} $?" >&3`);
    await this.#answer(number);
    const code = await waitFor(`"${found.text}" to end after Ctrl-C`, () => this.#code(found.number));
    return { code, output: this.output(found.number) };
  }

  /** What a page leaves running beside. */
  async stopAll(): Promise<void> {
    while (this.#beside.length > 0) await this.stop(this.#beside.at(-1)?.text ?? '');
  }

  async close(): Promise<void> {
    await this.stopAll().catch(() => {});
    this.#shell.stdin?.end();
    await waitFor('the sandbox to end', () => this.#ended !== undefined).catch(() => this.#shell.kill('SIGKILL'));
  }

  output(number: number): string {
    return readIfThere(this.#path(number, 'out')) ?? '';
  }

  #find(holds: string): Beside {
    const found = this.#beside.findLast(({ text }) => text.includes(holds));
    if (found === undefined) throw new Error(`nothing that holds "${holds}" goes on beside`);
    return found;
  }

  /** Of a command beside that has ended. */
  #code(number: number): number | undefined {
    const text = readIfThere(this.#path(number, 'code')) ?? '';
    return text.endsWith('\n') ? Number(text) : undefined;
  }

  #write(text: string): number {
    this.#number += 1;
    writeFileSync(this.#path(this.#number, 'in'), text);
    return this.#number;
  }

  #path(number: number, kind: string): string {
    return join(this.#files, `${number}.${kind}`);
  }

  #send(line: string): void {
    this.#shell.stdin?.write(`${line}\n`);
  }

  #answer(number: number): Promise<string> {
    return waitFor(
      'the command to end',
      () => {
        if (this.#ended !== undefined) throw new Hopeless(this.#ended);
        return this.#answers.get(`${number}`);
      },
      COMMAND_TIMEOUT_MS,
    );
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
