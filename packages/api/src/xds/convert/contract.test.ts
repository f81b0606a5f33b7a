// What we put on the wire is what Envoy's whole contract says it is: read with the contract itself, not with our part of it.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import { DEFAULT_RETRY_BUDGET, NO_BREAKER, SINGLE_BALANCE } from '@heddle/core';
import type { Cluster, Listener, ResourceKind, ResourceTypes, RouteConfig } from '@heddle/core';
import { encodeResource } from './index.ts';

const EXTENSIONS = 'type.googleapis.com/envoy.extensions';
const ROUTER = { '@type': `${EXTENSIONS}.filters.http.router.v3.Router` };
const FROM_ADS = { ads: {}, resource_api_version: 'V3' };
const TLS_1_3 = { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' };

const deps = join(dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds')), '../../deps');
const contract = loadSync(
  [
    'config/listener/v3/listener.proto',
    'config/route/v3/route.proto',
    'config/cluster/v3/cluster.proto',
    'extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
    'extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto',
    'extensions/filters/listener/http_inspector/v3/http_inspector.proto',
    'extensions/filters/listener/tls_inspector/v3/tls_inspector.proto',
    'extensions/filters/http/router/v3/router.proto',
    'extensions/transport_sockets/tls/v3/tls.proto',
    'extensions/upstreams/http/v3/http_protocol_options.proto',
  ].map((file) => `envoy/${file}`),
  {
    includeDirs: ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(deps, name)),
    keepCase: true,
    enums: String,
    json: true,
  },
);

function seen<K extends ResourceKind>(kind: K, resource: ResourceTypes[K]): Record<string, unknown> {
  const { typeUrl, value } = encodeResource(kind, resource).any;
  const type = contract[typeUrl.replace('type.googleapis.com/', '')] as MessageTypeDefinition<object, object>;
  return JSON.parse(JSON.stringify(type.deserialize(Buffer.from(value)))) as Record<string, unknown>;
}

function httpFilter(statPrefix: string, routes: string): object {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      // codec_type AUTO is the default, which is not on the wire.
      stat_prefix: statPrefix,
      rds: { config_source: FROM_ADS, route_config_name: routes },
      http_filters: [{ name: 'envoy.filters.http.router', typed_config: ROUTER }],
      http2_protocol_options: { allow_connect: true },
      upgrade_configs: [{ upgrade_type: 'websocket' }],
    },
  };
}

function tcpFilter(statPrefix: string, cluster: string, hostname?: string): object {
  return {
    name: 'envoy.filters.network.tcp_proxy',
    typed_config: {
      '@type': `${EXTENSIONS}.filters.network.tcp_proxy.v3.TcpProxy`,
      stat_prefix: statPrefix,
      cluster,
      ...(hostname !== undefined && { tunneling_config: { hostname } }),
    },
  };
}

describe("by Envoy's contract", () => {
  test('the way in ends mutual TLS and speaks both versions of HTTP', () => {
    const listener: Listener = {
      name: 'inbound/default/orders/orders-1',
      direction: 'inbound',
      address: '10.1.2.3',
      port: 15_006,
      workload: 'default/orders/orders-1',
      tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: 'shop.local' },
      filter: { kind: 'http', routeConfigName: 'inbound/default/orders/orders-1' },
    };
    const { metadata, ...rest } = seen('listener', listener);
    assert.deepEqual(rest, {
      name: listener.name,
      address: { socket_address: { address: '10.1.2.3', port_value: 15_006 } },
      traffic_direction: 'INBOUND',
      filter_chains: [
        {
          filters: [httpFilter(listener.name, 'inbound/default/orders/orders-1')],
          transport_socket: {
            name: 'envoy.transport_sockets.tls',
            typed_config: {
              '@type': `${EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext`,
              require_client_certificate: { value: true },
              common_tls_context: {
                alpn_protocols: ['h2', 'http/1.1'],
                tls_params: TLS_1_3,
                tls_certificate_sds_secret_configs: [{ name: 'workload', sds_config: FROM_ADS }],
                combined_validation_context: {
                  default_validation_context: {
                    match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { prefix: 'spiffe://shop.local/' } }],
                  },
                  validation_context_sds_secret_config: { name: 'trust-bundle', sds_config: FROM_ADS },
                },
              },
            },
          },
        },
      ],
    });
    assert.match(JSON.stringify(metadata), /"dev.heddle":\{"fields":\{"workload":\{.*"default\/orders\/orders-1"/);
  });

  test('a way out lets TLS pass by its name, and takes what is not HTTP through a tunnel', () => {
    const tunnel = { kind: 'tcp', cluster: 'outbound/default/db', tunnel: 'db.default.mesh.internal:5432' } as const;
    const listener: Listener = {
      name: 'out',
      direction: 'outbound',
      address: '127.0.0.1',
      port: 4_001,
      serverNames: [{ names: ['db', 'db.mesh.internal'], filter: tunnel }],
      filter: { kind: 'http', routeConfigName: 'outbound/default/auto', otherwise: { ...tunnel, cluster: 'outbound/default/auto' } },
    };
    assert.deepEqual(seen('listener', listener), {
      name: 'out',
      address: { socket_address: { address: '127.0.0.1', port_value: 4_001 } },
      traffic_direction: 'OUTBOUND',
      listener_filters: [
        {
          name: 'envoy.filters.listener.tls_inspector',
          typed_config: { '@type': `${EXTENSIONS}.filters.listener.tls_inspector.v3.TlsInspector` },
        },
        {
          name: 'envoy.filters.listener.http_inspector',
          typed_config: { '@type': `${EXTENSIONS}.filters.listener.http_inspector.v3.HttpInspector` },
        },
      ],
      listener_filters_timeout: { nanos: 100_000_000 },
      continue_on_listener_filters_timeout: true,
      filter_chains: [
        {
          filter_chain_match: { transport_protocol: 'tls', server_names: ['db', 'db.mesh.internal'] },
          filters: [tcpFilter('out', 'outbound/default/db', 'db.default.mesh.internal:5432')],
        },
        {
          filter_chain_match: { transport_protocol: 'raw_buffer', application_protocols: ['http/1.0', 'http/1.1', 'h2c'] },
          filters: [httpFilter('out', 'outbound/default/auto')],
        },
      ],
      default_filter_chain: { filters: [tcpFilter('out', 'outbound/default/auto', 'db.default.mesh.internal:5432')] },
    });
  });

  test('a server whose name is known is reached by HTTP/2 over TLS', () => {
    const cluster: Cluster = {
      name: 'far',
      service: { namespace: 'default', name: 'far' },
      endpoints: { kind: 'static', endpoints: [] },
      balance: SINGLE_BALANCE,
      connectTimeoutMs: 1_000,
      breaker: NO_BREAKER,
      retryBudget: DEFAULT_RETRY_BUDGET,
      http: 'http2',
      tls: { trustBundleName: 'public', peerIds: [], serverName: 'far.example', alpn: ['h2'] },
    };
    const { typed_extension_protocol_options: options, transport_socket: socket } = seen('cluster', cluster);
    assert.deepEqual(options, {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': `${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions`,
        explicit_http_config: { http2_protocol_options: { allow_connect: true } },
      },
    });
    assert.deepEqual(socket, {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': `${EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext`,
        sni: 'far.example',
        common_tls_context: {
          alpn_protocols: ['h2'],
          tls_params: TLS_1_3,
          combined_validation_context: {
            default_validation_context: { match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'far.example' } }] },
            validation_context_sds_secret_config: { name: 'public', sds_config: FROM_ADS },
          },
        },
      },
    });
    assert.equal(seen('cluster', { ...cluster, http: 'http1' })['typed_extension_protocol_options'], undefined);
  });

  test('routes for CONNECT hand the tunnel on, or take the bytes out of it', () => {
    const match = { kind: 'connect' } as const;
    const config: RouteConfig = {
      name: 'r',
      virtualHosts: [
        {
          name: 'v',
          domains: ['db:5432'],
          routes: [
            { name: 'on', match, action: { kind: 'tunnel', how: 'forward', cluster: 'a' } },
            { name: 'out', match, action: { kind: 'tunnel', how: 'terminate', cluster: 'b' } },
          ],
        },
      ],
    };
    assert.deepEqual(seen('route', config), {
      name: 'r',
      virtual_hosts: [
        {
          name: 'v',
          domains: ['db:5432'],
          routes: [
            {
              name: 'on',
              match: { connect_matcher: {} },
              route: { cluster: 'a', timeout: {}, upgrade_configs: [{ upgrade_type: 'CONNECT' }] },
            },
            {
              name: 'out',
              match: { connect_matcher: {} },
              route: { cluster: 'b', timeout: {}, upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: {} }] },
            },
          ],
        },
      ],
    });
  });
});
