// Clusters of some of a service's instances: only those that a rule names, and no more work than the instances they have.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { ANY_REQUEST } from '@heddle/core';
import type { Service, TrafficRule } from '@heddle/core';
import { openEmbeddedStore } from '../registry/embedded/store.ts';
import { openRegistry } from '../registry/registry.ts';
import type { Registry } from '../registry/registry.ts';
import type { Store } from '../registry/store.ts';
import { ManualClock } from '../testing/clock.ts';
import { registration, service, silent } from '../testing/mesh.ts';
import { Compiler } from './compiler.ts';
import type { CompiledChange } from './compiler.ts';
import { hasLabels } from './labels.ts';
import { outboundName, serviceOfCluster } from './names.ts';

const healthy = { health: 'healthy', reason: 'checks pass' } as const;
const orders = outboundName({ namespace: 'default', name: 'orders' });

/** Splits between instances with these labels. */
function splitOf(name: string, ...labels: Record<string, string>[]): TrafficRule {
  const to = labels.map((one) => ({ service: { namespace: 'default', name: 'orders' }, labels: one, weight: 1 }));
  return { name, matches: [{ ...ANY_REQUEST, headers: [{ name }] }], action: { kind: 'forward', to } };
}

describe('subsets', () => {
  let store: Store;
  let registry: Registry;
  let compiler: Compiler;
  let changes: CompiledChange[];
  beforeEach(async () => {
    store = openEmbeddedStore({ path: undefined, clock: new ManualClock() });
    registry = await openRegistry({ store, logger: silent });
    compiler = new Compiler({ source: registry, trustDomain: 'shop.test', rootsPem: 'roots' });
    changes = [];
    registry.onChange((change) => changes.push(compiler.apply(change)));
  });
  afterEach(async () => {
    registry.close();
    await store.close();
  });
  const declare = (rules: readonly TrafficRule[], webRules: readonly TrafficRule[] = []): Promise<void> =>
    registry.declareServices([service('orders', { rules }), service('web', { rules: webRules })]);
  const clusters = (): string[] => [...compiler.shared.cluster.keys()].sort();
  const members = (name: string): string[] => (compiler.shared.endpoints.get(name)?.endpoints ?? []).map(({ instance }) => instance);
  const put = (index: number, version: string, labels: Record<string, string> = {}) =>
    registry.register(registration('orders', index, { version, labels }), 0, healthy);

  test('exist while a rule of any service names them, with the instances that have all their labels', async () => {
    await declare([splitOf('a', { version: 'v1' }, { version: 'v2', zone: 'x' })], [splitOf('b', { zone: 'x' }, {})]);
    await put(1, 'v1');
    await put(2, 'v2', { zone: 'x' });
    await put(3, 'v2', { zone: 'y' });
    await put(4, '', { version: 'v1', zone: 'x' });
    assert.deepEqual(clusters(), [
      orders,
      `${orders}{version=v1}`,
      `${orders}{version=v2,zone=x}`,
      `${orders}{zone=x}`,
      'outbound/default/web',
    ]);
    assert.deepEqual(clusters().map(members), [
      ['orders-1', 'orders-2', 'orders-3', 'orders-4'],
      ['orders-1', 'orders-4'],
      ['orders-2'],
      ['orders-2', 'orders-4'],
      [],
    ]);
    await declare([splitOf('a', { version: 'v1' })]);
    assert.deepEqual(clusters(), [orders, `${orders}{version=v1}`, 'outbound/default/web']);
    assert.deepEqual([...compiler.shared.endpoints.keys()].sort(), clusters());
    await registry.declareServices([service('web')]);
    assert.deepEqual(clusters(), ['outbound/default/web']);
  });

  test('a change of one instance changes the sets that it is in, and no others', async () => {
    await declare([splitOf('a', { version: 'v1' }, { version: 'v2' })]);
    await put(1, 'v1');
    const lease = await put(2, 'v2');
    changes.length = 0;
    await registry.heartbeat(lease, { health: 'unhealthy', reason: 'answers 500' });
    const v2 = `${orders}{version=v2}`;
    assert.deepEqual(
      changes.map(({ shared }) => shared),
      [new Map([['endpoints', new Set([orders, v2])]])],
    );
    changes.length = 0;
    await put(2, 'v1');
    assert.deepEqual(changes[0]?.shared, new Map([['endpoints', new Set([orders, `${orders}{version=v1}`, v2])]]));
  });

  test('a rule that comes changes the routes of its service and what it names, nothing else', async () => {
    await declare([]);
    await put(1, 'v1');
    changes.length = 0;
    await declare([], [splitOf('a', { version: 'v1' })]);
    const part = `${orders}{version=v1}`;
    assert.deepEqual(
      changes.map(({ shared }) => shared),
      [
        new Map([
          ['endpoints', new Set([part])],
          ['cluster', new Set([part])],
          ['route', new Set(['outbound/default/web', 'outbound/mesh'])],
        ]),
      ],
    );
    assert.deepEqual(members(part), ['orders-1']);
  });

  test('what the store holds of a service that is gone leads to an answer, until it is there again', async () => {
    const [web, called]: Service[] = [service('web', { rules: [splitOf('a', {})] }), service('orders')];
    await registry.declareServices([web as Service, called as Service]);
    const action = () => compiler.shared.route.get('outbound/default/web')?.virtualHosts[0]?.routes[0]?.action.kind;
    assert.equal(action(), 'forward');
    await store.transact({ conditions: [], operations: [{ kind: 'delete', key: '/heddle/services/default/orders' }] });
    assert.equal(action(), 'respond');
    await registry.declareServices([web as Service, called as Service]);
    assert.equal(action(), 'forward');
  });
});

test('names of subsets tell different labels apart and lead back to their service', () => {
  const labels: Record<string, string>[] = [{}, { a: 'b,c=d' }, { a: 'b', c: 'd' }, { a: 'b%2Cc%3Dd' }, { a: '{x}' }, { a: '' }];
  const names = labels.map((one) => outboundName({ namespace: 'default', name: 'orders' }, one));
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.equal(serviceOfCluster(name), 'default/orders', name);
  assert.equal(serviceOfCluster('local/default/orders/orders-1'), undefined);
});

test('the version of an instance is a label, and stands before one of that name', () => {
  assert.equal(hasLabels({ version: 'v1', labels: { version: 'v2' } }, { version: 'v1' }), true);
  assert.equal(hasLabels({ version: 'v1', labels: { version: 'v2' } }, { version: 'v2' }), false);
  assert.equal(hasLabels({ version: '', labels: { version: 'v2' } }, { version: 'v2' }), true);
  assert.equal(hasLabels({ version: '', labels: {} }, { version: '' }), false);
  assert.equal(hasLabels({ version: 'v1', labels: {} }, {}), true);
});
