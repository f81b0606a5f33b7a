// A real `heddle proxy --static`, alone in its process: its ports, its metrics, its memory, and what it says about itself.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { HEDDLE } from '../../../packages/cli/src/testing/command.ts';
import { waitFor } from '../../support/wait.ts';

/** Longer than the proxy waits for what is under way. */
const STOP_MS = 20_000;
const FAULT = 'a fault of heddle itself';

/** After a full collection of garbage: what is really held. */
export interface HeldMemory {
  readonly residentMb: number;
  /** Objects of JavaScript. */
  readonly heapMb: number;
  /** Buffers and other memory that belongs to such objects. */
  readonly outsideMb: number;
}

export interface StaticListenerText {
  readonly service: string;
  readonly protocol?: string;
  readonly tls?: object;
  readonly sni?: object;
}

export class SoakedProxy {
  /** Log lines that tell of faults of the proxy itself. */
  readonly faults: string[] = [];
  private readonly process: ChildProcess;
  private readonly directory: string;
  private readonly ended: Promise<number | null>;
  private admin = 0;
  private inspector = '';
  private rest = '';
  private recent: string[] = [];

  private constructor(directory: string) {
    this.directory = directory;
    const options = ['--static', join(directory, 'proxy.json'), '--admin-token-file', join(directory, 'token')];
    const more = ['--admin-port', '0', '--workers', '1', '--log-format', 'json', '--log-level', 'info'];
    this.process = spawn(
      process.execPath,
      ['--conditions=heddle-source', '--inspect-port=127.0.0.1:0', HEDDLE, 'proxy', ...options, ...more],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    for (const stream of [this.process.stdout, this.process.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => this.heard(text));
    // Whatever ends this process must not leave the proxy behind.
    const kill = (): void => void this.process.kill('SIGKILL');
    process.once('exit', kill);
    this.ended = new Promise((resolve) => {
      this.process.once('close', (code) => {
        process.off('exit', kill);
        resolve(code);
      });
    });
  }

  /** All ports are chosen by the system. `files`: what the listeners name, beside the configuration. */
  static async start(
    listeners: readonly StaticListenerText[],
    services: Readonly<Record<string, object>>,
    files: Readonly<Record<string, string>> = {},
  ): Promise<SoakedProxy> {
    const directory = await mkdtemp(join(tmpdir(), 'heddle-soak-'));
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text, { mode: 0o600 });
    // What is JSON is YAML, too.
    const config = { listeners: listeners.map((listener) => ({ port: 0, ...listener })), services };
    await writeFile(join(directory, 'proxy.json'), JSON.stringify(config));
    const proxy = new SoakedProxy(directory);
    try {
      proxy.admin = Number(await waitFor('the admin port', () => /"admin":\{[^}]*"port":(\d+)/.exec(proxy.said)?.[1]));
      await waitFor('readiness', async () => (await fetch(`http://127.0.0.1:${proxy.admin}/ready`)).ok);
      // Node's debugging port, which the signal opens, can collect garbage; the proxy itself knows nothing of it.
      proxy.process.kill('SIGUSR1');
      proxy.inspector = await waitFor('the debugging port', () => /ws:\/\/\S+/.exec(proxy.said)?.[0]);
      return proxy;
    } catch (error) {
      await proxy.stop();
      throw new Error(`${(error as Error).message}\n${proxy.said}`, { cause: error });
    }
  }

  /** In the order of the configuration. */
  async ports(listeners: readonly StaticListenerText[]): Promise<number[]> {
    const token = (await readFile(join(this.directory, 'token'), 'utf8')).trim();
    const response = await fetch(`http://127.0.0.1:${this.admin}/status`, { headers: { authorization: `Bearer ${token}` } });
    const found = ((await response.json()) as { listeners: { name: string; port: number }[] }).listeners;
    const seen = new Map<string, number>();
    return listeners.map(({ service }) => {
      const count = (seen.get(service) ?? 0) + 1;
      seen.set(service, count);
      const port = found.find(({ name }) => name === `static/127.0.0.1/${service}/${count}`)?.port;
      if (port === undefined) throw new Error(`no listener of ${service}: ${JSON.stringify(found)}`);
      return port;
    });
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  get isAlive(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** What it said last. */
  get said(): string {
    return `${this.recent.join('\n')}\n${this.rest}`;
  }

  residentMb(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]) / 1024;
  }

  /** Collects all garbage first, so only for the moments in which nothing else is measured. */
  async heldMemory(): Promise<HeldMemory> {
    const socket = new WebSocket(this.inspector);
    const answers = new Map<number, (result: Record<string, number>) => void>();
    socket.addEventListener('message', ({ data }) => {
      const { id, result } = JSON.parse(String(data)) as { id: number; result: Record<string, number> };
      answers.get(id)?.(result);
    });
    const ask = (id: number, method: string): Promise<Record<string, number>> =>
      new Promise((resolve, reject) => {
        answers.set(id, resolve);
        socket.addEventListener('close', () => reject(new Error('the proxy closed its debugging port')), { once: true });
        socket.send(JSON.stringify({ id, method }));
      });
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve, { once: true });
      socket.addEventListener('error', () => reject(new Error('the debugging port of the proxy cannot be reached')), { once: true });
    });
    await ask(1, 'HeapProfiler.collectGarbage');
    const { usedSize = NaN, embedderHeapUsedSize = 0, backingStorageSize = 0 } = await ask(2, 'Runtime.getHeapUsage');
    socket.close();
    const mega = 1 << 20;
    return { residentMb: this.residentMb(), heapMb: usedSize / mega, outsideMb: (embedderHeapUsedSize + backingStorageSize) / mega };
  }

  /** User and system time so far. */
  cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  async metrics(): Promise<Metrics> {
    const response = await fetch(`http://127.0.0.1:${this.admin}/metrics`);
    return new Metrics(await response.text());
  }

  /** Asks it to end; resolves to its exit code, undefined: it did not end in time and was killed. */
  async stop(): Promise<number | null | undefined> {
    if (this.isAlive) this.process.kill('SIGTERM');
    const timer = new AbortController();
    const late = delay(STOP_MS, undefined, { signal: timer.signal }).catch(() => undefined);
    const code = await Promise.race([this.ended, late]);
    timer.abort();
    if (this.isAlive) this.process.kill('SIGKILL');
    await this.ended;
    await rm(this.directory, { recursive: true, force: true });
    return code;
  }

  private heard(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) if (line.includes(FAULT)) this.faults.push(line);
    this.recent = [...this.recent, ...lines].slice(-60);
  }
}

export class Metrics {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  sum(name: string): number {
    return this.series(name).reduce((total, [, value]) => total + value, 0);
  }

  /** Each with its labels, as it is written. */
  series(name: string): [series: string, value: number][] {
    const lines = this.text.matchAll(new RegExp(`^(${name}(?:\\{.*\\})?) (\\S+)$`, 'gm'));
    return [...lines].map(([, series = '', value]) => [series, Number(value)]);
  }
}
