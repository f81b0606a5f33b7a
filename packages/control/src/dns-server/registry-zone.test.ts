// The registry's names as a zone, over a store in memory.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Logger } from '@heddle/runtime';
import { openEmbeddedStore } from '../registry/embedded/store.ts';
import { openRegistry, type Registry } from '../registry/registry.ts';
import type { Store } from '../registry/store.ts';
import { ManualClock } from '../testing/clock.ts';
import { registration, service, SERVICES, silent } from '../testing/mesh.ts';
import { startControlDns } from './server.ts';
import { RegistryZone } from './registry-zone.ts';

const healthy = { health: 'healthy', reason: 'checks pass' } as const;

describe('the zone of a registry', () => {
  let store: Store;
  let registry: Registry;
  let zone: RegistryZone;
  const told: string[] = [];
  const logger: Logger = { ...silent, warn: (fields) => void told.push(String(fields['name'])) };
  beforeEach(async () => {
    const clock = new ManualClock();
    store = openEmbeddedStore({ path: undefined, clock });
    registry = await openRegistry({ store, logger: silent });
    await registry.declareServices([...SERVICES, service('pay', { ports: { metrics: 9_100 } })]);
    zone = new RegistryZone(registry, logger);
    told.length = 0;
  });
  afterEach(async () => {
    zone.close();
    registry.close();
    await store.close();
  });

  const found = (name: string): string => zone.zone().find(name).kind;

  it('follows services and instances that come, change and go', async () => {
    assert.equal(found('orders'), 'service');
    assert.equal(found('orders-1.orders.default.mesh.internal'), 'nothing');
    const lease = await registry.register(registration('orders', 1), 0);
    const place = zone.zone().find('orders-1.orders.default.mesh.internal');
    assert.ok(place.kind === 'instance');
    assert.deepEqual(
      place.instances.map(({ address, port, isHealthy }) => [address, port, isHealthy]),
      [['127.0.0.1', 20_001, false]],
    );
    await registry.heartbeat(lease, healthy);
    const after = zone.zone().find('orders-1.orders.default.mesh.internal');
    assert.ok(after.kind === 'instance' && after.instances[0]?.isHealthy);
    assert.equal(found('_metrics._tcp.pay'), 'srv');
    assert.equal(found('_tcp._tcp.cache'), 'srv');
    assert.equal(found('_http._tcp.cache'), 'nothing');
    await registry.declareServices([service('pay')]);
    assert.deepEqual(['orders', 'orders.mesh.internal', '_metrics._tcp.pay'].map(found), ['foreign', 'nothing', 'nothing']);
  });

  it('tells once of a name that DNS cannot hold', async () => {
    await registry.declareServices([service('a..b'), service('fine')]);
    zone.zone();
    await registry.declareServices([service('a..b', { port: 1 }), service('fine')]);
    zone.zone();
    assert.deepEqual(told, ['default/a..b']);
  });

  it('takes nothing in while nobody asks, and no longer follows once closed', async () => {
    const before = zone.zone().serial;
    await registry.declareServices(SERVICES);
    const asked = zone.zone();
    assert.ok(asked.serial > before);
    zone.close();
    await registry.declareServices([service('late')]);
    assert.equal(found('late'), 'foreign');
  });

  it('is not served on a port that somebody holds: the message says what to do', async () => {
    const clock = new ManualClock();
    const options = { registry, clock, random: { next: () => 0, bytes: (count: number) => new Uint8Array(count) }, logger: silent };
    const settings = { answers: 'instances', forward: 'off' } as const;
    const first = await startControlDns({ ...options, ...settings, listen: { address: '127.0.0.1', port: 0 } });
    await assert.rejects(startControlDns({ ...options, ...settings, listen: first.address }), {
      name: 'ListenError',
      message: `The DNS server cannot listen on 127.0.0.1:${first.address.port}: the port is in use. Stop the process that holds it, or choose another port with --dns-listen ADDRESS:PORT, or serve no names with --dns-listen off.`,
    });
    await first.close();
  });
});
