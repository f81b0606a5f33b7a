// The command as a run of all tests starts it: bundled once, because a process from the bundle begins with a third of the work of one from the
// sources, and the tests start hundreds.
import { cpSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { bundleCommand, canBundle } from '../bundle.ts';

/** Always the same, so that the compiled code of the last run is of use. */
const FOLDER = 'node_modules/.cache/heddle-command/cli';

/** Parts of an earlier bundle may be in use by another run for so long. */
const STALE_MS = 24 * 60 * 60 * 1_000;

/** Undefined where it cannot be made, about which something is said: then the tests start the sources. */
export async function testedCommand(root: string, say: (text: string) => void): Promise<string | undefined> {
  if (!canBundle(root)) return undefined;
  const out = join(root, FOLDER, 'dist');
  try {
    mkdirSync(out, { recursive: true });
    for (const beside of ['package.json', 'preload'])
      cpSync(join(root, 'packages/cli', beside), join(root, FOLDER, beside), { recursive: true });
    removeStale(out, await bundleCommand(root, root, out));
    return join(out, 'main.js');
  } catch (error) {
    say(`the command could not be bundled, and is tested from its sources: ${String(error)}\n`);
    return undefined;
  }
}

function removeStale(folder: string, used: readonly string[]): void {
  for (const name of readdirSync(folder).filter((one) => !used.includes(one))) {
    const path = join(folder, name);
    if (statSync(path).mtimeMs < Date.now() - STALE_MS) rmSync(path);
  }
}
