// For tests: programs that nobody here wrote. Where one is missing, its tests say why they are skipped; with HEDDLE_REQUIRE_INTEROP=1 (CI) they
// fail instead.

import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Ran {
  readonly code: number;
  readonly output: string;
}

/** The `skip` of a test that needs a program: false when it can run, else the reason. */
export function needs(program: string, args: readonly string[], howToGet: string): string | false {
  try {
    execFileSync(program, args, { stdio: 'ignore', timeout: 10_000 });
    return false;
  } catch {
    return missing(`${program} cannot be run; ${howToGet}`);
  }
}

/** The `skip` of a test that lacks something. */
export function missing(reason: string): string | false {
  // Not skipped: the test runs, and fails by itself.
  return process.env.HEDDLE_REQUIRE_INTEROP === '1' ? false : reason;
}

/** Runs a program to its end; what it writes to either output. */
export function run(program: string, args: readonly string[], timeoutMs: number): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024, encoding: 'latin1' }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, output: `${stdout}${stderr}${code === -1 ? String(error) : ''}` });
    });
  });
}

/** h2spec is a Go program: built once, by the Go toolchain, from this version of its source, and kept outside of the repository. */
export const H2SPEC_MODULE = 'github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible';
const GO = 'go';
const BUILD_TIMEOUT_MS = 240_000;

/** Path of h2spec, or why there is none. */
export function buildH2spec(): { readonly path: string } | { readonly reason: string } {
  const folder = process.env.HEDDLE_TEST_CACHE ?? join(tmpdir(), 'heddle-test-cache');
  const path = join(folder, `h2spec-${H2SPEC_MODULE.replace(/^.*@v|\+.*$/g, '')}`);
  if (existsSync(path)) return { path };
  // Fetching and building foreign code is for CI, or for those who ask for it.
  if (process.env.HEDDLE_REQUIRE_INTEROP !== '1') return { reason: 'h2spec is built with Go only when HEDDLE_REQUIRE_INTEROP=1 is set' };
  const target = join(folder, `build-${process.pid}`);
  try {
    mkdirSync(target, { recursive: true });
    execFileSync(GO, ['install', H2SPEC_MODULE], {
      env: { ...process.env, GOBIN: target, GOFLAGS: '-mod=mod' },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: BUILD_TIMEOUT_MS,
    });
    renameSync(join(target, 'h2spec'), path);
    return { path };
  } catch (error) {
    const text = error instanceof Error && 'stderr' in error ? String(error.stderr).trim().split('\n').at(-1) : '';
    return { reason: `h2spec could not be built with Go (${text || String(error)})` };
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}
