// The short form of `npm run soak -- fuzz`, always with the same dice: a running proxy among hostile clients and hostile instances.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { FuzzReport } from './fuzz.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const KINDS = ['flood', 'mutated', 'noise', 'noise after HTTP/1.1', 'noise after HTTP/2', 'nothing', 'right'];

/** In a process of its own, since hostile connections can keep Node from ending. */
function fuzz(...args: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['--conditions=heddle-source', MAIN, 'fuzz', ...args], { timeout: 200_000 }, (error, output, errors) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), output: `${output}${errors}` });
    });
  });
}

test('among hostile clients and instances a proxy lives without a fault, serves honest ones, and lets go of everything', async () => {
  const { code, output } = await fuzz('--brief', '--seed', '7', '--minutes', '0.1', '--rate', '80');
  assert.equal(code, 0, output);
  const report = JSON.parse(output.slice(output.indexOf('\n{\n'), output.lastIndexOf('\n}\n') + 3)) as FuzzReport;
  assert.deepEqual(Object.keys(report.byKind).sort(), KINDS);
  assert.ok(report.answered > 0 && report.hostileUpstreamConnections > 0);
});
