// A listener: one address, and filter chains of which a connection takes one: those for server names first, then HTTP or bytes. Where TLS is ended
// but not asked for, connections with TLS have a chain of their own before the last, which is for those without.
import { isDeepStrictEqual } from 'node:util';
import { DEFAULT_LIMITS, isServerName } from '@heddle/core';
import type { Listener, ServerNameRoute } from '@heddle/core';
import { TrafficDirection } from '../../gen/envoy/envoy/config/core/v3/base.ts';
import type { Listener as ListenerMessage } from '../../gen/envoy/envoy/config/listener/v3/listener.ts';
import type { FilterChain, FilterChainMatch, ListenerFilter } from '../../gen/envoy/envoy/config/listener/v3/listener_components.ts';
import { HttpInspector } from '../../gen/envoy/envoy/extensions/filters/listener/http_inspector/v3/http_inspector.ts';
import { TlsInspector } from '../../gen/envoy/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.ts';
import { ListenerExtension } from '../../gen/own/heddle/config/v1/telemetry.ts';
import { KIND_TITLES } from '../kinds.ts';
import { decodeExtension, extensionAt, withExtension } from './extension.ts';
import { decodeFilter, decodeTcp, encodeFilter } from './filter.ts';
import { At } from './rejection.ts';
import { type MessageType, pack, unpack } from './strict.ts';
import { decodeListenerExtension, encodeListenerExtension } from './telemetry.ts';
import { decodeDownstreamTls, encodeDownstreamTls } from './tls.ts';
import {
  decodeAddress,
  decodeDuration,
  decodeMetadata,
  encodeAddress,
  encodeDuration,
  encodeMetadata,
  exactlyOne,
  metadataText,
  mustBe,
  required,
  requiredText,
} from './values.ts';

const DIRECTIONS = new Map<TrafficDirection | undefined, Listener['direction']>([
  [TrafficDirection.INBOUND, 'inbound'],
  [TrafficDirection.OUTBOUND, 'outbound'],
]);
/** Envoy's words for what the inspectors have seen. */
const TLS = 'tls';
const PLAIN = 'raw_buffer';
const HTTP_VERSIONS: readonly string[] = ['http/1.0', 'http/1.1', 'h2c'];

/** What must look at the first bytes, so that the match of a chain means something. */
const INSPECTORS = {
  tls: { name: 'envoy.filters.listener.tls_inspector', type: TlsInspector as MessageType<object> },
  http: { name: 'envoy.filters.listener.http_inspector', type: HttpInspector as MessageType<object> },
} as const;
type Inspector = keyof typeof INSPECTORS;

export function encodeListener(listener: Listener): ListenerMessage {
  const { name, filter, tls, serverNames } = listener;
  const otherwise = filter.kind === 'http' ? filter.otherwise : undefined;
  checkPlaintext(listener);
  return {
    name,
    address: encodeAddress(listener.address, listener.port),
    filterChains: [...(serverNames ?? []).map((route) => encodeServerNames(route, name)), ...encodeChains(listener)],
    ...(otherwise !== undefined && {
      defaultFilterChain: { filters: [encodeFilter(otherwise, name)] },
      // Where the server speaks first, the client sends nothing that could be looked at.
      listenerFiltersTimeout: encodeDuration(DEFAULT_LIMITS.protocolDetectionTimeoutMs),
      continueOnListenerFiltersTimeout: true,
    }),
    listenerFilters: inspectorsOf({ ...listener, plaintext: tls?.plaintext }).map(encodeInspector),
    ...withExtension(
      ListenerExtension,
      telemetryOf(listener),
      listener.workload === undefined ? {} : encodeMetadata({ workload: listener.workload }),
    ),
    trafficDirection: listener.direction === 'inbound' ? TrafficDirection.INBOUND : TrafficDirection.OUTBOUND,
  };
}

/** The last, and before it that for TLS where connections without it are taken as well. */
function encodeChains({ name, filter, tls }: Listener): FilterChain[] {
  const filters = [encodeFilter(filter, name)];
  const transportSocket = tls === undefined ? undefined : encodeDownstreamTls(tls, filter.kind);
  const takesPlain = tls === undefined || tls.plaintext === true;
  const otherwise = filter.kind === 'http' ? filter.otherwise : undefined;
  const last: FilterChain = {
    ...(otherwise !== undefined && { filterChainMatch: { transportProtocol: PLAIN, applicationProtocols: [...HTTP_VERSIONS] } }),
    filters,
    ...(!takesPlain && { transportSocket }),
  };
  return tls?.plaintext === true ? [{ filterChainMatch: { transportProtocol: TLS }, filters, transportSocket }, last] : [last];
}

/** On the wire it would be the same as no list at all. */
function checkPlaintext({ name, tls, serverNames }: Listener): void {
  if (tls?.plaintext === true && serverNames?.length === 0)
    new At(`${KIND_TITLES.listener} '${name}'`)
      .field('server_names')
      .reject('must have at least one entry, or be left out, where plaintext is taken');
}

/** What decides about the inspectors. */
type Shape = Pick<Listener, 'serverNames' | 'filter'> & { readonly plaintext: true | undefined };

function inspectorsOf({ serverNames, filter, plaintext }: Shape): Inspector[] {
  return [
    ...(serverNames === undefined && plaintext === undefined ? [] : (['tls'] as const)),
    ...(filter.kind === 'http' && filter.otherwise !== undefined ? (['http'] as const) : []),
  ];
}

function encodeInspector(inspector: Inspector): ListenerFilter {
  const { name, type } = INSPECTORS[inspector];
  return { name, configType: { $case: 'typedConfig', value: pack(type, {}) } };
}

function encodeServerNames({ names, filter }: ServerNameRoute, listener: string): FilterChain {
  return { filterChainMatch: { transportProtocol: TLS, serverNames: [...names] }, filters: [encodeFilter(filter, listener)] };
}

export function decodeListener(message: ListenerMessage, at: At): Listener {
  const name = requiredText(message.name, at.field('name'));
  const direction = DIRECTIONS.get(message.trafficDirection) ?? at.field('traffic_direction').reject('must be INBOUND or OUTBOUND');
  const chains = message.filterChains ?? [];
  const main = chains.at(-1) ?? at.field('filter_chains').reject('must have at least one entry');
  const inside = at.item('filter_chains', chains.length - 1);
  const filter = decodeMain(message, main, name, inside, at);
  const beside = decodeTlsBeside(chains, main, filter, name, at);
  const plaintext = beside === undefined ? undefined : (true as const);
  const passing = decodePassing(chains.slice(0, beside === undefined ? -1 : -2), name, at);
  const shape = { filter, plaintext, ...(passing.length > 0 && { serverNames: passing }) };
  const serverNames = decodeInspectors(message, shape, at);
  const metadata = decodeMetadata(message.metadata, ['workload'], at.field('metadata'), true);
  const said = decodeExtension(ListenerExtension, message.metadata, extensionAt(at));
  if (said !== undefined && filter.kind !== 'http') extensionAt(at).reject('is for listeners that carry HTTP');
  const workload = metadataText(metadata, 'workload', at.field('metadata'));
  const socket = inside.field('transport_socket');
  return {
    name,
    direction,
    ...decodeAddress(message.address, 0, at.field('address')),
    ...(workload !== undefined && { workload }),
    ...(main.transportSocket !== undefined && { tls: decodeDownstreamTls(main.transportSocket, filter.kind, socket) }),
    ...(beside !== undefined && { tls: { ...beside, plaintext: true as const } }),
    ...(serverNames !== undefined && { serverNames }),
    filter: said === undefined ? filter : { ...filter, ...decodeListenerExtension(said, extensionAt(at)) },
  };
}

function telemetryOf({ name, filter }: Listener): ListenerExtension {
  if (filter.kind !== 'http') return {};
  return encodeListenerExtension(filter, extensionAt(new At(`${KIND_TITLES.listener} '${name}'`)));
}

/** The chain before the last, where it ends TLS: what comes in by it must go the same way as by the last. */
function decodeTlsBeside(
  chains: readonly FilterChain[],
  last: FilterChain,
  filter: Listener['filter'],
  listener: string,
  at: At,
): Listener['tls'] {
  const chain = chains.at(-2);
  if (chain?.transportSocket === undefined) return undefined;
  const inside = at.item('filter_chains', chains.length - 2);
  const match = inside.field('filter_chain_match');
  const { transportProtocol, applicationProtocols, serverNames } = withDefaults(chain.filterChainMatch);
  if (serverNames.length > 0) inside.field('transport_socket').reject('is not supported beside server_names');
  mustBe(transportProtocol, TLS, match.field('transport_protocol'), TLS);
  if (applicationProtocols.length > 0) match.field('application_protocols').reject('is not supported beside a transport_socket');
  if (last.transportSocket !== undefined)
    inside.field('transport_socket').reject('is there beside that of the last chain, which is for connections without TLS then');
  const filterAt = inside.item('filters', 0);
  const own = decodeFilter(exactlyOne(chain.filters, inside.field('filters')), listener, filterAt);
  const { otherwise: _, ...main } = { otherwise: undefined, ...filter };
  if (!isDeepStrictEqual(own, main)) filterAt.reject('must be that of the last chain: with TLS and without, the way is the same');
  return decodeDownstreamTls(chain.transportSocket, filter.kind, inside.field('transport_socket'));
}

/** The last chain is for every connection, or for those that begin with HTTP where there is one by default beside it. */
function decodeMain(message: ListenerMessage, chain: FilterChain, listener: string, inside: At, at: At): Listener['filter'] {
  const filter = decodeFilter(exactlyOne(chain.filters, inside.field('filters')), listener, inside.item('filters', 0));
  const match = inside.field('filter_chain_match');
  const timeout = at.field('listener_filters_timeout');
  const goOn = at.field('continue_on_listener_filters_timeout');
  const { transportProtocol, applicationProtocols, serverNames } = withDefaults(chain.filterChainMatch);
  if (serverNames.length > 0) match.field('server_names').reject('the last chain must be for all other connections');
  if (message.defaultFilterChain === undefined) {
    if (transportProtocol !== '') match.field('transport_protocol').reject('the last chain must be for all other connections');
    if (applicationProtocols.length > 0) match.field('application_protocols').reject('needs a default_filter_chain for everything else');
    if (message.listenerFiltersTimeout !== undefined) timeout.reject('is supported beside a default_filter_chain only');
    if (message.continueOnListenerFiltersTimeout === true) goOn.reject('is supported beside a default_filter_chain only');
    return filter;
  }
  if (filter.kind !== 'http') return inside.field('filters').reject('must be HTTP where there is a default_filter_chain');
  mustBe(transportProtocol, PLAIN, match.field('transport_protocol'), PLAIN);
  if (applicationProtocols.join() !== HTTP_VERSIONS.join())
    match
      .field('application_protocols')
      .reject(`only [${HTTP_VERSIONS.join(', ')}] is supported, not [${applicationProtocols.join(', ')}]`);
  if (chain.transportSocket !== undefined) inside.field('transport_socket').reject('is not supported where the protocol is found out');
  const waitMs = DEFAULT_LIMITS.protocolDetectionTimeoutMs;
  mustBe(decodeDuration(message.listenerFiltersTimeout, timeout), waitMs, timeout, `${waitMs} ms`);
  mustBe(message.continueOnListenerFiltersTimeout, true, goOn, 'true');
  const chainAt = at.field('default_filter_chain');
  const { filters, filterChainMatch, transportSocket } = message.defaultFilterChain;
  // Envoy would not look at it.
  if (filterChainMatch !== undefined) chainAt.field('filter_chain_match').reject('is not supported');
  if (transportSocket !== undefined) chainAt.field('transport_socket').reject('is not supported');
  return { ...filter, otherwise: decodeTcp(exactlyOne(filters, chainAt.field('filters')), listener, chainAt.item('filters', 0)) };
}

function decodePassing(chains: readonly FilterChain[], listener: string, at: At): ServerNameRoute[] {
  const taken = new Set<string>();
  return chains.map((chain, index) => {
    const inside = at.item('filter_chains', index);
    const match = inside.field('filter_chain_match');
    const { transportProtocol, applicationProtocols, serverNames: names } = withDefaults(chain.filterChainMatch);
    mustBe(transportProtocol, TLS, match.field('transport_protocol'), TLS);
    if (applicationProtocols.length > 0) match.field('application_protocols').reject('is not supported beside server_names');
    if (names.length === 0) match.field('server_names').reject('must have at least one entry: only the last chain is for all others');
    names.forEach((name, position) => {
      const own = match.item('server_names', position);
      if (!isServerName(name)) own.reject(`${JSON.stringify(name)} is not a server name in lower case; patterns are not supported`);
      if (taken.has(name)) own.reject(`${JSON.stringify(name)} is listed twice`);
      taken.add(name);
    });
    if (chain.transportSocket !== undefined) inside.field('transport_socket').reject('is not supported beside server_names');
    return { names, filter: decodeTcp(exactlyOne(chain.filters, inside.field('filters')), listener, inside.item('filters', 0)) };
  });
}

/** Envoy matches only what an inspector has seen. Gives the ways by server name: an empty list where there are none and names are read. */
function decodeInspectors(message: ListenerMessage, shape: Shape, at: At): readonly ServerNameRoute[] | undefined {
  const found = (message.listenerFilters ?? []).map((filter, index) => {
    const inside = at.item('listener_filters', index).field('typed_config');
    const config = required(filter.configType?.value, inside);
    const inspector = (Object.keys(INSPECTORS) as Inspector[]).find((key) => config.typeUrl?.endsWith(`/${INSPECTORS[key].type.$type}`));
    if (inspector === undefined) return inside.reject(`${config.typeUrl} is not supported; the inspectors for TLS and HTTP are`);
    unpack(INSPECTORS[inspector].type, config, inside);
    return inspector;
  });
  const namesAreRead = found.includes('tls') && shape.plaintext === undefined;
  const serverNames = shape.serverNames ?? (namesAreRead ? [] : undefined);
  const expected = inspectorsOf({ ...shape, ...(serverNames !== undefined && { serverNames }) });
  if (found.join() !== expected.join())
    at.field('listener_filters').reject(`must be [${expected.join(', ')}] for these filter chains, not [${found.join(', ')}]`);
  return serverNames;
}

function withDefaults({ transportProtocol = '', applicationProtocols = [], serverNames = [] }: FilterChainMatch = {}): {
  transportProtocol: string;
  applicationProtocols: string[];
  serverNames: string[];
} {
  return { transportProtocol, applicationProtocols, serverNames };
}
