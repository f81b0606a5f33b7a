// Random routes: plain ones, as most are, and those with everything that a route can say.
import { NO_RETRY, RETRY_CONDITIONS } from '@heddle/core';
import type {
  FaultPolicy,
  ForwardAction,
  HashSource,
  HeaderChanges,
  HedgePolicy,
  MirrorPolicy,
  PathRewrite,
  RedirectAction,
  RequestMatch,
  RespondAction,
  RetryPolicy,
  Route,
  RouteConfig,
  RouteRateLimit,
  SessionPolicy,
  TunnelAction,
  WeightedCluster,
} from '@heddle/core';
import fc from 'fast-check';
import { fieldMatch, pathMatch, textMatch } from './arbitrary-matches.ts';
import { hostPolicies } from './arbitrary-security.ts';
import { durationMs, headerText, name, partly, path, percent, record, text, token } from './arbitrary-values.ts';

const requestMatch: fc.Arbitrary<RequestMatch> = partly<RequestMatch>(
  {
    kind: fc.constant('request'),
    path: pathMatch,
    methods: fc.uniqueArray(fc.constantFrom('GET', 'POST', 'PURGE'), { minLength: 1 }),
    headers: fc.array(fieldMatch(token), { minLength: 1, maxLength: 3 }),
    query: fc.array(fieldMatch(text), { minLength: 1, maxLength: 3 }),
    authority: textMatch,
  },
  ...(['methods', 'headers', 'query', 'authority'] as const),
);

/** As code makes them: every name is the object's own. */
const headers = fc
  .uniqueArray(fc.tuple(token, headerText), { maxLength: 3, selector: ([key]) => key })
  .map((entries) => Object.fromEntries(entries));
const headerChanges: fc.Arbitrary<HeaderChanges> = record<HeaderChanges>({
  set: headers,
  add: headers,
  remove: fc.array(token, { maxLength: 3 }),
});

const plainRetry: fc.Arbitrary<RetryPolicy> = record({
  attempts: fc.integer({ min: 0, max: 100 }),
  on: fc.uniqueArray(fc.constantFrom('connect-failure' as const, 'refused' as const, 'reset' as const), { maxLength: 3 }),
}).map((retry) => ({ ...NO_RETRY, ...retry }));
const retry: fc.Arbitrary<RetryPolicy> = fc.oneof(
  plainRetry,
  record<RetryPolicy>({
    attempts: fc.integer({ min: 0, max: 100 }),
    on: fc.uniqueArray(fc.constantFrom(...RETRY_CONDITIONS)),
    perTryMs: fc.nat(),
    statuses: fc.array(fc.integer({ min: 100, max: 599 }), { maxLength: 3 }),
    nonIdempotent: fc.boolean(),
    backoff: fc.tuple(fc.nat(), fc.nat()).map(([baseMs, more]) => ({ baseMs, maxMs: baseMs + more })),
  }),
);
const rewrite: fc.Arbitrary<PathRewrite> = fc.oneof(
  record<{ kind: 'prefix' | 'full'; value: string }>({ kind: fc.constantFrom('prefix', 'full'), value: path }),
  record<PathRewrite>({ kind: fc.constant('regex'), pattern: fc.constant('^/a/([^/]+)'), substitution: fc.constantFrom('', '/b/\\1') }),
);
const hash: fc.Arbitrary<HashSource> = fc.oneof(
  record<HashSource>({ kind: fc.constant('header'), name: token }),
  record<HashSource>({ kind: fc.constant('query'), name: text }),
  partly<Extract<HashSource, { kind: 'cookie' }>>({ kind: fc.constant('cookie'), name: token, ttlMs: fc.nat() }, 'ttlMs'),
  record<HashSource>({ kind: fc.constant('source') }),
);
const weighted: fc.Arbitrary<WeightedCluster> = partly<WeightedCluster>(
  { cluster: text, weight: fc.integer({ min: 0, max: 1_000_000 }), requestHeaders: headerChanges, responseHeaders: headerChanges },
  'requestHeaders',
  'responseHeaders',
);

const plainForward: fc.Arbitrary<ForwardAction> = fc
  .tuple(text, fc.nat({ max: 10_000_000 }), fc.constantFrom(0, 300_000), plainRetry)
  .map(([cluster, timeoutMs, idleTimeoutMs, of]) => ({
    ...{ kind: 'forward', clusters: [{ cluster, weight: 1 }], hash: [], timeoutMs, idleTimeoutMs },
    retry: of,
  }));
const forward: fc.Arbitrary<ForwardAction> = partly<ForwardAction>(
  {
    kind: fc.constant('forward'),
    clusters: fc
      .array(weighted, { minLength: 1, maxLength: 3 })
      .filter((clusters) => clusters.length === 1 || clusters.some(({ weight }) => weight > 0)),
    hash: fc.array(hash, { maxLength: 3 }),
    splitByHash: fc.constant(true),
    timeoutMs: fc.nat(),
    idleTimeoutMs: fc.nat(),
    retry,
    hedge: record<HedgePolicy>({ afterMs: durationMs, attempts: fc.integer({ min: 1, max: 100 }) }),
    rewrite: partly<NonNullable<ForwardAction['rewrite']>>({ path: rewrite, authority: name }, 'path', 'authority'),
    mirrors: fc.array(record<MirrorPolicy>({ cluster: text, percent }), { minLength: 1, maxLength: 2 }),
    session: record<SessionPolicy>({ cookie: token, ttlMs: fc.nat() }),
  },
  ...(['splitByHash', 'hedge', 'rewrite', 'mirrors', 'session'] as const),
).map(({ splitByHash, ...rest }) => ({ ...rest, ...(splitByHash === true && rest.hash.length > 0 && { splitByHash }) }));
const redirect: fc.Arbitrary<RedirectAction> = partly<RedirectAction>(
  {
    kind: fc.constant('redirect'),
    status: fc.constantFrom(301, 302, 303, 307, 308),
    scheme: fc.constantFrom('http', 'https'),
    authority: name,
    path: rewrite,
    stripQuery: fc.constant(true),
  },
  ...(['scheme', 'authority', 'path', 'stripQuery'] as const),
);
const respond: fc.Arbitrary<RespondAction> = record<RespondAction>({
  kind: fc.constant('respond'),
  status: fc.integer({ min: 200, max: 599 }),
  body: fc.string({ unit: 'grapheme', maxLength: 20 }),
  contentType: headerText,
});
const tunnel: fc.Arbitrary<TunnelAction> = partly<TunnelAction>(
  { kind: fc.constant('tunnel'), how: fc.constantFrom('forward', 'terminate'), cluster: text, idleTimeoutMs: durationMs },
  'idleTimeoutMs',
);

const fault: fc.Arbitrary<FaultPolicy> = partly<FaultPolicy>(
  {
    delay: record({ percent, delayMs: fc.nat() }),
    abort: record({
      percent,
      status: fc.oneof(
        record({ kind: fc.constant('http' as const), code: fc.integer({ min: 200, max: 599 }) }),
        record({ kind: fc.constant('grpc' as const), code: fc.integer({ min: 1, max: 16 }) }),
      ),
    }),
  },
  'delay',
  'abort',
);
const rateLimit: fc.Arbitrary<RouteRateLimit> = partly<RouteRateLimit>(
  {
    requests: fc.integer({ min: 1 }),
    perMs: durationMs,
    burst: fc.integer({ min: 1 }),
    by: fc.oneof(
      record<{ kind: 'all' | 'identity' }>({ kind: fc.constantFrom('all', 'identity') }),
      record<RouteRateLimit['by']>({ kind: fc.constant('header'), name: token }),
    ),
    match: requestMatch,
  },
  'match',
);

const plainMatch: fc.Arbitrary<RequestMatch> = path.map((value) => ({ kind: 'request', path: { kind: 'prefix', value } }));
const matchAndAction: fc.Arbitrary<Pick<Route, 'match' | 'action'>> = fc.oneof(
  record<Pick<Route, 'match' | 'action'>>({ match: plainMatch, action: plainForward }),
  record<Pick<Route, 'match' | 'action'>>({
    match: fc.oneof(plainMatch, requestMatch),
    action: fc.oneof(plainForward, forward, redirect, respond),
  }),
  record<Pick<Route, 'match' | 'action'>>({ match: fc.constant({ kind: 'connect' }), action: tunnel }),
);
const routeRest: fc.Arbitrary<Omit<Route, 'match' | 'action'>> = fc.oneof(
  record<Omit<Route, 'match' | 'action'>>({ name: text }),
  partly<Omit<Route, 'match' | 'action'>>(
    {
      name: text,
      requestHeaders: headerChanges,
      responseHeaders: headerChanges,
      fault,
      rateLimits: fc.array(rateLimit, { minLength: 1, maxLength: 2 }),
    },
    ...(['requestHeaders', 'responseHeaders', 'fault', 'rateLimits'] as const),
  ),
);
const route: fc.Arbitrary<Route> = fc.tuple(routeRest, matchAndAction).map(([rest, way]) => ({ ...rest, ...way }));

const domain = fc.oneof(
  fc.constant('*'),
  fc.domain(),
  fc.domain().map((host) => `${host}:8080`),
  fc.domain().map((host) => `*.${host}`),
);

export const routeConfig: fc.Arbitrary<RouteConfig> = record({
  name,
  domains: fc.uniqueArray(domain, { maxLength: 8, selector: (value) => value.toLowerCase() }),
  hosts: fc.array(
    record({ name: text, routes: fc.uniqueArray(route, { maxLength: 3, selector: (one) => one.name }), policies: hostPolicies }),
    { maxLength: 4 },
  ),
})
  // Each domain goes to one host; hosts without any are left out, as Envoy wants it.
  .map(({ name: configName, domains, hosts }) => ({
    name: configName,
    virtualHosts: hosts
      .map((host, index) => ({
        name: host.name,
        domains: domains.filter((_, at) => at % hosts.length === index),
        routes: host.routes,
        ...host.policies,
      }))
      .filter((host) => host.domains.length > 0),
  }));
