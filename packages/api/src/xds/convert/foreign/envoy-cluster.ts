// A cluster for Envoy: balanced, limited and kept alive as our own data planes do it, as far as it can (envoy-balance.ts). Envoy's defaults
// differ: it sends to unhealthy endpoints when many are (panic) and keeps idle connections for an hour.
import { type Cluster, DEFAULT_LIMITS, ERROR_HEADER } from '@heddle/core';
import {
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
  type Cluster as ClusterMessage,
} from '../../../gen/foreign/envoy/config/cluster/v3/cluster.ts';
import type { Http1ProtocolOptions, Http2ProtocolOptions } from '../../../gen/foreign/envoy/config/core/v3/protocol.ts';
import { HeaderMutation } from '../../../gen/foreign/envoy/extensions/filters/http/header_mutation/v3/header_mutation.ts';
import { UpstreamCodec } from '../../../gen/foreign/envoy/extensions/filters/http/upstream_codec/v3/upstream_codec.ts';
import { HttpProtocolOptions } from '../../../gen/foreign/envoy/extensions/upstreams/http/v3/http_protocol_options.ts';
import { encodeHost } from '../cluster.ts';
import { encodeEndpoints } from '../endpoints.ts';
import type { At } from '../rejection.ts';
import { pack } from '../strict.ts';
import { adsSource, encodeDuration, encodeMetadata } from '../values.ts';
import { envoyBalance, envoyLimits, envoyOutlier } from './envoy-balance.ts';
import { withoutDenied } from './denied-peers.ts';
import { envoyUpstreamTls } from './envoy-tls.ts';

/** Envoy looks the options of an upstream protocol up by this key. */
const HTTP_OPTIONS_KEY = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** Options that a data plane of the mesh and an application speak by. */
export const HTTP1: Http1ProtocolOptions = { acceptHttp10: true, enableTrailers: true };
export const HTTP2: Http2ProtocolOptions = {
  // CONNECT, extended or not, is what bytes and upgrades travel by.
  allowConnect: true,
  maxConcurrentStreams: DEFAULT_LIMITS.streamsPerConnectionMax,
  initialStreamWindowSize: DEFAULT_LIMITS.streamWindowBytes,
  initialConnectionWindowSize: DEFAULT_LIMITS.peerWindowBytes,
};

/** `denied`: identities that are no peers, whatever the cluster says. */
export function encodeEnvoyCluster(cluster: Cluster, denied: readonly string[] = [], at: At): ClusterMessage {
  return {
    name: cluster.name,
    ...encodeSource(cluster),
    connectTimeout: encodeDuration(cluster.connectTimeoutMs),
    ...envoyBalance(cluster.balance),
    circuitBreakers: envoyLimits(cluster.breaker, cluster.retryBudget),
    ...(cluster.outlier !== undefined && { outlierDetection: envoyOutlier(cluster.outlier) }),
    typedExtensionProtocolOptions: { [HTTP_OPTIONS_KEY]: pack(HttpProtocolOptions, encodeHttp(cluster)) },
    ...(cluster.tls === undefined ? {} : { transportSocket: envoyUpstreamTls(withoutDenied(cluster.tls, denied), at) }),
    perConnectionBufferLimitBytes: DEFAULT_LIMITS.connectionBufferBytesMax,
    metadata: encodeMetadata({ namespace: cluster.service.namespace, service: cluster.service.name }),
  };
}

/**
 * The application's health check is left out on purpose: it travels by the health discovery service, which brings the verdict to the
 * registry. A check of the cluster's own would only turn answers of the application into errors of Envoy.
 */
function encodeSource({
  name,
  endpoints,
}: Cluster): Pick<ClusterMessage, 'clusterDiscoveryType' | 'edsClusterConfig' | 'loadAssignment' | 'dnsLookupFamily'> {
  if (endpoints.kind === 'eds')
    return { clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.EDS }, edsClusterConfig: { edsConfig: adsSource() } };
  if (endpoints.kind === 'dns')
    return {
      clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.LOGICAL_DNS },
      loadAssignment: encodeHost(name, endpoints.host, endpoints.port),
      // The address that answers first, of either family (RFC 8305).
      dnsLookupFamily: Cluster_DnsLookupFamily.ALL,
    };
  return {
    clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.STATIC },
    loadAssignment: encodeEndpoints({ cluster: name, endpoints: endpoints.endpoints }),
  };
}

function encodeHttp({ http, tls, endpoints }: Cluster): HttpProtocolOptions {
  const { applicationIdleTimeoutMs, upstreamIdleTimeoutMs, headerCountMax, pingAfterMs, pingTimeoutMs } = DEFAULT_LIMITS;
  const isApplication = tls === undefined && endpoints.kind === 'static';
  const keepalive = { interval: encodeDuration(pingAfterMs), timeout: encodeDuration(pingTimeoutMs) };
  return {
    commonHttpProtocolOptions: {
      idleTimeout: encodeDuration(isApplication ? applicationIdleTimeoutMs : upstreamIdleTimeoutMs),
      maxHeadersCount: headerCountMax,
    },
    upstreamProtocolOptions: {
      $case: 'explicitHttpConfig',
      value: {
        protocolConfig:
          http === 'http1'
            ? { $case: 'httpProtocolOptions', value: HTTP1 }
            : { $case: 'http2ProtocolOptions', value: { ...HTTP2, connectionKeepalive: keepalive } },
      },
    },
    ...(isApplication && { httpFilters: [withoutForgedErrors(), codec()] }),
  };
}

/** Applications must not speak with a data plane's voice. */
function withoutForgedErrors(): { name: string; configType: { $case: 'typedConfig'; value: ReturnType<typeof pack> } } {
  const mutation: HeaderMutation = {
    mutations: { responseMutations: [{ action: { $case: 'remove', value: ERROR_HEADER } }] },
  };
  return { name: 'envoy.filters.http.header_mutation', configType: { $case: 'typedConfig', value: pack(HeaderMutation, mutation) } };
}

function codec(): { name: string; configType: { $case: 'typedConfig'; value: ReturnType<typeof pack> } } {
  return { name: 'envoy.filters.http.upstream_codec', configType: { $case: 'typedConfig', value: pack(UpstreamCodec, {}) } };
}
