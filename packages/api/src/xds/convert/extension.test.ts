// What of a cluster or a route Envoy's contract cannot say: in the place of its fields, as strict as they are, and absent where there is nothing.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ANY_REQUEST, DEFAULT_OUTLIER, DEFAULT_RETRY_BUDGET, forwardTo, NO_BREAKER, NO_RETRY, SINGLE_BALANCE } from '@heddle/core';
import type { Cluster, ForwardAction, Route, RouteConfig } from '@heddle/core';
import { Cluster as ClusterMessage, Cluster_LbPolicy } from '../../gen/envoy/envoy/config/cluster/v3/cluster.ts';
import { RouteConfiguration } from '../../gen/envoy/envoy/config/route/v3/route.ts';
import type { Route as RouteMessage } from '../../gen/envoy/envoy/config/route/v3/route_components.ts';
import { ClusterExtension } from '../../gen/own/heddle/config/v1/cluster.ts';
import { type PathMatch, RouteExtension } from '../../gen/own/heddle/config/v1/route.ts';
import { TYPE_URLS } from '../kinds.ts';
import { decodeResource, encodeResource, XdsRejection } from './index.ts';
import { pack } from './strict.ts';

const CLUSTER: Cluster = {
  name: 'c',
  service: { namespace: 'default', name: 'orders' },
  endpoints: { kind: 'eds' },
  balance: SINGLE_BALANCE,
  connectTimeoutMs: 1_000,
  breaker: NO_BREAKER,
  retryBudget: DEFAULT_RETRY_BUDGET,
  http: 'http1',
};
const ROUTE: Route = { name: 'all', match: ANY_REQUEST, action: forwardTo('c') };

const configOf = (...routes: readonly Route[]): RouteConfig => ({ name: 'r', virtualHosts: [{ name: 'v', domains: ['*'], routes }] });
const clusterMessage = (over: Partial<Cluster>): ClusterMessage =>
  ClusterMessage.decode(encodeResource('cluster', { ...CLUSTER, ...over }).any.value);
const routeMessage = (over: Partial<Route>): RouteMessage =>
  RouteConfiguration.decode(encodeResource('route', configOf({ ...ROUTE, ...over })).any.value).virtualHosts![0]!.routes![0]!;

function refused(decode: () => unknown): string {
  try {
    decode();
  } catch (error) {
    assert.ok(error instanceof XdsRejection, String(error));
    return error.message;
  }
  return assert.fail('was accepted');
}

/** What a data plane says to a cluster with this extension. */
function clusterRefusal(extension: ClusterExtension | Uint8Array, lbPolicy: Cluster_LbPolicy = Cluster_LbPolicy.ROUND_ROBIN): string {
  const message = clusterMessage({});
  const any = pack(ClusterExtension, extension instanceof Uint8Array ? {} : extension);
  const own = extension instanceof Uint8Array ? { ...any, value: extension } : any;
  message.lbPolicy = lbPolicy;
  message.metadata = { ...message.metadata, typedFilterMetadata: { 'dev.heddle': own } };
  return refused(() => decodeResource('cluster', { typeUrl: TYPE_URLS.cluster, value: ClusterMessage.encode(message).finish() }, 'x'));
}

/** What a data plane says to a route with these parts in place of those of the plain one. */
function routeRefusal(extension: RouteExtension, over: Partial<RouteMessage> = {}): string {
  const any = pack(RouteExtension, extension);
  const route: RouteMessage = { ...routeMessage({}), ...over, metadata: { typedFilterMetadata: { 'dev.heddle': any } } };
  const value = RouteConfiguration.encode({ name: 'r', virtualHosts: [{ name: 'v', domains: ['*'], routes: [route] }] }).finish();
  return refused(() => decodeResource('route', { typeUrl: TYPE_URLS.route, value }, 'x'));
}

describe('the plain case', () => {
  test('needs no extension', () => {
    assert.equal(clusterMessage({}).metadata?.typedFilterMetadata?.['dev.heddle'], undefined);
    assert.equal(
      clusterMessage({ balance: { ...SINGLE_BALANCE, algorithm: 'maglev' } }).metadata?.typedFilterMetadata?.['dev.heddle'],
      undefined,
    );
    const route = routeMessage({});
    assert.equal(route.metadata, undefined);
    assert.equal(route.name, 'all');
    assert.equal(route.match?.pathSpecifier?.$case, 'prefix');
  });

  test('stays in fields of Envoy where only the other part goes beyond', () => {
    const matched = routeMessage({ match: { ...ANY_REQUEST, methods: ['GET'] } });
    assert.equal(matched.match, undefined);
    assert.equal(matched.action?.value.clusterSpecifier?.value, 'c');
    const split: ForwardAction = { ...forwardTo('c'), clusters: ['c', 'd'].map((cluster) => ({ cluster, weight: 1 })) };
    const forwarded = routeMessage({ action: split });
    assert.equal(forwarded.match?.pathSpecifier?.value, '/');
    assert.equal(forwarded.action, undefined);
  });

  test('is what lb_policy says when a foreign control plane sends no extension', () => {
    const message = clusterMessage({});
    message.lbPolicy = Cluster_LbPolicy.RING_HASH;
    const bytes = ClusterMessage.encode(message).finish();
    const { balance } = decodeResource('cluster', { typeUrl: TYPE_URLS.cluster, value: bytes });
    assert.deepEqual(balance, { ...SINGLE_BALANCE, algorithm: 'ring-hash' });
  });
});

describe('an extension of a cluster is rejected', () => {
  const place = "Cluster 'x': metadata: typed_filter_metadata: dev.heddle: ";
  const balance = { algorithm: 1, locality: 1 } as const;

  test('for a field that it does not know, at any depth', () => {
    // ClusterExtension.99, and Balance.99 inside of field 1: both with the number 1.
    assert.equal(
      clusterRefusal(Uint8Array.of(0x98, 0x06, 1)),
      `${place}field 99 of heddle.config.v1.ClusterExtension is not known to Heddle`,
    );
    assert.equal(
      clusterRefusal(Uint8Array.of(0x0a, 3, 0x98, 0x06, 1)),
      `${place}balance: field 99 of heddle.config.v1.Balance is not known to Heddle`,
    );
  });

  test('for an algorithm that a newer version may know', () => {
    const unknown = { balance: { ...balance, algorithm: 77 as 1 } };
    assert.equal(clusterRefusal(unknown), `${place}balance: algorithm: 77 is not known to Heddle; it may come from a newer version`);
    assert.equal(clusterRefusal({ balance: { locality: 1 } }), `${place}balance: algorithm: is required`);
  });

  test("where it is at odds with Envoy's field", () => {
    assert.equal(
      clusterRefusal({ balance }),
      "Cluster 'x': lb_policy: must be LEAST_REQUEST beside the algorithm 'probing', not ROUND_ROBIN",
    );
  });

  test('for what is out of range', () => {
    const inOrder = { balance };
    const refusal = (over: ClusterExtension): string => clusterRefusal({ ...inOrder, ...over }, Cluster_LbPolicy.LEAST_REQUEST);
    assert.equal(
      refusal({ balance: { ...balance, panicPercent: 101 } }),
      `${place}balance: panic_percent: must be between 0 and 100, not 101`,
    );
    assert.equal(refusal({ retryBudget: { percent: Number.NaN } }), `${place}retry_budget: percent: must be a number from 0 on, not NaN`);
    assert.equal(
      refusal({ adaptiveConcurrency: { minRequests: 4, maxRequests: 3 } }),
      `${place}adaptive_concurrency: max_requests: must be between 4 and 4294967295, not 3`,
    );
    assert.match(refusal({ outlier: { ...DEFAULT_OUTLIER, maxEjectMs: 1 } }), /outlier: max_eject_ms: must be between 10000 and/);
    assert.equal(refusal({ session: { cookie: 'a;b' } }), `${place}session: cookie: "a;b" is not the name of a cookie`);
  });

  test('of somebody else, or where none belongs', () => {
    const typed = (message: ClusterMessage, name: string): string => {
      message.metadata = { ...message.metadata, typedFilterMetadata: { [name]: pack(ClusterExtension, {}) } };
      return refused(() => decodeResource('cluster', { typeUrl: TYPE_URLS.cluster, value: ClusterMessage.encode(message).finish() }, 'x'));
    };
    assert.equal(
      typed(clusterMessage({}), 'com.acme'),
      `Cluster 'x': metadata: typed_filter_metadata: "com.acme" is not supported; only dev.heddle is`,
    );
    const inside = clusterMessage({
      endpoints: { kind: 'static', endpoints: [{ address: '::1', port: 1, health: 'healthy', weight: 1, instance: 'i' }] },
    });
    inside.loadAssignment!.endpoints![0]!.lbEndpoints![0]!.metadata = { typedFilterMetadata: { 'dev.heddle': pack(ClusterExtension, {}) } };
    assert.match(typed(inside, 'dev.heddle'), /lb_endpoints\[0\]: metadata: typed_filter_metadata: "dev.heddle" is not supported here$/);
  });
});

describe('a host that is looked up', () => {
  test('is one name or address, and nothing besides', () => {
    const dns = (host: string): Partial<Cluster> => ({ endpoints: { kind: 'dns', host, port: 443 } });
    assert.equal(clusterMessage(dns('api.example.com')).clusterDiscoveryType?.value, 2);
    assert.match(
      refused(() => clusterMessage(dns('API.example.com'))),
      /address: "API.example.com" is neither a name in lower case nor an IP/,
    );
    const message = clusterMessage(dns('api.example.com'));
    message.loadAssignment!.endpoints![0]!.lbEndpoints![0]!.healthStatus = 2;
    const bytes = ClusterMessage.encode(message).finish();
    assert.match(
      refused(() => decodeResource('cluster', { typeUrl: TYPE_URLS.cluster, value: bytes })),
      /lb_endpoints\[0\]: health_status: is not supported in a LOGICAL_DNS cluster/,
    );
  });
});

describe('an extension of a route is rejected', () => {
  const place = "RouteConfiguration 'x': virtual_hosts[0]: routes[0]: metadata: typed_filter_metadata: dev.heddle: ";
  const respond = { $case: 'respond', value: { status: 200 } } as const;
  const forward = (over: object): RouteExtension => ({ action: { $case: 'forward', value: { clusters: [{ cluster: 'c' }], ...over } } });
  const match = (path: PathMatch['kind'], over: object = {}): RouteExtension => ({ match: { path: { kind: path }, ...over } });

  test("beside Envoy's field in whose place it stands", () => {
    assert.equal(routeRefusal(match({ $case: 'exact', value: '/' })), `${place}match: is there beside the match of the route`);
    assert.equal(routeRefusal({ action: respond }), `${place}respond: is there beside an action of the route`);
    const connect = { pathSpecifier: { $case: 'connectMatcher', value: {} } } as const;
    assert.equal(routeRefusal({ action: respond }, { match: connect }), `${place}respond: is not supported in a route for CONNECT`);
  });

  test('for matches that mean nothing, or what the data plane could not compare', () => {
    const refusal = (extension: RouteExtension): string => routeRefusal(extension, { match: undefined });
    assert.equal(refusal(match(undefined)), `${place}match: path: is required`);
    assert.equal(refusal(match({ $case: 'segments', value: 'a' })), `${place}match: path: segments: must begin with '/', not "a"`);
    const any = { $case: 'prefix', value: '/' } as const;
    assert.equal(refusal(match(any, { methods: ['GET', 'A B'] })), `${place}match: methods[1]: "A B" is not a method`);
    assert.equal(
      refusal(match(any, { headers: [{ name: 'X-Beta' }] })),
      `${place}match: headers[0]: name: "X-Beta" is not the name of a header in lower case`,
    );
    assert.equal(
      refusal(match(any, { query: [{ name: 'a', match: { kind: { $case: 'regex', value: 'x' }, ignoreCase: true } }] })),
      `${place}match: query[0]: match: ignore_case: is not supported beside regex: write (?i) or both cases`,
    );
    assert.equal(
      refusal(match(any, { authority: { kind: { $case: 'suffix', value: '' } } })),
      `${place}match: authority: suffix: is required`,
    );
  });

  test('for actions that nobody could follow', () => {
    const refusal = (extension: RouteExtension): string => routeRefusal(extension, { action: undefined });
    const two = (weight: number) => ['c', 'd'].map((cluster) => ({ cluster, weight }));
    assert.equal(refusal({}), "RouteConfiguration 'x': virtual_hosts[0]: routes[0]: route: is required");
    assert.equal(refusal(forward({ clusters: [] })), `${place}forward: clusters: must have at least one entry`);
    assert.equal(refusal(forward({ clusters: two(0) })), `${place}forward: clusters: must not all have weight 0`);
    assert.equal(refusal(forward({ splitByHash: true })), `${place}forward: split_by_hash: needs at least one entry in hash`);
    assert.equal(refusal(forward({ retry: { on: [3, 3] } })), `${place}forward: retry: on: has an entry twice`);
    assert.equal(refusal(forward({ hash: [{}] })), `${place}forward: hash[0]: is required`);
    assert.equal(refusal(forward({ hedge: {} })), `${place}forward: hedge: after_ms: must be between 1 and 315576000000000, not 0`);
    assert.equal(
      refusal({ action: { $case: 'redirect', value: { status: 304 } } }),
      `${place}redirect: status: must be one of 301, 302, 303, 307, 308, not 304`,
    );
    const body = 'é'.repeat(2_049);
    assert.equal(
      refusal({ action: { $case: 'respond', value: { ...respond.value, body } } }),
      `${place}respond: body: has 4098 bytes; at most 4096 are possible`,
    );
  });

  test('for what is done on the way', () => {
    const twice = [1, 2].map((value) => ({ name: 'x-a', value: `${value}` }));
    assert.equal(routeRefusal({ requestHeaders: { set: twice } }), `${place}request_headers: set[1]: name: "x-a" is listed twice`);
    const split = { name: 'x-a', value: 'a\r\nb: c' };
    assert.equal(
      routeRefusal({ responseHeaders: { add: [split] } }),
      `${place}response_headers: add[0]: value: "a\\r\\nb: c" has control characters`,
    );
    assert.equal(routeRefusal({ fault: { abort: { percent: 1 } } }), `${place}fault: abort: http: is required`);
    assert.equal(routeRefusal({ rateLimits: [{ requests: 1, perMs: 1 }] }), `${place}rate_limits[0]: by: is required`);
    const limit = { requests: 1, perMs: 1, burst: 1, by: { $case: 'all' as const, value: {} } };
    const noPath = { ...limit, match: { methods: ['GET'] } };
    assert.equal(routeRefusal({ rateLimits: [limit, noPath] }), `${place}rate_limits[1]: match: path: is required`);
  });
});

test('a control plane does not send what would mean something else on the wire', () => {
  const refusal = (over: Partial<Route>): string => refused(() => routeMessage(over));
  assert.match(refusal({ match: { ...ANY_REQUEST, methods: [] } }), /match: methods: must have at least one entry, or be left out$/);
  assert.match(
    refusal({ action: { ...forwardTo('c'), rewrite: { authority: '' } } }),
    /rewrite: authority: must not be empty; leave it out$/,
  );
  assert.match(
    refusal({ action: { ...forwardTo('c'), retry: { ...NO_RETRY, perTryMs: 0.5 } } }),
    /^RouteConfiguration 'r': cannot be encoded: .*0\.5/,
  );
  const same = refused(() => encodeResource('route', configOf(ROUTE, ROUTE)));
  assert.equal(same, `RouteConfiguration 'r': virtual_hosts[0]: routes[1]: name: "all" is the name of an earlier route already`);
});
