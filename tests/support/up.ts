// `heddle up` as a real process with a mesh of its own: own state directory, own ports, own services.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { heddleArguments } from '../../packages/cli/src/testing/command.ts';
import { openControl } from '../../packages/cli/src/control-client.ts';
import { readProcesses } from '../../packages/cli/src/supervisor/leftovers.ts';
import { freePorts } from './ports.ts';
import { Hopeless, waitFor } from './wait.ts';

export const ECHO = fileURLToPath(new URL('../fixtures/echo.mjs', import.meta.url));

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ListedInstance {
  readonly instance: string;
  readonly service: string;
  readonly health: string;
  readonly pid: number | null;
  readonly inbound: { readonly address: string; readonly port: number };
}

export interface RunningMesh {
  readonly directory: string;
  readonly stateDirectory: string;
  readonly process: ChildProcess;
  readonly proxy: { readonly host: string; readonly port: number };
  /** Everything it has printed. */
  output(): string;
  heddle(...args: readonly string[]): Promise<CommandResult>;
  /** As `heddle get instances` lists them, without a process of its own each time. */
  instances(): Promise<ListedInstance[]>;
  /** Process id by name (`control`, `proxy`, `orders-1`). */
  pid(name: string): Promise<number>;
  /** Ctrl-C. Resolves to the exit code. */
  stop(): Promise<number | null>;
}

/** Runs the CLI from source to its end. */
export function heddle(args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): Promise<CommandResult> {
  const child = spawn(process.execPath, heddleArguments(...args), {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  });
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout: stdout(), stderr: stderr() })));
}

/**
 * Starts the mesh of the file's text (`{{ECHO}}` is the path of the echo service) and waits until it is ready. `restPort`: of the REST API; 0: the
 * system chooses one at each start.
 */
export async function startUp(yaml: string, restPort = 0): Promise<RunningMesh> {
  const directory = await mkdtemp(join(tmpdir(), 'heddle-up-'));
  await writeFile(join(directory, 'heddle.yaml'), yaml.replaceAll('{{ECHO}}', `${process.execPath} ${ECHO}`));
  const [control, proxy, admin] = await freePorts(3);
  const stateDirectory = join(directory, '.heddle');
  const ports = [
    '--control-port',
    `${control}`,
    '--proxy-port',
    `${proxy}`,
    '--admin-port',
    `${admin}`,
    '--rest-port',
    `${restPort}`,
    '--dns-port',
    '0',
  ];
  const args = heddleArguments('up', '-f', 'heddle.yaml', '--state-dir', stateDirectory, ...ports);
  const child = spawn(process.execPath, args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  const output = () => `${stdout()}${stderr()}`;
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const mesh: RunningMesh = {
    directory,
    stateDirectory,
    process: child,
    proxy: { host: '127.0.0.1', port: proxy ?? 0 },
    output,
    heddle: (...more) => heddle([...more, '--state-dir', stateDirectory]),
    instances: () => listInstances(stateDirectory),
    pid: (name) => processId(stateDirectory, name),
    async stop() {
      if (child.exitCode === null) child.kill('SIGINT');
      const code = await ended;
      await rm(directory, { recursive: true, force: true });
      return code;
    },
  };
  try {
    await waitFor(
      'heddle up to be ready',
      () => {
        if (child.exitCode !== null) throw new Hopeless(`heddle up ended with ${child.exitCode}`);
        return stdout().includes('\nready:');
      },
      60_000,
    );
  } catch (error) {
    await mesh.stop();
    throw new Error(`${(error as Error).message}\n${output()}`);
  }
  return mesh;
}

/** How the verdict about an instance has changed, oldest first. */
export async function healthOf({ stateDirectory }: Pick<RunningMesh, 'stateDirectory'>, instance: string): Promise<string[]> {
  const control = openControl(stateDirectory);
  try {
    const { events } = await control.events({ kind: 'instance-health' });
    return events.flatMap(({ subject, message }) => (subject.endsWith(`/${instance}`) ? [message] : []));
  } finally {
    control.close();
  }
}

async function listInstances(stateDirectory: string): Promise<ListedInstance[]> {
  const control = openControl(stateDirectory);
  try {
    const pids = new Map(readProcesses(stateDirectory).map(({ workload, pid }) => [workload, pid]));
    return (await control.instances()).map(({ service: { namespace, name }, id, health, inbound }) => {
      const pid = pids.get(`${namespace}/${name}/${id}`) ?? null;
      return { instance: id, service: name, health, pid, inbound };
    });
  } finally {
    control.close();
  }
}

async function processId(stateDirectory: string, name: string): Promise<number> {
  const list = JSON.parse(await readFile(join(stateDirectory, 'processes.json'), 'utf8')) as { name: string; pid: number }[];
  const found = list.find((entry) => entry.name === name)?.pid;
  if (found === undefined) throw new Error(`no process ${name} in processes.json`);
  return found;
}

/** Whether a process with the id exists (a zombie counts as gone). */
export async function isRunning(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    return !/\) Z /.test(stat);
  } catch {
    return false;
  }
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  let text = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (chunk: string) => {
    text += chunk;
  });
  return () => text;
}
