// What becomes of a connection: HTTP with routes by RDS, or its bytes to one cluster, as they are or through a CONNECT tunnel.
import type { HttpFilter, TcpFilter } from '@heddle/core';
import type { Filter } from '../../gen/envoy/envoy/config/listener/v3/listener_components.ts';
import { Router } from '../../gen/envoy/envoy/extensions/filters/http/router/v3/router.ts';
import {
  HttpConnectionManager,
  HttpConnectionManager_CodecType,
} from '../../gen/envoy/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import { TcpProxy } from '../../gen/envoy/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.ts';
import type { At } from './rejection.ts';
import { pack, unpack } from './strict.ts';
import { adsSource, decodePositiveDuration, encodeDuration, exactlyOne, mustBe, mustBeAds, required, requiredText } from './values.ts';

const HTTP_FILTER_NAME = 'envoy.filters.network.http_connection_manager';
const TCP_FILTER_NAME = 'envoy.filters.network.tcp_proxy';
const ROUTER_NAME = 'envoy.filters.http.router';
/** Heddle carries every upgrade; to Envoy each must be named, and this is the one that is used. */
const UPGRADE = 'websocket';

/** `otherwise` of an HTTP filter is a filter chain of its own: see listener.ts. */
export function encodeFilter(filter: HttpFilter | TcpFilter, statPrefix: string): Filter {
  return filter.kind === 'http' ? encodeHttp(filter, statPrefix) : encodeTcp(filter, statPrefix);
}

function encodeHttp(filter: HttpFilter, statPrefix: string): Filter {
  const manager: HttpConnectionManager = {
    codecType: HttpConnectionManager_CodecType.AUTO,
    statPrefix,
    routeSpecifier: { $case: 'rds', value: { configSource: adsSource(), routeConfigName: filter.routeConfigName } },
    httpFilters: [{ name: ROUTER_NAME, configType: { $case: 'typedConfig', value: pack(Router, {}) } }],
    http2ProtocolOptions: { allowConnect: true },
    upgradeConfigs: [{ upgradeType: UPGRADE }],
    ...(filter.useRemoteAddress && { useRemoteAddress: true }),
  };
  return { name: HTTP_FILTER_NAME, configType: { $case: 'typedConfig', value: pack(HttpConnectionManager, manager) } };
}

function encodeTcp({ cluster, tunnel, idleTimeoutMs }: TcpFilter, statPrefix: string): Filter {
  const proxy: TcpProxy = {
    statPrefix,
    clusterSpecifier: { $case: 'cluster', value: cluster },
    ...(tunnel !== undefined && { tunnelingConfig: { hostname: tunnel } }),
    ...(idleTimeoutMs !== undefined && { idleTimeout: encodeDuration(idleTimeoutMs) }),
  };
  return { name: TCP_FILTER_NAME, configType: { $case: 'typedConfig', value: pack(TcpProxy, proxy) } };
}

/** The type of the configuration decides, not the name of the filter: so the xDS protocol has it since v3. */
export function decodeFilter(message: Filter, listener: string, at: At): HttpFilter | TcpFilter {
  const config = message.configType?.value;
  const inside = at.field('typed_config');
  if (config?.typeUrl?.endsWith(`/${TcpProxy.$type}`) === true) return decodeTcp(message, listener, at);
  const manager = unpack(HttpConnectionManager, config, inside);
  statPrefixIs(listener, manager.statPrefix, inside);
  mustBe(manager.codecType, HttpConnectionManager_CodecType.AUTO, inside.field('codec_type'), 'AUTO');
  const http2 = inside.field('http2_protocol_options').field('allow_connect');
  mustBe(manager.http2ProtocolOptions?.allowConnect, true, http2, 'true');
  const upgrade = exactlyOne(manager.upgradeConfigs, inside.field('upgrade_configs'));
  // Envoy compares upgrade types without regard to case.
  mustBe(upgrade.upgradeType?.toLowerCase(), UPGRADE, inside.item('upgrade_configs', 0).field('upgrade_type'), UPGRADE);
  const rds = required(manager.routeSpecifier?.value, inside.field('rds'));
  mustBeAds(rds.configSource, inside.field('rds').field('config_source'));
  const router = exactlyOne(manager.httpFilters, inside.field('http_filters'));
  unpack(Router, router.configType?.value, inside.item('http_filters', 0).field('typed_config'));
  return {
    kind: 'http',
    routeConfigName: requiredText(rds.routeConfigName, inside.field('rds').field('route_config_name')),
    ...(manager.useRemoteAddress === true && { useRemoteAddress: true }),
  };
}

export function decodeTcp(message: Filter, listener: string, at: At): TcpFilter {
  const inside = at.field('typed_config');
  const proxy = unpack(TcpProxy, message.configType?.value, inside);
  statPrefixIs(listener, proxy.statPrefix, inside);
  const cluster = requiredText(proxy.clusterSpecifier?.value, inside.field('cluster'));
  const idle = proxy.idleTimeout;
  const limits = idle === undefined ? {} : { idleTimeoutMs: decodePositiveDuration(idle, inside.field('idle_timeout')) };
  if (proxy.tunnelingConfig === undefined) return { kind: 'tcp', cluster, ...limits };
  const hostname = inside.field('tunneling_config').field('hostname');
  const tunnel = requiredText(proxy.tunnelingConfig.hostname, hostname);
  // Envoy would put something else in their place.
  if (tunnel.includes('%')) hostname.reject(`${JSON.stringify(tunnel)}: command operators are not supported`);
  return { kind: 'tcp', cluster, tunnel, ...limits };
}

/** Names metrics in Envoy. Heddle's metrics carry the listener's name, so anything else would be ignored. */
function statPrefixIs(listener: string, statPrefix: string | undefined, at: At): void {
  mustBe(statPrefix, listener, at.field('stat_prefix'), 'the name of the listener');
}
