// Resources as functions of services and instances, and the compiler that keeps them up to date.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  ANY_REQUEST,
  DEFAULT_RETRY_BUDGET,
  DEFAULT_SECURITY,
  NO_BREAKER,
  SINGLE_BALANCE,
  compileRoutes,
  forwardTo,
  parseSpiffeId,
} from '@heddle/core';
import type { EgressHost, Instance, PublishedResource, Route, Service, TrafficRule } from '@heddle/core';
import { SERVICES, instance, registration, service, silent } from '../testing/mesh.ts';
import { ManualClock } from '../testing/clock.ts';
import { openEmbeddedStore } from '../registry/embedded/store.ts';
import { openRegistry } from '../registry/registry.ts';
import { Compiler } from './compiler.ts';
import type { NodeScope } from './compiler.ts';
import { compileInstance } from './instance-resources.ts';
import { compileRequestRoutes } from './request-routes.ts';
import {
  compileCluster,
  compileEndpoints,
  compileMeshRoute,
  compileServerNames,
  tunnelFilter,
  compileServiceRoute,
} from './service-resources.ts';

const orders = service('orders', { port: 8081, timeoutMs: 2_000 });
const cache = service('cache', { port: 6379, protocol: 'tcp' });
const vault = service('vault', { port: 8200, protocol: 'tls' });
const mixed = service('mixed', { port: 9000, protocol: 'auto', timeoutMs: 3_000 });
const routesOf = (called: Service): Route[] => compileRequestRoutes(called, () => undefined);
const tunnel = (how: 'forward' | 'terminate', cluster: string): Route => ({
  name: 'connect',
  match: { kind: 'connect' },
  action: { kind: 'tunnel', how, cluster },
});

/** To some instances of services, by a header of the rule's own. */
function ruleTo(name: string, to: readonly { readonly name: string; readonly labels: Readonly<Record<string, string>> }[]): TrafficRule {
  return {
    name,
    matches: [{ ...ANY_REQUEST, headers: [{ name: `x-${name.replaceAll(' ', '-')}` }] }],
    action: {
      kind: 'forward',
      to: to.map((target) => ({ service: { namespace: 'default', name: target.name }, labels: target.labels, weight: 1 })),
    },
  };
}

function request(authority: string, path: string) {
  return { method: 'GET', authority, path, header: () => undefined, sourceAddress: '', sourceIdentity: '' };
}

describe('resources of a service', () => {
  test('the cluster leads to the service by HTTP/2 over mutual TLS, whatever the service speaks', () => {
    const cluster = compileCluster(orders, 'shop.test');
    assert.deepEqual(cluster, {
      name: 'outbound/default/orders',
      service: { namespace: 'default', name: 'orders' },
      endpoints: { kind: 'eds' },
      balance: SINGLE_BALANCE,
      connectTimeoutMs: 1_000,
      breaker: NO_BREAKER,
      retryBudget: DEFAULT_RETRY_BUDGET,
      http: 'http2',
      tls: {
        certificateName: 'workload',
        trustBundleName: 'trust-bundle',
        peerIds: ['spiffe://shop.test/ns/default/svc/orders'],
        alpn: ['h2'],
      },
    });
    for (const protocol of ['tcp', 'tls', 'grpc', 'http2', 'auto'] as const) {
      const { http, tls } = compileCluster(service('x', { protocol }), 't');
      assert.deepEqual([http, tls?.alpn], ['http2', ['h2']], protocol);
    }
  });

  test('endpoints are all instances at their inbound ports, of which only healthy ones are healthy', () => {
    const instances = (['starting', 'healthy', 'unhealthy', 'draining'] as const).map((health, index) =>
      instance('orders', index, { health, weight: index + 1 }),
    );
    const set = compileEndpoints({ service: orders, instances });
    assert.equal(set.cluster, 'outbound/default/orders');
    assert.deepEqual(
      set.endpoints.map(({ port, health, weight, instance: id }) => [id, port, health, weight]),
      [
        ['orders-0', 20_000, 'unhealthy', 1],
        ['orders-1', 20_001, 'healthy', 2],
        ['orders-2', 20_002, 'unhealthy', 3],
        ['orders-3', 20_003, 'draining', 4],
      ],
    );
    assert.deepEqual(compileEndpoints({ service: orders, instances: [] }).endpoints, []);
  });

  test('services that carry requests have routes, with the time limit and retries of the service', () => {
    const [host] = compileServiceRoute(orders, routesOf(orders))?.virtualHosts ?? [];
    assert.deepEqual(host, {
      name: 'outbound/default/orders',
      domains: ['*'],
      routes: [
        {
          name: 'default',
          match: ANY_REQUEST,
          action: { ...forwardTo('outbound/default/orders'), timeoutMs: 2_000, retry: orders.retry },
        },
      ],
    });
    for (const protocol of ['http2', 'grpc', 'auto'] as const)
      assert.deepEqual(
        compileServiceRoute({ ...orders, protocol }, routesOf(orders)),
        compileServiceRoute(orders, routesOf(orders)),
        protocol,
      );
    for (const opaque of [cache, vault]) assert.equal(compileServiceRoute(opaque, routesOf(opaque)), undefined);
  });

  test('the mesh route answers to every name of a service, with and without its port', () => {
    const { virtualHosts } = compileMeshRoute([service('Web', { namespace: 'Shop', port: 80 }), orders], routesOf);
    assert.deepEqual(
      virtualHosts.map((host) => [host.name, host.domains]),
      [
        ['outbound/Shop/Web', ['web.shop.mesh.internal', 'web.shop.mesh.internal:80', 'web.shop', 'web.shop:80']],
        [
          'outbound/default/orders',
          [
            'orders.default.mesh.internal',
            'orders.default.mesh.internal:8081',
            'orders.default',
            'orders.default:8081',
            'orders.mesh.internal',
            'orders.mesh.internal:8081',
            'orders',
            'orders:8081',
          ],
        ],
      ],
    );
  });

  test('the mesh route leads CONNECT to services that carry bytes, by their name with their port only', () => {
    const { virtualHosts } = compileMeshRoute([cache, vault, mixed], routesOf);
    assert.deepEqual(
      virtualHosts.map(({ name, routes }) => [name, routes]),
      [
        ['outbound/default/cache', [tunnel('forward', 'outbound/default/cache')]],
        ['outbound/default/mixed', [tunnel('forward', 'outbound/default/mixed'), ...routesOf(mixed)]],
        ['outbound/default/vault', [tunnel('forward', 'outbound/default/vault')]],
      ],
    );
    assert.deepEqual(virtualHosts[0]?.domains, [
      'cache.default.mesh.internal:6379',
      'cache.default:6379',
      'cache.mesh.internal:6379',
      'cache:6379',
    ]);
    assert.ok(virtualHosts[1]?.domains.includes('mixed') && virtualHosts[1].domains.includes('mixed:9000'));
    const matcher = compileRoutes({ name: 'outbound/mesh', virtualHosts });
    assert.deepEqual(matcher.matchConnect('cache:6379'), tunnel('forward', 'outbound/default/cache'));
    assert.equal(matcher.matchConnect('cache:6380'), undefined);
    assert.equal(matcher.match(request('cache:6379', '/')), undefined);
  });

  test('bytes that stand still are closed after the idle time of the service', () => {
    const idle = { ...cache, idleTimeoutMs: 60_000 };
    const [host] = compileMeshRoute([idle], routesOf).virtualHosts;
    assert.deepEqual(host?.routes[0]?.action, { kind: 'tunnel', how: 'forward', cluster: 'outbound/default/cache', idleTimeoutMs: 60_000 });
    assert.equal(tunnelFilter(idle).idleTimeoutMs, 60_000);
    assert.equal('idleTimeoutMs' in tunnelFilter(cache), false);
  });

  test('connections to tls services pass by every name of theirs, and to no others', () => {
    assert.deepEqual(compileServerNames([cache, vault, mixed, orders]), [
      {
        names: ['vault.default.mesh.internal', 'vault.default', 'vault.mesh.internal', 'vault'],
        filter: { kind: 'tcp', cluster: 'outbound/default/vault', tunnel: 'vault.default.mesh.internal:8200' },
      },
    ]);
    // Named less fully than the other by "a.b": the name is not its.
    const both = [service('a.b', { protocol: 'tls' }), service('a', { namespace: 'b', protocol: 'tls' })];
    const names = compileServerNames(both).flatMap((route) => route.names);
    assert.equal(new Set(names).size, names.length);
  });

  test('no name is given to two services, whatever they are called', () => {
    const part = fc.constantFrom('a', 'b', 'a.b', 'b.a', 'default', 'A', 'mesh.internal', 'a.default');
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(part, part), { selector: ([namespace, name]) => `${namespace}/${name}`, maxLength: 12 }),
        (refs) => {
          const protocols = ['http', 'tcp', 'auto', 'tls'] as const;
          const { virtualHosts } = compileMeshRoute(
            refs.map(([namespace, name], index) => service(name, { namespace, protocol: protocols[index % protocols.length]! })),
            routesOf,
          );
          const domains = virtualHosts.flatMap((host) => host.domains);
          assert.equal(new Set(domains).size, domains.length);
          assert.ok(virtualHosts.every((host) => host.domains.length > 0));
        },
      ),
    );
  });
});

describe('resources of an instance', () => {
  const outbounds = [
    { service: { namespace: 'default', name: 'cache' }, listen: { address: '127.0.0.1', port: 4_001 } },
    { service: { namespace: 'default', name: 'gone' }, listen: { address: '127.0.0.1', port: 4_002 } },
    { service: { namespace: 'default', name: 'orders' }, listen: { address: '127.0.0.1', port: 4_003 } },
    { service: { namespace: 'default', name: 'mixed' }, listen: { address: '127.0.0.1', port: 4_004 } },
  ];
  const target = ({ name }: { name: string }): Service | undefined => ({ orders, cache, mixed })[name as 'orders' | 'cache' | 'mixed'];

  test('an HTTP instance has its way in by mutual TLS, a route without limits of its own, and its application with checks', () => {
    const { listeners, routes, clusters } = compileInstance(instance('orders', 1), orders, target, 'shop.test');
    assert.deepEqual(listeners, [
      {
        name: 'inbound/default/orders/orders-1',
        direction: 'inbound',
        address: '127.0.0.1',
        port: 20_001,
        workload: 'default/orders/orders-1',
        tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: 'shop.test' },
        filter: { kind: 'http', routeConfigName: 'inbound/default/orders/orders-1', useRemoteAddress: true },
      },
    ]);
    assert.deepEqual(routes[0]?.virtualHosts[0]?.routes, [
      { name: 'default', match: ANY_REQUEST, action: forwardTo('local/default/orders/orders-1') },
    ]);
    const [cluster] = clusters;
    assert.equal(cluster?.tls, undefined);
    assert.deepEqual(cluster?.health, orders.health);
    assert.deepEqual(cluster?.endpoints, {
      kind: 'static',
      endpoints: [{ address: '127.0.0.1', port: 30_001, health: 'healthy', weight: 1, instance: 'orders-1' }],
    });
  });

  test('the way in takes tunnels for bytes, requests for HTTP, and both where the protocol is found out', () => {
    const into = (called: Service): unknown =>
      compileInstance(instance(called.name, 1), called, target, 't').routes[0]?.virtualHosts.map(({ domains, routes }) => [
        domains,
        routes,
      ]);
    const bytes = (name: string) => tunnel('terminate', `local/default/${name}/${name}-1`);
    const requests = (name: string) => ({ name: 'default', match: ANY_REQUEST, action: forwardTo(`local/default/${name}/${name}-1`) });
    assert.deepEqual(into(cache), [[['*'], [bytes('cache')]]]);
    assert.deepEqual(into(vault), [[['*'], [bytes('vault')]]]);
    assert.deepEqual(into(mixed), [[['*'], [bytes('mixed'), requests('mixed')]]]);
    assert.deepEqual(into(orders), [[['*'], [requests('orders')]]]);
  });

  test('the application is spoken to as the service declares', () => {
    const versions = (['http', 'http2', 'grpc', 'tcp', 'tls', 'auto'] as const).map((protocol) => {
      const called = service('orders', { protocol });
      return [protocol, compileInstance(instance('orders', 1), called, target, 't').clusters[0]?.http];
    });
    assert.deepEqual(Object.fromEntries(versions), {
      http: 'http1',
      http2: 'http2',
      grpc: 'http2',
      tcp: 'http1',
      tls: 'http1',
      auto: 'http1',
    });
  });

  test('its local ports lead to the services it calls; a service that is not declared gets none', () => {
    const { listeners, routes } = compileInstance(instance('cache', 1, { outbounds }), cache, target, 'shop.test');
    assert.deepEqual(
      listeners.map(({ name, port, workload, filter }) => [name, port, workload, filter]),
      [
        [
          'inbound/default/cache/cache-1',
          20_001,
          'default/cache/cache-1',
          { kind: 'http', routeConfigName: 'inbound/default/cache/cache-1', useRemoteAddress: true },
        ],
        [
          'outbound/default/cache/cache-1/default/cache',
          4_001,
          'default/cache/cache-1',
          { kind: 'tcp', cluster: 'outbound/default/cache', tunnel: 'cache.default.mesh.internal:6379' },
        ],
        [
          'outbound/default/cache/cache-1/default/orders',
          4_003,
          'default/cache/cache-1',
          { kind: 'http', routeConfigName: 'outbound/default/orders' },
        ],
        [
          'outbound/default/cache/cache-1/default/mixed',
          4_004,
          'default/cache/cache-1',
          {
            kind: 'http',
            routeConfigName: 'outbound/default/mixed',
            otherwise: { kind: 'tcp', cluster: 'outbound/default/mixed', tunnel: 'mixed.default.mesh.internal:9000' },
          },
        ],
      ],
    );
    assert.deepEqual(
      routes.map(({ name }) => name),
      ['inbound/default/cache/cache-1'],
    );
  });
});

describe('compiler', () => {
  async function setUp() {
    const clock = new ManualClock();
    const store = openEmbeddedStore({ path: undefined, clock });
    const registry = await openRegistry({ store, logger: silent });
    await registry.declareServices(SERVICES);
    const create = (): Compiler => new Compiler({ source: registry, trustDomain: 'shop.test', rootsPem: 'roots' });
    const compiler = create();
    const changes: ReturnType<Compiler['apply']>[] = [];
    registry.onChange((change) => changes.push(compiler.apply(change)));
    const close = async (): Promise<void> => {
      registry.close();
      await store.close();
    };
    return { registry, compiler, changes, create, close };
  }
  const scope: NodeScope = { node: 'node-1', flavour: 'heddle', outboundProxy: undefined, identityDir: undefined, mayHost: () => true };
  const healthy = { health: 'healthy', reason: 'checks pass' } as const;

  test('a mesh without services still has its proxy route and its roots', async () => {
    const compiler = new Compiler({
      source: {
        snapshot: () => ({ revision: 0, services: new Map() }),
        service: () => undefined,
        instancesOfNode: () => [],
        egress: [],
        security: DEFAULT_SECURITY,
      },
      trustDomain: 't',
      rootsPem: 'pem',
    });
    assert.deepEqual(compiler.shared.route.get('outbound/mesh'), { name: 'outbound/mesh', virtualHosts: [] });
    assert.deepEqual([...compiler.shared.secret.values()], [{ name: 'trust-bundle', rootsPem: 'pem' }]);
  });

  test('a change of health touches the endpoints of that service and nothing else', async () => {
    const { registry, compiler, changes, close } = await setUp();
    const lease = await registry.register(registration('orders', 1), 0);
    const listeners = compiler.forNode(scope).listener;
    changes.length = 0;
    await registry.heartbeat(lease, healthy);
    assert.deepEqual(
      changes.map((change) => change.shared),
      [new Map([['endpoints', new Set(['outbound/default/orders'])]])],
    );
    const again = compiler.forNode(scope).listener;
    for (const [name, listener] of listeners) assert.equal(again.get(name), listener);
    await registry.heartbeat(lease, { health: 'healthy', reason: 'another reason' });
    assert.deepEqual(changes[1]?.shared, new Map());
    await close();
  });

  test('a data plane gets the instances it hosts and may host, and the shared proxy where it asked for it', async () => {
    const { registry, compiler, close } = await setUp();
    await registry.register(registration('orders', 1), 0);
    await registry.register(registration('web', 1, { inbound: { address: '127.0.0.1', port: 4 } }), 0);
    await registry.register(registration('orders', 2, { node: 'node-2' }), 0);
    const names = (over: object): string[] => [...compiler.forNode({ ...scope, ...over }).listener.keys()];
    assert.deepEqual(names({}), ['inbound/default/orders/orders-1', 'inbound/default/web/web-1']);
    assert.deepEqual(names({ node: 'node-2' }), ['inbound/default/orders/orders-2']);
    assert.deepEqual(names({ node: 'node-3' }), []);
    assert.deepEqual(names({ mayHost: (found: Instance) => found.service.name === 'web' }), ['inbound/default/web/web-1']);
    assert.deepEqual(
      compiler.forNode({ ...scope, node: 'x', outboundProxy: { address: '127.0.0.1', port: 15_001 } }).listener.get('outbound/proxy'),
      {
        name: 'outbound/proxy',
        direction: 'outbound',
        address: '127.0.0.1',
        port: 15_001,
        filter: { kind: 'http', routeConfigName: 'outbound/mesh' },
      },
    );
    await registry.declareServices([...SERVICES, vault]);
    const proxy = compiler.forNode({ ...scope, outboundProxy: { address: '127.0.0.1', port: 15_001 } }).listener.get('outbound/proxy');
    assert.deepEqual(proxy?.serverNames, compileServerNames([vault]));
    await close();
  });

  test('when a service goes, so does everything that led to it', async () => {
    const { registry, compiler, changes, close } = await setUp();
    const outbounds = [{ service: { namespace: 'default', name: 'web' }, listen: { address: '127.0.0.1', port: 4_001 } }];
    await registry.register(registration('orders', 1, { outbounds }), 0);
    assert.equal(compiler.forNode(scope).listener.size, 2);
    changes.length = 0;
    await registry.declareServices(SERVICES.filter((declared) => declared.name !== 'web'));
    assert.deepEqual(
      changes.map((change) => change.nodes),
      [new Set(['node-1'])],
    );
    assert.equal(compiler.forNode(scope).listener.size, 1);
    for (const kind of ['cluster', 'endpoints', 'route'] as const)
      assert.equal(compiler.shared[kind].has('outbound/default/web'), false, kind);
    assert.deepEqual(
      compiler.shared.route.get('outbound/mesh')?.virtualHosts.map((host) => host.name),
      ['outbound/default/cache', 'outbound/default/orders'],
    );
    await close();
  });

  test('step by step gives what compiling everything anew gives, and every reference leads somewhere', async () => {
    const { registry, compiler, changes, create, close } = await setUp();
    const name = fc.constantFrom('orders', 'web', 'cache', 'extra');
    const labels = fc.constantFrom<Record<string, string>>({}, { version: 'v1' }, { zone: 'a' });
    const step = fc.oneof(
      fc.record({
        do: fc.constant('declare' as const),
        names: fc.uniqueArray(name),
        port: fc.integer({ min: 1, max: 3 }),
        protocol: fc.constantFrom('http' as const, 'tcp' as const, 'tls' as const, 'auto' as const),
        rules: fc.array(fc.record({ of: name, to: fc.array(fc.record({ name, labels }), { minLength: 1, maxLength: 2 }) }), {
          maxLength: 3,
        }),
        egress: fc.uniqueArray(fc.constantFrom('a.test', 'b.test')),
      }),
      fc.record({
        do: fc.constant('register' as const),
        name,
        index: fc.integer({ min: 1, max: 3 }),
        labels,
        node: fc.constantFrom('node-1', 'node-2'),
        calls: fc.uniqueArray(name),
      }),
      fc.record({ do: fc.constant('deregister' as const), name, index: fc.integer({ min: 1, max: 3 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
        const seen = new Map(['node-1', 'node-2'].map((node) => [node, compiler.forNode({ ...scope, node })]));
        changes.length = 0;
        for (const action of steps) {
          if (action.do === 'declare') {
            const { names, port, protocol, rules } = action;
            const isTarget = (wanted: (typeof names)[number]): boolean =>
              names.includes(wanted) && (protocol === 'http' || protocol === 'auto');
            await registry.declareServices(
              names.map((declared) => {
                const own = rules.filter(({ of, to }) => of === declared && to.every((target) => isTarget(target.name)));
                return service(declared, { port, protocol, rules: own.map(({ to }, index) => ruleTo(`rule ${index}`, to)) });
              }),
              action.egress.map((host): EgressHost => ({ host, port: 443, protocol: 'tcp' })),
            );
          } else if (action.do === 'deregister')
            await registry.deregister({ service: { namespace: 'default', name: action.name }, id: `${action.name}-${action.index}` });
          else {
            const outbounds = action.calls.map((called, index) => ({
              service: { namespace: 'default', name: called },
              listen: { address: '127.0.0.1', port: 4_000 + index },
            }));
            await registry
              .register(registration(action.name, action.index, { node: action.node, outbounds, labels: action.labels }), 0, healthy)
              .catch(() => {});
          }
          const anew = create();
          // Data planes that are not told to look have nothing new to see.
          for (const node of ['node-1', 'node-2']) {
            const now = compiler.forNode({ ...scope, node });
            if (!changes.some(({ nodes }) => nodes === 'all' || nodes.has(node))) assert.deepEqual(now, seen.get(node));
            seen.set(node, now);
          }
          changes.length = 0;
          for (const kind of ['listener', 'route', 'cluster', 'endpoints', 'secret'] as const) {
            const sorted = (maps: ReadonlyMap<string, PublishedResource>): [string, PublishedResource][] =>
              [...maps].sort(([a], [b]) => (a < b ? -1 : 1));
            assert.deepEqual(sorted(compiler.shared[kind]), sorted(anew.shared[kind]));
            for (const node of ['node-1', 'node-2'])
              assert.deepEqual(sorted(compiler.forNode({ ...scope, node })[kind]), sorted(anew.forNode({ ...scope, node })[kind]));
          }
          checkReferences(compiler);
        }
      }),
      { numRuns: 40 },
    );
    await close();
  });

  function checkReferences(compiler: Compiler): void {
    for (const node of ['node-1', 'node-2']) {
      const own = compiler.forNode({ ...scope, node, outboundProxy: { address: '127.0.0.1', port: 15_001 } });
      const cluster = (wanted: string): void => assert.ok(own.cluster.has(wanted) || compiler.shared.cluster.has(wanted), wanted);
      for (const { filter, serverNames = [] } of own.listener.values()) {
        for (const route of serverNames) cluster(route.filter.cluster);
        if (filter.kind === 'tcp') cluster(filter.cluster);
        else {
          assert.ok(own.route.has(filter.routeConfigName) || compiler.shared.route.has(filter.routeConfigName), filter.routeConfigName);
          if (filter.otherwise !== undefined) cluster(filter.otherwise.cluster);
        }
      }
      for (const config of [...own.route.values(), ...compiler.shared.route.values()]) {
        compileRoutes(config);
        for (const { action } of config.virtualHosts.flatMap((host) => host.routes)) {
          if (action.kind === 'tunnel') cluster(action.cluster);
          if (action.kind === 'forward') for (const target of [...action.clusters, ...(action.mirrors ?? [])]) cluster(target.cluster);
        }
      }
    }
    for (const { name, endpoints, tls } of compiler.shared.cluster.values()) {
      if (endpoints.kind === 'eds') assert.ok(compiler.shared.endpoints.has(name), name);
      for (const peer of tls?.peerIds ?? []) assert.notEqual(parseSpiffeId(peer), undefined);
    }
  }
});
