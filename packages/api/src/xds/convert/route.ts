// Which authority and path lead to which cluster, with the time limit and the retries of the whole request.
import type { RetryCondition, RetryPolicy, Route, RouteConfig, VirtualHost } from '@heddle/core';
import type { RouteConfiguration } from '../../gen/envoy/envoy/config/route/v3/route.ts';
import type {
  RetryPolicy as RetryMessage,
  RouteAction_UpgradeConfig,
  Route as RouteMessage,
  VirtualHost as VirtualHostMessage,
} from '../../gen/envoy/envoy/config/route/v3/route_components.ts';
import { At } from './rejection.ts';
import { decodeDuration, encodeDuration, exactlyOne, required, requiredText } from './values.ts';

/** Envoy's words for why a request may be tried again. `refused-stream`: the peer says that it did not process the request. */
const CONDITION_WORDS: Readonly<Record<RetryCondition, string>> = {
  'connect-failure': 'connect-failure',
  refused: 'refused-stream',
  reset: 'reset',
};
const CONDITIONS = new Map(Object.entries(CONDITION_WORDS).map(([condition, word]) => [word, condition as RetryCondition]));
/** Envoy's defaults where the fields are not set. */
const TIMEOUT_DEFAULT = { seconds: 15, nanos: 0 };
const RETRIES_DEFAULT = 1;
const CONNECT = 'CONNECT';
/** More would only multiply load on a service that is failing. */
const RETRIES_MAX = 100;

export function encodeRouteConfig(config: RouteConfig): RouteConfiguration {
  return { name: config.name, virtualHosts: config.virtualHosts.map(encodeVirtualHost) };
}

function encodeVirtualHost({ name, domains, routes }: VirtualHost): VirtualHostMessage {
  return { name, domains: [...domains], routes: routes.map(encodeRoute) };
}

function encodeRoute(route: Route): RouteMessage {
  // There is no field that could carry it to the reader.
  if (route.connect !== undefined && route.prefix !== '') new At('match').field('prefix').reject('must be empty in a route for CONNECT');
  const { attempts, on } = route.retry;
  return {
    match: {
      pathSpecifier: route.connect === undefined ? { $case: 'prefix', value: route.prefix } : { $case: 'connectMatcher', value: {} },
    },
    action: {
      $case: 'route',
      value: {
        clusterSpecifier: { $case: 'cluster', value: route.cluster },
        timeout: encodeDuration(route.timeoutMs),
        ...(route.connect === undefined ? {} : { upgradeConfigs: [encodeConnect(route.connect)] }),
        ...(attempts === 0 && on.length === 0
          ? {}
          : { retryPolicy: { retryOn: on.map((condition) => CONDITION_WORDS[condition]).join(','), numRetries: attempts } }),
      },
    },
  };
}

/** With a `connect_config` Envoy takes the bytes out of the tunnel, without one it asks upstream for the same tunnel. */
function encodeConnect(connect: 'forward' | 'terminate'): RouteAction_UpgradeConfig {
  return { upgradeType: CONNECT, ...(connect === 'terminate' && { connectConfig: {} }) };
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
    if (domain !== '*' && domain.includes('*')) inside.reject(`${JSON.stringify(domain)}: only exact domains and * are supported`);
    const owner = taken.get(domain.toLowerCase());
    if (owner !== undefined) inside.reject(`${JSON.stringify(domain)} belongs to virtual host ${JSON.stringify(owner)} already`);
    taken.set(domain.toLowerCase(), name);
  });
  return { name, domains, routes: (message.routes ?? []).map((route, index) => decodeRoute(route, at.item('routes', index))) };
}

function decodeRoute(message: RouteMessage, at: At): Route {
  const match = required(message.match?.pathSpecifier, at.field('match').field('prefix'));
  if (match.$case === 'connectMatcher') return decodeConnectRoute(message, at);
  if (!match.value.startsWith('/'))
    at.field('match')
      .field('prefix')
      .reject(`must begin with '/', not ${JSON.stringify(match.value)}`);
  const inside = at.field('route');
  const action = required(message.action?.value, inside);
  if ((action.upgradeConfigs ?? []).length > 0)
    inside.field('upgrade_configs').reject('is supported in routes for CONNECT only; other upgrades are always carried');
  return {
    prefix: match.value,
    cluster: requiredText(action.clusterSpecifier?.value, inside.field('cluster')),
    timeoutMs: decodeDuration(action.timeout ?? TIMEOUT_DEFAULT, inside.field('timeout')),
    retry: decodeRetry(action.retryPolicy, inside.field('retry_policy')),
  };
}

function decodeConnectRoute(message: RouteMessage, at: At): Route {
  const inside = at.field('route');
  const action = required(message.action?.value, inside);
  const upgrade = exactlyOne(action.upgradeConfigs, inside.field('upgrade_configs'));
  // Envoy compares upgrade types without regard to case.
  if (upgrade.upgradeType?.toUpperCase() !== CONNECT)
    inside
      .item('upgrade_configs', 0)
      .field('upgrade_type')
      .reject(`only ${CONNECT} is supported, not ${JSON.stringify(upgrade.upgradeType)}`);
  const route: Route = {
    prefix: '',
    connect: upgrade.connectConfig === undefined ? 'forward' : 'terminate',
    cluster: requiredText(action.clusterSpecifier?.value, inside.field('cluster')),
    timeoutMs: decodeDuration(action.timeout ?? TIMEOUT_DEFAULT, inside.field('timeout')),
    retry: decodeRetry(action.retryPolicy, inside.field('retry_policy')),
  };
  if (route.timeoutMs !== 0)
    inside.field('timeout').reject('must be 0 in a route for CONNECT: a tunnel has no end that could be waited for');
  if (route.retry.attempts !== 0) inside.field('retry_policy').reject('is not supported in a route for CONNECT');
  return route;
}

function decodeRetry(message: RetryMessage | undefined, at: At): RetryPolicy {
  if (message === undefined) return { attempts: 0, on: [] };
  const words = message.retryOn === undefined || message.retryOn === '' ? [] : message.retryOn.split(',');
  const on = words.map(
    (word) =>
      CONDITIONS.get(word.trim()) ??
      at.field('retry_on').reject(`${JSON.stringify(word)} is not supported; only ${[...CONDITIONS.keys()].join(', ')} are`),
  );
  const attempts = message.numRetries ?? RETRIES_DEFAULT;
  if (attempts > RETRIES_MAX) at.field('num_retries').reject(`must be at most ${RETRIES_MAX}, not ${attempts}`);
  return { attempts, on };
}
