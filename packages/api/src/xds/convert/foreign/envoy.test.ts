// What an Envoy is told. That the real one takes it and does it is shown by tests/interop/envoy.test.ts.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ALPN_HTTP2, DEFAULT_OUTLIER, DEFAULT_RETRY_BUDGET, ERROR_HEADER, NO_BREAKER, SINGLE_BALANCE } from '@heddle/core';
import type { Cluster, Listener } from '@heddle/core';
import { Cluster as ClusterMessage, Cluster_LbPolicy } from '../../../gen/foreign/envoy/config/cluster/v3/cluster.ts';
import { Listener as ListenerMessage } from '../../../gen/foreign/envoy/config/listener/v3/listener.ts';
import type { Filter } from '../../../gen/foreign/envoy/config/listener/v3/listener_components.ts';
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
    balance: { algorithm: 'probing', locality: 'zone-aware', slowStartMs: 0, panicPercent: 0 },
  },
  ...{ connectTimeoutMs: 1_500, http: 'http2', breaker: NO_BREAKER, retryBudget: DEFAULT_RETRY_BUDGET },
  tls: {
    ...{ certificateName: 'workload', trustBundleName: 'trust-bundle' },
    ...{ peerIds: ['spiffe://shop/ns/default/svc/orders'], alpn: [ALPN_HTTP2] },
  },
};
const LOCAL: Cluster = {
  ...{ name: 'local/default/orders/orders-1', service: { namespace: 'default', name: 'orders' }, balance: SINGLE_BALANCE },
  endpoints: { kind: 'static', endpoints: [{ address: '127.0.0.1', port: 8081, health: 'healthy', weight: 1, instance: 'orders-1' }] },
  ...{ connectTimeoutMs: 1_500, http: 'http1', breaker: NO_BREAKER, retryBudget: DEFAULT_RETRY_BUDGET },
  health: { kind: 'http', path: '/healthz', intervalMs: 1_000, timeoutMs: 1_000, unhealthyAfter: 2, healthyAfter: 1 },
};
/** Without what the decoder notes for itself. */
const plain = (message: unknown): unknown =>
  JSON.parse(JSON.stringify(message, (key, value: unknown) => (key === '$type' ? undefined : value)));
const listenerOf = (listener: Listener): ListenerMessage =>
  ListenerMessage.decode(encodeForEnvoy('listener', listener, OPTIONS)[0]!.any.value);
const clusterOf = (cluster: Cluster): ClusterMessage => ClusterMessage.decode(encodeForEnvoy('cluster', cluster, OPTIONS)[0]!.any.value);
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
    assert.ok(
      codes(INBOUND).includes('OVERLOADED') && !codes(INBOUND).includes('CIRCUIT_OPEN') && codes(OUTBOUND).includes('CIRCUIT_OPEN'),
    );
  });

  it('tell gRPC callers the status of the code, where Envoy would make another one of the HTTP status', () => {
    const mappers = managerOf(listenerOf(OUTBOUND).filterChains?.at(-1)?.filters?.[0]).localReplyConfig?.mappers ?? [];
    const statuses = mappers.map(({ filter, headersToAdd = [] }) => {
      const [code, grpc] = headersToAdd.map(({ header }) => header?.value);
      assert.equal(filter?.filterSpecifier?.$case, grpc === undefined ? 'responseFlagFilter' : 'andFilter', String(code));
      return grpc === undefined ? code : `${code} ${grpc}`;
    });
    // The first that fits counts.
    assert.ok(statuses.indexOf('REQUEST_TIMEOUT 4') !== -1 && statuses.indexOf('REQUEST_TIMEOUT 4') < statuses.indexOf('REQUEST_TIMEOUT'));
    assert.ok(!statuses.includes('NO_HEALTHY_INSTANCE 14') && statuses.includes('NO_HEALTHY_INSTANCE'));
  });

  it('count requests before they fail them, and say by whom a request came, but no response', () => {
    const manager = managerOf(listenerOf(OUTBOUND).filterChains?.at(-1)?.filters?.[0]);
    assert.deepEqual(
      manager.httpFilters?.map(({ name }) => name?.replace('envoy.filters.http.', '')),
      ['local_ratelimit', 'fault', 'stateful_session', 'router'],
    );
    assert.ok(!manager.via && changesOf(manager).includes('via=1.1 heddle'));
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

describe('balancing, limits and ejection for Envoy', () => {
  const balanced = (over: Partial<Cluster['balance']>): ClusterMessage =>
    clusterOf({ ...CLUSTER, balance: { ...CLUSTER.balance, ...over } });
  const outlierOf = (over: object): Record<string, unknown> =>
    plain(clusterOf({ ...CLUSTER, outlier: { ...DEFAULT_OUTLIER, ...over } }).outlierDetection) as Record<string, unknown>;

  it('choose the nearest that Envoy has: the fewest requests under way in place of probes and response times', () => {
    const { LEAST_REQUEST, MAGLEV, ROUND_ROBIN } = Cluster_LbPolicy;
    assert.equal(balanced({}).lbPolicy, LEAST_REQUEST);
    assert.equal(balanced({ algorithm: 'least-response-time' }).lbPolicy, LEAST_REQUEST);
    assert.equal(balanced({ algorithm: 'weighted' }).lbPolicy, ROUND_ROBIN);
    assert.equal(balanced({ algorithm: 'maglev' }).lbPolicy, MAGLEV);
    const { lbConfig, commonLbConfig } = balanced({ slowStartMs: 30_000, panicPercent: 30 });
    assert.deepEqual(plain(lbConfig), {
      $case: 'leastRequestLbConfig',
      value: { choiceCount: 2, slowStartConfig: { slowStartWindow: { seconds: 30, nanos: 0 } } },
    });
    assert.equal(commonLbConfig?.healthyPanicThreshold?.value, 30);
  });

  it('keep the breaker within the limits of a data plane, and retries within the budget', () => {
    const { circuitBreakers } = clusterOf({ ...CLUSTER, breaker: { connections: 7, pending: 8, requests: 9 } });
    const [limits] = circuitBreakers?.thresholds ?? [];
    assert.deepEqual([limits?.maxPendingRequests, limits?.maxRequests], [8, 9]);
    assert.deepEqual(plain(limits?.retryBudget), { budgetPercent: { value: 20 }, minRetryConcurrency: 30 });
    assert.equal(circuitBreakers?.perHostThresholds?.[0]?.maxConnections, 7);
    const unlimited = clusterOf({ ...CLUSTER, breaker: { connections: 1_000_000, pending: 0, requests: 0 } }).circuitBreakers;
    assert.equal(unlimited?.thresholds?.[0]?.maxRequests, 4_294_967_295);
    assert.ok((unlimited?.perHostThresholds?.[0]?.maxConnections ?? 0) < 1_000_000);
  });

  it('eject by the detectors that are on, and only by these', () => {
    const outlier = outlierOf({ failurePercent: 85, successRateFactor: 1.9 });
    assert.deepEqual([outlier['consecutive5xx'], outlier['enforcingConsecutive5xx']], [5, 100]);
    assert.equal(outlier['enforcingConsecutiveGatewayFailure'], 0);
    assert.deepEqual([outlier['failurePercentageThreshold'], outlier['enforcingFailurePercentage']], [85, 100]);
    assert.deepEqual([outlier['successRateStdevFactor'], outlier['enforcingSuccessRate']], [1_900, 100]);
    assert.equal(outlierOf({})['enforcingSuccessRate'], 0);
    assert.equal(clusterOf(CLUSTER).outlierDetection, undefined);
  });

  it('count local failures among all errors, unless by themselves they come first', () => {
    assert.equal(outlierOf({})['splitExternalLocalOriginErrors'], false);
    const split = outlierOf({ consecutiveLocalErrors: 2 });
    assert.deepEqual([split['splitExternalLocalOriginErrors'], split['enforcingConsecutiveLocalOriginFailure']], [true, 100]);
    assert.equal(outlierOf({ consecutiveErrors: 0 })['splitExternalLocalOriginErrors'], true);
  });

  it('look hosts outside the mesh up, and trust what the system trusts', () => {
    const outside: Cluster = {
      ...CLUSTER,
      endpoints: { kind: 'dns', host: 'api.example.com', port: 443 },
      tls: { trustBundleName: 'system-roots', peerIds: [], serverName: 'api.example.com', alpn: ['h2'] },
    };
    const cluster = clusterOf(outside);
    assert.deepEqual([cluster.clusterDiscoveryType?.value, cluster.dnsLookupFamily], [2, 4]);
    const tls = UpstreamTlsContext.decode(cluster.transportSocket?.configType?.value.value ?? new Uint8Array());
    assert.ok(tls.commonTlsContext?.validationContextType?.$case === 'validationContext');
    assert.match(JSON.stringify(tls.commonTlsContext.validationContextType.value), /ca-certificates\.crt.*"api\.example\.com"/);
    assert.throws(
      () => clusterOf({ ...outside, tls: { ...outside.tls!, serverName: undefined } as Cluster['tls'] & object }),
      /Cluster 'outbound.*' for Envoy: tls: the name of the server is needed/,
    );
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
