// Changes that depend on a revision, watchers that come back, and what people are told of it all.
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { ManualClock } from '../testing/clock.ts';
import { RecordedEvents } from '../testing/events.ts';
import { SERVICES, registration, service, silent } from '../testing/mesh.ts';
import { until } from '../testing/wait.ts';
import { openEmbeddedStore } from './embedded/store.ts';
import { RegistryError } from './errors.ts';
import { openRegistry } from './registry.ts';
import type { Registry } from './registry.ts';
import { StoreError } from './store.ts';
import type { Store } from './store.ts';

const healthy = { health: 'healthy', reason: 'checks pass' } as const;
const sick = { health: 'unhealthy', reason: 'answered 503' } as const;
const ref = (name: string, index: number) => ({ service: { namespace: 'default', name }, id: `${name}-${index}` });

/** The revision at which the instance is, as the refusal tells it. */
function conflict(revision: number): (error: unknown) => boolean {
  return (error) => error instanceof RegistryError && error.code === 'CONFLICT' && error.revision === revision;
}

describe('changes of the registry', () => {
  let clock: ManualClock;
  let store: Store;
  let registry: Registry;
  let events: RecordedEvents;
  beforeEach(async () => {
    clock = new ManualClock();
    events = new RecordedEvents();
    store = openEmbeddedStore({ path: undefined, clock, historyRevisions: 32 });
    registry = await open();
    await registry.declareServices(SERVICES);
  });
  afterEach(async () => {
    registry.close();
    await store.close();
  });
  const open = (): Promise<Registry> => openRegistry({ store, logger: silent, clock, events });

  test('depend on the revision of the instance where that is asked for, and on nothing else', async () => {
    await assert.rejects(registry.register(registration('orders', 1), 0, healthy, 7), conflict(0));
    const lease = await registry.register(registration('orders', 1), 0, healthy, 0);
    assert.equal(registry.instance(ref('orders', 1))?.revision, lease.revision);
    await registry.register(registration('orders', 2), 0, healthy);
    await assert.rejects(registry.register(registration('orders', 1), 0, healthy, 0), conflict(lease.revision));

    await assert.rejects(registry.heartbeat(lease, sick, lease.revision - 1), conflict(lease.revision));
    await assert.rejects(registry.heartbeat(lease, undefined, lease.revision + 9), conflict(lease.revision));
    await registry.heartbeat(lease, sick, lease.revision);
    const { revision = 0 } = registry.instance(ref('orders', 1)) ?? {};
    assert.ok(revision > lease.revision);

    await assert.rejects(registry.reportHealth(ref('orders', 1), 'watchdog', sick, lease.revision), conflict(revision));
    await registry.reportHealth(ref('orders', 1), 'watchdog', sick, revision);
    await assert.rejects(registry.deregister(ref('orders', 1), revision), conflict(registry.instance(ref('orders', 1))!.revision));
    await registry.deregister(ref('orders', 1), registry.instance(ref('orders', 1))!.revision);
    assert.equal(await registry.deregister(ref('orders', 1), 0), false);
    await assert.rejects(registry.deregister(ref('orders', 1), 5), conflict(0));
    // Nothing that was refused has left a lease behind.
    assert.equal(await registry.deregister(ref('orders', 2)), true);
  });

  test('of many who register the same id only where there is none, one succeeds', async () => {
    const tries = Array.from({ length: 20 }, (_, index) =>
      registry.register(registration('orders', 1, { inbound: { address: '10.0.0.1', port: 1 + index } }), 0, healthy, 0),
    );
    const results = await Promise.allSettled(tries);
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.equal(registry.service('default/orders')?.instances.length, 1);
  });

  test('everything that an instance says about itself is kept, also over a restart', async () => {
    const said = {
      metadata: { owner: 'a', 'example.com/build': '7' },
      ports: { metrics: 9_100 },
      locality: { region: 'eu', zone: 'eu-1', subZone: 'rack-3' },
      labels: { tier: 'gold' },
      weight: 7,
    };
    await registry.register(registration('orders', 1, said), 0, healthy);
    await registry.declareServices([service('orders', { metadata: { owner: 'b' }, ports: { admin: 9_901 } })]);
    const before = registry.service('default/orders');
    assert.deepEqual({ ...before?.instances[0], ...said }, before?.instances[0]);
    registry.close();
    registry = await open();
    assert.deepEqual(registry.service('default/orders'), before);
  });

  test('records of a version that knew no metadata, ports and lease time are read as having none', async () => {
    await registry.register(registration('orders', 1), 0, healthy);
    const key = '/heddle/instances/default/orders/orders-1';
    const { value = '' } = (await store.get(key)) ?? {};
    const record = JSON.parse(value) as { registration: Record<string, unknown>; leaseTtlMs?: number };
    delete record.registration['metadata'];
    delete record.registration['ports'];
    delete record.leaseTtlMs;
    await store.transact({ conditions: [], operations: [{ kind: 'put', key, value: JSON.stringify(record) }] });
    const { metadata, ports, locality } = registry.instance(ref('orders', 1)) ?? {};
    assert.deepEqual([metadata, ports, locality], [{}, {}, undefined]);
  });

  test('since a revision are known, also those of before a restart, as far as the history of the store reaches', async () => {
    const { history, revision } = registry;
    await registry.register(registration('orders', 1), 0, healthy);
    const later = registry.revision;
    await registry.declareServices(SERVICES.slice(0, 2));
    assert.deepEqual(registry.changedSince(revision, history), { known: true, services: ['default/cache', 'default/orders'] });
    registry.close();
    registry = await open();
    assert.notEqual(registry.history, history);
    assert.deepEqual(registry.changedSince(revision, history), { known: true, services: ['default/cache', 'default/orders'] });
    assert.deepEqual(registry.changedSince(later, ''), { known: true, services: ['default/cache'] });
    assert.deepEqual(registry.changedSince(registry.revision, registry.history), { known: true, services: [] });

    const lease = await registry.register(registration('web', 1), 0, healthy);
    for (let index = 0; index < 60; index += 1) await registry.heartbeat(lease, index % 2 === 0 ? sick : healthy);
    // It was there to see it.
    assert.deepEqual(registry.changedSince(revision, history), {
      known: true,
      services: ['default/web', 'default/cache', 'default/orders'],
    });
    registry.close();
    registry = await open();
    assert.deepEqual(registry.changedSince(revision, ''), { known: false, reason: 'compacted' });
    assert.deepEqual(registry.changedSince(lease.revision + 50, ''), { known: true, services: ['default/web'] });
  });

  test('that were lost when older data came back are noticed, even when the registry has got further since', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'heddle-registry-'));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const [path, backup] = [join(directory, 'now.sqlite'), join(directory, 'backup.sqlite')];
    const reopen = async (from: string): Promise<void> => {
      registry.close();
      await store.close();
      store = openEmbeddedStore({ path: from, clock });
      registry = await open();
    };
    await reopen(path);
    await registry.declareServices(SERVICES);
    await reopen(path);
    const old = { revision: registry.revision, history: registry.history };
    await store.close();
    await copyFile(path, backup);
    await reopen(path);
    await registry.register(registration('orders', 1), 0, healthy);
    await registry.register(registration('orders', 2), 0, healthy);
    const told = { revision: registry.revision, history: registry.history };

    await reopen(backup);
    assert.deepEqual(registry.changedSince(told.revision, told.history), { known: false, reason: 'ahead' });
    while (registry.revision < told.revision + 3) await registry.register(registration('web', registry.revision), 0, healthy);
    assert.deepEqual(registry.changedSince(told.revision, told.history), { known: false, reason: 'other-history' });
    assert.deepEqual(registry.changedSince(old.revision, old.history), { known: true, services: ['default/web'] });
  });

  test('a store whose past cannot be read is an error at the start', async () => {
    registry.close();
    const { watch } = store;
    store.watch = (_prefix, _from, _onEvents, onError) => {
      queueMicrotask(() => onError(new StoreError('UNAVAILABLE', 'disk read error')));
      return { close() {} };
    };
    await assert.rejects(open(), /disk read error/);
    store.watch = watch;
    registry = await open();
  });

  test('a start that cannot be noted does not keep the registry from working', async () => {
    registry.close();
    const { transact } = store;
    store.transact = () => Promise.reject(new Error('disk full'));
    registry = await open();
    assert.notEqual(registry.history, '');
    assert.equal(registry.changedSince(registry.revision, registry.history).known, true);
    store.transact = transact;
  });

  test('are told to people, each once, with what it was and what it is; a start tells nothing', async () => {
    assert.deepEqual(events.take(), [
      'service-declared default/orders: http on port 8080',
      'service-declared default/web: http on port 8000',
      'service-declared default/cache: tcp on port 6379',
    ]);
    const lease = await registry.register(registration('orders', 1, { locality: { region: 'eu', zone: 'eu-1' } }), 1_000);
    await registry.heartbeat(lease, healthy);
    await registry.heartbeat(lease, { ...healthy, reason: 'checks pass again' });
    await registry.reportHealth(ref('orders', 1), 'watchdog', { health: 'unhealthy', reason: 'disk full' });
    await registry.register(registration('orders', 1), 1_000, healthy);
    await registry.register(registration('web', 1), 0, healthy);
    await registry.deregister(ref('web', 1));
    await registry.declareServices([service('orders', { port: 8081 }), service('web', { port: 8000 })]);
    clock.advance(1_000);
    await until('the removal', () => registry.instance(ref('orders', 1)) === undefined);
    registry.close();
    registry = await open();
    assert.deepEqual(events.take(), [
      'instance-registered default/orders/orders-1: registered on node-1, 127.0.0.1:20001, in eu/eu-1; starting: registered, not checked yet',
      'instance-health default/orders/orders-1: starting → healthy: checks pass',
      'instance-health default/orders/orders-1: healthy → unhealthy: watchdog reports: disk full',
      'instance-registered default/orders/orders-1: registered again on node-1, 127.0.0.1:20001; unhealthy: watchdog reports: disk full',
      'instance-registered default/web/web-1: registered on node-1, 127.0.0.1:20001; healthy: checks pass',
      'instance-deregistered default/web/web-1: deregistered',
      'service-changed default/orders: port 8080 → 8081',
      'service-removed default/cache: removed with its instances',
      'instance-expired default/orders/orders-1: no heartbeat came for the time of its lease',
    ]);
  });

  test('of one instance leave everything else as it was, and are seen in order of ids', async () => {
    for (const index of [5, 1, 9, 3]) await registry.register(registration('orders', index), 0, healthy);
    const ids = (): string[] => registry.service('default/orders')?.instances.map(({ id }) => id) ?? [];
    assert.deepEqual(ids(), ['orders-1', 'orders-3', 'orders-5', 'orders-9']);
    const before = registry.service('default/orders')!.instances;
    await registry.deregister(ref('orders', 3));
    await registry.reportHealth(ref('orders', 5), 'watchdog', sick);
    const after = registry.service('default/orders')!.instances;
    assert.deepEqual(ids(), ['orders-1', 'orders-5', 'orders-9']);
    assert.equal(after[0], before[0]);
    assert.equal(after[2], before[3]);
    assert.equal(before.length, 4);
    const ofNode = registry.instancesOfNode('node-1');
    await registry.register(registration('web', 1, { node: 'node-2' }), 0, healthy);
    assert.equal(registry.instancesOfNode('node-1'), ofNode);
    // The instance moves.
    await registry.register(registration('orders', 1, { node: 'node-2' }), 0, healthy);
    assert.deepEqual(
      ['node-1', 'node-2'].map((node) => registry.instancesOfNode(node).map(({ id }) => id)),
      [
        ['orders-5', 'orders-9'],
        ['web-1', 'orders-1'],
      ],
    );
  });

  test('a lease of before is of no use to whoever still has it, also at another control plane on the same store', async () => {
    const other = await open();
    const stale = await registry.register(registration('orders', 1), 5_000, healthy);
    const fresh = await other.register(registration('orders', 1, { version: 'v2' }), 5_000, healthy);
    await until('both to have seen it', () => registry.revision === other.revision);
    await assert.rejects(registry.heartbeat(stale, sick), (error) => error instanceof RegistryError && error.code === 'SUPERSEDED');
    await assert.rejects(other.heartbeat(stale), (error) => error instanceof RegistryError && error.code === 'SUPERSEDED');
    assert.throws(() => registry.leaseOf(ref('orders', 1), stale.id), /another registration/);
    assert.equal(registry.leaseOf(ref('orders', 1), fresh.id).ttlMs, 5_000);
    clock.advance(4_000);
    await registry.heartbeat(fresh, healthy);
    clock.advance(4_000);
    assert.deepEqual(
      registry.service('default/orders')?.instances.map(({ id, version }) => [id, version]),
      [['orders-1', 'v2']],
    );
    other.close();
  });
});
