// Routes of gRPC clients. The libraries know no CONNECT and take the time limit from `max_stream_duration` (gRFC A31). What the mesh repeats safely,
// a call that no application has seen, they repeat by themselves (gRFC A6). A route that they cannot follow fails its calls with UNIMPLEMENTED,
// by an injected fault (gRFC A33): so nobody gets past it. What is left out without harm is listed in docs/guides/grpc.md.
import { ERRORS } from '@heddle/core';
import type { ForwardAction, HashSource, RetryCondition, RetryPolicy, Route, RouteConfig, VirtualHost } from '@heddle/core';
import type { RouteConfiguration } from '../../../gen/foreign/envoy/config/route/v3/route.ts';
import type {
  RetryPolicy as RetryMessage,
  RouteAction,
  RouteAction_HashPolicy,
  RouteMatch,
  Route as RouteMessage,
  VirtualHost as VirtualHostMessage,
} from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import { type At, XdsRejection } from '../rejection.ts';
import { encodeDuration } from '../values.ts';
import { faultSettings } from './envoy-filters.ts';
import { grpcMatches, grpcPath } from './grpc-match.ts';
import { type EncodeOptions, tellRefused, untoldAttached } from './options.ts';

/** UNAVAILABLE may mean that the connection broke in mid-call. */
const RETRY_WORDS: Partial<Readonly<Record<RetryCondition, string>>> = {
  reset: 'unavailable',
  'gateway-error': 'unavailable',
  '5xx': 'unavailable',
  'grpc-unavailable': 'unavailable',
  'grpc-cancelled': 'cancelled',
  'grpc-deadline-exceeded': 'deadline-exceeded',
  'grpc-internal': 'internal',
  'grpc-resource-exhausted': 'resource-exhausted',
};
/** gRFC A42: all calls of a channel have one hash. */
const CHANNEL_ID = 'io.grpc.channel_id';
const BACKOFF_MS_MIN = 1;

/** Undefined when nothing is left for requests. */
export function grpcRoutes({ name, virtualHosts }: RouteConfig, options: EncodeOptions, at: At): RouteConfiguration | undefined {
  const hosts = virtualHosts.flatMap((host, index) => encodeHost(host, name, options, at.item('virtual_hosts', index)));
  return hosts.length === 0 ? undefined : { name, virtualHosts: hosts };
}

function encodeHost(host: VirtualHost, config: string, options: EncodeOptions, at: At): VirtualHostMessage[] {
  const { name, domains, routes } = host;
  const untold = untoldAttached(host, options, 'gRPC libraries', at);
  // A route that fails its calls must name a cluster all the same, and one that is there: that of a service has the name of its routes.
  const known =
    routes.flatMap(({ action }) => (action.kind === 'forward' ? action.clusters.map(({ cluster }) => cluster) : []))[0] ?? config;
  const forCalls = routes.flatMap((route, index) => {
    const inside = at.item('routes', index);
    const tell = (rejection: XdsRejection): void => tellRefused(options, name, route.name, inside, rejection);
    return encodeOrRefuse(route, known, untold, tell, inside);
  });
  return forCalls.length === 0 ? [] : [{ name, domains: [...domains], routes: forCalls }];
}

function encodeOrRefuse(
  route: Route,
  known: string,
  untold: XdsRejection | undefined,
  tell: (rejection: XdsRejection) => void,
  at: At,
): readonly RouteMessage[] {
  const { name, match } = route;
  if (match.kind === 'connect') return [];
  try {
    const matches = grpcMatches(match, at.field('match'));
    try {
      if (untold !== undefined) throw untold;
      return matches.length === 0 ? [] : encodeRoute(route, matches, at);
    } catch (error) {
      return refusals(error, name, matches, known, tell);
    }
  } catch (error) {
    return refusals(error, name, [{ pathSpecifier: grpcPath(match.path) }], known, tell);
  }
}

function refusals(
  error: unknown,
  name: string,
  matches: readonly RouteMatch[],
  cluster: string,
  tell: (rejection: XdsRejection) => void,
): RouteMessage[] {
  if (!(error instanceof XdsRejection)) throw error;
  tell(error);
  const fault = { abort: { percent: 100, status: { kind: 'grpc' as const, code: ERRORS.NOT_IMPLEMENTED.grpcStatus } } };
  return matches.map((match) => ({
    name,
    match,
    action: { $case: 'route', value: { clusterSpecifier: { $case: 'cluster', value: cluster } } },
    typedPerFilterConfig: faultSettings(fault),
  }));
}

function encodeRoute(route: Route, matches: readonly RouteMatch[], at: At): readonly RouteMessage[] {
  const { name, action, requestHeaders, responseHeaders, fault, rateLimits = [] } = route;
  if (action.kind !== 'forward') return at.reject(`gRPC libraries cannot ${action.kind}`);
  if (requestHeaders !== undefined || responseHeaders !== undefined) at.reject('gRPC libraries cannot change headers');
  if (rateLimits.length > 0) at.field('rate_limits').reject('gRPC libraries cannot limit rates');
  const value = encodeForward(action, at.field('forward'));
  return matches.map((match) => ({
    name,
    match,
    action: { $case: 'route', value },
    ...(fault !== undefined && { typedPerFilterConfig: faultSettings(fault) }),
  }));
}

/** Without what makes a call faster or is done besides it: copies, hedges, the time of one try, silence, sessions by cookie. */
function encodeForward(action: ForwardAction, at: At): RouteAction {
  const { clusters, hash, splitByHash, timeoutMs, retry, rewrite } = action;
  if (rewrite !== undefined) at.field('rewrite').reject('gRPC libraries cannot call another method or authority than the program does');
  if (splitByHash === true && clusters.length > 1) at.field('split_by_hash').reject('gRPC libraries split by chance');
  if (clusters.some(({ requestHeaders, responseHeaders }) => requestHeaders !== undefined || responseHeaders !== undefined))
    at.field('clusters').reject('gRPC libraries cannot change headers');
  const retryPolicy = encodeRetry(retry);
  return {
    clusterSpecifier: clusterSpecifier(action),
    ...(timeoutMs > 0 && { maxStreamDuration: { maxStreamDuration: encodeDuration(timeoutMs) } }),
    ...(retryPolicy !== undefined && { retryPolicy }),
    hashPolicy: hash.flatMap(hashPolicy),
  };
}

function clusterSpecifier({ clusters }: ForwardAction): NonNullable<RouteAction['clusterSpecifier']> {
  const [one, ...others] = clusters;
  if (one !== undefined && others.length === 0) return { $case: 'cluster', value: one.cluster };
  return { $case: 'weightedClusters', value: { clusters: clusters.map(({ cluster, weight }) => ({ name: cluster, weight })) } };
}

/** A call has neither cookies nor a query; the client is the program itself. */
function hashPolicy(source: HashSource): RouteAction_HashPolicy[] {
  if (source.kind === 'header') return [{ policySpecifier: { $case: 'header', value: { headerName: source.name } }, terminal: true }];
  return source.kind === 'source' ? [{ policySpecifier: { $case: 'filterState', value: { key: CHANNEL_ID } }, terminal: true }] : [];
}

/** Whatever the libraries are told to repeat, an application may have seen. A policy of 0 retries would be refused. */
function encodeRetry({ attempts, on, nonIdempotent, backoff }: RetryPolicy): RetryMessage | undefined {
  const words = new Set(on.flatMap((condition) => RETRY_WORDS[condition] ?? []));
  if (attempts === 0 || !nonIdempotent || words.size === 0) return undefined;
  const baseMs = Math.max(BACKOFF_MS_MIN, backoff.baseMs);
  return {
    retryOn: [...words].join(','),
    numRetries: attempts,
    retryBackOff: { baseInterval: encodeDuration(baseMs), maxInterval: encodeDuration(Math.max(baseMs, backoff.maxMs)) },
  };
}
