// Rules as routes: what they say, what the service says where they say nothing, and that data planes can follow all of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANY_REQUEST, NO_RETRY, compileRoutes } from '@heddle/core';
import type { Route, RuleForward, Service, ServiceRef, TrafficRule } from '@heddle/core';
import { instance, service } from '../testing/mesh.ts';
import { FULL_SERVICE } from '../testing/policies.ts';
import { compileInstance } from './instance-resources.ts';
import { compileRequestRoutes } from './request-routes.ts';
import { compileCluster } from './service-resources.ts';

const stock = service('stock', { hash: [{ kind: 'source' }] });
const ref = (name: string): ServiceRef => ({ namespace: 'default', name });
const find =
  (...services: Service[]) =>
  (wanted: ServiceRef): Service | undefined =>
    services.find(({ name }) => name === wanted.name);
const to = (name: string, labels: Record<string, string> = {}, weight = 1) => ({ service: ref(name), labels, weight });
const rule = (action: Partial<RuleForward>, over: Partial<TrafficRule> = {}): TrafficRule => ({
  name: 'all',
  matches: [ANY_REQUEST],
  action: { kind: 'forward', to: [to('stock')], ...action },
  ...over,
});
const one = (of: Service, ...others: Service[]): Route => {
  const [route] = compileRequestRoutes(of, find(of, ...others));
  assert.ok(route);
  return route;
};

test('each match of a rule is a route, in order; what no rule takes goes to all instances as the service has it', () => {
  const routes = compileRequestRoutes(FULL_SERVICE, find(FULL_SERVICE, stock));
  const [beta, moved, hello] = FULL_SERVICE.rules;
  assert.deepEqual(
    routes.map(({ name, match }) => [name, match]),
    [
      ['beta', beta?.matches[0]],
      ['beta (2)', beta?.matches[1]],
      ['moved', moved?.matches[0]],
      ['hello', hello?.matches[0]],
      ['default', ANY_REQUEST],
    ],
  );
  assert.deepEqual(routes[2]?.action, moved?.action);
  assert.deepEqual(routes[3], { name: 'hello', match: hello?.matches[0], action: hello?.action });
  const { hash, timeoutMs, idleTimeoutMs, retry, hedge, session } = FULL_SERVICE;
  assert.deepEqual(routes[4], {
    name: 'default',
    match: ANY_REQUEST,
    action: {
      ...{ kind: 'forward', clusters: [{ cluster: 'outbound/default/orders', weight: 1 }] },
      ...{ hash, timeoutMs, idleTimeoutMs, retry, hedge, session },
    },
  });
  compileRoutes({ name: 'r', virtualHosts: [{ name: 'r', domains: ['*'], routes }] });
});

test('a rule has its own limits, changes, faults and mirrors, and leads to some instances by the names of their clusters', () => {
  const [route, second] = compileRequestRoutes(FULL_SERVICE, find(FULL_SERVICE, stock));
  const { requestHeaders, responseHeaders, fault, rateLimits, action } = FULL_SERVICE.rules[0] as TrafficRule;
  const { retry, rewrite, to: targets } = action as RuleForward;
  assert.deepEqual(route, {
    name: 'beta',
    match: FULL_SERVICE.rules[0]?.matches[0],
    action: {
      kind: 'forward',
      clusters: [
        { cluster: 'outbound/default/orders{tier=gold,version=v2}', weight: 10, requestHeaders: targets[0]?.requestHeaders },
        { cluster: 'outbound/default/stock', weight: 90, responseHeaders: targets[1]?.responseHeaders },
      ],
      ...{ hash: FULL_SERVICE.hash, splitByHash: true, timeoutMs: 500, idleTimeoutMs: 1_000, retry, rewrite },
      mirrors: [{ cluster: 'outbound/default/stock{version=v3}', percent: 0.5 }],
      session: FULL_SERVICE.session,
    },
    ...{ requestHeaders, responseHeaders, fault, rateLimits },
  });
  assert.equal(second?.action, route.action);
});

test('what a rule leaves out is as the service has it; a hedge can be switched off', () => {
  const hedge = { afterMs: 5, attempts: 1 };
  const retry = { ...NO_RETRY, attempts: 3, on: ['reset'] as const };
  const base = service('orders', { timeoutMs: 7, idleTimeoutMs: 8, retry, hedge, hash: [{ kind: 'query', name: 'u' }] });
  const filled = one({ ...base, rules: [rule({})] }, stock).action;
  assert.deepEqual(filled, {
    kind: 'forward',
    clusters: [{ cluster: 'outbound/default/stock', weight: 1 }],
    ...{ hash: base.hash, timeoutMs: 7, idleTimeoutMs: 8, retry, hedge },
  });
  const off = one({ ...base, rules: [rule({ hedge: false, timeoutMs: 0 })] }, stock).action;
  assert.ok(off.kind === 'forward' && !('hedge' in off) && off.timeoutMs === 0);
  // Without a hash of its own, that of the destination, which is balanced by it.
  const borrowed = one({ ...base, hash: [], rules: [rule({})] }, stock).action;
  assert.deepEqual(borrowed.kind === 'forward' && borrowed.hash, stock.hash);
});

test('a session is that of the clusters a route leads to, the first of them that has one', () => {
  const session = { cookie: 'sid', ttlMs: 0 };
  const sticky = service('stock', { session });
  const sessionTo = (of: Service, ...names: string[]): unknown => {
    const { action } = one({ ...of, rules: [rule({ to: names.map((name) => to(name)) })] }, sticky, service('plain'));
    return action.kind === 'forward' ? action.session : 'none';
  };
  assert.deepEqual(sessionTo(service('orders'), 'plain', 'stock'), session);
  assert.equal(sessionTo(service('orders', { session }), 'plain'), undefined);
  const { action } = one(service('orders', { session }));
  assert.deepEqual(action.kind === 'forward' && action.session, session);
});

test('after a rule that takes every request nothing follows, and every route has a name of its own', () => {
  const names = (...rules: TrafficRule[]): string[] =>
    compileRequestRoutes(service('orders', { rules }), find(stock)).map(({ name }) => name);
  const get = { ...ANY_REQUEST, methods: ['GET'] };
  assert.deepEqual(names(rule({})), ['all']);
  assert.deepEqual(names(rule({}, { matches: [{ kind: 'request', path: { kind: 'segments', value: '/' } }] })), ['all']);
  assert.deepEqual(names(rule({}, { matches: [get] })), ['all', 'default']);
  assert.deepEqual(
    names(rule({}, { name: 'default', matches: [get, { ...get, methods: ['PUT'] }] }), rule({}, { name: 'connect', matches: [get] })),
    ['default', 'default (2)', 'connect (2)', 'default (3)'],
  );
});

test('what has gone from the mesh gets no share; when nothing is left, callers are told so', () => {
  const split = service('orders', {
    rules: [rule({ to: [to('gone', {}, 90), to('stock', {}, 10)], mirrors: [{ ...to('gone'), percent: 1 }] })],
  });
  const { action } = one(split, stock);
  assert.deepEqual(action.kind === 'forward' && [action.clusters, action.mirrors], [
    [{ cluster: 'outbound/default/stock', weight: 10 }],
    undefined,
  ]);
  for (const bytes of [[], [service('stock', { protocol: 'tcp' })]]) {
    const left = one(split, ...bytes).action;
    assert.ok(left.kind === 'respond' && left.status === 503);
    assert.equal(left.body, 'rule "all" of default/orders leads to default/gone, default/stock, which the mesh does not have\n');
  }
});

test('limits of the service hold where its instances are, each for the requests that it is for', () => {
  const { routes, clusters } = compileInstance(instance('orders', 1), FULL_SERVICE, () => undefined, 't');
  const [route, ...others] = routes[0]?.virtualHosts[0]?.routes ?? [];
  assert.deepEqual([route?.rateLimits, others], [FULL_SERVICE.rateLimits, []]);
  assert.deepEqual(route?.action, {
    kind: 'forward',
    clusters: [{ cluster: 'local/default/orders/orders-1', weight: 1 }],
    ...{ hash: [], timeoutMs: 0, idleTimeoutMs: 60_000, retry: NO_RETRY },
  });
  const [local] = clusters;
  assert.deepEqual(
    [local?.adaptiveConcurrency, local?.outlier, local?.session, local?.breaker.requests],
    [FULL_SERVICE.adaptiveConcurrency, undefined, undefined, 0],
  );
});

test('every cluster of a service has all of its policies', () => {
  const { balance, breaker, retryBudget, adaptiveConcurrency, outlier, session } = FULL_SERVICE;
  const whole = compileCluster(FULL_SERVICE, 't');
  const part = compileCluster(FULL_SERVICE, 't', { version: 'v2' });
  for (const cluster of [whole, part])
    assert.deepEqual(cluster, { ...cluster, balance, breaker, retryBudget, adaptiveConcurrency, outlier, session });
  assert.deepEqual({ ...part, name: '' }, { ...whole, name: '' });
  assert.deepEqual([whole.name, part.name], ['outbound/default/orders', 'outbound/default/orders{version=v2}']);
});
