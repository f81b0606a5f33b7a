// A proxy as a process of the system: how many workers carry its connections, its pid file, and the signals that stop or replace it.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { type ProcessOptions, receiveTakeover } from '@heddle/proxy/static';
import type { Logger } from '@heddle/runtime';
import { deferHelperThreads, type LogLevel, nodeClock } from '@heddle/runtime/node';
import { CliError } from '../errors.ts';
import type { StopRequest } from '../signals.ts';
import { SUPERVISOR_VARIABLE } from '../up/supervision.ts';

/** More than four pay off only for a proxy that has a machine to itself, which can say so. */
const DEFAULT_WORKERS_MAX = 4;

/** Options of every `heddle proxy`. */
export interface ProxyProcessOptions {
  /** Default: one for each core, at most 4. */
  readonly workers?: number;
  /** What connections have when a new process has taken over; milliseconds. */
  readonly upgradeDrain: number;
  readonly pidFile?: string;
  readonly logLevel: LogLevel;
  readonly logFormat?: 'json' | 'pretty';
}

/** What `startProxy` and `startStaticProxy` give. */
interface Upgradable {
  readonly drainRequested: Promise<void>;
  upgrade(command: readonly string[]): Promise<boolean>;
  stop(): Promise<void>;
}

/** Call early: from here on the signal that asks for an upgrade no longer ends the process. */
export async function processOptions({ workers, upgradeDrain, logLevel, logFormat }: ProxyProcessOptions): Promise<ProcessOptions> {
  process.on('SIGUSR2', ignore);
  deferHelperThreads();
  const takeover = await receiveTakeover(process.env, nodeClock);
  return {
    workers: workers ?? Math.min(DEFAULT_WORKERS_MAX, availableParallelism()),
    upgradeDrainMs: upgradeDrain,
    logLevel,
    ...(logFormat === undefined ? {} : { logFormat }),
    ...(takeover === undefined ? {} : { takeover }),
  };
}

/** Resolves when the proxy has stopped, by signal, on request or because a new process has taken over. */
export async function serve(running: Upgradable, stop: StopRequest, { pidFile }: ProxyProcessOptions, logger: Logger): Promise<void> {
  if (pidFile !== undefined) writePidFile(pidFile);
  const replaced = Promise.withResolvers<void>();
  const onUpgrade = (): void => {
    const supervisor = process.env[SUPERVISOR_VARIABLE];
    if (supervisor !== undefined) {
      logger.error({ supervisor }, 'the upgrade was refused: this proxy is supervised, so start its supervisor anew instead');
      return;
    }
    void running.upgrade(successorCommand()).then((isReplaced) => {
      if (isReplaced) replaced.resolve();
    }, replaced.reject);
  };
  process.on('SIGUSR2', onUpgrade);
  try {
    await Promise.race([stop.asked, running.drainRequested, replaced.promise]);
    await running.stop();
  } finally {
    process.off('SIGUSR2', onUpgrade);
    if (pidFile !== undefined) removePidFile(pidFile);
  }
}

function ignore(): void {}

/** As this process was started, from what is on disk now: by the same links, which may lead elsewhere since. */
function successorCommand(): string[] {
  const [, script = '', ...args] = process.argv;
  const asTyped = process.argv0.includes('/') ? resolve(process.argv0) : '';
  const node = asTyped !== '' && existsSync(asTyped) ? asTyped : process.execPath;
  return [node, ...process.execArgv, script, ...args];
}

function writePidFile(file: string): void {
  try {
    writeFileSync(file, `${process.pid}\n`);
  } catch (error) {
    throw new CliError(`the pid file ${file} cannot be written: ${(error as Error).message}`, 'name another file with --pid-file', {
      cause: error,
    });
  }
}

/** Unless it is another process's by now. */
function removePidFile(file: string): void {
  try {
    if (readFileSync(file, 'utf8').trim() === String(process.pid)) rmSync(file);
  } catch {
    // It is gone, or never was.
  }
}
