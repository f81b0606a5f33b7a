// What routes an Envoy is given. That it follows them as our own data planes do is shown by tests/interop.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ANY_REQUEST, DEFAULT_LIMITS, forwardTo, NO_RETRY } from '@heddle/core';
import type {
  FieldMatch,
  ForwardAction,
  PathMatch,
  PathRewrite,
  RateLimit,
  RequestMatch,
  RetryPolicy,
  Route,
  RouteConfig,
} from '@heddle/core';
import { RouteConfiguration } from '../../../gen/foreign/envoy/config/route/v3/route.ts';
import type {
  RouteAction,
  RouteMatch,
  Route as RouteMessage,
  VirtualHost,
} from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import { HTTPFault } from '../../../gen/foreign/envoy/extensions/filters/http/fault/v3/fault.ts';
import { LocalRateLimit } from '../../../gen/foreign/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.ts';
import { encodeForEnvoy } from './envoy.ts';

const ROUTE: Route = { name: 'all', match: ANY_REQUEST, action: forwardTo('c') };
const RETRY: RetryPolicy = { ...NO_RETRY, attempts: 2, on: ['connect-failure', 'refused', 'reset'] };
const EXACT = { kind: 'exact', value: '1' } as const;

/** Without what the decoder notes for itself, and without what is not set. */
const plain = (message: unknown): unknown =>
  JSON.parse(JSON.stringify(message, (key, value: unknown) => (key === '$type' || value === '' || value === false ? undefined : value)));

function hostOf(routes: readonly Route[], name = 'outbound/r', refused: string[] = []): VirtualHost {
  const config: RouteConfig = { name, virtualHosts: [{ name: 'v', domains: ['*', '*.shop'], routes }] };
  const [resource] = encodeForEnvoy('route', config, { trustDomain: 'shop', onRefused: ({ message }) => refused.push(message) });
  return RouteConfiguration.decode(resource!.any.value).virtualHosts![0]!;
}

const routesOf = (...routes: readonly Route[]): RouteMessage[] => hostOf(routes).routes ?? [];
const lastOf = (over: Partial<Route>): RouteMessage => routesOf({ ...ROUTE, ...over }).at(-1)!;
const matchOf = (over: Partial<RequestMatch>): RouteMatch => lastOf({ match: { ...ANY_REQUEST, ...over } }).match!;
const valueOf = (route: RouteMessage | undefined): RouteAction => (route?.action?.$case === 'route' ? route.action.value : {});
const actionOf = (over: Partial<ForwardAction>): RouteAction => valueOf(lastOf({ action: { ...forwardTo('c'), ...over } }));
const retryOf = (retry: Partial<RetryPolicy>, more: Partial<ForwardAction> = {}): [idempotent: string, other: string] => {
  const routes = routesOf({ ...ROUTE, action: { ...forwardTo('c'), ...more, retry: { ...RETRY, ...retry } } }).slice(1);
  return [valueOf(routes[0]).retryPolicy?.retryOn ?? '', valueOf(routes.at(-1)).retryPolicy?.retryOn ?? ''];
};

describe('one route for Envoy', () => {
  it('is several: for upgrades, for event streams, for idempotent methods, for the rest', () => {
    const routes = routesOf({ ...ROUTE, action: { ...forwardTo('c'), timeoutMs: 2_000, retry: RETRY } });
    assert.deepEqual(
      routes.map(({ match }) => match?.headers?.map(({ name }) => name).join()),
      ['upgrade', 'accept,:method', 'accept', ':method', ''],
    );
    const limits = routes.map((route) => valueOf(route).timeout?.seconds);
    assert.deepEqual(limits, [0, 0, 0, 2, 2]);
    // After a reset, only what is idempotent.
    assert.deepEqual(
      routes.map((route) => valueOf(route).retryPolicy?.retryOn?.includes('reset')),
      [false, true, false, true, false],
    );
    assert.deepEqual(
      routes.map(({ name }) => name),
      Array.from({ length: 5 }, () => 'all'),
    );
  });

  it('lets upgraded connections be silent for long, requests as long as the data plane does, unless the route says it', () => {
    const idle = (idleTimeoutMs: number): (number | undefined)[] =>
      routesOf({ ...ROUTE, action: { ...forwardTo('c'), idleTimeoutMs } }).map((route) => valueOf(route).idleTimeout?.seconds);
    assert.deepEqual(idle(0), [DEFAULT_LIMITS.tcpIdleTimeoutMs / 1_000, undefined]);
    assert.deepEqual(idle(5_000), [5, 5]);
  });

  it('is found by a host with the usual port and without it, but no tunnel is', () => {
    const tunnel: Route = { name: 't', match: { kind: 'connect' }, action: { kind: 'tunnel', how: 'forward', cluster: 'c' } };
    const domains = ['a', 'b:80', 'c:8080', 'd', 'd:80', '*.e', '*'];
    const config: RouteConfig = { name: 'outbound/r', virtualHosts: [{ name: 'v', domains, routes: [tunnel, ROUTE] }] };
    const [resource] = encodeForEnvoy('route', config, { trustDomain: 'shop' });
    const host = RouteConfiguration.decode(resource!.any.value).virtualHosts![0]!;
    assert.deepEqual(host.domains, [...domains, 'a:80', 'b', '*.e:80']);
    const [connect, ...others] = host.routes ?? [];
    assert.deepEqual(plain(connect?.match?.headers), [
      {
        name: ':authority',
        headerMatchSpecifier: {
          $case: 'stringMatch',
          value: { matchPattern: { $case: 'safeRegex', value: { regex: '(?i:a:80|b|.*\\.e:80)' } } },
        },
        invertMatch: true,
      },
    ]);
    assert.ok(others.every(({ match }) => match?.headers?.every(({ name }) => name !== ':authority')));
  });

  it('ends tunnels at the application, or asks an instance for the same tunnel', () => {
    const upgradesOf = (how: 'forward' | 'terminate'): unknown => {
      const [route, ...others] = routesOf({ name: 't', match: { kind: 'connect' }, action: { kind: 'tunnel', how, cluster: 'c' } });
      assert.equal(route?.match?.pathSpecifier?.$case, 'connectMatcher');
      assert.equal(others.length, 0);
      return plain(valueOf(route).upgradeConfigs);
    };
    assert.deepEqual(upgradesOf('terminate'), [{ upgradeType: 'CONNECT', connectConfig: {} }]);
    assert.deepEqual(upgradesOf('forward'), [{ upgradeType: 'CONNECT' }]);
  });
});

describe('matches for Envoy', () => {
  const pathOf = (path: PathMatch): unknown => plain(matchOf({ path }).pathSpecifier);

  it('keep the meaning of every kind of path', () => {
    assert.deepEqual(pathOf({ kind: 'exact', value: '/a' }), { $case: 'path', value: '/a' });
    assert.deepEqual(pathOf({ kind: 'segments', value: '/a' }), { $case: 'pathSeparatedPrefix', value: '/a' });
    assert.deepEqual(pathOf({ kind: 'segments', value: '/' }), { $case: 'prefix', value: '/' });
    assert.deepEqual(pathOf({ kind: 'template', value: '/a.b/{id}/{rest=**}' }), {
      $case: 'safeRegex',
      value: { regex: '/a\\.b/([^/?]+)/([^?]*)' },
    });
  });

  it('ask for methods, the authority in lower case, headers and parameters', () => {
    const { headers, queryParameters } = matchOf({
      methods: ['GET', 'M-SEARCH'],
      authority: { kind: 'suffix', value: '.Shop' },
      headers: [{ name: 'x-a' }, { name: 'x-b', match: { kind: 'contains', value: 'v', ignoreCase: true } }],
      query: [{ name: 'q', match: EXACT }, { name: 'p' }],
    });
    assert.deepEqual(plain(headers), [
      {
        name: ':method',
        headerMatchSpecifier: { $case: 'stringMatch', value: { matchPattern: { $case: 'safeRegex', value: { regex: 'GET|M-SEARCH' } } } },
      },
      {
        name: ':authority',
        headerMatchSpecifier: { $case: 'stringMatch', value: { matchPattern: { $case: 'suffix', value: '.Shop' }, ignoreCase: true } },
      },
      { name: 'x-a', headerMatchSpecifier: { $case: 'presentMatch', value: true } },
      {
        name: 'x-b',
        headerMatchSpecifier: { $case: 'stringMatch', value: { matchPattern: { $case: 'contains', value: 'v' }, ignoreCase: true } },
      },
    ]);
    assert.deepEqual(
      queryParameters?.map(({ name, queryParameterMatchSpecifier: by }) => [name, by?.$case]),
      [
        ['q', 'stringMatch'],
        ['p', 'presentMatch'],
      ],
    );
  });

  it('let what is missing fit what is inverted', () => {
    const [header] = matchOf({ headers: [{ name: 'x-a', match: EXACT, invert: true }] }).headers ?? [];
    assert.deepEqual([header?.invertMatch, header?.treatMissingHeaderAsEmpty], [true, true]);
    const patternOf = (field: Omit<FieldMatch, 'invert'>): RegExp => {
      const [path] = matchOf({ query: [{ ...field, invert: true }] }).headers ?? [];
      assert.deepEqual([path?.name, path?.invertMatch], [':path', true]);
      const by = path?.headerMatchSpecifier;
      assert.ok(by?.$case === 'stringMatch' && by.value.matchPattern?.$case === 'safeRegex');
      return new RegExp(`^(?:${by.value.matchPattern.value.regex})$`);
    };
    const is = (pattern: RegExp, yes: string[], no: string[]): void => {
      for (const path of yes) assert.match(path, pattern);
      for (const path of no) assert.doesNotMatch(path, pattern);
    };
    is(
      patternOf({ name: 'q', match: EXACT }),
      ['/?q=1', '/a?b&q=1&c', '/?q=1&q=2'],
      ['/', '/?q=12', '/?qq=1', '/?a=q=1', '/q=1', '/?q=2&q=1'],
    );
    is(patternOf({ name: 'q' }), ['/?q', '/?q=', '/?a=1&q=2'], ['/', '/?a=q', '/?qa']);
    is(patternOf({ name: 'q', match: { kind: 'suffix', value: '.x' } }), ['/?q=a.x'], ['/?q=a.xy', '/?q=ax', '/?q=a&b=.x']);
  });
});

describe('retries for Envoy', () => {
  it('repeat what may have been executed only where the method allows it', () => {
    assert.deepEqual(retryOf({}), [
      'connect-failure,refused-stream,reset,retriable-headers',
      'connect-failure,refused-stream,retriable-headers',
    ]);
    assert.deepEqual(retryOf({ on: ['5xx'] }), [
      'connect-failure,refused-stream,5xx,retriable-headers',
      'connect-failure,refused-stream,retriable-headers',
    ]);
    assert.deepEqual(retryOf({ on: ['reset'] }), ['reset,retriable-headers', '']);
    const every = retryOf({ on: ['grpc-unavailable', 'retriable-status', 'timeout'], nonIdempotent: true, statuses: [429], perTryMs: 100 });
    assert.equal(every[0], every[1]);
    assert.match(every[1], /unavailable,retriable-status-codes,reset,retriable-headers$/);
  });

  it('count what a called data plane could not deliver', () => {
    const codesOf = (retry: Partial<RetryPolicy>, index: number): string[] => {
      const routes = routesOf({ ...ROUTE, action: { ...forwardTo('c'), retry: { ...RETRY, ...retry } } });
      const headers = valueOf(routes.at(index)).retryPolicy?.retriableHeaders ?? [];
      return headers
        .map(({ headerMatchSpecifier: by }) => (by?.$case === 'stringMatch' ? String(by.value.matchPattern?.value) : ''))
        .sort();
    };
    assert.deepEqual(codesOf({}, -1), [
      ...['APPLICATION_REFUSED', 'CONNECT_FAILED', 'CONNECT_TIMEOUT', 'DRAINING', 'OVERLOADED', 'PEER_NOT_TRUSTED', 'STREAM_REFUSED'],
    ]);
    assert.deepEqual(codesOf({}, -2), [...codesOf({}, -1), 'UPSTREAM_RESET'].sort());
    assert.ok(codesOf({ on: ['5xx'] }, -2).includes('UPSTREAM_PROTOCOL') && !codesOf({ on: ['5xx'] }, -1).includes('UPSTREAM_PROTOCOL'));
  });

  it('wait as the policy says, and as long as an answer asks for', () => {
    const { retryPolicy } = actionOf({ retry: { ...RETRY, backoff: { baseMs: 0, maxMs: 0 }, perTryMs: 250 } });
    assert.deepEqual(plain(retryPolicy?.retryBackOff), {
      baseInterval: { seconds: 0, nanos: 1e6 },
      maxInterval: { seconds: 0, nanos: 1e6 },
    });
    assert.equal(retryPolicy?.perTryTimeout?.nanos, 250e6);
    assert.equal(retryPolicy?.rateLimitedRetryBackOff?.resetHeaders?.[0]?.name, 'retry-after');
  });

  it('are none where they are off, but for the time that one try has', () => {
    const off = routesOf({ ...ROUTE, action: { ...forwardTo('c'), retry: { ...RETRY, attempts: 0 } } });
    assert.ok(off.every((route) => valueOf(route).retryPolicy === undefined) && off.length === 2);
    const limited = actionOf({ retry: { ...NO_RETRY, perTryMs: 1_000 } }).retryPolicy;
    assert.deepEqual([limited?.numRetries, limited?.perTryTimeout?.seconds], [0, 1]);
  });

  it('hedge idempotent requests after their time, and no others', () => {
    const routes = routesOf({ ...ROUTE, action: { ...forwardTo('c'), hedge: { afterMs: 200, attempts: 1 } } }).slice(1);
    assert.deepEqual(
      routes.map((route) => [valueOf(route).hedgePolicy?.hedgeOnPerTryTimeout, valueOf(route).retryPolicy?.numRetries]),
      [
        [true, 1],
        [undefined, undefined],
      ],
    );
    assert.equal(valueOf(routes[0]).retryPolicy?.perTryTimeout?.nanos, 200e6);
  });
});

describe('where requests go at Envoy', () => {
  it('is decided by weight, by hash where that is asked for', () => {
    const clusters = [
      { cluster: 'a', weight: 10 },
      { cluster: 'b', weight: 90 },
    ];
    assert.deepEqual(plain(actionOf({ clusters }).clusterSpecifier), {
      $case: 'weightedClusters',
      value: {
        clusters: [10, 90].map((weight, index) => ({
          ...{ name: clusters[index]?.cluster, weight, requestHeadersToAdd: [], requestHeadersToRemove: [] },
          ...{ responseHeadersToAdd: [], responseHeadersToRemove: [] },
        })),
      },
    });
    const hashed = actionOf({ clusters, splitByHash: true, hash: [{ kind: 'cookie', name: 'u', ttlMs: 0 }, { kind: 'source' }] });
    assert.ok(hashed.clusterSpecifier?.$case === 'weightedClusters');
    assert.deepEqual(plain(hashed.clusterSpecifier.value.randomValueSpecifier), { $case: 'useHashPolicy', value: true });
    assert.deepEqual(plain(hashed.hashPolicy), [
      { policySpecifier: { $case: 'cookie', value: { name: 'u', ttl: { seconds: 0, nanos: 0 }, path: '/' } }, terminal: true },
      { policySpecifier: { $case: 'connectionProperties', value: { sourceIp: true } }, terminal: true },
    ]);
  });

  it('is the same with a new path, with one slash where the parts meet', () => {
    const rewritten = (path: PathMatch, rewrite: PathRewrite): unknown => {
      const { prefixRewrite, regexRewrite } = valueOf(
        lastOf({ match: { kind: 'request', path }, action: { ...forwardTo('c'), rewrite: { path: rewrite } } }),
      );
      return regexRewrite === undefined ? prefixRewrite : [regexRewrite.pattern?.regex, regexRewrite.substitution];
    };
    const prefix = (value: string) => ({ kind: 'prefix', value }) as const;
    assert.equal(rewritten(prefix('/v1'), prefix('/v2')), '/v2');
    assert.equal(rewritten(prefix('/'), prefix('/v2')), '/v2/');
    assert.deepEqual(rewritten(prefix('/v1'), prefix('/')), ['^/v1/?', '/']);
    assert.deepEqual(rewritten({ kind: 'exact', value: '/a' }, prefix('/b')), ['^.*$', '/b']);
    assert.deepEqual(rewritten(prefix('/'), { kind: 'full', value: '/b\\1' }), ['^.*$', '/b\\\\1']);
    assert.deepEqual(rewritten({ kind: 'template', value: '/{a}/x/{b=**}' }, { kind: 'full', value: '/n/{b}/{a}' }), [
      '^/([^/?]+)/x/([^?]*)$',
      '/n/\\2/\\1',
    ]);
  });

  it('is somewhere else besides for copies, by the same authority', () => {
    assert.deepEqual(plain(actionOf({ mirrors: [{ cluster: 'm', percent: 12.5 }] }).requestMirrorPolicies), [
      { cluster: 'm', runtimeFraction: { defaultValue: { numerator: 125_000, denominator: 2 } } },
    ]);
  });

  it('is told the client by redirects, and nowhere where the route answers itself', () => {
    const redirect = lastOf({ action: { kind: 'redirect', status: 307, scheme: 'https', authority: 'x.y:8443', stripQuery: true } });
    assert.deepEqual(plain(redirect.action), {
      $case: 'redirect',
      value: {
        schemeRewriteSpecifier: { $case: 'schemeRedirect', value: 'https' },
        ...{ hostRedirect: 'x.y:8443', responseCode: 3, stripQuery: true },
      },
    });
    const answer = lastOf({ action: { kind: 'respond', status: 200, body: 'ok', contentType: 'text/x; a=50%' } });
    assert.deepEqual(plain(answer.action), {
      $case: 'directResponse',
      value: { status: 200, body: { specifier: { $case: 'inlineString', value: 'ok' } } },
    });
    assert.deepEqual(plain(answer.responseHeadersToAdd?.[0]?.header), { key: 'content-type', value: 'text/x; a=50%%' });
  });
});

describe('on the way at Envoy', () => {
  const headersOf = (list: RouteMessage['requestHeadersToAdd']): string[] =>
    (list ?? []).map(({ header, appendAction }) => `${header?.key}=${header?.value} ${appendAction}`);

  it('headers change; of a route and its cluster, the cluster has the last word', () => {
    const changes = { set: { 'x-a': 'route', 'x-id': '%REQUEST_ID% %SOURCE_ADDRESS% 5%%' }, add: { 'x-b': 'b' }, remove: ['x-c'] };
    const cluster = { cluster: 'c', weight: 1, requestHeaders: { set: { 'x-a': 'cluster' }, add: {}, remove: ['x-b'] } };
    const alone = lastOf({ requestHeaders: changes, action: { ...forwardTo('c'), clusters: [cluster] } });
    assert.deepEqual(headersOf(alone.requestHeadersToAdd), [
      'x-id=%REQ(x-request-id)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% 5%% 2',
      'x-a=cluster 2',
    ]);
    assert.deepEqual(alone.requestHeadersToRemove, ['x-c', 'x-b']);
    const split = lastOf({ requestHeaders: changes, action: { ...forwardTo('c'), clusters: [cluster, { cluster: 'd', weight: 1 }] } });
    assert.deepEqual(split.requestHeadersToAdd, []);
    const { clusterSpecifier } = valueOf(split);
    assert.ok(clusterSpecifier?.$case === 'weightedClusters');
    const [first, second] = clusterSpecifier.value.clusters ?? [];
    assert.ok(
      headersOf(first?.requestHeadersToAdd).includes('x-a=cluster 2') && headersOf(second?.requestHeadersToAdd).includes('x-a=route 2'),
    );
  });

  it('faults happen to the share that is asked for', () => {
    const route = lastOf({
      fault: { delay: { percent: 10, delayMs: 2_000 }, abort: { percent: 0.01, status: { kind: 'grpc', code: 14 } } },
    });
    const fault = HTTPFault.decode(route.typedPerFilterConfig?.['envoy.filters.http.fault']?.value ?? new Uint8Array());
    assert.deepEqual(plain(fault.delay), {
      faultDelaySecifier: { $case: 'fixedDelay', value: { seconds: 2, nanos: 0 } },
      percentage: { numerator: 100_000, denominator: 2 },
    });
    assert.deepEqual(plain(fault.abort), { errorType: { $case: 'grpcStatus', value: 14 }, percentage: { numerator: 100, denominator: 2 } });
  });

  it('rate limits have one bucket, however many routes become of one', () => {
    const limit = (by: RateLimit['by']): RateLimit => ({ requests: 100, perMs: 10, burst: 200, by });
    const action: ForwardAction = { ...forwardTo('c'), timeoutMs: 1_000, retry: RETRY };
    const rateLimits = [limit({ kind: 'all' }), limit({ kind: 'identity' })];
    const inbound = hostOf([{ ...ROUTE, action, rateLimits }], 'inbound/default/orders/orders-1');
    const said = (inbound.routes ?? []).map((route) => JSON.stringify(plain(valueOf(route).rateLimits)));
    assert.deepEqual(new Set(said).size, 1);
    // All; those of one identity; those of none.
    assert.equal(valueOf(inbound.routes?.[0]).rateLimits?.length, 3);
    assert.match(said[0] ?? '', /x-heddle-peer/);
    const config = inbound.typedPerFilterConfig?.['envoy.filters.http.local_ratelimit']?.value ?? new Uint8Array();
    const { descriptors = [], alwaysConsumeDefaultTokenBucket } = LocalRateLimit.decode(config);
    assert.equal(alwaysConsumeDefaultTokenBucket, false);
    assert.deepEqual(plain(descriptors[0]?.tokenBucket), { maxTokens: 200, tokensPerFill: 500, fillInterval: { seconds: 0, nanos: 50e6 } });
    assert.deepEqual(
      descriptors.map(({ entries = [] }) => entries.map(({ key, value }) => `${key}=${value}`).join()),
      ['limit=all#0', 'limit=all#1,value=', 'limit=all#1,missing=missing'],
    );
    // The calls that an Envoy makes are all its own.
    assert.equal(valueOf(hostOf([{ ...ROUTE, action, rateLimits }]).routes?.[0]).rateLimits?.length, 2);
  });

  it('sessions are bound where the route says so', () => {
    const { typedPerFilterConfig } = lastOf({ action: { ...forwardTo('c'), session: { cookie: 'sid', ttlMs: 0 } } });
    assert.deepEqual(Object.keys(typedPerFilterConfig ?? {}), ['envoy.filters.http.stateful_session']);
  });
});

describe('what Envoy cannot follow', () => {
  it('answers that it is not implemented, and is told to whoever asks; the other routes work', () => {
    const refused: string[] = [];
    const headers = { set: { 'x-caller': '%SOURCE_IDENTITY%' }, add: {}, remove: [] };
    const bad: Route = { ...ROUTE, name: 'named', match: { ...ANY_REQUEST, methods: ['GET'] }, requestHeaders: headers };
    const { routes = [] } = hostOf([bad, ROUTE], 'outbound/r', refused);
    assert.deepEqual(refused, [
      "RouteConfiguration 'outbound/r' for Envoy: virtual_hosts[0]: routes[0]: request_headers: x-caller: " +
        '%SOURCE_IDENTITY%: an Envoy does not know its own identity when it changes headers',
    ]);
    const [answer] = routes;
    assert.ok(answer?.action?.$case === 'directResponse' && answer.action.value.status === 501);
    assert.match(JSON.stringify(answer.action.value.body), /NOT_IMPLEMENTED: route .*named.*%SOURCE_IDENTITY%/s);
    assert.match(JSON.stringify(answer.responseHeadersToAdd), /"x-heddle-error","value":"NOT_IMPLEMENTED"/);
    assert.equal(answer.match?.headers?.[0]?.name, ':method');
    assert.equal(valueOf(routes.at(-1)).clusterSpecifier?.value, 'c');
    const known = hostOf([bad], 'inbound/default/orders/orders-1').routes?.at(-1);
    assert.deepEqual(headersOf(known), ['x-caller=%REQ(x-heddle-peer)%']);
  });

  it('is a domain that Envoy would read as another pattern', () => {
    const config: RouteConfig = { name: 'r', virtualHosts: [{ name: 'v', domains: ['a.*'], routes: [ROUTE] }] };
    assert.throws(
      () => encodeForEnvoy('route', config, { trustDomain: 'shop' }),
      /RouteConfiguration 'r' for Envoy: virtual_hosts\[0\]: domains\[0\]: "a\.\*" is a pattern/,
    );
  });
});

function headersOf(route: RouteMessage | undefined): string[] {
  return (route?.requestHeadersToAdd ?? []).map(({ header }) => `${header?.key}=${header?.value}`);
}
