// A listener for Envoy: the filter chains of our own encoding, with HTTP and TCP filters that behave as our data planes do.
import { isDeepStrictEqual } from 'node:util';
import { type AccessPolicy, DEFAULT_LIMITS, type HttpFilter, type Listener, type TcpFilter } from '@heddle/core';
import type { Cluster } from '../../../gen/foreign/envoy/config/cluster/v3/cluster.ts';
import type { Listener as ListenerMessage } from '../../../gen/foreign/envoy/config/listener/v3/listener.ts';
import type { Filter, FilterChain } from '../../../gen/foreign/envoy/config/listener/v3/listener_components.ts';
import { TcpProxy } from '../../../gen/foreign/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.ts';
import { encodeListener } from '../listener.ts';
import type { At } from '../rejection.ts';
import { pack } from '../strict.ts';
import { encodeDuration } from '../values.ts';
import { authorizerFilter } from './envoy-authorizer.ts';
import { encodeEnvoyHttp, type HostFilters } from './envoy-http.ts';
import { tokenFilters } from './envoy-tokens.ts';
import { type EnvoyTelemetry, envoyTelemetry, untoldTelemetry } from './envoy-telemetry.ts';
import { type EncodeOptions, tellPolicy } from './options.ts';

/** As often our own data planes try to reach an instance for one connection. */
const TCP_TRIES_MAX = 3;

export interface EnvoyListener {
  readonly listener: ListenerMessage;
  /** What its filters ask for by name. */
  readonly clusters: readonly Cluster[];
}

export function encodeEnvoyListener(listener: Listener, options: EncodeOptions, at: At): EnvoyListener {
  const { name, filter, serverNames = [] } = listener;
  checkNames(listener, at);
  const told = envoyTelemetry(listener);
  const untold = untoldTelemetry(listener);
  if (untold !== undefined) tellPolicy(options, name, 'tracing', at.field('tracing'), untold);
  const base = encodeListener(withoutTelemetry(listener));
  const filters = [...serverNames.map((route) => route.filter), filter];
  const otherwise = filter.kind === 'http' ? filter.otherwise : undefined;
  const { hostFilters, clusters } = encodeHostFilters(listener, options, at);
  const message: ListenerMessage = {
    ...base,
    filterChains: (base.filterChains ?? []).map(
      (chain, index): FilterChain => ({
        ...chain,
        filters: [encodeFilter(filters[index] ?? filter, listener, hostFilters, told)],
        ...(chain.transportSocket !== undefined && {
          transportSocketConnectTimeout: encodeDuration(DEFAULT_LIMITS.tlsHandshakeTimeoutMs),
        }),
      }),
    ),
    ...(otherwise !== undefined && { defaultFilterChain: { filters: [encodeTcp(otherwise, name)] } }),
    // Else two Envoys could hold one port, and each take some of the other's connections.
    enableReusePort: false,
    perConnectionBufferLimitBytes: DEFAULT_LIMITS.connectionBufferBytesMax,
  };
  return { listener: message, clusters: [...clusters, ...told.clusters] };
}

function withoutTelemetry(listener: Listener): Listener {
  const { filter } = listener;
  if (filter.kind !== 'http') return listener;
  const { tracing: _tracing, accessLog: _log, ...rest } = filter;
  return { ...listener, filter: rest };
}

/** Envoy has one list of issuers and one authorizer for a listener. */
function encodeHostFilters(
  { name, direction, filter }: Listener,
  { routeConfig }: EncodeOptions,
  at: At,
): { readonly hostFilters: HostFilters; readonly clusters: readonly Cluster[] } {
  const hosts = direction === 'inbound' && filter.kind === 'http' ? (routeConfig?.(filter.routeConfigName)?.virtualHosts ?? []) : [];
  const tokens = theOne(
    hosts.map((host) => host.tokens),
    at,
    'tokens',
  );
  const external = theOne(
    hosts.map(({ access }) => access?.external),
    at,
    'an authorizer',
  );
  const { filters, clusters } = tokens === undefined ? { filters: [], clusters: [] } : tokenFilters(tokens, name);
  const readsPaths = hosts.some(({ access }) => access !== undefined && looksAtPaths(access));
  return { hostFilters: { tokens: filters, authorizer: external === undefined ? [] : [authorizerFilter(external)], readsPaths }, clusters };
}

function theOne<T extends object>(all: readonly (T | undefined)[], at: At, what: string): T | undefined {
  const [first] = all;
  if (all.some((one) => !isDeepStrictEqual(one, first)))
    at.reject(`virtual hosts differ in ${what}; Envoy has one of a kind for a listener`);
  return first;
}

/** Also where a condition may: then it is the form that conditions compare. */
function looksAtPaths({ rules }: AccessPolicy): boolean {
  return rules.some(({ permissions, when = '' }) => /\bpath\b/.test(when) || permissions.some(({ paths }) => paths !== undefined));
}

/** Envoy has one identity: that of its own workload. */
function checkNames({ tls }: Listener, at: At): void {
  if (tls?.trustDomain === undefined && tls?.trustBundleName !== undefined)
    at.field('tls').reject('clients of any name would be taken: a trust domain is needed');
}

function encodeFilter(filter: HttpFilter | TcpFilter, listener: Listener, hostFilters: HostFilters, { manager }: EnvoyTelemetry): Filter {
  return filter.kind === 'http' ? encodeEnvoyHttp(filter, listener, hostFilters, manager) : encodeTcp(filter, listener.name);
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
