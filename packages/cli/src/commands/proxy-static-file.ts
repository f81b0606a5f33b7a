// The file of a static proxy, read and checked by a child process (`proxy-static-reader.ts`), which takes its code with it when it ends.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { StaticConfig } from '@heddle/core';
import { CliError } from '../errors.ts';

/** To the child. */
export interface ReadingTask {
  /** As it was named: certificates are named relative to it. */
  readonly path: string;
  readonly text: string;
}

/** From the child: `problems` are warnings where there is a configuration. */
export interface ReadingResult {
  readonly config?: StaticConfig;
  readonly problems: string;
}

const READER = new URL(import.meta.url.endsWith('.ts') ? './proxy-static-reader.ts' : './proxy-static-reader.js', import.meta.url);

/** Throws CliError with all problems; hands warnings to `warn`. */
export async function readStaticFile(path: string, warn: (text: string) => void): Promise<StaticConfig> {
  const { config, problems } = await inChild({ path, text: readText(path) });
  if (config === undefined) throw new CliError(problems);
  if (problems !== '') warn(problems);
  return config;
}

/** Here and not in the child, which has neither this process's standard input nor its other open files. */
function readText(path: string): string {
  try {
    return readPlainText(path);
  } catch (error) {
    throw new CliError(`the file ${path} cannot be read: ${(error as Error).message}`, 'name the file with --static FILE', {
      cause: error,
    });
  }
}

/** Throws Error with a message that completes "cannot be read: …". */
export function readPlainText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: 'there is no such file',
      EISDIR: 'it is a directory',
      EACCES: 'this user may not read it',
    };
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(reasons[code ?? ''] ?? message, { cause: error });
  }
}

function inChild(task: ReadingTask): Promise<ReadingResult> {
  return new Promise((resolve, reject) => {
    const fail = (what: string): void => reject(new CliError(`the process that reads the file ${task.path} ${what}`));
    const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(READER)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    child.on('message', (result) => resolve(result as ReadingResult));
    child.on('error', (error) => fail(`cannot be started: ${error.message}`));
    // After everything that it has said.
    child.on('close', (code, signal) => fail(`ended without an answer (${signal ?? `exit code ${code}`})`));
    // What cannot be sent was not read: the child has ended, which is told above.
    child.send(task, () => {});
  });
}
