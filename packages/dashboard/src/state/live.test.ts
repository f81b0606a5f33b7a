import assert from 'node:assert/strict';
import { test } from 'node:test';
import { effect } from '@preact/signals';
import { Live } from './live.ts';

function tell(live: Live, event: string, value: object): void {
  live.take({ event, data: JSON.stringify(value), lastId: '' });
}
const instance = (name: string, health = 'healthy') => {
  const [namespace, service, id] = name.split('/');
  return { namespace, service, instance: id, health };
};
const events = (...ids: number[]) => ids.map((id) => ({ id, time: '', kind: 'x', subject: '', message: `${id}` }));

test('the watch is merged: snapshots in parts, changes, and what went', () => {
  const live = new Live();
  tell(live, 'snapshot', { kind: 'instances', revision: 1, first: true, last: false, items: [instance('d/a/1')] });
  assert.equal(live.instances.complete.value, false);
  tell(live, 'snapshot', { kind: 'instances', revision: 1, first: false, last: true, items: [instance('d/a/2'), instance('d/ab/1')] });
  assert.deepEqual([live.instances.complete.value, live.instancesOf('d/a').value], [true, ['d/a/1', 'd/a/2']]);
  tell(live, 'changes', { kind: 'instances', revision: 2, changed: [instance('d/a/2', 'unhealthy')], removed: ['d/a/1'] });
  assert.deepEqual(live.instancesOf('d/a').value, ['d/a/2']);
  assert.equal(live.instances.item('d/a/2')?.value.health, 'unhealthy');
});

test('the list of the instances of a service is told only when one of its own comes or goes', () => {
  const live = new Live();
  tell(live, 'snapshot', { kind: 'instances', revision: 1, first: true, last: true, items: [instance('d/a/1')] });
  let told = 0;
  effect(() => void (live.instancesOf('d/a').value, (told += 1)));
  tell(live, 'changes', { kind: 'instances', revision: 2, changed: [instance('d/b/1'), instance('d/a/1', 'draining')], removed: [] });
  assert.equal(told, 1);
  tell(live, 'changes', { kind: 'instances', revision: 3, changed: [instance('d/a/3')], removed: [] });
  assert.equal(told, 2);
});

test('events are there once each, the newest first, also when they are told again', () => {
  const live = new Live();
  tell(live, 'snapshot', { kind: 'events', revision: 1, first: true, last: true, items: events(1, 2) });
  tell(live, 'changes', { kind: 'events', revision: 1, changed: events(2, 3), removed: [] });
  assert.deepEqual(
    live.events.value.map(({ id }) => id),
    [3, 2, 1],
  );
  // After a restart of the control plane ids begin anew.
  tell(live, 'resync', { kinds: ['events'], reason: 'another control plane' });
  tell(live, 'snapshot', { kind: 'events', revision: 1, first: true, last: true, items: events(1) });
  assert.equal(live.events.value.length, 1);
});

test('traffic comes whole, and edges that are not in it are gone', () => {
  const live = new Live();
  const edge = (destination: string) => ({ source: 'd/a', destination, protocol: 'http1', requestsPerSecond: 1 });
  const graph = { revision: 1, windowMs: 10_000, updated: 't1', nodes: [], edges: [edge('d/b'), edge('d/c')] };
  tell(live, 'traffic', graph);
  tell(live, 'traffic', { ...graph, updated: 't2', edges: [edge('d/c')] });
  assert.deepEqual([live.edges.names.value, live.trafficAt.value], [['d/a d/c http1'], 't2']);
});
