// Routes for Envoy. One route of ours becomes several: after a reset only idempotent methods are tried again, upgraded connections may be
// silent for longer, and event streams have no time limit, all of which Envoy decides by route. A route that Envoy cannot follow answers
// NOT_IMPLEMENTED, so that the others are told and nobody gets past it.
import { DEFAULT_LIMITS, ERROR_HEADER, ERRORS, lookalikes } from '@heddle/core';
import type { ForwardAction, RequestMatch, Route, RouteConfig, RouteRateLimit, TunnelAction, VirtualHost } from '@heddle/core';
import { type HeaderValueOption, HeaderValueOption_HeaderAppendAction } from '../../../gen/foreign/envoy/config/core/v3/base.ts';
import type { RouteConfiguration } from '../../../gen/foreign/envoy/config/route/v3/route.ts';
import type {
  HeaderMatcher,
  RouteAction,
  Route as RouteMessage,
  VirtualHost as VirtualHostMessage,
} from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import type { Any } from '../../../gen/foreign/google/protobuf/any.ts';
import { type At, XdsRejection } from '../rejection.ts';
import { encodeDuration } from '../values.ts';
import { accessSettings, deniedIdentities } from './envoy-access.ts';
import { changesByCluster, envoyForward, envoyRedirect, envoyResponse } from './envoy-action.ts';
import { answerRateLimits, EnvoyRateLimits, routeSettings } from './envoy-filters.ts';
import { type Direction, type EnvoyHeaderChanges, envoyHeaderChanges } from './envoy-headers.ts';
import { envoyMatch, escaped, matching } from './envoy-match.ts';
import { envoyRetry, repeatsByMethod } from './envoy-retry.ts';
import { tokenSettings, untoldTokens } from './envoy-tokens.ts';
import { type EncodeOptions, tellPolicy, tellRefused, untoldAttached } from './options.ts';

const UPGRADE: HeaderMatcher = { name: 'upgrade', headerMatchSpecifier: { $case: 'presentMatch', value: true } };
/** Server-sent events have no end that a time limit for the whole response could mean. */
const EVENT_STREAM = matching('accept', '.*text/event-stream.*');
/** RFC 9110 §9.2.2, as `isIdempotent` has it. */
const IDEMPOTENT = matching(':method', 'GET|HEAD|OPTIONS|TRACE|PUT|DELETE');
const { ADD_IF_ABSENT, OVERWRITE_IF_EXISTS_OR_ADD } = HeaderValueOption_HeaderAppendAction;
/** 16 bytes, as RFC 6455 §4.1 asks for: what came over HTTP/2 need not have a key (RFC 8441 §5), and the application asks for one. */
const WEBSOCKET_KEY: HeaderValueOption = {
  header: { key: 'sec-websocket-key', value: Buffer.from('heddle-websocket').toString('base64') },
  appendAction: ADD_IF_ABSENT,
};
/** Added by Envoy on its way in; applications of ours never see them. */
const ENVOY_HEADERS = ['x-envoy-internal', 'x-envoy-external-address', 'x-envoy-expected-rq-timeout-ms', 'x-envoy-original-path'];
/** Names of route configurations say which way they are for. */
const INBOUND = 'inbound/';

type Rest = Omit<RouteMessage, 'match' | 'action'>;

export function encodeEnvoyRoutes({ name, virtualHosts }: RouteConfig, options: EncodeOptions, at: At): RouteConfiguration {
  const direction = name.startsWith(INBOUND) ? 'inbound' : 'outbound';
  return {
    name,
    virtualHosts: virtualHosts.map((host, index) => encodeHost(host, direction, options, at.item('virtual_hosts', index))),
    requestHeadersToRemove: [...ENVOY_HEADERS, ...(direction === 'inbound' ? lookalikes(virtualHosts.flatMap(namesLookedAt)) : [])],
  };
}

function encodeHost(host: VirtualHost, direction: Direction, options: EncodeOptions, at: At): VirtualHostMessage {
  host.domains.forEach((domain, position) => {
    // Envoy would read it as another pattern.
    if (domain !== '*' && domain.replace(/^\*\./, '').includes('*'))
      at.item('domains', position).reject(`${JSON.stringify(domain)} is a pattern that Envoy reads in another way`);
  });
  const limits = new EnvoyRateLimits(direction);
  const untold = untoldAttached(host, options, 'Envoys', at);
  const routes = host.routes.flatMap((route, index) => {
    const inside = at.item('routes', index);
    const tell = (rejection: XdsRejection): void => tellRefused(options, host.name, route.name, inside, rejection);
    return encodeOrRefuse(route, limits, direction, untold, tell, inside);
  });
  const twins = portTwins(host.domains);
  return {
    name: host.name,
    domains: [...host.domains, ...twins],
    routes: routes.map((route) => (route.match?.pathSpecifier?.$case === 'connectMatcher' ? notTo(twins, route) : route)),
    typedPerFilterConfig: { ...limits.settings(), ...(direction === 'inbound' && inboundPolicies(host, options, at)) },
  };
}

/** In a condition: `request.headers["x-a"]`, `"x-a" in request.headers`. */
const ASKED_HEADER = /request\s*\.\s*headers\s*\[\s*["']([^"']+)["']|["']([^"']+)["']\s*in\s*request\s*\.\s*headers/g;

/** In lower case. What reads like one of these goes no further: nobody has looked at it. */
function namesLookedAt({ access, tokens }: VirtualHost): string[] {
  const issuers = tokens?.issuers ?? [];
  const places = issuers.flatMap(({ sources }) => sources.flatMap(({ kind, name }) => (kind === 'header' ? [name] : [])));
  const claims = issuers.flatMap(({ claimHeaders }) => claimHeaders.map(({ header }) => header));
  const asked = (access?.rules ?? []).flatMap(({ permissions, when = '' }) => [
    ...permissions.flatMap(({ headers = [] }) => headers.map(({ name }) => name)),
    ...Array.from(when.matchAll(ASKED_HEADER), ([, one, other = '']) => one ?? other),
  ]);
  return [...places, ...claims, ...asked].map((name) => name.toLowerCase());
}

/** Who may make requests, and with which tokens. */
function inboundPolicies({ name: host, access, tokens }: VirtualHost, options: EncodeOptions, at: At): { [filter: string]: Any } {
  if ((tokens !== undefined || access?.external !== undefined) && options.routeConfig === undefined)
    at.reject('its listener cannot be told about tokens and authorizers here');
  const issuers = new Map((tokens?.issuers ?? []).map(({ name, issuer }) => [name, issuer]));
  if (new Set(issuers.values()).size < issuers.size)
    at.field('tokens').reject('has one issuer under two names, which Envoy cannot tell apart');
  const tell = (what: string, reason: string, place: At): void => tellPolicy(options, host, what, place, reason);
  if (tokens !== undefined) untoldTokens(tokens, at.field('tokens'), (issuer, reason, place) => tell(`tokens of ${issuer}`, reason, place));
  const context = { issuers, options, tell: (rule: string, reason: string, place: At): void => tell(`access rule ${rule}`, reason, place) };
  return {
    ...deniedIdentities(options.denied),
    ...(tokens !== undefined && tokenSettings(tokens)),
    ...(access !== undefined && accessSettings(access, context, at.field('access'))),
  };
}

/** `host` and `host:80` are the same to requests (RFC 9110 §4.2.1); Envoy compares texts. */
function portTwins(domains: readonly string[]): string[] {
  const twins = domains
    .filter((domain) => domain !== '*')
    .flatMap((domain) => (/:\d+$/.test(domain) ? (domain.endsWith(':80') ? [domain.slice(0, -3)] : []) : [`${domain}:80`]));
  return [...new Set(twins)].filter((twin) => !domains.includes(twin));
}

/** CONNECT knows no usual port. */
function notTo(twins: readonly string[], route: RouteMessage): RouteMessage {
  if (twins.length === 0) return route;
  const authorities = twins.map((twin) => escaped(twin).replace(/^\\\*/, '.*')).join('|');
  const headers = [...(route.match?.headers ?? []), { ...matching(':authority', `(?i:${authorities})`), invertMatch: true }];
  return { ...route, match: { ...route.match, headers } };
}

function encodeOrRefuse(
  route: Route,
  limits: EnvoyRateLimits,
  direction: Direction,
  untold: XdsRejection | undefined,
  tell: (rejection: XdsRejection) => void,
  at: At,
): readonly RouteMessage[] {
  try {
    if (untold !== undefined && route.match.kind === 'request') throw untold;
    return encodeRoute(route, limits, direction, at);
  } catch (error) {
    if (!(error instanceof XdsRejection) || route.match.kind !== 'request') throw error;
    tell(error);
    return [refusal(route.name, route.match, error)];
  }
}

/** The message is for whoever called: it names the route, and what about it Envoy has no words for. */
function refusal(name: string, match: RequestMatch, { message }: XdsRejection): RouteMessage {
  const code = 'NOT_IMPLEMENTED';
  const { responseHeadersToAdd, ...response } = envoyResponse({
    status: ERRORS[code].httpStatus,
    body: `${code}: route ${JSON.stringify(name)} cannot be followed here. ${message}\n`.slice(0, BODY_LENGTH_MAX),
    contentType: 'text/plain; charset=utf-8',
  });
  const error = { header: { key: ERROR_HEADER, value: code }, appendAction: OVERWRITE_IF_EXISTS_OR_ADD };
  return { name, match: envoyMatch(match), ...response, responseHeadersToAdd: [...(responseHeadersToAdd ?? []), error] };
}

/** Envoy takes 4,096 bytes; three for a character is as many as one can have in the plane that matters. */
const BODY_LENGTH_MAX = 1_024;

function encodeRoute(route: Route, limits: EnvoyRateLimits, direction: Direction, at: At): readonly RouteMessage[] {
  const { name, match, action, fault, rateLimits = [] } = route;
  const changes = routeChanges(route, direction, at);
  if (match.kind === 'connect') {
    if (action.kind !== 'tunnel') return at.reject('requests for CONNECT need a tunnel');
    return [
      encodeTunnel(name, action, limits.add(name, rateLimits.filter(hasNoMatch)), {
        ...changes,
        typedPerFilterConfig: routeSettings(fault, undefined),
      }),
    ];
  }
  if (action.kind === 'tunnel') return at.reject('a tunnel is for CONNECT alone');
  if (action.kind === 'forward') {
    const forward = envoyForward(route, action, match.path, direction, at.field('forward'));
    const rest = { name, ...changes, typedPerFilterConfig: routeSettings(fault, action.session) };
    return forwardRoutes(match, action, { ...forward, rateLimits: limits.add(name, rateLimits) }, rest);
  }
  const typedPerFilterConfig = { ...routeSettings(fault, undefined), ...answerRateLimits(name, rateLimits, direction) };
  const rest = { name, match: envoyMatch(match), typedPerFilterConfig, ...changes };
  if (action.kind === 'redirect')
    return [{ ...rest, action: { $case: 'redirect', value: envoyRedirect(action, match.path, at.field('redirect')) } }];
  const { responseHeadersToAdd = [], ...response } = envoyResponse(action);
  return [{ ...rest, ...response, responseHeadersToAdd: [...responseHeadersToAdd, ...(changes.responseHeadersToAdd ?? [])] }];
}

/** What is for some requests only is for none that has no path. */
function hasNoMatch({ match }: RouteRateLimit): boolean {
  return match === undefined;
}

/** Those of a cluster count as well; where there are several, each has them all by itself. */
function routeChanges(route: Route, direction: Direction, at: At): EnvoyHeaderChanges {
  const { action } = route;
  if (action.kind !== 'forward') return envoyHeaderChanges([route], direction, at);
  if (changesByCluster(action)) return {};
  return envoyHeaderChanges([route, ...action.clusters.slice(0, 1)], direction, at);
}

function encodeTunnel(
  name: string,
  { how, cluster, idleTimeoutMs }: TunnelAction,
  rateLimits: NonNullable<RouteAction['rateLimits']>,
  rest: Rest,
): RouteMessage {
  // With a `connect_config` Envoy takes the bytes out of the tunnel, without one it asks upstream for the same tunnel.
  const upgrade = { upgradeType: 'CONNECT', ...(how === 'terminate' && { connectConfig: {} }) };
  return {
    ...rest,
    name,
    match: { pathSpecifier: { $case: 'connectMatcher', value: {} } },
    action: {
      $case: 'route',
      value: {
        clusterSpecifier: { $case: 'cluster', value: cluster },
        ...endless(idleTimeoutMs ?? 0),
        rateLimits,
        upgradeConfigs: [upgrade],
      },
    },
  };
}

/** Bytes have no end that could be waited for; they may be silent for longer than requests. */
function endless(idleTimeoutMs: number): Pick<RouteAction, 'timeout' | 'idleTimeout'> {
  const idleMs = idleTimeoutMs > 0 ? idleTimeoutMs : DEFAULT_LIMITS.tcpIdleTimeoutMs;
  return { timeout: encodeDuration(0), idleTimeout: encodeDuration(idleMs) };
}

function forwardRoutes(match: RequestMatch, action: ForwardAction, common: RouteAction, rest: Rest): readonly RouteMessage[] {
  const { timeoutMs, idleTimeoutMs, retry, hedge } = action;
  const to = (headers: readonly HeaderMatcher[], own: RouteAction): RouteMessage => ({
    ...rest,
    match: envoyMatch(match, headers),
    action: { $case: 'route', value: { ...common, ...own } },
  });
  const idle = idleTimeoutMs > 0 ? { idleTimeout: encodeDuration(idleTimeoutMs) } : {};
  const limits = { timeout: encodeDuration(timeoutMs), ...idle };
  const once = envoyRetry(retry, undefined, false);
  const twice = envoyRetry(retry, hedge, true);
  const byMethod = (headers: readonly HeaderMatcher[], own: RouteAction): RouteMessage[] => [
    ...(repeatsByMethod(retry, hedge) ? [to([...headers, IDEMPOTENT], { ...own, ...twice })] : []),
    to(headers, { ...own, ...once }),
  ];
  const upgraded = to([UPGRADE], { ...endless(idleTimeoutMs), ...once });
  return [
    { ...upgraded, requestHeadersToAdd: [...(rest.requestHeadersToAdd ?? []), WEBSOCKET_KEY] },
    // Our own data planes see it by the response, which Envoy's routes cannot.
    ...(timeoutMs > 0 ? byMethod([EVENT_STREAM], { timeout: encodeDuration(0), ...idle }) : []),
    ...byMethod([], limits),
  ];
}
