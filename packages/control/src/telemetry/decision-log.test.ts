import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONTROL_LIMITS, type AccessDecision } from '@heddle/core';
import { DecisionLog } from './decision-log.ts';

const OF_ONE_NODE = CONTROL_LIMITS.decisionsPerNodeMax.value;
const decision = (timeMs: number, service = 'default/web'): AccessDecision => ({
  ...{ timeMs, service, side: 'inbound', outcome: 'denied', source: 'unknown', method: 'GET', path: '/', rule: '', by: 'default' },
  reason: 'no rule allows it',
});

test('says how many decisions it does not have: those that were not told, and those that gave way to newer ones', () => {
  const log = new DecisionLog();
  const all = (): unknown => {
    const { items, lost } = log.list({}, 1e6);
    return [items.length, items[0]?.timeMs, lost];
  };
  log.add('a', [decision(1)], 0, 0);
  assert.deepEqual(all(), [1, 1, 0]);
  log.add('a', [], 5, 0);
  assert.deepEqual(all(), [1, 1, 5]);
  log.add(
    'a',
    Array.from({ length: OF_ONE_NODE }, (_, index) => decision(index + 2)),
    0,
    0,
  );
  assert.deepEqual(all(), [OF_ONE_NODE, OF_ONE_NODE + 1, 6]);
  for (const node of ['b', 'c', 'd', 'e'])
    log.add(
      node,
      Array.from({ length: OF_ONE_NODE }, () => decision(0, 'default/other')),
      0,
      0,
    );
  assert.deepEqual(all(), [OF_ONE_NODE * 4, 0, 6 + OF_ONE_NODE]);
  // A filter leaves out what is there; it loses nothing.
  assert.deepEqual(log.list({ service: 'default/web' }, 10), { items: [], lost: 6 + OF_ONE_NODE });
  for (const _ of [1, 2]) log.add('f', [], 2 ** 53 - 1, 0);
  assert.equal(log.list({}, 1).lost, Number.MAX_SAFE_INTEGER);
});
