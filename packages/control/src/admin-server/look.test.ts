import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { openEmbeddedStore } from '../registry/embedded/store.ts';
import { openRegistry } from '../registry/registry.ts';
import type { Registry } from '../registry/registry.ts';
import { CallError } from '../server/status.ts';
import { ManualClock } from '../testing/clock.ts';
import { registration, service, silent } from '../testing/mesh.ts';
import { EGRESS, FULL_SERVICE } from '../testing/policies.ts';
import { getInstance, listRoutes } from './look.ts';

async function withRegistry(run: (registry: Registry) => Promise<void>): Promise<void> {
  const store = openEmbeddedStore({ path: undefined, clock: new ManualClock() });
  const registry = await openRegistry({ store, logger: silent });
  await registry.declareServices([FULL_SERVICE, service('stock'), service('cache', { protocol: 'tcp' })], EGRESS);
  try {
    await run(registry);
  } finally {
    registry.close();
    await store.close();
  }
}

test('an instance is told with all that its verdict was made from', () =>
  withRegistry(async (registry) => {
    const { ref } = await registry.register(registration('orders', 1), 0, { health: 'healthy', reason: 'checks pass' });
    await registry.reportHealth(ref, 'prober', { health: 'unhealthy', reason: 'wrong answers' });
    const asked = { namespace: '', service: 'orders', instance: 'orders-1' };
    const { instance, reasons } = getInstance(asked, registry);
    assert.equal(instance?.healthReason, 'prober reports: wrong answers');
    assert.deepEqual(reasons[0], { source: 'report', detector: 'prober', health: 'unhealthy', text: 'prober reports: wrong answers' });
    assert.deepEqual(
      reasons
        .slice(1)
        .map(({ source, detector, health }) => `${source}${detector} ${health}`)
        .toSorted(),
      ['check healthy', 'lease healthy'],
    );
    assert.throws(
      () => getInstance({ ...asked, instance: 'orders-2' }, registry),
      (error) => error instanceof CallError && error.code === status.NOT_FOUND && /default\/orders\/orders-2/.test(error.message),
    );
  }));

test('routes are those of the rules, then what no rule takes, then hosts outside the mesh', () =>
  withRegistry(async (registry) => {
    const rows = (namespace: string, of: string) =>
      listRoutes({ namespace, service: of }, registry).routes.map((row) => [row.service, row.name, row.action, row.timeoutMs, row.retries]);
    const all = rows('', '');
    assert.deepEqual(
      all.map(([of, name]) => `${of} ${name}`),
      [
        ...['orders beta', 'orders beta (2)', 'orders moved', 'orders hello', 'orders default', 'stock default'],
        ...['[2001:db8::1]:8080 default', 'api.example.com:443 default', 'api.example.com:80 default', 'db.example.com:5432 connect'],
      ],
    );
    assert.deepEqual(rows('', 'stock'), [['stock', 'default', 'stock', 15_000, 2]]);
    assert.deepEqual(rows('default', 'orders')[0]?.slice(3), [500, 1]);
    assert.deepEqual(rows('default', '').length, 6);
    assert.deepEqual(rows('other', 'orders'), []);
  }));
