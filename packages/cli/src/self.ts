// How this very program is started again, as a child or by a person.
import { existsSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `main.ts` in a clone, `main.js` in a published package. */
const MAIN = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url));

/** The command line of a child that runs a Heddle command, on the same Node with the same options. */
export function heddleProcess(...args: readonly string[]): string[] {
  return [process.execPath, ...process.execArgv, MAIN, ...args];
}

/** What a person types to run a Heddle command from here: `./heddle` in a clone, else `npx heddle`. */
export function heddleCommand(directory = process.cwd()): string {
  const launcher = resolve(dirname(MAIN), '../../../heddle');
  if (!MAIN.endsWith('.ts') || !existsSync(launcher)) return 'npx heddle';
  const path = relative(directory, launcher);
  return path.startsWith('..') ? launcher : `./${join(path)}`;
}

/** What Node programs that are started load first (see there). */
export const LOAD_REPORT: string = fileURLToPath(new URL('../preload/load-report.cjs', import.meta.url));

/** What a Node program loads first to have its data plane inside, as `--import` takes it. */
export function registerModule(): string {
  return import.meta.resolve('@heddle/client/register');
}
