// Random resources of every kind, within what the model allows: for property tests.
import type {
  Cluster,
  DownstreamTls,
  Endpoint,
  EndpointSet,
  HealthCheckPolicy,
  HttpFilter,
  Listener,
  Locality,
  ResourceKind,
  ResourceTypes,
  RouteConfig,
  ServerNameRoute,
  TcpFilter,
  TrustBundle,
  UpstreamTls,
} from '@heddle/core';
import fc from 'fast-check';

/** Plain objects, as code makes them. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

/** The same, of which these fields may be left out. */
function partly<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }, ...optional: (keyof T)[]): fc.Arbitrary<T> {
  const requiredKeys = (Object.keys(model) as (keyof T)[]).filter((key) => !optional.includes(key));
  return fc.record(model, { noNullPrototype: true, requiredKeys }) as unknown as fc.Arbitrary<T>;
}

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
const name = fc.stringMatching(/^[a-z0-9]([a-z0-9./-]{0,20}[a-z0-9])?$/);
const port = fc.integer({ min: 1, max: 65_535 });
const address = fc.oneof(fc.ipV4(), fc.ipV6());
const durationMs = fc.integer({ min: 1, max: 10_000_000 });
const threshold = fc.integer({ min: 1, max: 100 });

const health: fc.Arbitrary<HealthCheckPolicy> = fc.oneof(
  record({
    kind: fc.constant('tcp' as const),
    intervalMs: durationMs,
    timeoutMs: durationMs,
    unhealthyAfter: threshold,
    healthyAfter: threshold,
  }),
  record({
    kind: fc.constant('http' as const),
    path: text.map((rest) => `/${rest}`),
    intervalMs: durationMs,
    timeoutMs: durationMs,
    unhealthyAfter: threshold,
    healthyAfter: threshold,
  }),
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
    },
    'certificateName',
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

const cluster: fc.Arbitrary<Cluster> = fc.record(
  {
    name,
    service: record({ namespace: text, name: text }),
    endpoints: fc.oneof(
      fc.constant({ kind: 'eds' as const }),
      record({ kind: fc.constant('static' as const), endpoints: groupedEndpoints }),
    ),
    balance: fc.constant('round-robin' as const),
    connectTimeoutMs: durationMs,
    http: fc.constantFrom('http1' as const, 'http2' as const),
    health,
    tls: upstreamTls,
  },
  { noNullPrototype: true, requiredKeys: ['name', 'service', 'endpoints', 'balance', 'connectTimeoutMs', 'http'] },
);

const tcpFilter: fc.Arbitrary<TcpFilter> = partly<TcpFilter>(
  { kind: fc.constant('tcp'), cluster: text, tunnel: fc.tuple(fc.domain(), port).map(([host, at]) => `${host}:${at}`) },
  'tunnel',
);
const httpFilter: fc.Arbitrary<HttpFilter> = partly<HttpFilter>(
  { kind: fc.constant('http'), routeConfigName: text, useRemoteAddress: fc.constant(true) },
  'useRemoteAddress',
);
const trustDomain = fc.stringMatching(/^[a-z0-9._-]{1,30}$/);

const downstreamTls: fc.Arbitrary<DownstreamTls> = fc.oneof(
  record<DownstreamTls>({ certificateName: text }),
  partly<DownstreamTls>({ certificateName: text, trustBundleName: text, trustDomain }, 'trustDomain'),
);

/** Each name leads one way. */
const serverNames: fc.Arbitrary<readonly ServerNameRoute[]> = fc
  .tuple(fc.uniqueArray(serverName, { maxLength: 6 }), fc.array(tcpFilter, { maxLength: 3 }))
  .map(([names, filters]) =>
    filters
      .map((filter, index) => ({ names: names.filter((_, at) => at % filters.length === index), filter }))
      .filter((route) => route.names.length > 0),
  );

/** TLS, or finding the protocol out: not both. */
const filterAndTls: fc.Arbitrary<Pick<Listener, 'filter' | 'tls'>> = fc.oneof(
  partly<Pick<Listener, 'filter' | 'tls'>>({ filter: fc.oneof(httpFilter, tcpFilter), tls: downstreamTls }, 'tls'),
  record({ filter: fc.tuple(httpFilter, tcpFilter).map(([http, otherwise]) => ({ ...http, otherwise })) }),
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
  .map(([rest, shape]) => ({ ...rest, ...shape }));

const domain = fc.oneof(
  fc.constant('*'),
  fc.domain(),
  fc.domain().map((host) => `${host}:8080`),
);

const route: fc.Arbitrary<RouteConfig> = record({
  name,
  domains: fc.uniqueArray(domain, { maxLength: 8, selector: (value) => value.toLowerCase() }),
  hosts: fc.array(
    record({
      name: text,
      routes: fc.array(
        fc.oneof(
          record({
            prefix: text.map((rest) => `/${rest}`),
            cluster: text,
            timeoutMs: fc.integer({ min: 0, max: 10_000_000 }),
            retry: record({
              attempts: fc.integer({ min: 0, max: 100 }),
              on: fc.uniqueArray(fc.constantFrom('connect-failure' as const, 'refused' as const, 'reset' as const), { maxLength: 3 }),
            }),
          }),
          record({
            prefix: fc.constant(''),
            connect: fc.constantFrom('forward' as const, 'terminate' as const),
            cluster: text,
            timeoutMs: fc.constant(0),
            retry: fc.constant({ attempts: 0, on: [] }),
          }),
        ),
        { maxLength: 3 },
      ),
    }),
    { maxLength: 4 },
  ),
})
  // Each domain goes to one host; hosts without any are left out, as Envoy wants it.
  .map(({ name: configName, domains, hosts }) => ({
    name: configName,
    virtualHosts: hosts
      .map((host, index) => ({ name: host.name, domains: domains.filter((_, at) => at % hosts.length === index), routes: host.routes }))
      .filter((host) => host.domains.length > 0),
  }));

const secret: fc.Arbitrary<TrustBundle> = record({ name, rootsPem: text });

export const RESOURCES: { readonly [K in ResourceKind]: fc.Arbitrary<ResourceTypes[K]> } = { listener, route, cluster, endpoints, secret };
