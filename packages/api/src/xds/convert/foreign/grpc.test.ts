// What gRPC libraries are sent, read with Envoy's whole contract: the fields they act on, and none that one of them refuses.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import type { Cluster, Endpoint, Listener, PublishedTypes, ResourceKind, Route, RouteConfig } from '@heddle/core';
import { encodeForGrpc } from './grpc.ts';

const EXTENSIONS = 'type.googleapis.com/envoy.extensions';
const FROM_ADS = { ads: {}, resource_api_version: 'V3' };
const PROVIDER = { instance_name: 'heddle' };
const ROUTER = { name: 'envoy.filters.http.router', typed_config: { '@type': `${EXTENSIONS}.filters.http.router.v3.Router` } };

const deps = join(dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds')), '../../deps');
const contract = loadSync(
  [
    'config/listener/v3/listener.proto',
    'config/route/v3/route.proto',
    'config/cluster/v3/cluster.proto',
    'extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
    'extensions/filters/http/router/v3/router.proto',
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

function encoded<K extends ResourceKind>(kind: K, resource: PublishedTypes[K]) {
  return encodeForGrpc(kind, resource, { trustDomain: 'shop' });
}

function seen<K extends ResourceKind>(kind: K, resource: PublishedTypes[K]): unknown {
  const [one, ...more] = encoded(kind, resource);
  assert.ok(one !== undefined && more.length === 0);
  const type = contract[one.any.typeUrl.replace('type.googleapis.com/', '')] as MessageTypeDefinition<object, object>;
  return JSON.parse(JSON.stringify(type.deserialize(Buffer.from(one.any.value))));
}

const cluster: Cluster = {
  name: 'outbound/default/orders',
  service: { namespace: 'default', name: 'orders' },
  endpoints: { kind: 'eds' },
  balance: 'round-robin',
  connectTimeoutMs: 1_000,
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
          http_filters: [ROUTER],
        },
      },
    });
  });

  test('a cluster by EDS, with its own certificate, the roots of the mesh and the identity of the service', () => {
    assert.deepEqual(seen('cluster', cluster), {
      name: 'outbound/default/orders',
      type: 'EDS',
      eds_cluster_config: { eds_config: FROM_ADS },
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
    assert.deepEqual(encoded('listener', { ...inbound, direction: 'outbound' }), []);
    assert.deepEqual(encoded('secret', { name: 'trust-bundle', rootsPem: 'PEM' }), []);
  });
});

describe('routes for gRPC clients', () => {
  const route: Route = { prefix: '/', cluster: 'outbound/default/orders', timeoutMs: 0, retry: { attempts: 0, on: [] } };
  const config = (...routes: Route[]): RouteConfig => ({ name: 'r', virtualHosts: [{ name: 'v', domains: ['*'], routes }] });
  const action = (over: Partial<Route>): unknown =>
    (seen('route', config({ ...route, ...over })) as { virtual_hosts: { routes: { route: unknown }[] }[] }).virtual_hosts[0]?.routes[0]
      ?.route;

  test('a plain one', () => {
    assert.deepEqual(seen('route', config(route)), {
      name: 'r',
      virtual_hosts: [{ name: 'v', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'outbound/default/orders' } }] }],
    });
  });

  test('the time limit is that of the whole call', () => {
    assert.deepEqual(action({ timeoutMs: 1_500 }), {
      cluster: 'outbound/default/orders',
      max_stream_duration: { max_stream_duration: { seconds: 1, nanos: 500_000_000 } },
    });
  });

  test('UNAVAILABLE is repeated only where tries after a reset are allowed, because it may mean that', () => {
    assert.deepEqual(action({ retry: { attempts: 2, on: ['connect-failure', 'refused'] } }), { cluster: 'outbound/default/orders' });
    assert.deepEqual(action({ retry: { attempts: 2, on: ['reset'] } }), {
      cluster: 'outbound/default/orders',
      retry_policy: { retry_on: 'unavailable', num_retries: { value: 2 } },
    });
    // A library refuses a policy of 0 retries.
    assert.deepEqual(action({ retry: { attempts: 0, on: ['reset'] } }), { cluster: 'outbound/default/orders' });
  });

  test('CONNECT is left out, and a configuration of nothing else is not sent', () => {
    const tunnel: Route = { ...route, prefix: '', connect: 'forward' };
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
