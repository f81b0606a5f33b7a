// A listener: one address, one filter chain, in it either HTTP with routes by RDS or bytes to one cluster.
import type { HttpFilter, Listener, TcpFilter } from '@heddle/core';
import { TrafficDirection } from '../../gen/envoy/envoy/config/core/v3/base.ts';
import type { Listener as ListenerMessage } from '../../gen/envoy/envoy/config/listener/v3/listener.ts';
import type { Filter, FilterChain } from '../../gen/envoy/envoy/config/listener/v3/listener_components.ts';
import { Router } from '../../gen/envoy/envoy/extensions/filters/http/router/v3/router.ts';
import {
  HttpConnectionManager,
  HttpConnectionManager_CodecType,
} from '../../gen/envoy/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import { TcpProxy } from '../../gen/envoy/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.ts';
import type { At } from './rejection.ts';
import { pack, unpack } from './strict.ts';
import { decodeDownstreamTls, encodeDownstreamTls } from './tls.ts';
import {
  adsSource,
  decodeAddress,
  decodeMetadata,
  encodeAddress,
  encodeMetadata,
  exactlyOne,
  metadataText,
  mustBe,
  mustBeAds,
  required,
  requiredText,
} from './values.ts';

const HTTP_FILTER_NAME = 'envoy.filters.network.http_connection_manager';
const TCP_FILTER_NAME = 'envoy.filters.network.tcp_proxy';
const ROUTER_NAME = 'envoy.filters.http.router';
const DIRECTIONS = new Map<TrafficDirection | undefined, Listener['direction']>([
  [TrafficDirection.INBOUND, 'inbound'],
  [TrafficDirection.OUTBOUND, 'outbound'],
]);

export function encodeListener(listener: Listener): ListenerMessage {
  const { name, filter, tls } = listener;
  const chain: FilterChain = {
    filters: [filter.kind === 'http' ? encodeHttp(filter, name) : encodeTcp(filter, name)],
    ...(tls === undefined ? {} : { transportSocket: encodeDownstreamTls(tls, filter.kind) }),
  };
  return {
    name,
    address: encodeAddress(listener.address, listener.port),
    filterChains: [chain],
    ...(listener.workload === undefined ? {} : { metadata: encodeMetadata({ workload: listener.workload }) }),
    trafficDirection: listener.direction === 'inbound' ? TrafficDirection.INBOUND : TrafficDirection.OUTBOUND,
  };
}

function encodeHttp(filter: HttpFilter, statPrefix: string): Filter {
  const manager: HttpConnectionManager = {
    codecType: HttpConnectionManager_CodecType.HTTP1,
    statPrefix,
    routeSpecifier: { $case: 'rds', value: { configSource: adsSource(), routeConfigName: filter.routeConfigName } },
    httpFilters: [{ name: ROUTER_NAME, configType: { $case: 'typedConfig', value: pack(Router, {}) } }],
  };
  return { name: HTTP_FILTER_NAME, configType: { $case: 'typedConfig', value: pack(HttpConnectionManager, manager) } };
}

function encodeTcp(filter: TcpFilter, statPrefix: string): Filter {
  const proxy: TcpProxy = { statPrefix, clusterSpecifier: { $case: 'cluster', value: filter.cluster } };
  return { name: TCP_FILTER_NAME, configType: { $case: 'typedConfig', value: pack(TcpProxy, proxy) } };
}

export function decodeListener(message: ListenerMessage, at: At): Listener {
  const name = requiredText(message.name, at.field('name'));
  const direction = DIRECTIONS.get(message.trafficDirection) ?? at.field('traffic_direction').reject('must be INBOUND or OUTBOUND');
  const chain = exactlyOne(message.filterChains, at.field('filter_chains'));
  const inside = at.item('filter_chains', 0);
  const filter = decodeFilter(exactlyOne(chain.filters, inside.field('filters')), name, inside.item('filters', 0));
  const metadata = decodeMetadata(message.metadata, ['workload'], at.field('metadata'));
  const workload = metadataText(metadata, 'workload', at.field('metadata'));
  return {
    name,
    direction,
    ...decodeAddress(message.address, 0, at.field('address')),
    ...(workload === undefined ? {} : { workload }),
    ...(chain.transportSocket === undefined
      ? {}
      : { tls: decodeDownstreamTls(chain.transportSocket, filter.kind, inside.field('transport_socket')) }),
    filter,
  };
}

/** The type of the configuration decides, not the name of the filter: so the xDS protocol has it since v3. */
function decodeFilter(message: Filter, listener: string, at: At): HttpFilter | TcpFilter {
  const config = message.configType?.value;
  const inside = at.field('typed_config');
  if (config?.typeUrl?.endsWith(`/${TcpProxy.$type}`) === true) {
    const proxy = unpack(TcpProxy, config, inside);
    statPrefixIs(listener, proxy.statPrefix, inside);
    return { kind: 'tcp', cluster: requiredText(proxy.clusterSpecifier?.value, inside.field('cluster')) };
  }
  const manager = unpack(HttpConnectionManager, config, inside);
  statPrefixIs(listener, manager.statPrefix, inside);
  mustBe(manager.codecType, HttpConnectionManager_CodecType.HTTP1, inside.field('codec_type'), 'HTTP1');
  const rds = required(manager.routeSpecifier?.value, inside.field('rds'));
  mustBeAds(rds.configSource, inside.field('rds').field('config_source'));
  const router = exactlyOne(manager.httpFilters, inside.field('http_filters'));
  unpack(Router, router.configType?.value, inside.item('http_filters', 0).field('typed_config'));
  return { kind: 'http', routeConfigName: requiredText(rds.routeConfigName, inside.field('rds').field('route_config_name')) };
}

/** Names metrics in Envoy. Heddle's metrics carry the listener's name, so anything else would be ignored. */
function statPrefixIs(listener: string, statPrefix: string | undefined, at: At): void {
  mustBe(statPrefix, listener, at.field('stat_prefix'), 'the name of the listener');
}
