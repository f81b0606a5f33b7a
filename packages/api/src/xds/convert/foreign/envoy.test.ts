// What an Envoy is told. That the real one takes it and does it is shown by tests/interop/envoy.test.ts.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ALPN_HTTP2, type Cluster, ERROR_HEADER, type Listener, type Route, type RouteConfig } from '@heddle/core';
import { Cluster as ClusterMessage } from '../../../gen/foreign/envoy/config/cluster/v3/cluster.ts';
import { Listener as ListenerMessage } from '../../../gen/foreign/envoy/config/listener/v3/listener.ts';
import type { Filter } from '../../../gen/foreign/envoy/config/listener/v3/listener_components.ts';
import { RouteConfiguration } from '../../../gen/foreign/envoy/config/route/v3/route.ts';
import type { Route as RouteMessage } from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import { HttpConnectionManager } from '../../../gen/foreign/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import { TcpProxy } from '../../../gen/foreign/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.ts';
import { HeaderMutation } from '../../../gen/foreign/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.ts';
import { Secret } from '../../../gen/foreign/envoy/extensions/transport_sockets/tls/v3/secret.ts';
import { DownstreamTlsContext, UpstreamTlsContext } from '../../../gen/foreign/envoy/extensions/transport_sockets/tls/v3/tls.ts';
import { HttpProtocolOptions } from '../../../gen/foreign/envoy/extensions/upstreams/http/v3/http_protocol_options.ts';
import { encodeResource } from '../own.ts';
import { XdsRejection } from '../rejection.ts';
import { encodeForEnvoy } from './envoy.ts';

const OPTIONS = { trustDomain: 'shop' };
const INBOUND: Listener = {
  ...{ name: 'inbound/default/orders/orders-1', direction: 'inbound', address: '10.0.0.7', port: 15_006 },
  workload: 'default/orders/orders-1',
  tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: 'shop' },
  filter: { kind: 'http', routeConfigName: 'inbound/default/orders/orders-1', useRemoteAddress: true },
};
const OUTBOUND: Listener = {
  ...{ name: 'outbound/mixed', direction: 'outbound', address: '127.0.0.1', port: 20_001 },
  serverNames: [
    { names: ['vault.mesh.internal'], filter: { kind: 'tcp', cluster: 'outbound/default/vault', tunnel: 'vault.mesh.internal:8200' } },
  ],
  filter: {
    ...{ kind: 'http', routeConfigName: 'outbound/mixed' },
    otherwise: { kind: 'tcp', cluster: 'outbound/default/mixed', tunnel: 'mixed.mesh.internal:9000' },
  },
};
const CLUSTER: Cluster = {
  ...{
    name: 'outbound/default/orders',
    service: { namespace: 'default', name: 'orders' },
    endpoints: { kind: 'eds' },
    balance: 'round-robin',
  },
  ...{ connectTimeoutMs: 1_500, http: 'http2' },
  tls: {
    ...{ certificateName: 'workload', trustBundleName: 'trust-bundle' },
    ...{ peerIds: ['spiffe://shop/ns/default/svc/orders'], alpn: [ALPN_HTTP2] },
  },
};
const LOCAL: Cluster = {
  ...{ name: 'local/default/orders/orders-1', service: { namespace: 'default', name: 'orders' }, balance: 'round-robin' },
  endpoints: { kind: 'static', endpoints: [{ address: '127.0.0.1', port: 8081, health: 'healthy', weight: 1, instance: 'orders-1' }] },
  ...{ connectTimeoutMs: 1_500, http: 'http1' },
  health: { kind: 'http', path: '/healthz', intervalMs: 1_000, timeoutMs: 1_000, unhealthyAfter: 2, healthyAfter: 1 },
};
const ROUTE: Route = {
  prefix: '/',
  cluster: CLUSTER.name,
  timeoutMs: 2_000,
  retry: { attempts: 2, on: ['connect-failure', 'refused', 'reset'] },
};

/** Without what the decoder notes for itself. */
const plain = (message: unknown): unknown =>
  JSON.parse(JSON.stringify(message, (key, value: unknown) => (key === '$type' ? undefined : value)));
const listenerOf = (listener: Listener): ListenerMessage =>
  ListenerMessage.decode(encodeForEnvoy('listener', listener, OPTIONS)[0]!.any.value);
const clusterOf = (cluster: Cluster): ClusterMessage => ClusterMessage.decode(encodeForEnvoy('cluster', cluster, OPTIONS)[0]!.any.value);
const routesOf = (...routes: readonly Route[]): RouteMessage[] => {
  const config: RouteConfig = { name: 'r', virtualHosts: [{ name: 'v', domains: ['*'], routes }] };
  return RouteConfiguration.decode(encodeForEnvoy('route', config, OPTIONS)[0]!.any.value).virtualHosts?.[0]?.routes ?? [];
};
const bytesOf = (filter: Filter | undefined): Uint8Array => filter?.configType?.value.value ?? new Uint8Array();
const managerOf = (filter: Filter | undefined): HttpConnectionManager => HttpConnectionManager.decode(bytesOf(filter));
const changesOf = (manager: HttpConnectionManager): string[] => {
  const packed = manager.earlyHeaderMutationExtensions?.[0]?.typedConfig?.value ?? new Uint8Array();
  return (HeaderMutation.decode(packed).mutations ?? []).map(({ action }) =>
    action?.$case === 'append' ? `${action.value.header?.key}=${action.value.header?.value}` : `-${action?.value}`,
  );
};

describe('listeners for Envoy', () => {
  it('ask every peer for an identity of the trust domain', () => {
    const [chain] = listenerOf(INBOUND).filterChains ?? [];
    const tls = DownstreamTlsContext.decode(chain?.transportSocket?.configType?.value.value ?? new Uint8Array());
    assert.equal(tls.requireClientCertificate, true);
    const context = tls.commonTlsContext;
    assert.deepEqual(context?.alpnProtocols, ['h2', 'http/1.1']);
    assert.equal(context?.tlsCertificateSdsSecretConfigs?.[0]?.name, 'workload');
    assert.ok(context?.validationContextType?.$case === 'combinedValidationContext');
    const { defaultValidationContext, validationContextSdsSecretConfig } = context.validationContextType.value;
    assert.equal(validationContextSdsSecretConfig?.name, 'trust-bundle');
    assert.deepEqual(defaultValidationContext?.matchTypedSubjectAltNames?.[0]?.matcher?.matchPattern, {
      $case: 'prefix',
      value: 'spiffe://shop/',
    });
  });

  it('name the caller to the application, and let nobody forge that', () => {
    const changes = changesOf(managerOf(listenerOf(INBOUND).filterChains?.[0]?.filters?.[0]));
    for (const change of [
      'x-heddle-peer=%DOWNSTREAM_PEER_URI_SAN%',
      'x-forwarded-for=%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%',
      'x-forwarded-proto=http',
      '-x-envoy-max-retries',
    ])
      assert.ok(changes.includes(change), change);
    const out = changesOf(managerOf(listenerOf(OUTBOUND).filterChains?.[1]?.filters?.[0]));
    assert.ok(out.includes('-x-heddle-peer') && out.includes('-proxy-authorization'));
    assert.equal(
      out.find((change) => change.startsWith('x-forwarded')),
      undefined,
    );
  });

  it('say by x-heddle-error what Envoy itself answers: on the way in it is the application that cannot be reached', () => {
    const codes = (listener: Listener): string[] => {
      const mappers = managerOf(listenerOf(listener).filterChains?.at(-1)?.filters?.[0]).localReplyConfig?.mappers ?? [];
      return mappers.map(({ headersToAdd }) => headersToAdd?.[0]?.header?.value ?? '');
    };
    assert.ok(codes(INBOUND).includes('APPLICATION_REFUSED'));
    assert.ok(codes(OUTBOUND).includes('CONNECT_FAILED') && codes(OUTBOUND).includes('NO_HEALTHY_INSTANCE'));
  });

  it('pass TLS on by its name, HTTP to routes, and all else through a tunnel', () => {
    const { filterChains, defaultFilterChain, listenerFilters, continueOnListenerFiltersTimeout } = listenerOf(OUTBOUND);
    assert.deepEqual(filterChains?.[0]?.filterChainMatch?.serverNames, ['vault.mesh.internal']);
    const passed = TcpProxy.decode(bytesOf(filterChains?.[0]?.filters?.[0]));
    assert.equal(passed.tunnelingConfig?.hostname, 'vault.mesh.internal:8200');
    assert.equal(managerOf(filterChains?.[1]?.filters?.[0]).routeSpecifier?.$case, 'rds');
    const other = TcpProxy.decode(bytesOf(defaultFilterChain?.filters?.[0]));
    assert.deepEqual(
      [other.clusterSpecifier?.value, other.tunnelingConfig?.hostname],
      ['outbound/default/mixed', 'mixed.mesh.internal:9000'],
    );
    assert.equal(listenerFilters?.length, 2);
    assert.equal(continueOnListenerFiltersTimeout, true);
  });

  it('are refused where clients of any name would be let in', () => {
    const open: Listener = { ...INBOUND, tls: { certificateName: 'workload', trustBundleName: 'trust-bundle' } };
    assert.throws(
      () => encodeForEnvoy('listener', open, OPTIONS),
      (error) => error instanceof XdsRejection && /^Listener 'inbound.*' for Envoy: tls: clients of any name/.test(error.message),
    );
  });
});

describe('routes for Envoy', () => {
  it('repeat after a reset only what is idempotent', () => {
    const [upgrade, events, idempotent, other] = routesOf(ROUTE);
    const retryOf = (route: RouteMessage | undefined): string =>
      route?.action?.$case === 'route' ? (route.action.value.retryPolicy?.retryOn ?? '') : '';
    assert.equal(upgrade?.match?.headers?.[0]?.name, 'upgrade');
    assert.equal(events?.match?.headers?.[0]?.name, 'accept');
    assert.deepEqual(plain(events.action?.$case === 'route' && events.action.value.timeout), { seconds: 0, nanos: 0 });
    assert.equal(retryOf(idempotent), 'connect-failure,refused-stream,reset,retriable-headers');
    assert.equal(retryOf(other), 'connect-failure,refused-stream,retriable-headers');
    assert.deepEqual(plain(idempotent?.match?.headers?.[0]?.headerMatchSpecifier), {
      $case: 'stringMatch',
      value: { matchPattern: { $case: 'safeRegex', value: { regex: 'GET|HEAD|OPTIONS|TRACE|PUT|DELETE' } } },
    });
    const { retryPolicy, timeout } = other?.action?.$case === 'route' ? other.action.value : {};
    assert.deepEqual(plain(timeout), { seconds: 2, nanos: 0 });
    assert.equal(retryPolicy?.numRetries, 2);
    const codes = retryPolicy?.retriableHeaders?.map(
      ({ headerMatchSpecifier: by }) => by?.$case === 'stringMatch' && by.value.matchPattern?.value,
    );
    assert.deepEqual(codes?.sort(), [
      ...['APPLICATION_REFUSED', 'CONNECT_FAILED', 'CONNECT_TIMEOUT', 'DRAINING', 'OVERLOADED', 'PEER_NOT_TRUSTED', 'STREAM_REFUSED'],
    ]);
  });

  it('repeat nothing where retries are off', () => {
    const routes = routesOf({ ...ROUTE, retry: { attempts: 0, on: ['reset'] } });
    assert.equal(routes.length, 3);
    for (const { action } of routes) assert.ok(action?.$case === 'route' && action.value.retryPolicy === undefined);
  });

  it('end tunnels at the application, or ask an instance for the same tunnel', () => {
    const upgradesOf = (connect: 'forward' | 'terminate'): unknown => {
      const [route] = routesOf({ prefix: '', connect, cluster: 'c', timeoutMs: 0, retry: { attempts: 0, on: [] } });
      assert.equal(route?.match?.pathSpecifier?.$case, 'connectMatcher');
      return plain(route?.action?.$case === 'route' && route.action.value.upgradeConfigs);
    };
    assert.deepEqual(upgradesOf('terminate'), [{ upgradeType: 'CONNECT', connectConfig: {} }]);
    assert.deepEqual(upgradesOf('forward'), [{ upgradeType: 'CONNECT' }]);
  });

  it('take no domain that Envoy would read as a pattern', () => {
    const config: RouteConfig = { name: 'r', virtualHosts: [{ name: 'v', domains: ['*.shop'], routes: [ROUTE] }] };
    assert.throws(
      () => encodeForEnvoy('route', config, OPTIONS),
      /RouteConfiguration 'r' for Envoy: virtual_hosts\[0\]: domains\[0\]: "\*\.shop" is a pattern/,
    );
  });
});

describe('clusters for Envoy', () => {
  const optionsOf = (cluster: ClusterMessage): HttpProtocolOptions =>
    HttpProtocolOptions.decode(Object.values(cluster.typedExtensionProtocolOptions ?? {})[0]?.value ?? new Uint8Array());

  it('send to healthy instances only, and believe only the identity of the service', () => {
    const cluster = clusterOf(CLUSTER);
    assert.equal(cluster.commonLbConfig?.healthyPanicThreshold?.value ?? 0, 0);
    assert.notEqual(cluster.commonLbConfig?.healthyPanicThreshold, undefined);
    const tls = UpstreamTlsContext.decode(cluster.transportSocket?.configType?.value.value ?? new Uint8Array());
    assert.ok(tls.commonTlsContext?.validationContextType?.$case === 'combinedValidationContext');
    const [name] = tls.commonTlsContext.validationContextType.value.defaultValidationContext?.matchTypedSubjectAltNames ?? [];
    assert.deepEqual(name?.matcher?.matchPattern, { $case: 'exact', value: 'spiffe://shop/ns/default/svc/orders' });
    assert.equal(optionsOf(cluster).httpFilters?.length, 0);
  });

  it('leave checks of the application to health discovery, and take the voice of the mesh from it', () => {
    const cluster = clusterOf(LOCAL);
    assert.deepEqual(cluster.healthChecks, []);
    assert.equal(cluster.transportSocket, undefined);
    const { httpFilters, commonHttpProtocolOptions } = optionsOf(cluster);
    assert.deepEqual(
      httpFilters?.map(({ name }) => name),
      ['envoy.filters.http.header_mutation', 'envoy.filters.http.upstream_codec'],
    );
    assert.ok(Buffer.from(httpFilters?.[0]?.configType?.value?.value as Uint8Array).includes(ERROR_HEADER));
    assert.deepEqual(plain(commonHttpProtocolOptions?.idleTimeout), { seconds: 4, nanos: 0 });
  });
});

describe('everything else for Envoy', () => {
  it('is as for our own data planes', () => {
    const set = { cluster: 'c', endpoints: [{ address: '10.0.0.1', port: 1, health: 'draining', weight: 3, instance: 'a-1' }] } as const;
    assert.deepEqual(encodeForEnvoy('endpoints', set, OPTIONS), [encodeResource('endpoints', set)]);
    const bundle = { name: 'trust-bundle', rootsPem: 'PEM' };
    assert.deepEqual(encodeForEnvoy('secret', bundle, OPTIONS), [encodeResource('secret', bundle)]);
  });

  it('names the files of its certificate, and what to watch', () => {
    const [resource] = encodeForEnvoy('secret', { name: 'workload', certificateFiles: { directory: '/run/id/' } }, OPTIONS);
    const { type } = Secret.decode(resource!.any.value);
    assert.ok(type?.$case === 'tlsCertificate');
    assert.deepEqual(type.value.certificateChain?.specifier, { $case: 'filename', value: '/run/id/cert.pem' });
    assert.deepEqual(type.value.privateKey?.specifier, { $case: 'filename', value: '/run/id/key.pem' });
    assert.equal(type.value.watchedDirectory?.path, '/run/id/');
  });

  it('leaves out what only gRPC clients ask for, and gives equal versions to equal content', () => {
    assert.deepEqual(encodeForEnvoy('listener', { name: 'orders.mesh.internal', routeConfigName: 'r' }, OPTIONS), []);
    assert.equal(encodeForEnvoy('cluster', CLUSTER, OPTIONS)[0]!.version, encodeForEnvoy('cluster', { ...CLUSTER }, OPTIONS)[0]!.version);
  });
});
