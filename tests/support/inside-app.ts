// Programs with the data plane inside, as a person starts them: `node --import @heddle/client/register app.js` and an environment.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Cleanup, type ControlRef, joinToken } from './planes.ts';
import { freePort } from './ports.ts';

const REGISTER = import.meta.resolve('@heddle/client/register');
/** Of dependencies: applications that a test writes find them as if they were here. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** For one to leave the mesh. */
const END_MS = 5_000;

export interface InsideApp {
  readonly child: ChildProcess;
  readonly port: number;
  readonly instance: string;
  /** Everything it has written. */
  output(): string;
  /** Resolves to its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

export interface InsideSettings {
  readonly service: string;
  readonly instance?: string;
  /** Default: this one. */
  readonly node?: string;
  /** Default: `--import`. */
  readonly flag?: '--import' | '--require';
  /** Default: a free one. */
  readonly port?: number;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** What tells a process which instance of which mesh it is, with a fresh token. */
export async function insideEnvironment(
  control: ControlRef,
  { service, instance = `${service}-1` }: InsideSettings,
): Promise<NodeJS.ProcessEnv> {
  return {
    HEDDLE_SERVICE: service,
    HEDDLE_INSTANCE: instance,
    HEDDLE_CONTROL: `${control.address}:${control.port}`,
    HEDDLE_JOIN_TOKEN: await joinToken(control, service),
  };
}

/** @param file the program. @param environment in addition to this process's */
export function startNode(
  cleanup: Cleanup,
  file: string,
  environment: NodeJS.ProcessEnv,
  { service, instance = service, node = process.execPath, flag = '--import', port = 0 }: InsideSettings,
): InsideApp {
  const register = flag === '--import' ? REGISTER : fileURLToPath(REGISTER);
  const child = spawn(node, [file], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, NODE_OPTIONS: `--conditions=heddle-source ${flag} ${register}`, ...environment },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (part: string) => void (text += part));
  const ended = new Promise<number | NodeJS.Signals>((resolve) => child.once('close', (code, signal) => resolve(code ?? signal ?? 0)));
  cleanup.add(async () => {
    // In time, so that nobody calls it any more afterwards.
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), END_MS);
    await ended;
    clearTimeout(late);
  });
  return { child, port, instance, output: () => text, ended };
}

/** Starts the program of this file as an instance of the service. */
export async function startInside(cleanup: Cleanup, control: ControlRef, file: string, settings: InsideSettings): Promise<InsideApp> {
  const port = settings.port ?? (await freePort());
  const environment = { ...(await insideEnvironment(control, settings)), PORT: String(port), ...settings.environment };
  return startNode(cleanup, file, environment, { ...settings, port });
}

/** A file with this text, from which packages can be imported. `name` says by its ending what it is. */
export async function programFile(cleanup: Cleanup, name: string, text: string): Promise<string> {
  const directory = join(ROOT, 'node_modules/.cache/heddle-test-apps', `${process.pid}-${Math.random().toString(36).slice(2)}`);
  await mkdir(directory, { recursive: true });
  cleanup.add(() => rm(directory, { recursive: true, force: true }));
  await writeFile(join(directory, name), text);
  return join(directory, name);
}
