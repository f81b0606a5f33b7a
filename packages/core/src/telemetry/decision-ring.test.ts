import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DecisionRing } from './decision-ring.ts';
import type { AccessDecision } from './traffic.ts';

const decision = (timeMs: number): AccessDecision => ({
  ...{ timeMs, service: 'a/b', side: 'inbound', outcome: 'denied', source: 'unknown', method: 'GET', path: '/', rule: '', by: 'default' },
  reason: '',
});

test('keeps the newest, in their order, and counts the others; what was taken is not told again', () => {
  const ring = new DecisionRing(3);
  for (let index = 1; index <= 5; index += 1) ring.push(decision(index));
  assert.deepEqual(
    ring.list().map(({ timeMs }) => timeMs),
    [3, 4, 5],
  );
  const taken = ring.take();
  assert.deepEqual([taken.decisions.length, taken.lost], [3, 2]);
  assert.deepEqual(ring.take(), { decisions: [], lost: 0 });
  ring.push(decision(6));
  ring.add(taken);
  assert.deepEqual([ring.list().map(({ timeMs }) => timeMs), ring.take().lost], [[3, 4, 5], 3]);
});
