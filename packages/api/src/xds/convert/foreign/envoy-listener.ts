// A listener for Envoy: the filter chains of our own encoding, with HTTP and TCP filters that behave as our data planes do.
import { DEFAULT_LIMITS, type HttpFilter, type Listener, type TcpFilter } from '@heddle/core';
import type { Listener as ListenerMessage } from '../../../gen/foreign/envoy/config/listener/v3/listener.ts';
import type { Filter, FilterChain } from '../../../gen/foreign/envoy/config/listener/v3/listener_components.ts';
import { TcpProxy } from '../../../gen/foreign/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.ts';
import { encodeListener } from '../listener.ts';
import type { At } from '../rejection.ts';
import { pack } from '../strict.ts';
import { encodeDuration } from '../values.ts';
import { encodeEnvoyHttp } from './envoy-http.ts';

/** As often our own data planes try to reach an instance for one connection. */
const TCP_TRIES_MAX = 3;

export function encodeEnvoyListener(listener: Listener, at: At): ListenerMessage {
  const { name, filter, serverNames = [], tls } = listener;
  checkNames(listener, at);
  const base = encodeListener(listener);
  const filters = [...serverNames.map((route) => route.filter), filter];
  const otherwise = filter.kind === 'http' ? filter.otherwise : undefined;
  return {
    ...base,
    filterChains: (base.filterChains ?? []).map(
      (chain, index): FilterChain => ({
        ...chain,
        filters: [encodeFilter(filters[index] ?? filter, listener)],
        ...(tls !== undefined && { transportSocketConnectTimeout: encodeDuration(DEFAULT_LIMITS.tlsHandshakeTimeoutMs) }),
      }),
    ),
    ...(otherwise !== undefined && { defaultFilterChain: { filters: [encodeTcp(otherwise, name)] } }),
    // Else two Envoys could hold one port, and each take some of the other's connections.
    enableReusePort: false,
    perConnectionBufferLimitBytes: DEFAULT_LIMITS.connectionBufferBytesMax,
  };
}

/** Envoy has one identity: that of its own workload. */
function checkNames({ tls }: Listener, at: At): void {
  if (tls?.trustDomain === undefined && tls?.trustBundleName !== undefined)
    at.field('tls').reject('clients of any name would be taken: a trust domain is needed');
}

function encodeFilter(filter: HttpFilter | TcpFilter, listener: Listener): Filter {
  return filter.kind === 'http' ? encodeEnvoyHttp(filter, listener) : encodeTcp(filter, listener.name);
}

function encodeTcp({ cluster, tunnel, idleTimeoutMs }: TcpFilter, statPrefix: string): Filter {
  const proxy: TcpProxy = {
    statPrefix,
    clusterSpecifier: { $case: 'cluster', value: cluster },
    ...(tunnel !== undefined && { tunnelingConfig: { hostname: tunnel } }),
    idleTimeout: encodeDuration(idleTimeoutMs ?? DEFAULT_LIMITS.tcpIdleTimeoutMs),
    maxConnectAttempts: TCP_TRIES_MAX,
  };
  return { name: 'envoy.filters.network.tcp_proxy', configType: { $case: 'typedConfig', value: pack(TcpProxy, proxy) } };
}
