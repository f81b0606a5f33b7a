// What tests need of others and Debian does not have, or not as new: fetched or built once, into a folder outside of the repository. That is for
// CI, or for those who ask for it with HEDDLE_REQUIRE_INTEROP=1. Here: packages of Python, with pip.
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathOf, run } from './programs.ts';

const FETCH_TIMEOUT_MS = 240_000;
/** Longer than making anything takes: whoever holds the place for longer was killed. */
const ABANDONED_MS = 600_000;

/** What tests fetch and build, kept for the next run. */
export function testCache(...names: readonly string[]): string {
  return join(process.env['HEDDLE_TEST_CACHE'] ?? join(tmpdir(), 'heddle-test-cache'), ...names);
}

/**
 * Has one process make the file or folder, whichever of several asks first; the others wait for it.
 * @param make makes it at another place, from where it is moved. Returns why it cannot.
 * @returns why it is not there.
 */
export async function madeOnce(path: string, make: (target: string) => Promise<string | undefined>): Promise<string | undefined> {
  const [lock, target] = [`${path}.lock`, `${path}.new-${process.pid}`];
  mkdirSync(dirname(path), { recursive: true });
  while (!existsSync(path)) {
    if (!takes(lock)) {
      await delay(100);
      continue;
    }
    try {
      const reason = existsSync(path) ? undefined : await make(target);
      if (reason !== undefined) return reason;
      if (!existsSync(path)) renameSync(target, path);
    } finally {
      rmSync(target, { recursive: true, force: true });
      rmSync(lock, { recursive: true, force: true });
    }
  }
  return undefined;
}

function takes(lock: string): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
  if (Date.now() - since > ABANDONED_MS) rmSync(lock, { recursive: true, force: true });
  return false;
}

export interface PythonPackage {
  /** For PYTHONPATH; programs of the package are in its `bin`. */
  readonly folder: string;
  readonly python: string;
}

/** @param requirement as pip takes it, with the version: `grpcio==1.85.1`. Or why the package is not there. */
export async function pythonPackage(requirement: string): Promise<PythonPackage | { readonly reason: string }> {
  const python = pathOf('python3');
  const version = await run(python, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']);
  if (version.code !== 0) return { reason: 'python3 (Debian package python3)' };
  // Compiled modules are for one version of Python.
  const folder = testCache(`python${String(version.stdout).trim()}-${requirement.replace('==', '-')}`);
  if (existsSync(folder)) return { folder, python };
  if (process.env['HEDDLE_REQUIRE_INTEROP'] !== '1')
    return { reason: `${requirement} for Python, which is fetched only when HEDDLE_REQUIRE_INTEROP=1 is set` };
  const failed = await madeOnce(folder, async (target) => {
    const args = ['-m', 'pip', 'install', '--quiet', '--no-input', '--only-binary', ':all:', '--target', target, requirement];
    const { code, stderr } = await run(python, args, { timeoutMs: FETCH_TIMEOUT_MS });
    return code === 0 ? undefined : `${requirement} for Python, which pip could not fetch: ${stderr.trim().split('\n').at(-1)}`;
  });
  return failed === undefined ? { folder, python } : { reason: failed };
}
