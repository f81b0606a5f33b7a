import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ANY_REQUEST, DEFAULT_LIMITS, forwardTo } from '@heddle/core';
import type { EndpointSet, Route, RouteConfig, VirtualHost } from '@heddle/core';
import type { Clock, Logger } from '@heddle/runtime';
import type { WantedResources } from '@heddle/dataplane';
import { MESH_ROUTE, meshNames } from './mesh-names.ts';
import { SnapshotZone } from './snapshot-zone.ts';

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const NOTHING: WantedResources = { routes: [], endpoints: [], secrets: [] };

function host(name: string, domains: readonly string[], carries: 'requests' | 'bytes' | 'both' = 'requests'): VirtualHost {
  const request: Route = { name: 'requests', match: ANY_REQUEST, action: forwardTo(name) };
  const connect: Route = { name: 'bytes', match: { kind: 'connect' }, action: { kind: 'tunnel', how: 'forward', cluster: name } };
  return { name, domains, routes: carries === 'requests' ? [request] : carries === 'bytes' ? [connect] : [connect, request] };
}

const ORDERS = host('outbound/default/orders', [
  ...['orders.default.mesh.internal', 'orders.default.mesh.internal:8080', 'orders', 'orders:8080'],
  ...['250.199.98.42', '250.199.98.42:8080'],
]);
const CACHE = host('outbound/shop/cache', ['cache.shop.mesh.internal:6379', 'cache.shop:6379'], 'bytes');

function mesh(...virtualHosts: readonly VirtualHost[]): { kind: 'route'; upserts: RouteConfig[]; removed: string[] } {
  return { kind: 'route', upserts: [{ name: MESH_ROUTE, virtualHosts }], removed: [] };
}

function endpoints(service: string, ...addresses: readonly string[]): { kind: 'endpoints'; upserts: EndpointSet[]; removed: string[] } {
  const made = addresses.map((address, index) => ({
    address,
    port: 15_006,
    health: 'healthy' as const,
    weight: 1,
    instance: `i-${index + 1}`,
  }));
  return { kind: 'endpoints', upserts: [{ cluster: `outbound/${service}`, endpoints: made }], removed: [] };
}

/** Timers fire when the test says so. */
function manual(limits: Partial<typeof DEFAULT_LIMITS> = {}): { zone: SnapshotZone; fire(): void } {
  const due = new Set<() => void>();
  const clock: Clock = {
    wallMs: () => 0,
    nowMs: () => 0,
    after: (_delayMs, run) => {
      due.add(run);
      return { cancel: () => due.delete(run) };
    },
  };
  const zone = new SnapshotZone({ clock, logger: silent, limits: { ...DEFAULT_LIMITS, ...limits } });
  return {
    zone,
    fire() {
      for (const run of [...due]) run();
    },
  };
}

describe('names of the mesh as a data plane knows them', () => {
  it('are read from the routes of the shared proxy', () => {
    const names = meshNames({
      name: MESH_ROUTE,
      virtualHosts: [ORDERS, CACHE, host('elsewhere', ['x:1']), host('outbound/a/b', ['portless'])],
    });
    assert.deepEqual(Object.fromEntries(names), {
      'default/orders': {
        ...{ namespace: 'default', name: 'orders', hostnames: ['orders.default.mesh.internal', 'orders'], port: 8080 },
        ...{ srvWords: ['http', 'http2', 'grpc'], virtualAddress: '250.199.98.42' },
      },
      'shop/cache': {
        ...{ namespace: 'shop', name: 'cache', hostnames: ['cache.shop.mesh.internal', 'cache.shop'], port: 6379 },
        ...{ srvWords: ['tcp', 'tls'], virtualAddress: undefined },
      },
    });
    assert.deepEqual(
      meshNames({ name: MESH_ROUTE, virtualHosts: [{ ...CACHE, ...host(CACHE.name, CACHE.domains, 'both') }] }).get('shop/cache')?.srvWords,
      [...['http', 'http2', 'grpc'], ...['tcp', 'tls']],
    );
  });
});

describe('the zone of a data plane', () => {
  it('is nothing before the names have come, and follows them then', () => {
    const { zone } = manual();
    assert.equal(zone.zone(), undefined);
    assert.ok(!zone.isReady);
    zone.applied(endpoints('default/orders', '10.0.0.1'));
    zone.applied(mesh(ORDERS, CACHE));
    assert.equal(zone.zone()?.find('i-1.orders.default.mesh.internal').kind, 'instance');
    assert.equal(zone.zone()?.find('x.cache.shop.mesh.internal').kind, 'unknown');
    zone.applied(mesh(CACHE));
    assert.equal(zone.zone()?.find('orders').kind, 'foreign');
    zone.applied(mesh(CACHE, ORDERS));
    assert.equal(zone.zone()?.find('orders').kind, 'service');
    zone.applied({ kind: 'endpoints', upserts: [], removed: ['outbound/default/orders'] });
    assert.equal(zone.zone()?.find('i-1.orders.default.mesh.internal').kind, 'unknown');
    zone.applied({ kind: 'route', upserts: [{ name: 'another', virtualHosts: [] }], removed: [] });
    assert.equal(zone.zone()?.find('orders').kind, 'service');
  });

  it('subscribes to the instances of a service when they are asked for, and says when they have come', async () => {
    const { zone } = manual();
    zone.applied(mesh(ORDERS, CACHE));
    let changes = 0;
    zone.onWantedChange = () => {
      changes += 1;
    };
    assert.deepEqual(zone.join(NOTHING), { routes: [MESH_ROUTE], endpoints: [], secrets: [] });
    let done = 0;
    const waiting = [zone.demand('default/orders'), zone.demand('default/orders')].map((one) => one.then(() => (done += 1)));
    assert.equal(changes, 1);
    assert.deepEqual(zone.join({ ...NOTHING, endpoints: ['outbound/z'] }).endpoints, ['outbound/default/orders', 'outbound/z']);
    await Promise.resolve();
    assert.equal(done, 0);
    zone.applied(endpoints('default/orders', '10.0.0.1'));
    await Promise.all(waiting);
    await zone.demand('default/orders');
    assert.equal(changes, 1);
  });

  it('gives up waiting after its time', async () => {
    const { zone, fire } = manual();
    zone.applied(mesh(ORDERS));
    const waiting = zone.demand('default/orders');
    fire();
    await waiting;
    assert.equal(zone.zone()?.find('i-1.orders.default.mesh.internal').kind, 'unknown');
  });

  it('forgets what it no longer follows: beyond the limit, what was asked for longest ago', async () => {
    const { zone } = manual({ dnsDemandMax: 1 });
    zone.applied(mesh(ORDERS, CACHE));
    const first = zone.demand('default/orders');
    zone.join(NOTHING);
    zone.applied(endpoints('default/orders', '10.0.0.1'));
    await first;
    const second = zone.demand('shop/cache');
    assert.deepEqual(zone.join(NOTHING).endpoints, ['outbound/shop/cache']);
    zone.applied(endpoints('shop/cache', '10.0.0.2'));
    await second;
    assert.equal(zone.zone()?.find('i-1.orders.default.mesh.internal').kind, 'unknown');
    assert.equal(zone.zone()?.find('i-1.cache.shop.mesh.internal').kind, 'instance');
    zone.applied(mesh(ORDERS));
    assert.deepEqual(zone.join(NOTHING).endpoints, [], 'a service that has gone is followed no more');
  });
});
