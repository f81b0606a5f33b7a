// The short form of `npm run soak -- in-process`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inProcessProblems, runInProcess } from './in-process.ts';

test('calls with the data plane inside leave nothing behind, while endpoints come and go', async () => {
  const report = await runInProcess({ calls: 5_000, changes: 40, say: () => {} });
  assert.deepEqual(inProcessProblems(report), []);
  assert.equal(report.samples.at(-1)?.calls, 5_000);
  assert.equal(report.samples.at(-1)?.changes, 40);
});
