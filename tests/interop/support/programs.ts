// Programs that nobody here wrote: found on PATH, run to their end or kept running for a test. Where one is missing, its tests say why they
// are skipped; with HEDDLE_REQUIRE_INTEROP=1 (CI) they fail instead.
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Cleanup } from '../../support/planes.ts';
import { waitFor } from '../../support/wait.ts';

/** Of everything a program says; more is an error. */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const RUN_TIMEOUT_MS = 30_000;
/** Where Debian puts servers, which is not on everyone's PATH. */
const FOLDERS = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/bin'];

/** Program by the Debian package that has it. */
export const PACKAGES = {
  curl: 'curl',
  dig: 'dnsutils',
  nghttp: 'nghttp2-client',
  h2load: 'nghttp2-client',
  nghttpd: 'nghttp2-server',
  python3: 'python3',
  openssl: 'openssl',
  chromium: 'chromium',
  prometheus: 'prometheus',
  promtool: 'prometheus',
  'redis-server': 'redis-server',
  'redis-cli': 'redis-tools',
  socat: 'socat',
  bash: 'bash',
  zsh: 'zsh',
  fish: 'fish',
} as const;
export type Program = keyof typeof PACKAGES;

/** Path of a program, or its bare name, with which starting it fails. */
export function pathOf(program: string, folders: readonly string[] = FOLDERS): string {
  return folders.map((folder) => join(folder, program)).find(isExecutable) ?? program;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The `skip` of a test: false when all programs are there or must be, else what is missing. */
export function skipWithout(...programs: readonly Program[]): string | false {
  const missing = programs.filter((program) => pathOf(program) === program);
  return missing.length === 0 ? false : reason(missing.map((program) => `${program} (Debian package ${PACKAGES[program]})`).join(', '));
}

/** The `skip` of a test that needs something besides. */
export function reason(missing: string): string | false {
  return process.env.HEDDLE_REQUIRE_INTEROP === '1' ? false : `not on this machine: ${missing}`;
}

/** A Python that has the module: Debian's packages are for its own, which need not be the first on PATH. */
export function pythonWith(module: string): string | undefined {
  return [pathOf('python3'), '/usr/bin/python3'].find((python) => spawnSync(python, ['-c', `import ${module}`]).status === 0);
}

export interface Ran {
  /** -1: it was ended by a signal, or never began. */
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: Buffer;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Default: 30 s. */
  readonly timeoutMs?: number;
}

/** Proxies that the machine's own environment names are none of a test's business. */
function environment(over: RunOptions['env']): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/_proxy$/i.test(name));
  return { ...Object.fromEntries(kept), LC_ALL: 'C.UTF-8', ...over };
}

function spawnOptions(options: RunOptions): SpawnOptions {
  const { env, cwd, uid, gid } = options;
  return { env: environment(env), cwd, stdio: ['pipe', 'pipe', 'pipe'], ...(uid === undefined ? {} : { uid, gid }) };
}

/** Runs a program to its end. Never rejects. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(pathOf(program), args, {
      ...spawnOptions(options),
      timeout: options.timeoutMs ?? RUN_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    const stdout: Buffer[] = [];
    let stderr = '';
    let bytes = 0;
    const count = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > OUTPUT_BYTES_MAX) child.kill('SIGKILL');
    };
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk) && count(chunk));
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
      count(chunk);
    });
    child.stdin?.on('error', () => {}).end(options.input);
    child.on('error', (error) => resolve({ code: -1, stdout: Buffer.alloc(0), stderr: error.message }));
    child.on('close', (code, signal) => {
      resolve({ code: code ?? -1, stdout: Buffer.concat(stdout), stderr: signal === null ? stderr : `${stderr}\nended by ${signal}` });
    });
  });
}

export interface Running {
  readonly child: ChildProcess;
  /** What it has said so far, both outputs in the order of arrival. */
  readonly output: () => string;
  /** Resolves once the output matches; throws with the output when it does not in time, or the program ends before. */
  until(pattern: RegExp): Promise<RegExpExecArray>;
}

/** Starts a program that runs until the test is over. */
export function start(cleanup: Cleanup, program: string, args: readonly string[], options: RunOptions = {}): Running {
  const child = spawn(pathOf(program), args, spawnOptions(options));
  let output = '';
  let ended = false;
  const exited = new Promise<void>((resolve) => {
    const end = (what: string): void => {
      ended = true;
      output += `\n${what}`;
      resolve();
    };
    child.on('error', (error) => end(error.message));
    child.on('close', (code, signal) => end(`ended with ${code ?? signal}`));
  });
  const say = (chunk: Buffer): void => {
    if (output.length < OUTPUT_BYTES_MAX) output += chunk.toString();
  };
  child.stdout?.on('data', say);
  child.stderr?.on('data', say);
  child.stdin?.on('error', () => {});
  cleanup.add(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return {
    child,
    output: () => output,
    async until(pattern) {
      await waitFor(`${program} to say ${pattern}`, () => pattern.test(output) || ended).catch(() => {});
      const match = pattern.exec(output);
      if (match === null) throw new Error(`${program} never said ${pattern}, but:\n${output}`);
      return match;
    },
  };
}
