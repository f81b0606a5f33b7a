import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TrafficRule } from '@heddle/core';
import { service } from '../testing/mesh.ts';
import { FULL_RULES } from '../testing/policies.ts';
import { tellEgress, tellService } from './story.ts';

const [beta, moved, hello] = FULL_RULES as [TrafficRule, TrafficRule, TrafficRule];
const told = (before: readonly TrafficRule[], after: readonly TrafficRule[]): string | undefined =>
  tellService(service('orders', { rules: before }), service('orders', { rules: after }))?.message;

test('changes of rules are told by their names', () => {
  assert.equal(told([beta, moved], [{ ...beta, matches: moved.matches }, hello]), 'rules: beta changed, hello added, moved removed');
  assert.equal(told([beta, moved], [moved, beta]), 'rules: in another order: moved, beta');
  assert.equal(told([beta], [beta]), undefined);
});

test('other changes are told with what was and what is', () => {
  const before = service('orders');
  const after = service('orders', { breaker: { ...before.breaker, requests: 5 }, hedge: { afterMs: 10, attempts: 1 } });
  assert.equal(
    tellService(before, after)?.message,
    'breaker {"connections":0,"pending":0,"requests":0} → {"connections":0,"pending":0,"requests":5}; hedge none → {"afterMs":10,"attempts":1}',
  );
});

test('hosts outside the mesh come, change and go', () => {
  const host = { host: 'a.test', port: 443, protocol: 'tcp' } as const;
  assert.equal(tellEgress(undefined, host)?.message, 'may be called, by tcp');
  assert.equal(tellEgress(host, { ...host, protocol: 'https' })?.message, 'may be called, by https');
  assert.equal(tellEgress(host, undefined)?.message, 'may not be called any more');
  assert.equal(tellEgress(host, host), undefined);
});
