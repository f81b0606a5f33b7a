// Which requests lead where. What Envoy's fields can say in the way that Heddle follows stands there: prefix, one cluster, time limit, simple
// retries, CONNECT. What goes beyond stands in an extension (route-match.ts, route-action.ts, route-policies.ts), in the place of the field.
import { type ForwardAction, NO_RETRY, type RetryCondition, type RetryPolicy } from '@heddle/core';
import type { Route, RouteAction, RouteConfig, RouteMatch, VirtualHost } from '@heddle/core';
import type { RouteConfiguration } from '../../gen/envoy/envoy/config/route/v3/route.ts';
import type {
  RetryPolicy as RetryMessage,
  RouteAction as ActionMessage,
  RouteAction_UpgradeConfig,
  Route as RouteMessage,
  VirtualHost as VirtualHostMessage,
} from '../../gen/envoy/envoy/config/route/v3/route_components.ts';
import { RouteExtension } from '../../gen/own/heddle/config/v1/route.ts';
import { KIND_TITLES } from '../kinds.ts';
import { decodeExtension, extensionAt, withExtension } from './extension.ts';
import { At } from './rejection.ts';
import { decodeAction, encodeAction, TRIES_MAX } from './route-action.ts';
import { decodeMatch, encodeMatch, isPlainMatch } from './route-match.ts';
import { decodeChanges, decodeFault, decodeRateLimit, encodeChanges, encodeFault, encodeRateLimit } from './route-policies.ts';
import { decodeHostPolicies, encodeHostPolicies } from './virtual-host.ts';
import { decodeDuration, decodeMetadata, decodePositiveDuration, encodeDuration, exactlyOne, required, requiredText } from './values.ts';

/** Envoy's words for why a request may be tried again. `refused-stream`: the peer says that it did not process the request. */
const CONDITION_WORDS: Partial<Readonly<Record<RetryCondition, string>>> = {
  'connect-failure': 'connect-failure',
  refused: 'refused-stream',
  reset: 'reset',
};
const CONDITIONS = new Map(Object.entries(CONDITION_WORDS).map(([condition, word]) => [word, condition as RetryCondition]));
/** Envoy's defaults where the fields are not set. */
const TIMEOUT_DEFAULT = { seconds: 15, nanos: 0 };
const RETRIES_DEFAULT = 1;
const CONNECT = 'CONNECT';

export function encodeRouteConfig(config: RouteConfig): RouteConfiguration {
  const at = new At(`${KIND_TITLES.route} '${config.name}'`);
  const virtualHosts = config.virtualHosts.map((host, index) => encodeVirtualHost(host, at.item('virtual_hosts', index)));
  return { name: config.name, virtualHosts };
}

function encodeVirtualHost({ name, domains, routes, ...policies }: VirtualHost, at: At): VirtualHostMessage {
  return {
    name,
    domains: [...domains],
    routes: routes.map((route, index) => encodeRoute(route, at.item('routes', index))),
    ...encodeHostPolicies(policies, at),
  };
}

function encodeRoute({ name, match, action, requestHeaders, responseHeaders, fault, rateLimits = [] }: Route, at: At): RouteMessage {
  checkTunnel(match, action, at);
  const inside = extensionAt(at);
  const standardMatch = encodePlainMatch(match);
  const standardAction = encodePlainAction(action);
  const extension: RouteExtension = {
    ...(standardMatch === undefined && match.kind === 'request' && { match: encodeMatch(match, inside.field('match')) }),
    ...(standardAction === undefined && action.kind !== 'tunnel' && { action: encodeAction(action, inside) }),
    ...(requestHeaders !== undefined && { requestHeaders: encodeChanges(requestHeaders) }),
    ...(responseHeaders !== undefined && { responseHeaders: encodeChanges(responseHeaders) }),
    ...(fault !== undefined && { fault: encodeFault(fault) }),
    ...(rateLimits.length > 0 && {
      rateLimits: rateLimits.map((limit, place) => encodeRateLimit(limit, inside.item('rate_limits', place))),
    }),
  };
  return {
    name,
    ...(standardMatch !== undefined && { match: standardMatch }),
    ...(standardAction !== undefined && { action: { $case: 'route', value: standardAction } }),
    ...withExtension(RouteExtension, extension),
  };
}

function checkTunnel(match: RouteMatch, action: RouteAction, at: At): void {
  if ((match.kind === 'connect') !== (action.kind === 'tunnel'))
    at.reject('requests for CONNECT need a tunnel, and only they can have one');
}

function encodePlainMatch(match: RouteMatch): RouteMessage['match'] {
  if (match.kind === 'connect') return { pathSpecifier: { $case: 'connectMatcher', value: {} } };
  return isPlainMatch(match) ? { pathSpecifier: { $case: 'prefix', value: match.path.value } } : undefined;
}

function encodePlainAction(action: RouteAction): ActionMessage | undefined {
  if (action.kind === 'tunnel') return { ...to(action.cluster, 0, action.idleTimeoutMs), upgradeConfigs: [encodeConnect(action.how)] };
  const cluster = action.kind === 'forward' ? plainCluster(action) : undefined;
  if (action.kind !== 'forward' || cluster === undefined) return undefined;
  const { attempts, on } = action.retry;
  return {
    ...to(cluster, action.timeoutMs, action.idleTimeoutMs),
    ...((attempts > 0 || on.length > 0) && {
      retryPolicy: { retryOn: on.map((condition) => CONDITION_WORDS[condition]).join(','), numRetries: attempts },
    }),
  };
}

/** Without `idleTimeoutMs`, or with 0, the data plane's own limit holds; to Envoy 0 would mean none at all. */
function to(cluster: string, timeoutMs: number, idleTimeoutMs = 0): ActionMessage {
  return {
    clusterSpecifier: { $case: 'cluster', value: cluster },
    timeout: encodeDuration(timeoutMs),
    ...(idleTimeoutMs > 0 && { idleTimeout: encodeDuration(idleTimeoutMs) }),
  };
}

/** The one cluster of an action that Envoy's fields say in full. */
function plainCluster({ clusters, hash, splitByHash, retry, hedge, rewrite, mirrors, session }: ForwardAction): string | undefined {
  const [one, ...others] = clusters;
  const isPlain =
    others.length === 0 &&
    one?.weight === 1 &&
    one.requestHeaders === undefined &&
    one.responseHeaders === undefined &&
    hash.length === 0 &&
    splitByHash === undefined &&
    isPlainRetry(retry) &&
    hedge === undefined &&
    rewrite === undefined &&
    mirrors === undefined &&
    session === undefined;
  return isPlain ? one.cluster : undefined;
}

function isPlainRetry({ on, perTryMs, statuses, nonIdempotent, backoff }: RetryPolicy): boolean {
  return (
    on.every((condition) => CONDITION_WORDS[condition] !== undefined) &&
    perTryMs === 0 &&
    statuses.length === 0 &&
    !nonIdempotent &&
    backoff.baseMs === NO_RETRY.backoff.baseMs &&
    backoff.maxMs === NO_RETRY.backoff.maxMs
  );
}

/** With a `connect_config` Envoy takes the bytes out of the tunnel, without one it asks upstream for the same tunnel. */
function encodeConnect(how: 'forward' | 'terminate'): RouteAction_UpgradeConfig {
  return { upgradeType: CONNECT, ...(how === 'terminate' && { connectConfig: {} }) };
}

export function decodeRouteConfig(message: RouteConfiguration, at: At): RouteConfig {
  const name = requiredText(message.name, at.field('name'));
  const taken = new Map<string, string>();
  const virtualHosts = (message.virtualHosts ?? []).map((host, index) => decodeVirtualHost(host, taken, at.item('virtual_hosts', index)));
  return { name, virtualHosts };
}

/** `taken`: lower-case domain → virtual host that has it. A second owner would never get a request. */
function decodeVirtualHost(message: VirtualHostMessage, taken: Map<string, string>, at: At): VirtualHost {
  const name = requiredText(message.name, at.field('name'));
  const domains = message.domains ?? [];
  if (domains.length === 0) at.field('domains').reject('must have at least one entry');
  domains.forEach((domain, index) => {
    const inside = at.item('domains', index);
    if (domain === '') inside.reject('is empty');
    if (domain !== '*' && domain.replace(/^\*\../, '').includes('*'))
      inside.reject(`${JSON.stringify(domain)}: only exact domains, * and those that begin with *. are supported`);
    const owner = taken.get(domain.toLowerCase());
    if (owner !== undefined) inside.reject(`${JSON.stringify(domain)} belongs to virtual host ${JSON.stringify(owner)} already`);
    taken.set(domain.toLowerCase(), name);
  });
  const names = new Set<string>();
  const routes = (message.routes ?? []).map((route, index) => {
    const inside = at.item('routes', index);
    const decoded = decodeRoute(route, index, inside);
    if (names.has(decoded.name)) inside.field('name').reject(`${JSON.stringify(decoded.name)} is the name of an earlier route already`);
    names.add(decoded.name);
    return decoded;
  });
  return { name, domains, routes, ...decodeHostPolicies(message.metadata, at) };
}

function decodeRoute(message: RouteMessage, index: number, at: At): Route {
  decodeMetadata(message.metadata, [], at.field('metadata'), true);
  const inside = extensionAt(at);
  const extension = decodeExtension(RouteExtension, message.metadata, inside) ?? {};
  const { requestHeaders, responseHeaders, fault, rateLimits = [] } = extension;
  return {
    // Foreign control planes need not give one.
    name: message.name === undefined || message.name === '' ? `route ${index + 1}` : message.name,
    ...decodeWay(message, extension, at, inside),
    ...(requestHeaders !== undefined && { requestHeaders: decodeChanges(requestHeaders, inside.field('request_headers')) }),
    ...(responseHeaders !== undefined && { responseHeaders: decodeChanges(responseHeaders, inside.field('response_headers')) }),
    ...(fault !== undefined && { fault: decodeFault(fault, inside.field('fault')) }),
    ...(rateLimits.length > 0 && {
      rateLimits: rateLimits.map((limit, place) => decodeRateLimit(limit, inside.item('rate_limits', place))),
    }),
  };
}

function decodeWay(message: RouteMessage, extension: RouteExtension, at: At, inside: At): Pick<Route, 'match' | 'action'> {
  const specifier = message.match?.pathSpecifier;
  if (specifier?.$case === 'connectMatcher') {
    if (extension.match !== undefined) inside.field('match').reject('is there beside the match of the route');
    if (extension.action !== undefined) inside.field(extension.action.$case).reject('is not supported in a route for CONNECT');
    return { match: { kind: 'connect' }, action: decodeTunnel(message, at) };
  }
  return { match: decodeRequests(message, extension, at, inside), action: decodeActions(message, extension, at, inside) };
}

function decodeRequests(message: RouteMessage, extension: RouteExtension, at: At, inside: At): RouteMatch {
  if (extension.match !== undefined) {
    if (message.match !== undefined) inside.field('match').reject('is there beside the match of the route');
    return decodeMatch(extension.match, inside.field('match'));
  }
  const prefixAt = at.field('match').field('prefix');
  const specifier = message.match?.pathSpecifier;
  const prefix = specifier?.$case === 'prefix' ? specifier.value : prefixAt.reject('is required');
  if (!prefix.startsWith('/')) prefixAt.reject(`must begin with '/', not ${JSON.stringify(prefix)}`);
  return { kind: 'request', path: { kind: 'prefix', value: prefix } };
}

function decodeActions(message: RouteMessage, extension: RouteExtension, at: At, inside: At): RouteAction {
  if (extension.action !== undefined) {
    if (message.action !== undefined) inside.field(extension.action.$case).reject('is there beside an action of the route');
    return decodeAction(extension.action, inside);
  }
  const actionAt = at.field('route');
  const action = required(message.action?.value, actionAt);
  if ((action.upgradeConfigs ?? []).length > 0)
    actionAt.field('upgrade_configs').reject('is supported in routes for CONNECT only; other upgrades are always carried');
  return {
    kind: 'forward',
    clusters: [{ cluster: requiredText(action.clusterSpecifier?.value, actionAt.field('cluster')), weight: 1 }],
    hash: [],
    timeoutMs: decodeDuration(action.timeout ?? TIMEOUT_DEFAULT, actionAt.field('timeout')),
    idleTimeoutMs: decodeIdleTimeout(action, actionAt) ?? 0,
    retry: decodeRetry(action.retryPolicy, actionAt.field('retry_policy')),
  };
}

function decodeTunnel(message: RouteMessage, at: At): RouteAction {
  const inside = at.field('route');
  const action = required(message.action?.value, inside);
  const upgrade = exactlyOne(action.upgradeConfigs, inside.field('upgrade_configs'));
  // Envoy compares upgrade types without regard to case.
  if (upgrade.upgradeType?.toUpperCase() !== CONNECT)
    inside
      .item('upgrade_configs', 0)
      .field('upgrade_type')
      .reject(`only ${CONNECT} is supported, not ${JSON.stringify(upgrade.upgradeType)}`);
  if (decodeDuration(action.timeout ?? TIMEOUT_DEFAULT, inside.field('timeout')) !== 0)
    inside.field('timeout').reject('must be 0 in a route for CONNECT: a tunnel has no end that could be waited for');
  if (decodeRetry(action.retryPolicy, inside.field('retry_policy')).attempts !== 0)
    inside.field('retry_policy').reject('is not supported in a route for CONNECT');
  const idleTimeoutMs = decodeIdleTimeout(action, inside);
  return {
    kind: 'tunnel',
    how: upgrade.connectConfig === undefined ? 'forward' : 'terminate',
    cluster: requiredText(action.clusterSpecifier?.value, inside.field('cluster')),
    ...(idleTimeoutMs !== undefined && { idleTimeoutMs }),
  };
}

/** Undefined: the data plane's own limit. */
function decodeIdleTimeout({ idleTimeout }: ActionMessage, at: At): number | undefined {
  return idleTimeout === undefined ? undefined : decodePositiveDuration(idleTimeout, at.field('idle_timeout'));
}

function decodeRetry(message: RetryMessage | undefined, at: At): RetryPolicy {
  if (message === undefined) return NO_RETRY;
  const names = message.retryOn === undefined || message.retryOn === '' ? [] : message.retryOn.split(',');
  const on = names.map(
    (name) =>
      CONDITIONS.get(name.trim()) ??
      at.field('retry_on').reject(`${JSON.stringify(name)} is not supported; only ${[...CONDITIONS.keys()].join(', ')} are`),
  );
  const attempts = message.numRetries ?? RETRIES_DEFAULT;
  if (attempts > TRIES_MAX) at.field('num_retries').reject(`must be at most ${TRIES_MAX}, not ${attempts}`);
  return { ...NO_RETRY, attempts, on };
}
