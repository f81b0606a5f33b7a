// The decision alone, and with it: a registry whose instances fall silent together.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../testing/clock.ts';
import { RecordedEvents } from '../testing/events.ts';
import { SERVICES, registration, silent } from '../testing/mesh.ts';
import { until } from '../testing/wait.ts';
import { openEmbeddedStore } from './embedded/store.ts';
import { RegistryError } from './errors.ts';
import { NO_EXPIRY, decideExpiry, withoutInstance } from './mass-expiry.ts';
import type { ExpiryState } from './mass-expiry.ts';
import { openRegistry } from './registry.ts';
import type { Lease } from './lease.ts';
import type { Registry } from './registry.ts';
import type { Store } from './store.ts';

const healthy = { health: 'healthy', reason: 'checks pass' } as const;
const TTL_MS = 3_000;

/** Leases of `count` instances end one after the other; which ones are kept, at which step. */
function endings(count: number, ends: readonly { readonly id: string; readonly atMs: number }[], leaseTtlMs = TTL_MS): string[] {
  let state: ExpiryState = NO_EXPIRY;
  let live = count;
  return ends.map(({ id, atMs }) => {
    live -= 1;
    const decision = decideExpiry(state, { ids: [id], live, leaseTtlMs }, atMs);
    state = decision.state;
    return `${decision.began ? '!' : ''}${decision.keep.join()}`;
  });
}

const at = (...times: readonly number[]): { id: string; atMs: number }[] => times.map((atMs, index) => ({ id: 'abcdefgh'[index]!, atMs }));

describe('whether instances whose leases end are kept', () => {
  test('not one that crashes alone, nor half of them', () => {
    assert.deepEqual(endings(3, at(0)), ['']);
    assert.deepEqual(endings(4, at(0, 1)), ['', '']);
    assert.deepEqual(endings(2, at(0, 1)), ['', '']);
    assert.deepEqual(endings(1, at(0)), ['']);
  });

  test('from the moment on at which more than half are missing, with those that ended just before', () => {
    assert.deepEqual(endings(3, at(0, 1_000, 2_000)), ['', '!a,b', 'c']);
    assert.deepEqual(endings(6, at(0, 0, 10, 900, 901, 902)), ['', '', '', '!a,b,c,d', 'e', 'f']);
  });

  test('not when they end one by one over a longer time', () => {
    assert.deepEqual(endings(5, at(0, 16_000, 32_000, 48_000)), ['', '', '', '']);
  });

  test('with long leases, whose ends are further apart, within a longer time', () => {
    assert.deepEqual(endings(3, at(0, 60_000), 300_000), ['', '!a,b']);
    assert.deepEqual(endings(3, at(0, 60_000), 30_000), ['', '']);
  });

  test('an instance that has come back is no evidence any more', () => {
    const first = decideExpiry(NO_EXPIRY, { ids: ['a'], live: 2, leaseTtlMs: TTL_MS }, 0);
    const returned = withoutInstance(first.state, 'a');
    assert.deepEqual(decideExpiry(returned, { ids: ['b'], live: 2, leaseTtlMs: TTL_MS }, 1).keep, []);
    assert.deepEqual(decideExpiry(first.state, { ids: ['b'], live: 1, leaseTtlMs: TTL_MS }, 1).keep, ['a', 'b']);
    assert.equal(withoutInstance(returned, 'x'), returned);
  });

  test('when all end within the window, more than half are kept at the end, in whatever order and batches', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 0, max: 1_000 }),
        (sizes, stepMs) => {
          const count = sizes.reduce((sum, size) => sum + size, 0);
          let state = NO_EXPIRY;
          let next = 0;
          const kept = new Set<string>();
          sizes.forEach((size, index) => {
            const ids = Array.from({ length: size }, () => `i${next++}`);
            const decision = decideExpiry(state, { ids, live: count - next, leaseTtlMs: TTL_MS }, index * stepMs);
            state = decision.state;
            for (const id of decision.keep) {
              assert.ok(!kept.has(id), 'each is kept once');
              kept.add(id);
            }
          });
          assert.equal(kept.size, count >= 3 ? count : 0);
        },
      ),
    );
  });
});

describe('a registry whose instances fall silent together', () => {
  let clock: ManualClock;
  let store: Store;
  let registry: Registry;
  let events: RecordedEvents;
  beforeEach(async () => {
    clock = new ManualClock();
    events = new RecordedEvents();
    store = openEmbeddedStore({ path: undefined, clock });
    registry = await open();
    await registry.declareServices(SERVICES);
  });
  afterEach(async () => {
    registry.close();
    await store.close();
  });

  const open = (): Promise<Registry> => openRegistry({ store, logger: silent, clock, events });
  const ref = (index: number) => ({ service: { namespace: 'default', name: 'orders' }, id: `orders-${index}` });
  const ids = (): string[] => registry.service('default/orders')?.instances.map(({ id }) => id) ?? [];
  const told = (kind: string): string[] => events.of(kind);
  async function register(count: number): Promise<Lease[]> {
    return await Promise.all(
      Array.from({ length: count }, (_, index) => registry.register(registration('orders', index), TTL_MS, healthy)),
    );
  }
  /** All leases that nobody keeps alive have ended, and what follows is written. */
  async function silence(forMs = TTL_MS): Promise<void> {
    clock.advance(forMs);
    await settled();
  }
  async function settled(): Promise<void> {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  test('once it is known that most are ending none is gone at any moment, each says why it is there, and one event tells of it', async () => {
    await register(5);
    const seen: number[] = [];
    registry.onChange(() => seen.push(ids().length));
    await silence();
    assert.equal(ids().length, 5);
    // Before it is known that most are ending, those that end are gone; what is told from then on is whole.
    assert.deepEqual(seen.slice(0, 3), [4, 3, 5]);
    assert.ok(seen.slice(2).every((count) => count === 5));
    for (const { health, healthReason } of registry.service('default/orders')?.instances ?? [])
      assert.equal(
        `${health}: ${healthReason}`,
        'healthy: kept as last known: its lease ended together with most others of the service; before: checks pass',
      );
    assert.equal(told('mass-expiry').length, 1);
    assert.match(
      told('mass-expiry')[0] ?? '',
      /^default\/orders: the leases of 3 of 5 instances .* kept as last known, for 10 min .*: orders-0, orders-1, orders-2$/,
    );
    assert.equal(told('instance-expired').length, 5);
    assert.equal(registry.instancesOfNode('node-1').length, 5);
  });

  test('those that still send heartbeats stay what they are', async () => {
    const leases = await register(5);
    clock.advance(TTL_MS - 1);
    await Promise.all(leases.slice(3).map((lease) => registry.heartbeat(lease)));
    await silence(1);
    assert.equal(ids().length, 5);
    assert.equal(registry.instance(ref(4))?.healthReason, 'checks pass');
    assert.match(registry.instance(ref(0))?.healthReason ?? '', /^kept/);
  });

  test('one that crashes alone goes when its lease ends', async () => {
    const leases = await register(4);
    clock.advance(TTL_MS - 1);
    await Promise.all(leases.slice(1).map((lease) => registry.heartbeat(lease)));
    await silence(1);
    assert.deepEqual(ids(), ['orders-1', 'orders-2', 'orders-3']);
    assert.deepEqual(told('mass-expiry'), []);
  });

  test('a kept instance leaves when it registers again, when it is deregistered, and after its time', async () => {
    const leases = await register(4);
    await silence();
    await assert.rejects(registry.heartbeat(leases[0]!), (error) => error instanceof RegistryError && error.code === 'EXPIRED');
    await registry.register(registration('orders', 0), 300_000, healthy);
    assert.equal(registry.instance(ref(0))?.healthReason, 'checks pass');
    assert.equal(await registry.deregister(ref(1)), true);
    assert.equal(await registry.deregister(ref(1)), false);
    assert.deepEqual(ids(), ['orders-0', 'orders-2', 'orders-3']);
    clock.advance(299_000);
    await registry.heartbeat((await registry.register(registration('orders', 0), 300_000, healthy))!);
    clock.advance(299_000);
    await registry.register(registration('orders', 0), 300_000, healthy);
    assert.deepEqual(ids(), ['orders-0', 'orders-2', 'orders-3']);
    await silence(10_000);
    assert.deepEqual(ids(), ['orders-0']);
    assert.match(told('instance-expired').at(-1) ?? '', /orders-3: removed: it was kept as last known, and nothing was heard of it/);
  });

  test('an outside detector can take a kept instance out, and that holds when it comes back', async () => {
    await register(3);
    await silence();
    await registry.reportHealth(ref(0), 'watchdog', { health: 'unhealthy', reason: 'no route' });
    assert.match(
      `${registry.instance(ref(0))?.health}: ${registry.instance(ref(0))?.healthReason}`,
      /^unhealthy: watchdog reports: no route/,
    );
    await registry.register(registration('orders', 0), 0, healthy);
    assert.equal(registry.instance(ref(0))?.healthReason, 'watchdog reports: no route');
  });

  test('deregistrations and instances that are leaving never count', async () => {
    const leases = await register(6);
    for (const index of [0, 1, 2]) await registry.deregister(ref(index));
    await registry.heartbeat(leases[3]!, { health: 'draining', reason: 'stopping' });
    await registry.heartbeat(leases[4]!, { health: 'draining', reason: 'stopping' });
    clock.advance(TTL_MS - 1);
    await registry.heartbeat(leases[5]!);
    await silence(1);
    assert.deepEqual(ids(), ['orders-5']);
    assert.deepEqual(told('mass-expiry'), []);
  });

  test('a control plane that starts again keeps them too, and others on the store see the same', async () => {
    await register(3);
    const other = await open();
    await silence();
    assert.deepEqual(other.service('default/orders'), registry.service('default/orders'));
    other.close();
    registry.close();
    registry = await open();
    assert.equal(ids().length, 3);
    assert.match(registry.instance(ref(2))?.healthReason ?? '', /^kept/);
    const { revision } = registry.instance(ref(2))!;
    await assert.rejects(registry.deregister(ref(2), revision + 1), (error) => error instanceof RegistryError && error.code === 'CONFLICT');
    await registry.deregister(ref(2), revision);
    await registry.declareServices(SERVICES.filter(({ name }) => name !== 'orders'));
    assert.deepEqual((await store.list('/heddle/kept/')).entries, []);
  });

  test('switched off, instances go with their leases; those that are kept go at once', async () => {
    await register(3);
    await silence();
    assert.equal(ids().length, 3);
    await registry.setKeepOnMassExpiry(false);
    assert.deepEqual(ids(), []);
    await register(3);
    await silence();
    assert.deepEqual(ids(), []);
    await registry.setKeepOnMassExpiry(true);
    await register(3);
    await silence();
    assert.equal(ids().length, 3);
  });

  test('a store that cannot be written does not take them away, and gets them when it can', async () => {
    await register(3);
    const { transact } = store;
    let refused = 0;
    store.transact = (transaction) => {
      if (!transaction.operations.some(({ key }) => key.startsWith('/heddle/kept/'))) return transact.call(store, transaction);
      refused += 1;
      return Promise.reject(new Error('disk full'));
    };
    await silence();
    assert.equal(ids().length, 3);
    assert.ok(refused >= 2);
    store.transact = transact;
    await silence(1_000);
    await until('them to be written', async () => (await store.list('/heddle/kept/')).entries.length === 3);
  });
});
