// What gRPC libraries are sent, read with Envoy's whole contract: the fields they act on, and none that one of them refuses.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import { ANY_REQUEST, DEFAULT_OUTLIER, DEFAULT_RETRY_BUDGET, forwardTo, NO_BREAKER, NO_RETRY, SINGLE_BALANCE } from '@heddle/core';
import type {
  Cluster,
  Endpoint,
  ForwardAction,
  Listener,
  PublishedTypes,
  RequestMatch,
  ResourceKind,
  Route,
  RouteConfig,
} from '@heddle/core';
import { encodeForGrpc } from './grpc.ts';

const EXTENSIONS = 'type.googleapis.com/envoy.extensions';
const FROM_ADS = { ads: {}, resource_api_version: 'V3' };
const PROVIDER = { instance_name: 'heddle' };
const FAULT = { name: 'envoy.filters.http.fault', typed_config: { '@type': `${EXTENSIONS}.filters.http.fault.v3.HTTPFault` } };
const ROUTER = { name: 'envoy.filters.http.router', typed_config: { '@type': `${EXTENSIONS}.filters.http.router.v3.Router` } };

const deps = join(dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds')), '../../deps');
const contract = loadSync(
  [
    'config/listener/v3/listener.proto',
    'config/route/v3/route.proto',
    'config/cluster/v3/cluster.proto',
    'extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
    'extensions/filters/http/fault/v3/fault.proto',
    'extensions/filters/http/router/v3/router.proto',
    'extensions/load_balancing_policies/least_request/v3/least_request.proto',
    'extensions/load_balancing_policies/round_robin/v3/round_robin.proto',
    'extensions/load_balancing_policies/wrr_locality/v3/wrr_locality.proto',
    'extensions/transport_sockets/tls/v3/tls.proto',
  ].map((file) => `envoy/${file}`),
  {
    includeDirs: ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(deps, name)),
    keepCase: true,
    enums: String,
    longs: Number,
    json: true,
  },
);

function encoded<K extends ResourceKind>(kind: K, resource: PublishedTypes[K], refused: string[] = []) {
  return encodeForGrpc(kind, resource, { trustDomain: 'shop', onRefused: ({ message }) => refused.push(message) });
}

function seen<K extends ResourceKind>(kind: K, resource: PublishedTypes[K], refused: string[] = []): unknown {
  const [one, ...more] = encoded(kind, resource, refused);
  assert.ok(one !== undefined && more.length === 0);
  const type = contract[one.any.typeUrl.replace('type.googleapis.com/', '')] as MessageTypeDefinition<object, object>;
  return JSON.parse(JSON.stringify(type.deserialize(Buffer.from(one.any.value))));
}

const cluster: Cluster = {
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
    peerIds: ['spiffe://shop/ns/default/svc/orders'],
    alpn: ['h2'],
  },
};
const inbound: Listener = {
  name: 'inbound/default/orders/orders-1',
  direction: 'inbound',
  address: '10.0.0.7',
  port: 50_051,
  workload: 'default/orders/orders-1',
  tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: 'shop' },
  filter: { kind: 'http', routeConfigName: 'inbound/default/orders/orders-1' },
};

describe('what a gRPC client is told', () => {
  test('a listener without an address, whose routes come on the same stream', () => {
    const listener = { name: 'orders.mesh.internal:8081', routeConfigName: 'outbound/default/orders' };
    assert.deepEqual(seen('listener', listener), {
      name: 'orders.mesh.internal:8081',
      api_listener: {
        api_listener: {
          '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
          stat_prefix: 'orders.mesh.internal:8081',
          rds: { config_source: FROM_ADS, route_config_name: 'outbound/default/orders' },
          http_filters: [FAULT, ROUTER],
        },
      },
    });
  });

  test('a cluster by EDS, with its own certificate, the roots of the mesh and the identity of the service', () => {
    assert.deepEqual(seen('cluster', cluster), {
      name: 'outbound/default/orders',
      type: 'EDS',
      eds_cluster_config: { eds_config: FROM_ADS },
      circuit_breakers: { thresholds: [{ max_requests: { value: 4_294_967_295 } }] },
      lrs_server: { self: {}, resource_api_version: 'V3' },
      transport_socket: {
        name: 'envoy.transport_sockets.tls',
        typed_config: {
          '@type': `${EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext`,
          common_tls_context: {
            tls_certificate_provider_instance: PROVIDER,
            validation_context: {
              ca_certificate_provider_instance: PROVIDER,
              match_subject_alt_names: [{ exact: 'spiffe://shop/ns/default/svc/orders' }],
            },
          },
        },
      },
    });
  });

  test('balancing as far as a library knows it: by load, by hash, or one after another', () => {
    const balanced = (algorithm: Cluster['balance']['algorithm']) =>
      seen('cluster', { ...cluster, balance: { ...SINGLE_BALANCE, algorithm } }) as { lb_policy?: string; load_balancing_policy?: unknown };
    for (const algorithm of ['round-robin', 'random', 'weighted'] as const)
      assert.deepEqual([balanced(algorithm).lb_policy, balanced(algorithm).load_balancing_policy], [undefined, undefined]);
    for (const algorithm of ['ring-hash', 'maglev'] as const) assert.equal(balanced(algorithm).lb_policy, 'RING_HASH');
    const typed = (name: string, type: string, config: object = {}) => ({
      typed_extension_config: { name, typed_config: { '@type': `${EXTENSIONS}.load_balancing_policies.${type}`, ...config } },
    });
    const policies = [
      typed('LeastRequest', 'least_request.v3.LeastRequest', { choice_count: { value: 2 } }),
      typed('RoundRobin', 'round_robin.v3.RoundRobin'),
    ];
    for (const algorithm of ['probing', 'least-response-time', 'least-request'] as const)
      assert.deepEqual(balanced(algorithm).load_balancing_policy, {
        policies: [typed('WrrLocality', 'wrr_locality.v3.WrrLocality', { endpoint_picking_policy: { policies } })],
      });
  });

  test('a limit of calls, and ejection by shares, the only one that the libraries have', () => {
    const { circuit_breakers: limits, outlier_detection: none } = seen('cluster', {
      ...cluster,
      breaker: { connections: 1, pending: 2, requests: 3 },
      outlier: DEFAULT_OUTLIER,
    }) as Record<string, unknown>;
    assert.deepEqual(limits, { thresholds: [{ max_requests: { value: 3 } }] });
    assert.equal(none, undefined);
    const judged = seen('cluster', { ...cluster, outlier: { ...DEFAULT_OUTLIER, failurePercent: 85 } }) as Record<string, unknown>;
    assert.deepEqual(judged['outlier_detection'], {
      interval: { seconds: 10 },
      base_ejection_time: { seconds: 10 },
      max_ejection_time: { seconds: 300 },
      max_ejection_percent: { value: 50 },
      enforcing_success_rate: {},
      success_rate_stdev_factor: {},
      success_rate_minimum_hosts: { value: 3 },
      success_rate_request_volume: { value: 50 },
      enforcing_failure_percentage: { value: 100 },
      failure_percentage_threshold: { value: 85 },
      failure_percentage_minimum_hosts: { value: 3 },
      failure_percentage_request_volume: { value: 50 },
    });
  });

  test('a cluster whose peers are known by a certificate of somebody else is refused, by its name', () => {
    const foreign: Cluster = { ...cluster, tls: { trustBundleName: 'their-roots', peerIds: [], serverName: 'api.example.com', alpn: [] } };
    assert.throws(() => encoded('cluster', foreign), /outbound\/default\/orders.*"their-roots"/);
    assert.throws(
      () => encoded('cluster', { ...cluster, tls: { ...cluster.tls!, certificateName: 'their-certificate' } }),
      /"their-certificate"/,
    );
  });

  test('the application behind a proxy, local ports and secrets mean nothing to it', () => {
    assert.deepEqual(encoded('cluster', { ...cluster, endpoints: { kind: 'static', endpoints: [] } }), []);
    assert.deepEqual(encoded('cluster', { ...cluster, endpoints: { kind: 'dns', host: 'api.example.com', port: 443 } }), []);
    assert.deepEqual(encoded('listener', { ...inbound, direction: 'outbound' }), []);
    assert.deepEqual(encoded('secret', { name: 'trust-bundle', rootsPem: 'PEM' }), []);
  });
});

describe('routes for gRPC clients', () => {
  const target = 'outbound/default/orders';
  const route: Route = { name: 'all', match: ANY_REQUEST, action: forwardTo(target) };
  const config = (...routes: Route[]): RouteConfig => ({ name: target, virtualHosts: [{ name: 'v', domains: ['*'], routes }] });
  const routes = (refused: string[], ...all: Route[]): Record<string, unknown>[] =>
    (seen('route', config(...all), refused) as { virtual_hosts: { routes: Record<string, unknown>[] }[] }).virtual_hosts[0]?.routes ?? [];
  const action = (over: Partial<ForwardAction>): unknown =>
    routes([], { ...route, action: { ...forwardTo(target), ...over } })[0]?.['route'];
  const matches = (over: Partial<RequestMatch>): unknown[] =>
    routes([], { ...route, match: { ...ANY_REQUEST, ...over } }, route)
      .slice(0, -1)
      .map(({ match }) => match);

  test('a plain one', () => {
    assert.deepEqual(seen('route', config(route)), {
      name: target,
      virtual_hosts: [{ name: 'v', domains: ['*'], routes: [{ name: 'all', match: { prefix: '/' }, route: { cluster: target } }] }],
    });
  });

  test('the time limit is that of the whole call', () => {
    assert.deepEqual(action({ timeoutMs: 1_500 }), {
      cluster: target,
      max_stream_duration: { max_stream_duration: { seconds: 1, nanos: 500_000_000 } },
    });
  });

  test('a status is repeated only where calls may be executed twice: UNAVAILABLE may mean that the connection broke', () => {
    const retry = { ...NO_RETRY, attempts: 2 };
    assert.deepEqual(action({ retry: { ...retry, on: ['connect-failure', 'refused'], nonIdempotent: true } }), { cluster: target });
    assert.deepEqual(action({ retry: { ...retry, on: ['reset', 'grpc-unavailable'] } }), { cluster: target });
    assert.deepEqual(action({ retry: { ...retry, on: ['reset', 'grpc-internal', '5xx'], nonIdempotent: true } }), {
      cluster: target,
      retry_policy: {
        retry_on: 'unavailable,internal',
        num_retries: { value: 2 },
        retry_back_off: { base_interval: { nanos: 25_000_000 }, max_interval: { nanos: 250_000_000 } },
      },
    });
    // A library refuses a policy of 0 retries.
    assert.deepEqual(action({ retry: { ...retry, attempts: 0, on: ['reset'], nonIdempotent: true } }), { cluster: target });
  });

  test('shares, and hashes of what a call can have', () => {
    const clusters = [10, 90].map((weight) => ({ cluster: `v${weight}`, weight }));
    const hash = [{ kind: 'cookie', name: 'u' }, { kind: 'header', name: 'x-user' }, { kind: 'source' }] as const;
    assert.deepEqual(action({ clusters, hash }), {
      weighted_clusters: {
        clusters: [
          { name: 'v10', weight: { value: 10 } },
          { name: 'v90', weight: { value: 90 } },
        ],
      },
      hash_policy: [
        { header: { header_name: 'x-user' }, terminal: true },
        { filter_state: { key: 'io.grpc.channel_id' }, terminal: true },
      ],
    });
  });

  test('paths and headers', () => {
    assert.deepEqual(matches({ path: { kind: 'exact', value: '/shop.Orders/Get' } }), [{ path: '/shop.Orders/Get' }]);
    assert.deepEqual(matches({ path: { kind: 'segments', value: '/shop.Orders' } }), [{ safe_regex: { regex: '/shop\\.Orders(/.*)?' } }]);
    assert.deepEqual(matches({ headers: [{ name: 'x-a', match: { kind: 'prefix', value: 'v' } }] }), [
      { prefix: '/', headers: [{ name: 'x-a', string_match: { prefix: 'v' } }] },
    ]);
  });

  test('what is inverted fits where it is missing too, which takes a route of its own', () => {
    assert.deepEqual(matches({ headers: [{ name: 'x-a', match: { kind: 'exact', value: '1' }, invert: true }] }), [
      { prefix: '/', headers: [{ name: 'x-a', string_match: { exact: '1' }, invert_match: true }] },
      { prefix: '/', headers: [{ name: 'x-a', present_match: true, invert_match: true }] },
    ]);
  });

  test('a call is a POST without a query: a route for anything else takes none', () => {
    assert.deepEqual(matches({ methods: ['GET'] }), []);
    assert.deepEqual(matches({ query: [{ name: 'q' }] }), []);
    assert.deepEqual(matches({ methods: ['GET', 'POST'], query: [{ name: 'q', invert: true }] }), [{ prefix: '/' }]);
  });

  test('what the libraries cannot follow fails, and is told to whoever asks; the other routes work', () => {
    const changes = { set: { 'x-a': '1' }, add: {}, remove: [] };
    const refusal = (over: Partial<Route>): string => {
      const refused: string[] = [];
      const [failing, good] = routes(refused, { ...route, name: 'bad', ...over }, route);
      assert.deepEqual(failing?.['route'], { cluster: target });
      assert.deepEqual(failing['typed_per_filter_config'], {
        'envoy.filters.http.fault': {
          ...FAULT.typed_config,
          abort: { grpc_status: 12, percentage: { numerator: 1_000_000, denominator: 'MILLION' } },
        },
      });
      assert.equal(good?.['name'], 'all');
      assert.equal(refused.length, 1);
      return refused[0] ?? '';
    };
    const place = `RouteConfiguration '${target}' for gRPC: virtual_hosts[0]: routes[0]: `;
    const forward = (over: Partial<ForwardAction>): Partial<Route> => ({ action: { ...forwardTo(target), ...over } });
    assert.equal(refusal({ requestHeaders: changes }), `${place}gRPC libraries cannot change headers`);
    assert.equal(refusal({ action: { kind: 'respond', status: 200, body: '', contentType: '' } }), `${place}gRPC libraries cannot respond`);
    assert.match(refusal(forward({ rewrite: { authority: 'x' } })), /forward: rewrite: gRPC libraries cannot call another/);
    const clusters = ['a', target].map((cluster) => ({ cluster, weight: 1 })).reverse();
    assert.match(
      refusal(forward({ clusters, splitByHash: true, hash: [{ kind: 'source' }] })),
      /split_by_hash: gRPC libraries split by chance/,
    );
    assert.match(
      refusal({ rateLimits: [{ requests: 1, perMs: 1, burst: 1, by: { kind: 'all' } }] }),
      /rate_limits: gRPC libraries cannot limit rates/,
    );
    assert.match(
      refusal({ match: { ...ANY_REQUEST, authority: { kind: 'exact', value: 'x' } } }),
      /match: authority: gRPC libraries do not look at the authority/,
    );
  });

  test('CONNECT is left out, and a configuration of nothing else is not sent', () => {
    const tunnel: Route = { name: 't', match: { kind: 'connect' }, action: { kind: 'tunnel', how: 'forward', cluster: target } };
    assert.deepEqual(seen('route', config(tunnel, route)), seen('route', config(route)));
    assert.deepEqual(encoded('route', config(tunnel)), []);
  });
});

describe('endpoints for gRPC clients', () => {
  const endpoint = (id: number, over: Partial<Endpoint> = {}): Endpoint => ({
    address: '10.0.0.1',
    port: id,
    health: 'healthy',
    weight: 1,
    instance: `orders-${id}`,
    ...over,
  });
  const places = (...endpoints: Endpoint[]) => {
    const message = seen('endpoints', { cluster: 'c', endpoints }) as {
      endpoints?: {
        locality: object;
        load_balancing_weight: { value: number };
        lb_endpoints: { endpoint: { address: { socket_address: { port_value: number } } }; health_status: string }[];
      }[];
    };
    return (message.endpoints ?? []).map((place) => [
      place.locality,
      place.load_balancing_weight.value,
      place.lb_endpoints.map((one) => `${one.endpoint.address.socket_address.port_value} ${one.health_status}`),
    ]);
  };

  test('equal instances are one locality, whose weight is that of the healthy ones', () => {
    const found = places(endpoint(1), endpoint(2, { health: 'unhealthy' }), endpoint(3), endpoint(4, { health: 'draining' }));
    assert.deepEqual(found, [[{}, 2, ['1 HEALTHY', '2 UNHEALTHY', '3 HEALTHY', '4 DRAINING']]]);
  });

  test('instances of different weight are localities of their own: nothing else is weighed by all libraries', () => {
    assert.deepEqual(places(endpoint(1, { weight: 3 }), endpoint(2), endpoint(3, { weight: 3 })), [
      [{ sub_zone: 'weight-3' }, 6, ['1 HEALTHY', '3 HEALTHY']],
      [{ sub_zone: 'weight-1' }, 1, ['2 HEALTHY']],
    ]);
  });

  test('each place is told as it is', () => {
    const near = { region: 'eu', zone: 'a' };
    const far = { region: 'eu', zone: 'b', subZone: 'rack-1' };
    const found = places(endpoint(1, { locality: near }), endpoint(2, { locality: far, weight: 5 }), endpoint(3, { locality: far }));
    assert.deepEqual(found, [
      [{ region: 'eu', zone: 'a' }, 1, ['1 HEALTHY']],
      [{ region: 'eu', zone: 'b', sub_zone: 'rack-1/weight-5' }, 5, ['2 HEALTHY']],
      [{ region: 'eu', zone: 'b', sub_zone: 'rack-1/weight-1' }, 1, ['3 HEALTHY']],
    ]);
  });

  test('a place with nobody healthy gets no share, also when it is the only one', () => {
    assert.deepEqual(places(endpoint(1, { health: 'unhealthy' })), []);
    assert.deepEqual(places(), []);
  });

  test('an address is told once, for the instance that is healthy: a set that has it twice would be refused', () => {
    assert.deepEqual(places(endpoint(1, { health: 'unhealthy' }), endpoint(1, { instance: 'new' }), endpoint(2)), [
      [{}, 2, ['1 HEALTHY', '2 HEALTHY']],
    ]);
  });
});

describe('what a gRPC server is told', () => {
  test('its port, mutual TLS, and that calls are for itself', () => {
    assert.deepEqual(seen('listener', inbound), {
      name: 'inbound/default/orders/orders-1',
      address: { socket_address: { address: '10.0.0.7', port_value: 50_051 } },
      filter_chains: [
        {
          name: 'inbound/default/orders/orders-1',
          filters: [
            {
              name: 'envoy.filters.network.http_connection_manager',
              typed_config: {
                '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
                stat_prefix: 'inbound/default/orders/orders-1',
                route_config: {
                  name: 'inbound/default/orders/orders-1',
                  virtual_hosts: [
                    {
                      name: 'inbound/default/orders/orders-1',
                      domains: ['*'],
                      routes: [{ match: { prefix: '/' }, non_forwarding_action: {} }],
                    },
                  ],
                },
                http_filters: [ROUTER],
              },
            },
          ],
          transport_socket: {
            name: 'envoy.transport_sockets.tls',
            typed_config: {
              '@type': `${EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext`,
              common_tls_context: {
                tls_certificate_provider_instance: PROVIDER,
                validation_context: { ca_certificate_provider_instance: PROVIDER },
              },
              require_client_certificate: { value: true },
            },
          },
        },
      ],
      traffic_direction: 'INBOUND',
    });
  });
});
