import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResourceUpdate } from '../data-plane.ts';
import { AnswerableWorkloads } from './answerable.ts';
import type { Verdict } from './health-monitor.ts';

const NAME = 'default/orders/orders-1';
const HEALTHY: Verdict = { state: 'healthy', reason: 'HTTP 200' };

function bench() {
  const told: string[] = [];
  const workloads = new AnswerableWorkloads((workload, { state }) => told.push(`${workload} ${state}`));
  const listener = (filter: object): ResourceUpdate =>
    ({ kind: 'listener', upserts: [{ name: `inbound/${NAME}`, filter }], removed: [] }) as unknown as ResourceUpdate;
  const route = { kind: 'route', upserts: [{ name: `inbound/${NAME}` }], removed: [] } as unknown as ResourceUpdate;
  const http = listener({ kind: 'http', routeConfigName: `inbound/${NAME}` });
  return { workloads, told, route, http, bytes: listener({ kind: 'tcp', cluster: 'x' }) };
}

test('an instance is called healthy when its listener and its routes have arrived, in whichever order', () => {
  for (const order of ['http', 'route'] as const) {
    const { workloads, told, ...updates } = bench();
    workloads.found(NAME, HEALTHY);
    workloads.applied(updates[order]);
    assert.deepEqual(told, []);
    workloads.applied(updates[order === 'http' ? 'route' : 'http']);
    assert.deepEqual(told, [`${NAME} healthy`]);
    workloads.applied(updates.route);
    assert.equal(told.length, 1, 'told once');
  }
});

test('bad news does not wait, and takes the place of good news that does', () => {
  const { workloads, told, http, route } = bench();
  workloads.found(NAME, HEALTHY);
  workloads.found(NAME, { state: 'unhealthy', reason: 'HTTP 500' });
  workloads.applied(http);
  workloads.applied(route);
  assert.deepEqual(told, [`${NAME} unhealthy`]);
});

test('bytes need no routes, and what was forgotten is not told', () => {
  const { workloads, told, bytes } = bench();
  workloads.found(NAME, HEALTHY);
  workloads.forget(NAME);
  workloads.applied(bytes);
  assert.deepEqual(told, []);
  workloads.found(NAME, HEALTHY);
  assert.deepEqual(told, [`${NAME} healthy`]);
});
