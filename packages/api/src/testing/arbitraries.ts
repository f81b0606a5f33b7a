// Random resources of every kind, within what the model allows: for property tests. Those of routes are in arbitrary-routes.ts.
import { BALANCE_ALGORITHMS, DEFAULT_RETRY_BUDGET, LOCALITY_MODES, NO_BREAKER, SINGLE_BALANCE } from '@heddle/core';
import type {
  AdaptiveConcurrencyPolicy,
  BalancePolicy,
  BreakerPolicy,
  Cluster,
  DownstreamTls,
  Endpoint,
  EndpointSet,
  HealthCheckPolicy,
  HttpFilter,
  Listener,
  Locality,
  OutlierPolicy,
  ResourceKind,
  ResourceTypes,
  RetryBudget,
  ServerNameRoute,
  SessionPolicy,
  TcpFilter,
  TrustBundle,
  UpstreamTls,
} from '@heddle/core';
import fc from 'fast-check';
import { routeConfig } from './arbitrary-routes.ts';
import { spiffeId } from './arbitrary-security.ts';
import { accessLog, tracing } from './arbitrary-telemetry.ts';
import { count, durationMs, name, partly, percent, port, rate, record, text, token } from './arbitrary-values.ts';

const address = fc.oneof(fc.ipV4(), fc.ipV6());
const threshold = fc.integer({ min: 1, max: 100 });

const checkTimes = {
  port,
  intervalMs: durationMs,
  timeoutMs: durationMs,
  unhealthyAfter: threshold,
  healthyAfter: threshold,
};
/** Ranges that include both ends. Any 2xx is said by leaving them out. */
const statuses = fc
  .array(
    fc
      .tuple(fc.integer({ min: 100, max: 599 }), fc.integer({ min: 0, max: 99 }))
      .map(([from, more]) => [from, Math.min(599, from + more)] as const),
    { minLength: 1, maxLength: 3 },
  )
  .filter((ranges) => ranges.length > 1 || ranges[0]?.join() !== '200,299');

const health: fc.Arbitrary<HealthCheckPolicy> = fc.oneof(
  partly<HealthCheckPolicy>({ kind: fc.constant('tcp'), ...checkTimes }, 'port'),
  partly<HealthCheckPolicy>(
    { kind: fc.constant('http'), path: text.map((rest) => `/${rest}`), statuses, ...checkTimes },
    'port',
    'statuses',
  ),
  partly<HealthCheckPolicy>({ kind: fc.constant('grpc'), grpcService: fc.oneof(fc.constant(''), text), ...checkTimes }, 'port'),
);

const locality: fc.Arbitrary<Locality> = partly<Locality>({ region: text, zone: text, subZone: text }, 'subZone');

const endpoint: fc.Arbitrary<Endpoint> = record<Omit<Endpoint, 'locality'>>({
  address,
  port,
  health: fc.constantFrom('healthy' as const, 'unhealthy' as const, 'draining' as const),
  weight: fc.integer({ min: 1, max: 1_000 }),
  instance: fc.string({ unit: 'grapheme', maxLength: 20 }),
});

const serverName = fc.domain().map((host) => host.toLowerCase());

const upstreamTls: fc.Arbitrary<UpstreamTls> = fc.oneof(
  partly<UpstreamTls>(
    {
      certificateName: text,
      trustBundleName: text,
      peerIds: fc.array(text, { minLength: 1, maxLength: 3 }),
      alpn: fc.array(text, { maxLength: 3 }),
      minVersion: fc.constant('1.2'),
    },
    'certificateName',
    'minVersion',
  ),
  partly<UpstreamTls>(
    { certificateName: text, trustBundleName: text, peerIds: fc.constant([]), serverName, alpn: fc.array(text, { maxLength: 3 }) },
    'certificateName',
  ),
);

/** Those of one locality stand together. */
const groupedEndpoints: fc.Arbitrary<Endpoint[]> = fc
  .tuple(
    fc.array(endpoint, { maxLength: 4 }),
    fc.uniqueArray(locality, { maxLength: 3, selector: ({ region, zone, subZone }) => JSON.stringify([region, zone, subZone]) }),
    fc.array(fc.array(endpoint, { minLength: 1, maxLength: 3 }), { minLength: 3, maxLength: 3 }),
  )
  .map(([nowhere, places, rest]) => [
    ...nowhere,
    ...places.flatMap((place, index) => (rest[index] ?? []).map((one) => ({ ...one, locality: place }))),
  ]);

const endpoints: fc.Arbitrary<EndpointSet> = record({ cluster: name, endpoints: groupedEndpoints });

const balance: fc.Arbitrary<BalancePolicy> = fc.oneof(
  fc.constantFrom(...BALANCE_ALGORITHMS.map((algorithm) => ({ ...SINGLE_BALANCE, algorithm }))),
  record<BalancePolicy>({
    algorithm: fc.constantFrom(...BALANCE_ALGORITHMS),
    locality: fc.constantFrom(...LOCALITY_MODES),
    slowStartMs: fc.nat(),
    panicPercent: percent,
  }),
);
const breaker: fc.Arbitrary<BreakerPolicy> = fc.oneof(
  fc.constant(NO_BREAKER),
  record<BreakerPolicy>({ connections: count, pending: count, requests: count }),
);
const retryBudget: fc.Arbitrary<RetryBudget> = fc.oneof(
  fc.constant(DEFAULT_RETRY_BUDGET),
  record<RetryBudget>({ percent: rate, minPerSecond: rate }),
);
const adaptiveConcurrency: fc.Arbitrary<AdaptiveConcurrencyPolicy> = fc
  .tuple(fc.integer({ min: 1, max: 1_000 }), fc.nat())
  .map(([minRequests, more]) => ({ minRequests, maxRequests: minRequests + more }));
const outlier: fc.Arbitrary<OutlierPolicy> = record<OutlierPolicy>({
  consecutiveErrors: count,
  consecutiveGatewayErrors: count,
  consecutiveLocalErrors: count,
  intervalMs: durationMs,
  successRateFactor: rate,
  failurePercent: percent,
  latencyFactor: rate,
  minimumRequests: count,
  minimumInstances: count,
  ejectMs: durationMs,
  maxEjectMs: fc.nat(),
  maxEjectedPercent: percent,
}).map((policy) => ({ ...policy, maxEjectMs: policy.ejectMs + policy.maxEjectMs }));
const session: fc.Arbitrary<SessionPolicy> = record<SessionPolicy>({ cookie: token, ttlMs: fc.nat() });

const cluster: fc.Arbitrary<Cluster> = partly<Cluster>(
  {
    name,
    service: record({ namespace: text, name: text }),
    endpoints: fc.oneof(
      fc.constant({ kind: 'eds' as const }),
      record({ kind: fc.constant('static' as const), endpoints: groupedEndpoints }),
      record({ kind: fc.constant('dns' as const), host: fc.oneof(serverName, address), port }),
    ),
    balance,
    connectTimeoutMs: durationMs,
    breaker,
    retryBudget,
    adaptiveConcurrency,
    outlier,
    session,
    http: fc.constantFrom('http1' as const, 'http2' as const),
    health,
    tls: upstreamTls,
    plainPeers: fc.constant(true as const),
  },
  ...(['adaptiveConcurrency', 'outlier', 'session', 'health', 'tls', 'plainPeers'] as const),
);

const tcpFilter: fc.Arbitrary<TcpFilter> = partly<TcpFilter>(
  {
    kind: fc.constant('tcp'),
    cluster: text,
    tunnel: fc.tuple(fc.domain(), port).map(([host, at]) => `${host}:${at}`),
    idleTimeoutMs: durationMs,
  },
  'tunnel',
  'idleTimeoutMs',
);
const httpFilter: fc.Arbitrary<HttpFilter> = partly<HttpFilter>(
  { kind: fc.constant('http'), routeConfigName: text, useRemoteAddress: fc.constant(true), tracing, accessLog },
  'useRemoteAddress',
  'tracing',
  'accessLog',
);
const trustDomain = fc.stringMatching(/^[a-z0-9._-]{1,30}$/);

const options = { plaintext: fc.constant(true), minVersion: fc.constant('1.2') } as const;
const downstreamTls: fc.Arbitrary<DownstreamTls> = fc.oneof(
  partly<DownstreamTls>({ certificateName: text, ...options }, 'plaintext', 'minVersion'),
  partly<DownstreamTls>(
    { certificateName: text, trustBundleName: text, trustDomain, ...options },
    ...(['trustDomain', 'plaintext', 'minVersion'] as const),
  ),
);

/** Each name leads one way. */
const serverNames: fc.Arbitrary<readonly ServerNameRoute[]> = fc
  .tuple(fc.uniqueArray(serverName, { maxLength: 6 }), fc.array(tcpFilter, { maxLength: 3 }))
  .map(([names, filters]) =>
    filters
      .map((filter, index) => ({ names: names.filter((_, at) => at % filters.length === index), filter }))
      .filter((route) => route.names.length > 0),
  );

/** Finding the protocol out is for connections without TLS. */
const filterAndTls: fc.Arbitrary<Pick<Listener, 'filter' | 'tls'>> = fc.oneof(
  partly<Pick<Listener, 'filter' | 'tls'>>({ filter: fc.oneof(httpFilter, tcpFilter), tls: downstreamTls }, 'tls'),
  partly<Pick<Listener, 'filter' | 'tls'>>(
    {
      filter: fc.tuple(httpFilter, tcpFilter).map(([http, otherwise]) => ({ ...http, otherwise })),
      tls: downstreamTls.map((tls) => ({ ...tls, plaintext: true as const })),
    },
    'tls',
  ),
);

const listener: fc.Arbitrary<Listener> = fc
  .tuple(
    partly<Omit<Listener, 'filter' | 'tls'>>(
      {
        name,
        direction: fc.constantFrom('inbound' as const, 'outbound' as const),
        address,
        port: fc.integer({ min: 0, max: 65_535 }),
        workload: text,
        serverNames,
      },
      'workload',
      'serverNames',
    ),
    filterAndTls,
  )
  .map(([rest, shape]) => ({ ...rest, ...shape }))
  // Beside TLS that is not asked for, an empty list is no list.
  .filter(({ tls, serverNames: names }) => tls?.plaintext === undefined || names?.length !== 0);

const secret: fc.Arbitrary<TrustBundle> = partly<TrustBundle>(
  { name, rootsPem: text, denied: fc.array(spiffeId, { minLength: 1, maxLength: 3 }) },
  'denied',
);

export const RESOURCES: { readonly [K in ResourceKind]: fc.Arbitrary<ResourceTypes[K]> } = {
  listener,
  route: routeConfig,
  cluster,
  endpoints,
  secret,
};
