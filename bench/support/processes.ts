// Processes under measurement: each on one processor, its time and memory as the kernel counts them (Linux: /proc), children included.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const START_TIMEOUT_MS = 15_000;
/** Of what a process says, for error messages. */
const SAID_CHARS_MAX = 4_000;

export function isInstalled(program: string): boolean {
  if (program.includes('/')) return existsSync(program);
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
  private said = '';
  private onLine: ((line: string) => void) | undefined;
  private rest = '';

  constructor(name: string, core: number | undefined, command: readonly string[]) {
    this.name = name;
    const [program, args] = pinned(core, command);
    this.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stdin!.on('error', () => {});
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => this.heard(text, true));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => this.heard(text, false));
    this.child.on('error', (error) => {
      this.said += error.message;
    });
  }

  /** Resolves when something accepts connections on the port. Throws with what the process said when it does not come to that. */
  async listensOn(port: number): Promise<this> {
    const end = performance.now() + START_TIMEOUT_MS;
    while (!(await accepts(port))) {
      if (!this.isAlive || performance.now() > end) throw new Error(this.complaint(`does not listen on port ${port}`));
      await delay(20);
    }
    return this;
  }

  /** Writes a line to its standard input; resolves to the next line of its standard output. */
  async ask(line: string): Promise<string> {
    const answer = this.nextLine();
    this.child.stdin!.write(`${line}\n`);
    return answer;
  }

  nextLine(): Promise<string> {
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error(this.complaint('ended')));
      this.onLine = (line) => {
        this.child.off('exit', ended);
        resolve(line);
      };
      this.child.once('exit', ended);
    });
  }

  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null && this.child.pid !== undefined;
  }

  /** User and system time of all its threads, and of its children. */
  cpuSeconds(): number {
    // The name in parentheses may hold blanks; fields 14 and 15 of proc(5) are counted from behind it.
    return this.sum((pid) => {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
      return (Number(fields[11]) + Number(fields[12])) / TICKS;
    });
  }

  /** Resident; what children share with their parent counts once for each. */
  residentMb(): number {
    return this.sum((pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024);
  }

  /** Asks it to end by itself. */
  terminate(): void {
    this.child.kill('SIGTERM');
  }

  async stop(): Promise<void> {
    if (!this.isAlive) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    for (const pid of processTree(this.child.pid!)) kill(pid);
    await gone;
  }

  private sum(of: (pid: number) => number): number {
    if (!this.isAlive) throw new Error(this.complaint('ended while it was measured'));
    return processTree(this.child.pid!).reduce((sum, pid) => sum + of(pid), 0);
  }

  private complaint(what: string): string {
    return `${this.name} ${what}: ${this.said.trim() || 'it said nothing'}`;
  }

  private heard(text: string, isOutput: boolean): void {
    this.said = (this.said + text).slice(-SAID_CHARS_MAX);
    if (!isOutput) return;
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) {
      const onLine = this.onLine;
      this.onLine = undefined;
      onLine?.(line);
    }
  }
}

/** Parents first. */
function processTree(pid: number): number[] {
  let children = '';
  try {
    children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  } catch {
    // It has just ended.
  }
  return [pid, ...children.split(' ').filter(Boolean).map(Number).flatMap(processTree)];
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

/** Runs to its end; resolves to what it printed, throws when it failed. */
export async function output(core: number | undefined, command: readonly string[]): Promise<string> {
  const [program, args] = pinned(core, command);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  child.stderr.setEncoding('utf8').on('data', (part: string) => (errors = (errors + part).slice(-SAID_CHARS_MAX)));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(text);
      else reject(new Error(`${command[0]} ended with ${code}: ${errors.trim() || text.slice(-SAID_CHARS_MAX)}`));
    });
  });
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
