// Processes under measurement: each on one processor, its time and memory as the kernel counts them (Linux: /proc).
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const START_TIMEOUT_MS = 15_000;

export function isInstalled(program: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(`${folder}/${program}`));
}

/** Clock ticks per second, in which /proc counts. */
const TICKS = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout) || 100;

/** With `taskset` in front where there is a processor to choose. */
function pinned(core: number | undefined, command: readonly string[]): [string, string[]] {
  const [program = '', ...rest] = core === undefined ? command : ['taskset', '-c', String(core), ...command];
  return [program, rest];
}

export class Process {
  readonly name: string;
  private readonly child: ChildProcess;
  private output = '';

  constructor(name: string, core: number | undefined, command: readonly string[]) {
    this.name = name;
    const [program, args] = pinned(core, command);
    this.child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output = (this.output + text).slice(-4000);
      });
    }
    this.child.on('error', (error) => {
      this.output += error.message;
    });
  }

  /** Resolves when something accepts connections on the port. Throws with what the process said when it does not come to that. */
  async listensOn(port: number): Promise<this> {
    const end = performance.now() + START_TIMEOUT_MS;
    while (!(await accepts(port))) {
      if (this.child.exitCode !== null || this.child.pid === undefined || performance.now() > end)
        throw new Error(`${this.name} does not listen on port ${port}: ${this.output.trim() || 'it said nothing'}`);
      await delay(20);
    }
    return this;
  }

  /** User and system time of all its threads. */
  cpuSeconds(): number {
    // The name in parentheses may hold blanks; fields 14 and 15 of proc(5) are counted from behind it.
    const fields = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS;
  }

  residentMb(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'))?.[1]) / 1024;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null || this.child.pid === undefined) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await gone;
  }
}

/** Runs to its end; resolves to what it printed. */
export async function output(core: number | undefined, command: readonly string[]): Promise<string> {
  const [program, args] = pinned(core, command);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve(text));
  });
}

/** Ports that nobody uses now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => net.createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as net.AddressInfo).port))),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
