// `heddle proxy` as a real process: its admin API, its log, its workers, and whoever takes over from it.
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { heddleArguments } from '../../packages/cli/src/testing/command.ts';
import type { Cleanup } from './planes.ts';
import { waitFor } from './wait.ts';

export interface Listed {
  readonly name: string;
  readonly port: number;
  readonly state: string;
}

export interface LogLine {
  readonly msg: string;
  readonly level: number;
  readonly worker?: number;
  readonly reason?: string;
  readonly delayMs?: number;
}

export class ProxyProcess {
  readonly file: string;
  readonly process: ChildProcess;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | string | null>;
  /** Of all processes that write to it. */
  output = '';
  readonly #directory: string;

  /** In a directory of its own; `text` is the file of a proxy without a control plane. */
  static async start(
    cleanup: Cleanup,
    directory: string,
    text: string,
    options: readonly string[] = [],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<ProxyProcess> {
    await writeFile(join(directory, 'proxy.yaml'), text);
    const proxy = new ProxyProcess(directory, ['--static', join(directory, 'proxy.yaml'), ...options], environment);
    cleanup.add(() => proxy.kill());
    await proxy.ready();
    return proxy;
  }

  constructor(directory: string, options: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    this.#directory = directory;
    this.file = join(directory, 'proxy.yaml');
    const files = ['--admin-token-file', join(directory, 'token'), '--pid-file', join(directory, 'pid')];
    this.process = spawn(process.execPath, heddleArguments('proxy', '--admin-port', '0', '--log-format', 'json', ...files, ...options), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    for (const stream of [this.process.stdout, this.process.stderr])
      stream?.setEncoding('utf8').on('data', (chunk: string) => void (this.output += chunk));
    this.ended = new Promise((resolve) => this.process.once('exit', (code, signal) => resolve(code ?? signal)));
  }

  /** Of the process that serves now. */
  get pid(): number {
    return Number(readFileSync(join(this.#directory, 'pid'), 'utf8'));
  }

  get log(): LogLine[] {
    return this.output
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine);
  }

  lines(text: string): LogLine[] {
    return this.log.filter(({ msg }) => msg.includes(text));
  }

  async ready(): Promise<void> {
    await waitFor('readiness', async () => (await fetch(`http://127.0.0.1:${this.#adminPort()}/ready`)).ok);
  }

  async ask(path: string, method = 'GET', body?: object): Promise<Response> {
    const token = (await readFile(join(this.#directory, 'token'), 'utf8')).trim();
    return fetch(`http://127.0.0.1:${this.#adminPort()}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, connection: 'close' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  async listeners(): Promise<Listed[]> {
    return ((await (await this.ask('/status')).json()) as { listeners: Listed[] }).listeners;
  }

  async port(service: string): Promise<number> {
    const found = (await this.listeners()).find(({ name }) => name.includes(`/${service}/`));
    if (found === undefined) throw new Error(`no listener of ${service}`);
    return found.port;
  }

  /** Sum of a counter or gauge over its series with this label text. */
  async metric(name: string, labels = ''): Promise<number> {
    const text = await (await this.ask('/metrics')).text();
    const values = text
      .split('\n')
      .filter((line) => (line.startsWith(`${name}{`) || line.startsWith(`${name} `)) && line.includes(labels))
      .map((line) => Number(line.slice(line.lastIndexOf(' '))));
    return values.reduce((sum, value) => sum + value, 0);
  }

  /** Process ids of the workers of whoever serves now. */
  workers(): number[] {
    return childrenOf(this.pid);
  }

  /** Resolves when the new text has been taken in or refused. */
  async reload(text: string): Promise<void> {
    const answers = () => this.output.match(/the file was (read again|not taken in)/g)?.length ?? 0;
    const before = answers();
    await writeFile(this.file, text);
    process.kill(this.pid, 'SIGHUP');
    await waitFor('the reload', () => answers() > before);
  }

  /** Resolves to the process id of the successor, once that serves. */
  async upgrade(): Promise<number> {
    const before = this.pid;
    process.kill(before, 'SIGUSR2');
    return waitFor('the new process', () => (this.pid !== before && isAlive(this.pid) ? this.pid : undefined), 60_000);
  }

  /** Whoever serves, its predecessors and all workers. */
  async kill(): Promise<void> {
    const all = new Set([this.process.pid ?? 0]);
    try {
      all.add(this.pid);
    } catch {
      // It has stopped by itself.
    }
    for (const pid of [...all].flatMap((one) => [one, ...childrenOf(one)])) if (pid > 0 && isAlive(pid)) process.kill(pid, 'SIGKILL');
    await this.ended;
  }

  #adminPort(): number {
    const lines = this.log.filter((line) => 'admin' in line) as unknown as { readonly admin: { readonly port: number } }[];
    const port = lines.at(-1)?.admin.port;
    if (port === undefined) throw new Error(`the proxy is not up: ${this.output}`);
    return port;
  }
}

export function isAlive(pid: number): boolean {
  try {
    // A process that has ended and that nobody has waited for is not alive.
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        // proc_pid_stat(5): the parent is the second field behind the name in parentheses.
        const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return Number(parent) === pid && state !== 'Z';
      } catch {
        return false;
      }
    })
    .map(Number);
}

export interface HttpBackend {
  readonly endpoint: string;
  readonly server: Server;
  /** Lets the answers to `/slow` go. */
  release(): void;
  slowCalls: number;
}

/** Answers with its name; to `/slow` only when told to. */
export async function httpBackend(cleanup: Cleanup, name: string): Promise<HttpBackend> {
  const waiting: (() => void)[] = [];
  const server = createServer((request, response) => {
    const answer = () => response.end(name);
    if (request.url !== '/slow') return void answer();
    backend.slowCalls += 1;
    waiting.push(answer);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', 4_096, resolve));
  const backend: HttpBackend = {
    endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    slowCalls: 0,
    release: () => {
      for (const answer of waiting.splice(0)) answer();
    },
  };
  cleanup.add(() => {
    server.close();
    server.closeAllConnections();
  });
  return backend;
}
