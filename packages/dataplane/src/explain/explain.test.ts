// What is explained about a request, from dumps as data planes give them; and that the explained route is the one that requests take.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ANY_REQUEST, compileRoutes, DEFAULT_OUTLIER, PlainRequest, RouteConfigError } from '@heddle/core';
import type { HeaderChanges, PathMatch, RequestMatch, Route, RouteConfig, VirtualHost } from '@heddle/core';
import { ask, cluster, dump, host, listener, NO_RETRY, ORDERS, route, WEB } from './test-support.ts';
import type { Asked } from './test-support.ts';
import type { Explanation, ForwardFacts } from './types.ts';

const V1 = `${ORDERS}{version=v1}`;
const V2 = `${ORDERS}{version=v2}`;
const SPLIT = [
  { cluster: V1, weight: 90 },
  { cluster: V2, weight: 10 },
];
const prefix = (value: string, more: Partial<RequestMatch> = {}): RequestMatch => ({
  kind: 'request',
  path: { kind: 'prefix', value },
  ...more,
});

function forwardOf({ action }: Explanation): ForwardFacts {
  assert.equal(action?.kind, 'forward');
  return action as ForwardFacts;
}

function reasons({ clusters }: Explanation): [instance: string, canBePicked: boolean, why: string][] {
  return clusters.flatMap(({ candidates }) =>
    candidates.shown.map(({ instance, canBePicked, why }) => [instance, canBePicked, why] as [string, boolean, string]),
  );
}

describe('an explanation', () => {
  it('names caller, listener, route, instances and what the called side does', () => {
    const { outcome, caller, listener: by, route: taken, clusters, access, calledSide } = ask(dump(), 'http://orders/items?x=1');
    assert.equal(outcome.kind, 'forwarded');
    assert.equal(outcome.summary, 'goes to default/orders: one of 2 instances');
    assert.deepEqual(
      [caller.workload, caller.others, caller.identity],
      [WEB, ['default/web/web-2'], 'spiffe://shop.test/ns/default/svc/web'],
    );
    assert.equal(by?.name, 'outbound/proxy');
    assert.deepEqual(by?.others, [`outbound/${WEB}/default/orders`]);
    assert.deepEqual([taken?.virtualHost, taken?.domain, taken?.name, taken?.position], [ORDERS, 'orders', 'default', 1]);
    assert.deepEqual(
      clusters.map(({ name, sharePercent, taken: goes }) => [name, sharePercent, goes]),
      [[ORDERS, 100, true]],
    );
    assert.deepEqual(access.asks, ['spiffe://shop.test/ns/default/svc/orders']);
    assert.match(access.summary, /every workload of the mesh may call/);
    assert.deepEqual(
      calledSide.map(({ instance, application }) => [instance, application]),
      [['orders-1', '127.0.0.1:9001']],
    );
    assert.deepEqual(
      calledSide[0]?.rateLimits.map(({ by: whom, key }) => [whom, key]),
      [['identity', 'spiffe://shop.test/ns/default/svc/web']],
    );
  });

  const outcomes: readonly (readonly [url: string, asked: Asked, kind: string, code: string | null, said: RegExp])[] = [
    ['http://orders:8081/', {}, 'forwarded', null, /goes to/],
    ['http://127.0.0.1:20101/x', {}, 'forwarded', null, /goes to/],
    ['http://ordrs/', {}, 'refused', 'NO_SUCH_SERVICE', /no virtual host has the domain "ordrs"/],
    ['http://example.com/', {}, 'refused', 'EGRESS_REFUSED', /example\.com/],
    ['http://cache:6379/', {}, 'refused', 'NO_SUCH_SERVICE', /none of its 1 routes fits/],
    ['cache:6379', { method: 'CONNECT' }, 'tunnelled', null, /cache-3/],
    ['cache:6380', { method: 'CONNECT' }, 'refused', 'NO_SUCH_SERVICE', /with this port/],
    ['orders:8081', { method: 'CONNECT' }, 'tunnelled', null, /routed one by one/],
    ['https://orders:8081/', {}, 'refused', 'BAD_REQUEST', /not TLS/],
    ['https://127.0.0.1:20101/', {}, 'refused', 'NOT_IMPLEMENTED', /no TLS/],
    ['http://127.0.0.1:20102/', {}, 'tunnelled', null, /cache-3/],
    ['http://orders/', { from: '' }, 'forwarded', null, /goes to/],
    ['http://orders/', { headers: { 'x-request-timeout': '0ms' } }, 'refused', 'DEADLINE_EXCEEDED', /no time/],
  ];
  for (const [url, asked, kind, code, said] of outcomes) {
    it(`${kind}: ${asked.method ?? 'GET'} ${url} ${JSON.stringify(asked.headers ?? asked.from ?? '')}`, () => {
      const { outcome } = ask(dump(), url, asked);
      assert.deepEqual([outcome.kind, outcome.code], [kind, code]);
      assert.match(outcome.summary, said);
      assert.equal(outcome.mend === '', kind !== 'refused');
    });
  }

  it('offers names like one that nothing leads to, and says how byte streams are asked about', () => {
    assert.ok(ask(dump(), 'http://ordrs/').outcome.similar.includes('orders'));
    assert.deepEqual(ask(dump(), 'http://zzzz/').outcome.similar, []);
    assert.match(ask(dump(), 'http://cache:6379/').outcome.mend, /CONNECT cache:6379/);
  });

  it('says who is meant by --from, and refuses names that nobody here has', () => {
    for (const [from, workload] of [
      ['web', WEB],
      ['default/web', WEB],
      ['web-2', 'default/web/web-2'],
      ['default/orders/orders-1', 'default/orders/orders-1'],
      ['', 'heddle-system/operator/node-1'],
    ] as const)
      assert.equal(ask(dump(), 'http://orders/', { from }).caller.workload, workload);
    assert.throws(() => ask(dump(), 'http://orders/', { from: 'wep' }), /nobody called "wep".*did you mean web\?/);
    const some = dump({ over: { anonymousWorkload: null } });
    assert.throws(() => ask(some, 'http://orders/', { from: '' }), /say who calls: default\/orders, default\/web/);
    const one = dump({ over: { anonymousWorkload: null, identities: [WEB, 'default/web/web-2'] } });
    assert.deepEqual(ask(one, 'http://orders/', { from: '' }).caller.others, ['default/web/web-2']);
  });

  it('knows that a port of another workload speaks for that one', () => {
    const { caller, notes } = ask(dump(), 'http://127.0.0.1:20101/', { from: 'orders' });
    assert.equal(caller.workload, WEB);
    assert.match(notes[0] ?? '', /speaks for default\/web\/web-1/);
  });

  it('is refused while something has not arrived', () => {
    const codeOf = (of: object): unknown => {
      const { code, summary, kind } = ask(of, 'http://orders/').outcome;
      return [kind, code, summary];
    };
    const proxy = (state: string): object =>
      listener({ name: 'outbound/proxy', port: 1, filter: { kind: 'http', routeConfigName: 'x' } }, state, 'no roots');
    assert.deepEqual(codeOf(dump({ over: { listeners: [] } })), [
      'refused',
      null,
      'this proxy has no listener for orders (port 80); it has none at all',
    ]);
    assert.deepEqual(codeOf(dump({ over: { listeners: [proxy('waiting')] } })), ['refused', null, 'the listener waits: no roots']);
    assert.deepEqual(codeOf(dump({ over: { listeners: [proxy('accepting')] } })), [
      'refused',
      'NO_HEALTHY_INSTANCE',
      'the route configuration "x" has not arrived yet',
    ]);
    assert.deepEqual(codeOf(dump({ routes: [route({ action: { clusters: SPLIT.slice(0, 1) } })] })), [
      'refused',
      'NO_HEALTHY_INSTANCE',
      `the cluster "${V1}" has not arrived yet`,
    ]);
    assert.deepEqual(codeOf(dump({ hosts: [] })), ['refused', 'NO_HEALTHY_INSTANCE', 'default/orders has no instances']);
    const { code } = ask(dump({ over: { identities: [], anonymousWorkload: WEB } }), 'http://orders/', { from: '' }).outcome;
    assert.equal(code, 'NO_IDENTITY');
  });
});

describe('the instances', () => {
  const locality = { region: 'eu', zone: 'a' };

  it('are listed with what speaks against them', () => {
    const hosts = [
      host('orders-1'),
      host('orders-2', { health: 'draining' }),
      host('orders-3', { health: 'unhealthy' }),
      host('orders-4', { health: 'unhealthy', outlier: { ejected: true, reason: '5 tries in a row failed', forMs: 8_400 } }),
      host('orders-5', { balancers: { [WEB]: { weight: 2, slowStartWeight: 0.5, inFlight: 3 } }, weight: 2 }),
    ];
    const explained = ask(dump({ hosts, orders: { outlier: DEFAULT_OUTLIER } }), 'http://orders/');
    assert.deepEqual(reasons(explained), [
      ['orders-1', true, ''],
      ['orders-5', true, 'slow start, at 25 % of its weight'],
      ['orders-2', false, 'draining'],
      ['orders-3', false, 'unhealthy'],
      ['orders-4', false, 'left out by this proxy for 9 s more: 5 tries in a row failed'],
    ]);
    assert.equal(explained.outcome.summary, 'goes to default/orders: one of 2 instances, of 5');
    assert.equal(explained.clusters[0]?.candidates.shown[1]?.views[0]?.balancer['inFlight'], 3);
  });

  it('are passed over where nearer ones take everything, also before the first call', () => {
    const far = { region: 'us', zone: 'x' };
    const hosts = [host('orders-1', { locality }), host('orders-2', { locality: far })];
    const endpoints = [
      {
        cluster: 'outbound/default/web',
        endpoints: [{ address: '127.0.0.1', port: 1, health: 'healthy' as const, weight: 1, instance: 'web-1', locality }],
      },
    ];
    const balance = { algorithm: 'random', locality: 'prefer', slowStartMs: 0, panicPercent: 0 } as const;
    const explained = ask(dump({ hosts, orders: { balance }, endpoints }), 'http://orders/');
    assert.deepEqual(reasons(explained), [
      ['orders-1', true, ''],
      ['orders-2', false, 'elsewhere: nearer instances take everything; only retries come here'],
    ]);
    assert.match(explained.notes.join(), /has not called outbound\/default\/orders yet/);
  });

  it('are all used in panic, but for those that leave', () => {
    const hosts = [
      host('orders-1', { health: 'unhealthy' }),
      host('orders-2', { health: 'unhealthy' }),
      host('orders-3', { health: 'draining' }),
    ];
    const balance = { algorithm: 'random', locality: 'any', slowStartMs: 0, panicPercent: 50 } as const;
    assert.deepEqual(
      reasons(ask(dump({ hosts, orders: { balance } }), 'http://orders/')).map(([instance, canBePicked]) => [instance, canBePicked]),
      [
        ['orders-1', true],
        ['orders-2', true],
        ['orders-3', false],
      ],
    );
  });

  it('are counted where there are too many to be listed', () => {
    const hosts = Array.from({ length: 250 }, (_, index) =>
      host(`orders-${index + 1}`, { port: 30_000 + index, health: index < 5 ? 'unhealthy' : 'healthy' }),
    );
    const { all, canBePicked, shown } = ask(dump({ hosts }), 'http://orders/').clusters[0]!.candidates;
    assert.deepEqual([all, canBePicked, shown.length, shown[0]?.instance], [250, 245, 200, 'orders-6']);
  });

  it('are told as every worker sees them', () => {
    const ejected = { health: 'unhealthy', outlier: { ejected: true, reason: 'a reset', forMs: 1_000 } } as const;
    const views = [1, 2].map((worker) => ({
      worker,
      status: { listeners: [] },
      clusters: [
        cluster(
          ORDERS,
          [host('orders-1', worker === 2 ? ejected : {}), host('orders-2', { balancers: { [WEB]: { weight: 1, inFlight: worker } } })],
          {
            underWay: worker,
          },
        ),
      ],
    }));
    const explained = ask(dump({ over: { workers: views } }), 'http://orders/');
    assert.deepEqual(reasons(explained), [
      ['orders-1', true, 'worker 2: left out by this proxy for 1 s more: a reset'],
      ['orders-2', true, ''],
    ]);
    const [target] = explained.clusters;
    assert.equal(target?.cluster?.underWay, 3);
    assert.deepEqual(
      target?.candidates.shown[1]?.views.map(({ worker, balancer }) => [worker, balancer['inFlight']]),
      [
        [1, 1],
        [2, 2],
      ],
    );
    const beginning = { worker: 1, status: null, clusters: [] };
    assert.equal(ask(dump({ over: { workers: [beginning] } }), 'http://orders/').outcome.kind, 'forwarded');
  });

  it('of consistent hashing are told by the hash, the same for every caller', () => {
    const balance = { algorithm: 'maglev', locality: 'any', slowStartMs: 0, panicPercent: 0 } as const;
    const mesh = dump({
      hosts: [host('orders-1'), host('orders-2'), host('orders-3')],
      orders: { balance },
      routes: [route({ action: { hash: [{ kind: 'header', name: 'X-User' }] } })],
    });
    const by = (user: string, from: string): string =>
      ask(mesh, 'http://orders/', { headers: { 'x-user': user }, from }).clusters[0]!.candidates.byHash;
    const users = ['ann', 'bob', 'cat'];
    assert.ok(users.every((user) => /^orders-[123]$/.test(by(user, 'web'))));
    assert.deepEqual(
      users.map((user) => by(user, 'web')),
      users.map((user) => by(user, 'orders')),
    );
    assert.ok(new Set(users.map((user) => by(user, 'web'))).size > 1);
    const without = ask(mesh, 'http://orders/');
    assert.equal(without.clusters[0]?.candidates.byHash, '');
    assert.match(without.notes.join(), /nothing to hash/);
  });
});

describe('a split', () => {
  const clusters = [cluster(V1, [host('orders-1')]), cluster(V2, [host('orders-2', { health: 'unhealthy' })])];

  it('is told in percent, and by chance only a part is refused', () => {
    const { outcome, clusters: targets } = ask(dump({ clusters, routes: [route({ action: { clusters: SPLIT } })] }), 'http://orders/');
    assert.deepEqual(
      targets.map(({ sharePercent, taken }) => [sharePercent, taken]),
      [
        [90, null],
        [10, null],
      ],
    );
    assert.equal(outcome.kind, 'forwarded');
    assert.match(outcome.summary, /90 % to outbound\/default\/orders\{version=v1\}, 10 % to .*which is refused/);
  });

  it('is decided where the request has what is hashed', () => {
    const action = { clusters: SPLIT, splitByHash: true, hash: [{ kind: 'cookie', name: 'sid', ttlMs: 0 }] } as const;
    const mesh = dump({ clusters, routes: [route({ action })] });
    const kinds = new Set<string>();
    for (let user = 0; user < 50; user++) {
      const { outcome, clusters: targets } = ask(mesh, 'http://orders/', { headers: { cookie: `sid=u${user}` } });
      const taken = targets.filter((target) => target.taken === true);
      assert.equal(taken.length, 1);
      assert.equal(outcome.kind, taken[0]?.name === V1 ? 'forwarded' : 'refused');
      kinds.add(outcome.kind);
    }
    assert.deepEqual([...kinds].sort(), ['forwarded', 'refused']);
    const without = ask(mesh, 'http://orders/');
    assert.equal(forwardOf(without).hash?.makesCookie, true);
    assert.deepEqual(
      without.clusters.map(({ taken }) => taken),
      [null, null],
    );
  });
});

describe('the rules of a route', () => {
  it('are told as they hold for this request', () => {
    const changes: HeaderChanges = { set: { 'x-a': '1' }, add: {}, remove: [] };
    const limits = [
      { requests: 5, perMs: 1_000, burst: 5, by: { kind: 'header', name: 'X-Key' } as const },
      { requests: 1, perMs: 1_000, burst: 1, by: { kind: 'all' } as const, match: prefix('/', { methods: ['PUT'] }) },
      { requests: 9, perMs: 1_000, burst: 9, by: { kind: 'identity' } as const },
    ];
    const beta = route({
      name: 'beta',
      match: prefix('/v2', { headers: [{ name: 'x-beta' }] }),
      requestHeaders: changes,
      fault: { delay: { percent: 10, delayMs: 2_000 } },
      rateLimits: limits,
      action: {
        timeoutMs: 2_000,
        retry: { ...NO_RETRY, attempts: 2, perTryMs: 500, on: ['connect-failure', '5xx'] },
        hedge: { afterMs: 200, attempts: 1 },
        rewrite: { path: { kind: 'prefix', value: '/x' }, authority: 'other' },
        mirrors: [{ cluster: V2, percent: 5 }],
      },
    });
    const mesh = dump({
      routes: [route({ name: 'v1', match: prefix('/v1') }), beta, route()],
      clusters: [cluster(V2, [host('orders-2')])],
    });
    const asked = ask(mesh, 'http://orders/v2/items?x=1', {
      method: 'POST',
      headers: { 'X-Beta': '1', 'x-key': 'k', 'x-request-timeout': '500ms' },
    });
    assert.equal(asked.route?.name, 'beta');
    assert.deepEqual(asked.route?.passedOver, [{ route: 'v1', why: 'the path "/v2/items?x=1" does not begin with "/v1"' }]);
    const facts = forwardOf(asked);
    assert.deepEqual(facts.time, {
      routeMs: 2_000,
      callerMs: 500,
      callerHeader: 'x-request-timeout',
      limitMs: 500,
      idleMs: 0,
      error: 'DEADLINE_EXCEEDED',
    });
    assert.match(facts.retryNote, /POST is not idempotent/);
    assert.match(facts.hedgeNote, /not for this request/);
    assert.deepEqual(facts.rewrite, { path: '/x/items?x=1', authority: 'other' });
    assert.deepEqual(
      facts.rateLimits.map(({ key, applies, why }) => [key, applies, why]),
      [
        ['k', true, ''],
        [null, false, 'the method is POST, not PUT'],
        ['default/web', true, ''],
      ],
    );
    assert.deepEqual(asked.mirrors, [{ cluster: V2, percent: 5, canBePicked: 1, all: 1 }]);
    assert.equal(forwardOf(ask(mesh, 'http://orders/v2', { headers: { 'x-beta': '1' } })).hedgeNote, 'the first answer counts');
    assert.equal(ask(mesh, 'http://orders/v2').route?.name, 'default');
  });

  it('of gRPC take the time from grpc-timeout', () => {
    const headers = { 'content-type': 'application/grpc', 'grpc-timeout': '2S', 'x-request-timeout': '3s' };
    const facts = forwardOf(ask(dump(), 'http://orders/shop.Orders/Get', { method: 'POST', headers }));
    assert.deepEqual([facts.time.limitMs, facts.time.callerHeader, facts.time.error], [2_000, 'grpc-timeout', 'DEADLINE_EXCEEDED']);
    assert.equal(forwardOf(ask(dump(), 'http://orders/', { headers })).time.limitMs, 3_000);
  });

  it('may answer in place of the service', () => {
    const moved = { kind: 'redirect', status: 308, path: { kind: 'prefix', value: '/v2' } } as const;
    const fixed = { kind: 'respond', status: 503, body: 'closed', contentType: 'text/plain' } as const;
    const abort = { abort: { percent: 100, status: { kind: 'http', code: 418 } } } as const;
    const mesh = dump({
      routes: [
        route({ name: 'moved', match: prefix('/v1'), action: moved }),
        route({ name: 'closed', match: prefix('/closed'), action: fixed }),
        route({ name: 'broken', match: ANY_REQUEST, fault: abort }),
      ],
    });
    const said = (url: string): unknown => {
      const { kind, status, code } = ask(mesh, url).outcome;
      return [kind, status, code];
    };
    assert.deepEqual(said('http://orders/v1/a?b=c'), ['answered', 308, null]);
    const { action } = ask(mesh, 'http://orders/v1/a?b=c');
    assert.equal(action?.kind === 'redirect' && action.location, 'http://orders/v2/a?b=c');
    assert.deepEqual(said('http://orders/closed'), ['answered', 503, null]);
    assert.deepEqual(said('http://orders/'), ['answered', 418, 'FAULT_INJECTED']);
  });

  it('warn of a breaker that is open', () => {
    const { notes } = ask(
      dump({ orders: { breaker: { connections: 0, pending: 2, requests: 5 }, underWay: 5, pending: 2 } }),
      'http://orders/',
    );
    assert.match(notes.join('\n'), /is open now: 5 requests.*\n.*wait as its breaker allows: 2/);
  });
});

describe('the explained route', () => {
  const paths = fc.constantFrom('/', '/a', '/a/b', '/ab', '/b');
  const path: fc.Arbitrary<PathMatch> = fc.record({ kind: fc.constantFrom('prefix', 'exact', 'segments'), value: paths });
  const match = fc.record(
    {
      kind: fc.constant('request' as const),
      path,
      methods: fc.constantFrom(['GET'], ['PUT', 'GET']),
      headers: fc.constant([{ name: 'x' }]),
    },
    { requiredKeys: ['kind', 'path'] },
  ) as fc.Arbitrary<RequestMatch>;
  const domain = fc.constantFrom('a', 'a:80', 'a:81', 'b.a', '*.a', '*.b.a:81', '*.a:80', '*', 'A.b.a');
  const configs = fc
    .tuple(
      fc.uniqueArray(domain, { minLength: 1, maxLength: 6, selector: (one) => one.toLowerCase().replace(/:80$/, '') }),
      fc.uniqueArray(match, { minLength: 1, maxLength: 4, selector: (one) => JSON.stringify(one) }),
    )
    .map(([domains, matches]): RouteConfig => {
      const routes = matches.map((one, index): Route => route({ name: `r${index}`, match: one }));
      const connect = route({ name: 'c', match: { kind: 'connect' }, action: { kind: 'tunnel', how: 'forward', cluster: ORDERS } });
      return {
        name: 'outbound/mesh',
        virtualHosts: domains.map((one, index) => ({ name: one, domains: [one], routes: index % 2 === 0 ? routes : [connect, ...routes] })),
      };
    });
  const authorities = fc.constantFrom('a', 'a:80', 'A:81', 'b.a', 'x.b.a:81', 'x.a', 'x.a:80', 'c', 'a.b.a');

  const asked = fc.record({ authority: authorities, method: fc.constantFrom('GET', 'PUT', 'CONNECT'), at: paths, hasX: fc.boolean() });

  it('is the one that the matcher finds (property)', () => {
    let found = 0;
    fc.assert(
      fc.property(configs, fc.array(asked, { minLength: 5, maxLength: 8 }), (config, requests) => {
        const matcher = compiled(config);
        if (matcher === undefined) return;
        const of = dump({ over: { routes: [config] } });
        for (const { authority, method, at, hasX } of requests) {
          const isConnect = method === 'CONNECT';
          if (isConnect && !authority.includes(':')) continue;
          const headers = hasX ? { x: '1' } : undefined;
          const request = new PlainRequest({ method, authority, path: at, headers: Object.entries(headers ?? {}) });
          const expected: Route | undefined = isConnect ? matcher.matchConnect(authority) : matcher.match(request);
          const owner: VirtualHost | undefined = isConnect ? matcher.connectHost(authority) : matcher.virtualHost(authority);
          const { route: taken } = ask(of, isConnect ? authority : `http://${authority}${at}`, { method, headers });
          assert.deepEqual([taken?.name, taken?.virtualHost], [expected?.name ?? '', owner?.name ?? '']);
          if (expected !== undefined) found++;
        }
      }),
      { numRuns: 150 },
    );
    assert.ok(found > 50, `only ${found} requests found a route`);
  });
});

function compiled(config: RouteConfig): ReturnType<typeof compileRoutes> | undefined {
  try {
    return compileRoutes(config);
  } catch (error) {
    assert.ok(error instanceof RouteConfigError);
    return undefined;
  }
}
