// The registry over a store in memory and a clock that stands still.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../testing/clock.ts';
import { SERVICES, registration, service, silent } from '../testing/mesh.ts';
import { until } from '../testing/wait.ts';
import { openEmbeddedStore } from './embedded/store.ts';
import { RegistryError } from './errors.ts';
import type { RegistryErrorCode } from './errors.ts';
import { REGISTRY_LIMITS, leaseTtlMs } from './limits.ts';
import { openRegistry } from './registry.ts';
import type { Registry } from './registry.ts';
import type { Store } from './store.ts';
import type { RegistryChange } from './view.ts';

const healthy = { health: 'healthy', reason: 'checks pass' } as const;
const sick = { health: 'unhealthy', reason: 'answered 503' } as const;

function fails(code: RegistryErrorCode, words = /./): (error: unknown) => boolean {
  return (error) => error instanceof RegistryError && error.code === code && words.test(error.message);
}

describe('registry', () => {
  let clock: ManualClock;
  let store: Store;
  let registry: Registry;
  let changes: RegistryChange[];
  beforeEach(async () => {
    clock = new ManualClock();
    store = openEmbeddedStore({ path: undefined, clock });
    registry = await openRegistry({ store, logger: silent });
    await registry.declareServices(SERVICES);
    changes = [];
    registry.onChange((change) => changes.push(change));
  });
  afterEach(async () => {
    registry.close();
    await store.close();
  });

  const ref = (name: string, index: number) => ({ service: { namespace: 'default', name }, id: `${name}-${index}` });
  const verdict = (name: string, index: number) => {
    const found = registry.instance(ref(name, index));
    return found === undefined ? undefined : `${found.health}: ${found.healthReason}`;
  };

  test('a registered instance is in the view when the call returns, starting until its data plane says more', async () => {
    const lease = await registry.register(registration('orders', 1), 0);
    assert.equal(lease.ttlMs, 10_000);
    assert.equal(registry.revision, lease.revision);
    assert.equal(verdict('orders', 1), 'starting: registered, not checked yet');
    await registry.heartbeat(lease, healthy);
    assert.equal(verdict('orders', 1), 'healthy: checks pass');
    assert.deepEqual(
      registry.service('default/orders')?.instances.map((found) => found.id),
      ['orders-1'],
    );
    assert.deepEqual(
      changes.map((change) => [[...change.services], [...change.nodes]]),
      [
        [['default/orders'], ['node-1']],
        [['default/orders'], ['node-1']],
      ],
    );
  });

  test('a snapshot does not change afterwards, and what did not change keeps its identity', async () => {
    await registry.register(registration('orders', 1), 0, healthy);
    const before = registry.snapshot();
    const web = before.services.get('default/web');
    const lease = await registry.register(registration('orders', 2), 0, healthy);
    assert.equal(before.services.get('default/orders')?.instances.length, 1);
    const now = registry.snapshot();
    assert.equal(now.services.get('default/web'), web);
    assert.equal(now, registry.snapshot());
    const { inbound } = registry.instance(ref('orders', 2)) ?? {};
    await registry.heartbeat(lease, sick);
    assert.equal(registry.instance(ref('orders', 2))?.inbound, inbound);
  });

  test('heartbeats keep an instance; without them it goes when its lease ends', async () => {
    const lease = await registry.register(registration('orders', 1), 1_000, healthy);
    clock.advance(900);
    await registry.heartbeat(lease);
    clock.advance(900);
    assert.notEqual(verdict('orders', 1), undefined);
    clock.advance(100);
    await until('the removal', () => registry.instance(ref('orders', 1)) === undefined);
    await assert.rejects(registry.heartbeat(lease), fails('EXPIRED', /register again/));
    await assert.rejects(registry.heartbeat(lease, healthy), fails('EXPIRED'));
  });

  test('an instance that registers again replaces itself; the older registration learns it and cannot write', async () => {
    const old = await registry.register(registration('orders', 1), 1_000, healthy);
    const young = await registry.register(registration('orders', 1, { inbound: { address: '127.0.0.1', port: 9 } }), 5_000);
    assert.equal(registry.service('default/orders')?.instances.length, 1);
    assert.equal(registry.instance(ref('orders', 1))?.inbound.port, 9);
    await assert.rejects(registry.heartbeat(old, sick), fails('SUPERSEDED', /default\/orders\/orders-1/));
    clock.advance(2_000);
    await registry.heartbeat(young, healthy);
    assert.equal(verdict('orders', 1), 'healthy: checks pass');
  });

  test('an outside detector takes an instance out; only it can put it back; a new registration does not', async () => {
    const lease = await registry.register(registration('orders', 1), 0, healthy);
    await registry.reportHealth(ref('orders', 1), 'watchdog', { health: 'unhealthy', reason: 'disk full' });
    assert.equal(verdict('orders', 1), 'unhealthy: watchdog reports: disk full');
    await registry.heartbeat(lease, { ...healthy });
    await registry.reportHealth(ref('orders', 1), 'other', { health: 'healthy', reason: '' });
    assert.match(verdict('orders', 1) ?? '', /^unhealthy/);
    await registry.register(registration('orders', 1), 0, healthy);
    assert.match(verdict('orders', 1) ?? '', /^unhealthy/);
    await registry.reportHealth(ref('orders', 1), 'watchdog', { health: 'healthy', reason: '' });
    assert.equal(verdict('orders', 1), 'healthy: checks pass');
    await assert.rejects(registry.reportHealth(ref('orders', 7), 'watchdog', sick), fails('NOT_FOUND'));
  });

  test('what is said in the place of a data plane that is gone counts until one registers the instance again', async () => {
    const lease = await registry.register(registration('orders', 1), 0, healthy);
    await registry.reportGone(ref('orders', 1), 'its process was killed by SIGKILL');
    assert.equal(verdict('orders', 1), 'unhealthy: its process was killed by SIGKILL');
    assert.deepEqual(
      registry.reasons(ref('orders', 1))?.map(({ source, health }) => [source, health]),
      [
        ['check', 'unhealthy'],
        ['lease', 'healthy'],
      ],
    );
    await registry.register(registration('orders', 1), 0, healthy);
    assert.equal(verdict('orders', 1), 'healthy: checks pass');
    await assert.rejects(registry.reportGone(ref('orders', 1), 'x', lease.revision), fails('CONFLICT'));
    const leaving = await registry.register(registration('orders', 2), 0, { health: 'draining', reason: '' });
    await registry.reportGone(leaving.ref, 'its process ended with exit code 0');
    assert.equal(verdict('orders', 2), 'draining: it is leaving');
    await registry.deregister(leaving.ref);
    await assert.rejects(registry.reportGone(leaving.ref, 'x'), fails('NOT_FOUND'));
  });

  test('the number of detectors that hold a verdict is bounded', async () => {
    await registry.register(registration('orders', 1), 0, healthy);
    for (let index = 0; index < 16; index += 1) await registry.reportHealth(ref('orders', 1), `detector ${index}`, sick);
    await assert.rejects(registry.reportHealth(ref('orders', 1), 'one more', sick), fails('LIMIT', /16/));
    await registry.reportHealth(ref('orders', 1), 'detector 3', { health: 'healthy', reason: '' });
    await registry.reportHealth(ref('orders', 1), 'one more', sick);
  });

  test('deregistering says whether there was one; the lease is gone with it', async () => {
    const lease = await registry.register(registration('orders', 1), 0, healthy);
    assert.equal(await registry.deregister(ref('orders', 1)), true);
    assert.equal(await registry.deregister(ref('orders', 1)), false);
    assert.equal(verdict('orders', 1), undefined);
    await assert.rejects(store.keepAlive(lease.id), /ended/);
  });

  test('a report that says nothing new writes nothing', async () => {
    const lease = await registry.register(registration('orders', 1), 0, healthy);
    const { revision } = registry;
    assert.equal(await registry.heartbeat(lease, { ...healthy }), revision);
    assert.equal(await registry.heartbeat(lease), revision);
    assert.equal((await store.list('')).revision, revision);
  });

  test('services follow the mesh file: changed, added, removed with their instances', async () => {
    const lease = await registry.register(registration('web', 1), 0, healthy);
    await registry.register(registration('orders', 1), 0, healthy);
    const orders = registry.service('default/orders');
    await registry.declareServices([service('orders'), service('cache', { port: 7000, protocol: 'tcp' }), service('new')]);
    assert.deepEqual([...registry.snapshot().services.keys()], ['default/cache', 'default/new', 'default/orders']);
    assert.equal(registry.service('default/cache')?.service.port, 7000);
    assert.equal(registry.service('default/orders'), orders);
    assert.equal(registry.instance(ref('web', 1)), undefined);
    await assert.rejects(registry.heartbeat(lease), fails('EXPIRED'));
    await assert.rejects(registry.register(registration('web', 1), 0), fails('NOT_FOUND', /default\/web is not declared/));
  });

  test('another registry on the same store sees the same, from the start and as it changes', async () => {
    const lease = await registry.register(registration('orders', 1), 0, healthy);
    const other = await openRegistry({ store, logger: silent });
    assert.deepEqual([...other.snapshot().services], [...registry.snapshot().services]);
    await registry.heartbeat(lease, sick);
    await registry.deregister(ref('orders', 1));
    await registry.register(registration('web', 3), 0, sick);
    await until('the other to follow', () => other.revision === registry.revision);
    assert.deepEqual([...other.snapshot().services], [...registry.snapshot().services]);
    assert.deepEqual(other.instancesOfNode('node-1'), registry.instancesOfNode('node-1'));
    other.close();
  });

  test('a record that cannot be read is left out and mended by the next registration', async () => {
    await registry.register(registration('orders', 1), 0, healthy);
    const key = '/heddle/instances/default/orders/orders-2';
    for (const value of ['not json', '{}', '{"registration":{},"own":{},"outside":{}}', 'null']) {
      await store.transact({ conditions: [], operations: [{ kind: 'put', key, value }] });
    }
    assert.equal(registry.service('default/orders')?.instances.length, 1);
    await registry.register(registration('orders', 2), 0, healthy);
    assert.equal(registry.service('default/orders')?.instances.length, 2);
  });

  test('when many register and report at once, nothing is lost', async () => {
    const leases = await Promise.all(Array.from({ length: 200 }, (_, index) => registry.register(registration('orders', index), 0)));
    await Promise.all(leases.flatMap((lease) => [registry.heartbeat(lease, healthy), registry.reportHealth(lease.ref, 'watchdog', sick)]));
    const { instances = [] } = registry.service('default/orders') ?? {};
    assert.equal(instances.length, 200);
    assert.ok(instances.every((found) => found.healthReason === 'watchdog reports: answered 503'));
    assert.equal(registry.instancesOfNode('node-1').length, 200);
  });

  test('bad registrations are refused with the field and the rule', async () => {
    const refuse = (change: object, words: RegExp): Promise<void> =>
      assert.rejects(registry.register({ ...registration('orders', 1), ...change }, 0), fails('INVALID', words));
    await refuse({ id: 'a/b' }, /instance\.id "a\/b" is not a name/);
    await refuse({ id: '' }, /instance\.id/);
    await refuse({ service: { namespace: 'x'.repeat(64), name: 'orders' } }, /namespace/);
    await refuse({ node: 'my node' }, /instance\.node/);
    await refuse({ inbound: { address: 'localhost', port: 1 } }, /not an IPv4 or IPv6 address/);
    await refuse({ inbound: { address: '0.0.0.0', port: 1 } }, /peers need one they can connect to/);
    await refuse({ inbound: { address: '::', port: 1 } }, /any address/);
    await refuse({ inbound: { address: '10.0.0.1', port: 0 } }, /inbound\.port must be a whole number from 1 to 65535/);
    await refuse({ application: undefined }, /application must be an object/);
    await refuse({ weight: 1_001 }, /weight/);
    await refuse({ labels: { 'a b': 'x' } }, /label name/);
    await refuse({ labels: { zone: 'x'.repeat(257) } }, /256/);
    await refuse({ labels: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`l${index}`, ''])) }, /64/);
    await refuse({ version: 'a\u0007b' }, /control character/);
    await refuse({ outbounds: [{ service: { namespace: 'default', name: 'web' } }] }, /outbounds\[0\]\.listen/);
    await assert.rejects(registry.register(null, 0), fails('INVALID'));
    assert.equal(registry.snapshot().services.get('default/orders')?.instances.length, 0);
  });

  test('whatever is registered is either taken in whole or refused by name', async () => {
    const value = fc.oneof(fc.constant(undefined), fc.jsonValue({ maxDepth: 2 }));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('id', 'node', 'inbound', 'application', 'outbounds', 'version', 'labels', 'weight'),
        value,
        async (field, junk) => {
          try {
            const lease = await registry.register({ ...registration('orders', 1), [field]: junk }, 0);
            assert.deepEqual(registry.instance(lease.ref)?.[field], junk);
          } catch (error) {
            assert.ok(error instanceof RegistryError && error.code === 'INVALID', String(error));
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  test('the registry is bounded, replacing counts for nothing', async () => {
    registry.close();
    registry = await openRegistry({ store, logger: silent, limits: { ...REGISTRY_LIMITS, instancesMax: 3, instancesPerServiceMax: 2 } });
    await registry.register(registration('orders', 1), 0);
    await registry.register(registration('orders', 2), 0);
    await assert.rejects(registry.register(registration('orders', 3), 0), fails('LIMIT', /2 instances, the limit of one service/));
    await registry.register(registration('web', 1), 0);
    await assert.rejects(registry.register(registration('web', 2), 0), fails('LIMIT', /3 instances, its limit/));
    await registry.register(registration('orders', 2), 0, healthy);
  });

  test('wished lease times are held within bounds', () => {
    assert.deepEqual(
      [0, 1, 1_000, 25_000, 4_000_000_000].map((wished) => leaseTtlMs(wished)),
      [10_000, 1_000, 1_000, 25_000, 300_000],
    );
  });

  test('reasons from outside are cut and cleaned before they are kept', async () => {
    const lease = await registry.register(registration('orders', 1), 0, {
      health: 'unhealthy',
      reason: `\u001b[31mred\n${'x'.repeat(5_000)}`,
    });
    const reason = registry.instance(lease.ref)?.healthReason ?? '';
    assert.equal(reason.length, 300);
    assert.match(reason, /^\[31mred x+…$/);
  });
});
