import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SCRIPT = fileURLToPath(new URL('../testing/joined-process.ts', import.meta.url));
const DEADLINE_MS = 20_000;

it('a process that has joined the mesh lives as long as something is under way, and no longer', async () => {
  const { stdout } = await run(process.execPath, ['--conditions=heddle-source', SCRIPT], { timeout: DEADLINE_MS });
  assert.deepEqual(stdout.trim().split('\n'), ['fetch late', 'http late', 'socket late', 'ready late', 'idle']);
});
