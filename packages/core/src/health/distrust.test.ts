import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Distrust, type DistrustAction } from './distrust.ts';

/** Failures of one cluster, one every `everyMs`, for `durationMs`; what was decided, with its time. */
function fail(distrust: Distrust, everyMs: number, durationMs: number, fromMs = 0, cluster = 'orders'): [DistrustAction, number][] {
  const decided: [DistrustAction, number][] = [];
  for (let nowMs = fromMs; nowMs < fromMs + durationMs; nowMs += everyMs) {
    const action = distrust.failed(cluster, 1, nowMs);
    if (action !== undefined) decided.push([action, nowMs]);
  }
  return decided;
}

test('a few failures are no evidence, five within ten seconds are', () => {
  const distrust = new Distrust(() => 0);
  assert.deepEqual(fail(distrust, 3_000, 12_000), []);
  assert.deepEqual(fail(new Distrust(() => 0), 100, 500), [['ask', 400]]);
  assert.equal(new Distrust(() => 0).failed('orders', 5, 0), 'ask', 'they may be told together');
});

test('asks again after pauses that double, and compares everything once the evidence outlives a lease', () => {
  const decided = fail(new Distrust(() => 0), 100, 60_000);
  assert.deepEqual(
    decided.map(([action, ms]) => [action, Math.round(ms / 1_000)]),
    [
      ['ask', 0],
      ['ask', 5],
      ['compare', 15],
      ['ask', 16],
      ['ask', 36],
      ['compare', 45],
    ],
  );
});

test('an instance that is gone when its lease has ended never leads to a comparison', () => {
  assert.ok(fail(new Distrust(() => 0), 10, 12_000).every(([action]) => action === 'ask'));
});

test('comparisons are bounded over all clusters together, and asking is not', () => {
  const distrust = new Distrust(() => 0);
  const decided: [DistrustAction, number][] = [];
  for (let nowMs = 0; nowMs < 300_000; nowMs += 1_000) {
    for (let cluster = 0; cluster < 20; cluster++) {
      const action = distrust.failed(`c${cluster}`, 5, nowMs);
      if (action !== undefined) decided.push([action, nowMs]);
    }
  }
  const compares = decided.filter(([action]) => action === 'compare').map(([, ms]) => ms / 1_000);
  assert.deepEqual(compares, [15, 45, 105, 225]);
  assert.ok(decided.filter(([action]) => action === 'ask').length <= 20 * 8);
});

test('the dice spread the pauses of data planes that began together', () => {
  assert.deepEqual(
    fail(new Distrust(() => 0.5), 100, 15_000).map(([, ms]) => ms),
    [400, 6_700],
  );
});

test('after a minute without a failure a cluster is trusted again', () => {
  const distrust = new Distrust(() => 0);
  fail(distrust, 100, 30_000);
  assert.deepEqual(fail(distrust, 100, 600, 100_000), [['ask', 100_400]]);
});
