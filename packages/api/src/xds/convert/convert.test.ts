import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ANY_REQUEST, DEFAULT_RETRY_BUDGET, forwardTo, NO_BREAKER, NO_RETRY, SINGLE_BALANCE } from '@heddle/core';
import type { Cluster, Listener, ResourceKind, ResourceTypes, Route, RouteConfig } from '@heddle/core';
import fc from 'fast-check';
import { Cluster as ClusterMessage, Cluster_LbPolicy } from '../../gen/envoy/envoy/config/cluster/v3/cluster.ts';
import { ClusterLoadAssignment } from '../../gen/envoy/envoy/config/endpoint/v3/endpoint.ts';
import { Listener as ListenerMessage } from '../../gen/envoy/envoy/config/listener/v3/listener.ts';
import { RouteConfiguration } from '../../gen/envoy/envoy/config/route/v3/route.ts';
import type { Route as RouteMessage } from '../../gen/envoy/envoy/config/route/v3/route_components.ts';
import { RESOURCES } from '../../testing/arbitraries.ts';
import { MAKE_ORDER, TYPE_URLS } from '../kinds.ts';
import { decodeResource, encodeResource, XdsRejection } from './index.ts';

const INBOUND: Listener = {
  name: 'inbound/default/orders/orders-1',
  direction: 'inbound',
  address: '127.0.0.1',
  port: 15_006,
  workload: 'default/orders/orders-1',
  tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: 'shop.local' },
  filter: { kind: 'http', routeConfigName: 'inbound/default/orders/orders-1' },
};

const ORDERS: Cluster = {
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
    peerIds: ['spiffe://shop.local/ns/default/svc/orders'],
    alpn: ['h2'],
  },
};

const MESH: RouteConfig = {
  name: 'outbound/mesh',
  virtualHosts: [
    {
      name: 'orders',
      domains: ['orders', 'orders.mesh.internal'],
      routes: [
        {
          name: 'all',
          match: ANY_REQUEST,
          action: { ...forwardTo(ORDERS.name), retry: { ...NO_RETRY, attempts: 2, on: ['connect-failure', 'refused'] } },
        },
      ],
    },
  ],
};

/** What decoding this says; fails when it is accepted. */
function rejection<K extends ResourceKind>(kind: K, value: Uint8Array, name = 'x'): string {
  try {
    decodeResource(kind, { typeUrl: TYPE_URLS[kind], value }, name);
  } catch (error) {
    assert.ok(error instanceof XdsRejection, String(error));
    return error.message;
  }
  return assert.fail('was accepted');
}

/** Decodes the wire form with the subset's own codec, changes it, and encodes it again. */
function altered<T>(
  type: { decode(bytes: Uint8Array): T; encode(message: T): { finish(): Uint8Array } },
  bytes: Uint8Array,
  change: (message: T) => void,
): Uint8Array {
  const message = type.decode(bytes);
  change(message);
  return type.encode(message).finish();
}

describe('model to xDS and back', () => {
  for (const kind of MAKE_ORDER) {
    test(`loses nothing of any ${kind}, and gives equal content equal bytes and an equal version`, () => {
      fc.assert(
        fc.property(RESOURCES[kind] as fc.Arbitrary<ResourceTypes[typeof kind]>, (resource) => {
          const encoded = encodeResource(kind, resource);
          const decoded = decodeResource(kind, encoded.any, encoded.name);
          assert.deepStrictEqual(decoded, resource);
          assert.deepStrictEqual(encodeResource(kind, decoded), encoded);
          assert.equal(encoded.any.typeUrl, TYPE_URLS[kind]);
        }),
      );
    });

    test(`rejects ${kind} bytes that are damaged, or reads them as a resource, but never fails otherwise`, () => {
      const damaged = fc.record({
        resource: RESOURCES[kind] as fc.Arbitrary<ResourceTypes[typeof kind]>,
        at: fc.nat(),
        byte: fc.integer({ min: 0, max: 255 }),
        cut: fc.nat(),
      });
      fc.assert(
        fc.property(damaged, ({ resource, at, byte, cut }) => {
          const bytes = encodeResource(kind, resource).any.value.slice();
          bytes[at % bytes.length] = byte;
          const shortened = bytes.subarray(0, bytes.length - (cut % 3));
          try {
            decodeResource(kind, { typeUrl: TYPE_URLS[kind], value: shortened });
          } catch (error) {
            assert.ok(error instanceof XdsRejection, String(error));
          }
        }),
      );
    });
  }

  test('versions differ when content differs', () => {
    assert.notEqual(encodeResource('cluster', ORDERS).version, encodeResource('cluster', { ...ORDERS, connectTimeoutMs: 1_001 }).version);
  });

  test('refuses to encode what no data plane would take', () => {
    const nobody = { ...ORDERS, tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', peerIds: [], alpn: [] } };
    assert.throws(
      () => encodeResource('cluster', nobody),
      /^XdsRejection: Cluster 'outbound\/default\/orders': .*match_typed_subject_alt_names: must name at least one peer$/,
    );
    assert.throws(
      () => encodeResource('cluster', { ...ORDERS, connectTimeoutMs: 0.5 }),
      /connect_timeout: 0 s 500000 ns is finer than a millisecond/,
    );
    assert.throws(
      () => encodeResource('listener', { ...INBOUND, address: 'localhost' }),
      /address: socket_address: address: "localhost" is not an IP address/,
    );
  });
});

describe('nothing is ignored: a resource is rejected', () => {
  const listener = encodeResource('listener', INBOUND).any.value;
  const cluster = encodeResource('cluster', ORDERS).any.value;

  test('for a field outside the subset, by its name', () => {
    // Listener.access_log (22), an empty message.
    assert.equal(
      rejection('listener', Buffer.concat([listener, Buffer.from([0xb2, 0x01, 0x00])]), INBOUND.name),
      `Listener '${INBOUND.name}': access_log is not supported`,
    );
    // Cluster.circuit_breakers (10).
    assert.equal(
      rejection('cluster', Buffer.concat([cluster, Buffer.from([0x52, 0x00])])),
      "Cluster 'x': circuit_breakers is not supported",
    );
  });

  test('for a field outside the subset deep inside, with the path to it', () => {
    const value = altered(ListenerMessage, listener, (message) => {
      const chain = message.filterChains?.[0];
      assert.ok(chain);
      // FilterChain.metadata (5).
      chain._unknownFields = { 42: [Uint8Array.of(0)] };
    });
    assert.equal(rejection('listener', value), "Listener 'x': filter_chains[0]: metadata is not supported");
  });

  test('for a field outside the subset inside of a typed extension', () => {
    const value = altered(ListenerMessage, listener, (message) => {
      const any = message.filterChains?.[0]?.filters?.[0]?.configType?.value;
      assert.ok(any?.value);
      // HttpConnectionManager.add_user_agent (6).
      any.value = Buffer.concat([any.value, Buffer.from([0x32, 0x00])]);
    });
    assert.equal(rejection('listener', value), "Listener 'x': filter_chains[0]: filters[0]: typed_config: add_user_agent is not supported");
  });

  test('for a field that no version of the contract knows', () => {
    assert.match(
      rejection('cluster', Buffer.concat([cluster, Buffer.from([0xf8, 0x3f, 0x01])])),
      /^Cluster 'x': field 1023 of envoy.config.cluster.v3.Cluster is not known to Heddle$/,
    );
  });

  test('for bytes behind an end-group tag, which a decoder would not look at', () => {
    assert.match(rejection('cluster', Buffer.concat([cluster, Buffer.from([0x0c, 0x52, 0x00])])), /2 bytes cannot be read/);
  });

  test('for another extension where one is expected', () => {
    const value = altered(ListenerMessage, listener, (message) => {
      const any = message.filterChains?.[0]?.filters?.[0]?.configType?.value;
      assert.ok(any);
      any.typeUrl = 'type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy';
    });
    assert.match(
      rejection('listener', value),
      /filters\[0\]: typed_config: type.googleapis.com\/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy is not supported here/,
    );
  });

  test('for a balancing policy that Heddle would not follow', () => {
    const value = altered(ClusterMessage, cluster, (message) => {
      message.lbPolicy = Cluster_LbPolicy.CLUSTER_PROVIDED;
    });
    assert.equal(
      rejection('cluster', value),
      "Cluster 'x': lb_policy: only ROUND_ROBIN, LEAST_REQUEST, RANDOM, RING_HASH and MAGLEV are supported, not CLUSTER_PROVIDED",
    );
  });

  test('for metadata that it does not read', () => {
    const value = altered(ClusterMessage, cluster, (message) => {
      message.metadata = { filterMetadata: { ...message.metadata?.filterMetadata, 'envoy.lb': { canary: true } } };
    });
    assert.match(rejection('cluster', value), /metadata: filter_metadata: "envoy.lb" is not supported/);
  });

  test('for a client certificate that is optional', () => {
    const value = altered(ListenerMessage, listener, (message) => {
      const any = message.filterChains?.[0]?.transportSocket?.configType?.value;
      assert.ok(any?.value);
      // DownstreamTlsContext.require_client_certificate (2), BoolValue false: the last one counts.
      any.value = Buffer.concat([any.value, Buffer.from([0x12, 0x00])]);
    });
    assert.match(rejection('listener', value), /transport_socket: require_client_certificate: only true is supported/);
  });

  test('for a domain of two virtual hosts, without regard to case', () => {
    const host = MESH.virtualHosts[0];
    assert.ok(host);
    const value = altered(RouteConfiguration, encodeResource('route', MESH).any.value, (message) => {
      message.virtualHosts?.push({ name: 'second', domains: ['ORDERS'], routes: [] });
    });
    assert.equal(
      rejection('route', value),
      `RouteConfiguration 'x': virtual_hosts[1]: domains[0]: "ORDERS" belongs to virtual host "orders" already`,
    );
  });

  test('for a retry condition that it does not know', () => {
    const value = altered(RouteConfiguration, encodeResource('route', MESH).any.value, (message) => {
      const action = message.virtualHosts?.[0]?.routes?.[0]?.action?.value;
      assert.ok(action);
      action.retryPolicy = { retryOn: 'connect-failure,5xx', numRetries: 1 };
    });
    assert.match(
      rejection('route', value),
      /routes\[0\]: route: retry_policy: retry_on: "5xx" is not supported; only connect-failure, refused-stream, reset are/,
    );
  });

  test('for parts of a listener that Heddle would not follow', () => {
    const tunnel = { kind: 'tcp', cluster: 'db', tunnel: 'db:5432' } as const;
    const { tls: _, ...plain } = INBOUND;
    const outbound: Listener = {
      ...plain,
      direction: 'outbound',
      serverNames: [{ names: ['db.example'], filter: tunnel }],
      filter: { kind: 'http', routeConfigName: 'r', otherwise: tunnel },
    };
    const bytes = encodeResource('listener', outbound).any.value;
    const cases: [(message: ListenerMessage) => void, RegExp][] = [
      [
        ({ filterChains }) => (filterChains![0]!.filterChainMatch!.serverNames = ['*.example']),
        /server_names\[0\]: "\*\.example" is not a server name/,
      ],
      [({ filterChains }) => (filterChains![0]!.filterChainMatch!.serverNames = ['a', 'a']), /server_names\[1\]: "a" is listed twice/],
      [
        ({ filterChains }) => (filterChains![0]!.filterChainMatch!.serverNames = []),
        /filter_chains\[0\]: .*server_names: must have at least one/,
      ],
      [
        ({ filterChains }) => (filterChains![0]!.filterChainMatch!.transportProtocol = ''),
        /filter_chains\[0\]: .*transport_protocol: only tls/,
      ],
      [({ filterChains }) => void filterChains!.pop(), /server_names: the last chain must be for all other connections/],
      [
        (message) => (message.filterChains![1]!.filters = message.defaultFilterChain!.filters),
        /must be HTTP where there is a default_filter_chain/,
      ],
      [
        ({ filterChains }) => (filterChains![1]!.filterChainMatch!.applicationProtocols = ['h2']),
        /application_protocols: only \[http\/1.0, /,
      ],
      [
        ({ filterChains }) => (filterChains![1]!.filterChainMatch!.serverNames = ['b']),
        /server_names: the last chain must be for all other/,
      ],
      [({ filterChains }) => (filterChains![1]!.filterChainMatch = undefined), /transport_protocol: only raw_buffer is supported/],
      [(message) => (message.defaultFilterChain = undefined), /transport_protocol: the last chain must be for all other connections/],
      [
        ({ defaultFilterChain }) => (defaultFilterChain!.filterChainMatch = {}),
        /default_filter_chain: filter_chain_match: is not supported/,
      ],
      [
        (message) => (message.listenerFiltersTimeout = { seconds: 15, nanos: 0 }),
        /listener_filters_timeout: only 100 ms is supported, not 15000/,
      ],
      [(message) => (message.continueOnListenerFiltersTimeout = false), /continue_on_listener_filters_timeout: only true is supported/],
      [(message) => void message.listenerFilters!.pop(), /listener_filters: must be \[tls, http\] for these filter chains, not \[tls\]/],
      [
        ({ listenerFilters }) => (listenerFilters![0]!.configType!.value.typeUrl = 'x/y'),
        /listener_filters\[0\]: typed_config: x\/y is not supported/,
      ],
    ];
    for (const [change, expected] of cases) assert.match(rejection('listener', altered(ListenerMessage, bytes, change)), expected);
    assert.throws(
      () => encodeResource('listener', { ...outbound, tls: INBOUND.tls! }),
      /transport_socket: is not supported where the protocol is found/,
    );
    const operator = { ...plain, filter: { ...tunnel, tunnel: '%REQUESTED_SERVER_NAME%:443' } };
    assert.throws(() => encodeResource('listener', operator), /tunneling_config: hostname: .*command operators are not supported/);
    const trust = { certificateName: 'x', trustDomain: 'shop.local' };
    assert.throws(() => encodeResource('listener', { ...plain, tls: trust }), /validation_context_sds_secret_config: .*name: is required/);
  });

  test('for a tunnel with a time limit, retries or a path, and upgrades of a route for requests', () => {
    const tunnel: Route = { name: 'db', match: { kind: 'connect' }, action: { kind: 'tunnel', how: 'forward', cluster: 'db' } };
    const config = (change: object): RouteConfig => ({
      name: 'r',
      virtualHosts: [{ name: 'v', domains: ['*'], routes: [{ ...tunnel, ...change }] }],
    });
    const together = /routes\[0\]: requests for CONNECT need a tunnel, and only they can have one/;
    assert.throws(() => encodeResource('route', config({ match: ANY_REQUEST })), together);
    assert.throws(() => encodeResource('route', config({ action: forwardTo('db') })), together);
    const action = (change: (message: NonNullable<RouteMessage['action']>['value']) => void): string =>
      rejection(
        'route',
        altered(RouteConfiguration, encodeResource('route', config({})).any.value, (message) =>
          change(message.virtualHosts![0]!.routes![0]!.action!.value),
        ),
      );
    assert.match(
      action((value) => (value.timeout = { seconds: 1, nanos: 0 })),
      /routes\[0\]: route: timeout: must be 0 in a route for CONNECT/,
    );
    assert.match(
      action((value) => (value.retryPolicy = { retryOn: 'reset', numRetries: 1 })),
      /retry_policy: is not supported in a route for/,
    );
    const changed = (resource: RouteConfig, upgrades: { upgradeType: string }[]): string =>
      rejection(
        'route',
        altered(RouteConfiguration, encodeResource('route', resource).any.value, (message) => {
          message.virtualHosts![0]!.routes![0]!.action!.value.upgradeConfigs = upgrades;
        }),
      );
    assert.match(
      changed(config({}), [{ upgradeType: 'websocket' }]),
      /upgrade_configs\[0\]: upgrade_type: only CONNECT is supported, not "websocket"/,
    );
    assert.match(changed(config({}), []), /upgrade_configs: must have exactly one entry, not 0/);
    assert.match(changed(MESH, [{ upgradeType: 'websocket' }]), /upgrade_configs: is supported in routes for CONNECT only/);
  });

  test('for an upstream that is told by ids and by a name, or by a name that is none', () => {
    const named = { trustBundleName: 'public', peerIds: [], serverName: 'far.example', alpn: [] };
    const refused = (tls: Cluster['tls'], expected: RegExp): void =>
      assert.throws(() => encodeResource('cluster', { ...ORDERS, tls }), expected);
    refused(
      { ...named, peerIds: ['spiffe://x/ns/a/svc/b'] },
      /match_typed_subject_alt_names\[0\]: san_type: only DNS, as sni is set, is supported/,
    );
    refused({ ...named, serverName: 'Far.Example' }, /sni: "Far.Example" is not a server name in lower case/);
    refused({ ...named, serverName: undefined }, /must name at least one peer/);
    const other = altered(ClusterMessage, cluster, (message) => {
      message.typedExtensionProtocolOptions = { other: { typeUrl: 'x/y', value: new Uint8Array() } };
    });
    assert.match(rejection('cluster', other), /typed_extension_protocol_options: "other" is not supported/);
  });

  test('for the wrong type', () => {
    assert.throws(
      () => decodeResource('route', { typeUrl: TYPE_URLS.cluster, value: new Uint8Array() }),
      /has type .*Cluster, not .*RouteConfiguration/,
    );
  });
});

test('fields that a foreign control plane leaves out mean what the contract says', () => {
  const routes = altered(RouteConfiguration, encodeResource('route', MESH).any.value, (message) => {
    const action = message.virtualHosts?.[0]?.routes?.[0]?.action?.value;
    assert.ok(action);
    action.timeout = undefined;
    action.retryPolicy = { retryOn: 'reset' };
    message.virtualHosts![0]!.routes![0]!.name = '';
  });
  const { routes: decoded } = decodeResource('route', { typeUrl: TYPE_URLS.route, value: routes }).virtualHosts[0] ?? { routes: [] };
  assert.deepEqual(decoded[0], {
    name: 'route 1',
    match: ANY_REQUEST,
    action: { ...forwardTo(ORDERS.name), timeoutMs: 15_000, retry: { ...NO_RETRY, attempts: 1, on: ['reset'] } },
  });

  const bare = ClusterLoadAssignment.encode({
    clusterName: 'c',
    endpoints: [
      {
        lbEndpoints: [
          {
            hostIdentifier: {
              $case: 'endpoint',
              value: {
                address: {
                  address: { $case: 'socketAddress', value: { address: '10.0.0.1', portSpecifier: { $case: 'portValue', value: 80 } } },
                },
              },
            },
          },
        ],
      },
    ],
  }).finish();
  assert.deepEqual(decodeResource('endpoints', { typeUrl: TYPE_URLS.endpoints, value: bare }), {
    cluster: 'c',
    endpoints: [{ address: '10.0.0.1', port: 80, health: 'healthy', weight: 1, instance: '10.0.0.1:80' }],
  });
});
