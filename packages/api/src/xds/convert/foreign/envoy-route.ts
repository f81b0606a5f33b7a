// Routes for Envoy. One route of ours becomes several: after a reset only idempotent methods are tried again, upgraded connections may be
// silent for longer, and event streams have no time limit, all of which Envoy decides by route.
import { DEFAULT_LIMITS, ERROR_HEADER, ERRORS, RETRY_BACKOFF, retryCondition } from '@heddle/core';
import type { ErrorCode, RetryCondition, RetryPolicy, Route, RouteConfig } from '@heddle/core';
import { type HeaderValueOption, HeaderValueOption_HeaderAppendAction } from '../../../gen/foreign/envoy/config/core/v3/base.ts';
import type { RouteConfiguration } from '../../../gen/foreign/envoy/config/route/v3/route.ts';
import type {
  HeaderMatcher,
  RetryPolicy as RetryMessage,
  RouteAction,
  RouteMatch,
  Route as RouteMessage,
} from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import { PreviousHostsPredicate } from '../../../gen/foreign/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.ts';
import type { At } from '../rejection.ts';
import { pack } from '../strict.ts';
import { encodeDuration } from '../values.ts';

/** Envoy's words; see `retryPolicy` for what a called data plane says by a header. */
const CONDITION_WORDS: Readonly<Record<RetryCondition, string>> = {
  'connect-failure': 'connect-failure',
  refused: 'refused-stream',
  reset: 'reset',
};
const UPGRADE: HeaderMatcher = { name: 'upgrade', headerMatchSpecifier: { $case: 'presentMatch', value: true } };
/** Server-sent events have no end that a time limit for the whole response could mean. */
const EVENT_STREAM = matching('accept', '.*text/event-stream.*');
/** RFC 9110 §9.2.2, as `isIdempotent` has it. */
const IDEMPOTENT = matching(':method', 'GET|HEAD|OPTIONS|TRACE|PUT|DELETE');
/** 16 bytes, as RFC 6455 §4.1 asks for: what came over HTTP/2 need not have a key (RFC 8441 §5), and the application asks for one. */
const WEBSOCKET_KEY: HeaderValueOption = {
  header: { key: 'sec-websocket-key', value: Buffer.from('heddle-websocket').toString('base64') },
  appendAction: HeaderValueOption_HeaderAppendAction.ADD_IF_ABSENT,
};
/** Picks that may fall on an instance which was tried already, before one of these is taken all the same. */
const PICKS_MAX = 5;
/** Added by Envoy on its way in; applications of ours never see them. */
const ENVOY_HEADERS = ['x-envoy-internal', 'x-envoy-external-address', 'x-envoy-expected-rq-timeout-ms', 'x-envoy-original-path'];

export function encodeEnvoyRoutes({ name, virtualHosts }: RouteConfig, at: At): RouteConfiguration {
  return {
    name,
    virtualHosts: virtualHosts.map((host, index) => {
      const inside = at.item('virtual_hosts', index);
      host.domains.forEach((domain, position) => {
        // Envoy would read it as a pattern.
        if (domain !== '*' && domain.includes('*')) inside.item('domains', position).reject(`${JSON.stringify(domain)} is a pattern`);
      });
      return { name: host.name, domains: [...host.domains], routes: host.routes.flatMap((route) => encodeRoute(route)) };
    }),
    requestHeadersToRemove: ENVOY_HEADERS,
  };
}

function encodeRoute({ cluster, prefix, connect, timeoutMs, retry }: Route): RouteMessage[] {
  const to = (match: RouteMatch, action: RouteAction): RouteMessage => ({
    match,
    action: { $case: 'route', value: { clusterSpecifier: { $case: 'cluster', value: cluster }, ...action } },
  });
  const endless = { timeout: encodeDuration(0), idleTimeout: encodeDuration(DEFAULT_LIMITS.tcpIdleTimeoutMs) };
  if (connect !== undefined) {
    // With a `connect_config` Envoy takes the bytes out of the tunnel, without one it asks upstream for the same tunnel.
    const upgrade = { upgradeType: 'CONNECT', ...(connect === 'terminate' && { connectConfig: {} }) };
    return [to({ pathSpecifier: { $case: 'connectMatcher', value: {} } }, { ...endless, upgradeConfigs: [upgrade] })];
  }
  const on = (...headers: HeaderMatcher[]): RouteMatch => ({ pathSpecifier: { $case: 'prefix', value: prefix }, headers });
  const once = retryPolicy(retry, false);
  const twice = retryPolicy(retry, true);
  const timeout = encodeDuration(timeoutMs);
  return [
    { ...to(on(UPGRADE), { ...endless, ...once }), requestHeadersToAdd: [WEBSOCKET_KEY] },
    // Our own data planes see it by the response, which Envoy's routes cannot.
    ...(timeoutMs > 0 ? [to(on(EVENT_STREAM), { timeout: encodeDuration(0), ...twice })] : []),
    ...(retry.on.includes('reset') && retry.attempts > 0 ? [to(on(IDEMPOTENT), { timeout, ...twice })] : []),
    to(on(), { timeout, ...once }),
  ];
}

/**
 * What a called data plane could not deliver it says by `x-heddle-error`: such answers count like the failures that they report. `repeatable`:
 * the application may see the request twice.
 */
function retryPolicy({ attempts, on }: RetryPolicy, repeatable: boolean): { retryPolicy?: RetryMessage } {
  const conditions = on.filter((condition) => condition !== 'reset' || repeatable);
  if (attempts === 0 || conditions.length === 0) return {};
  const codes = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => {
    const condition = retryCondition(code);
    return condition !== undefined && conditions.includes(condition) && (repeatable || ERRORS[code].neverDelivered);
  });
  return {
    retryPolicy: {
      retryOn: [...conditions.map((condition) => CONDITION_WORDS[condition]), 'retriable-headers'].join(','),
      numRetries: attempts,
      retriableHeaders: codes.map((code) => ({
        name: ERROR_HEADER,
        headerMatchSpecifier: { $case: 'stringMatch', value: { matchPattern: { $case: 'exact', value: code } } },
      })),
      retryHostPredicate: [
        {
          name: 'envoy.retry_host_predicates.previous_hosts',
          configType: { $case: 'typedConfig', value: pack(PreviousHostsPredicate, {}) },
        },
      ],
      hostSelectionRetryMaxAttempts: PICKS_MAX,
      retryBackOff: { baseInterval: encodeDuration(RETRY_BACKOFF.baseMs), maxInterval: encodeDuration(RETRY_BACKOFF.maxMs) },
    },
  };
}

/** The whole value. */
function matching(name: string, regex: string): HeaderMatcher {
  return { name, headerMatchSpecifier: { $case: 'stringMatch', value: { matchPattern: { $case: 'safeRegex', value: { regex } } } } };
}
