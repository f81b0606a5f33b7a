// HTTP filters of Envoy that routes configure: faults, rate limits, sessions. Every listener has them, and they do nothing where no route says
// so.
import { DEFAULT_LIMITS, ERROR_HEADER, type FaultPolicy, type RateLimit, type RouteRateLimit, type SessionPolicy } from '@heddle/core';
import { HeaderValueOption_HeaderAppendAction } from '../../../gen/foreign/envoy/config/core/v3/base.ts';
import type { Any } from '../../../gen/foreign/google/protobuf/any.ts';
import type { LocalRateLimitDescriptor } from '../../../gen/foreign/envoy/extensions/common/ratelimit/v3/ratelimit.ts';
import type { FaultDelay } from '../../../gen/foreign/envoy/extensions/filters/common/fault/v3/fault.ts';
import { type FaultAbort, HTTPFault } from '../../../gen/foreign/envoy/extensions/filters/http/fault/v3/fault.ts';
import { LocalRateLimit } from '../../../gen/foreign/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.ts';
import {
  StatefulSession,
  StatefulSessionPerRoute,
} from '../../../gen/foreign/envoy/extensions/filters/http/stateful_session/v3/stateful_session.ts';
import type { HttpFilter } from '../../../gen/foreign/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import { CookieBasedSessionState } from '../../../gen/foreign/envoy/extensions/http/stateful_session/cookie/v3/cookie.ts';
import type { RateLimit as RateLimitMessage, RateLimit_Action } from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import type { TokenBucket } from '../../../gen/foreign/envoy/type/v3/token_bucket.ts';
import { pack } from '../strict.ts';
import { encodeDuration } from '../values.ts';
import { fraction } from './envoy-action.ts';
import type { Direction } from './envoy-headers.ts';
import { limitConditions } from './envoy-limit-match.ts';

const FAULT = 'envoy.filters.http.fault';
const RATE_LIMIT = 'envoy.filters.http.local_ratelimit';
const SESSION = 'envoy.filters.http.stateful_session';
/** Names metrics. */
const STAT_PREFIX = 'heddle';
/** Parts of a descriptor. */
const VALUE_KEY = 'value';
const MISSING = 'missing';
/** The early changes of envoy-http.ts put the identity of the caller there. */
const PEER_HEADER = 'x-heddle-peer';
/** Envoy refills no bucket more often. */
const FILL_MS_MIN = 50;
const UINT32_MAX = 4_294_967_295;

function filter(name: string, config: { typeUrl: string; value: Uint8Array }): HttpFilter {
  return { name, configType: { $case: 'typedConfig', value: config } };
}

/** Does nothing but what routes say. */
export function faultFilter(): HttpFilter {
  return filter(FAULT, pack(HTTPFault, {}));
}

/** In the order in which requests meet them; the router comes behind. */
export function routeFilters(): HttpFilter[] {
  return [filter(RATE_LIMIT, pack(LocalRateLimit, { statPrefix: STAT_PREFIX })), faultFilter(), filter(SESSION, pack(StatefulSession, {}))];
}

/** Settings of one route, by the names of the filters. */
export function routeSettings(fault: FaultPolicy | undefined, session: SessionPolicy | undefined): { [filter: string]: Any } {
  return {
    ...(fault !== undefined && faultSettings(fault)),
    ...(session !== undefined && { [SESSION]: pack(StatefulSessionPerRoute, envoySession(session)) }),
  };
}

/** Also for gRPC libraries, which take faults in the same form. */
export function faultSettings(fault: FaultPolicy): { [filter: string]: Any } {
  const faults = envoyFault(fault);
  return Object.keys(faults).length > 0 ? { [FAULT]: pack(HTTPFault, faults) } : {};
}

function envoyFault({ delay, abort }: FaultPolicy): HTTPFault {
  return {
    ...(delay !== undefined && delay.delayMs > 0 && { delay: envoyDelay(delay) }),
    ...(abort !== undefined && { abort: envoyAbort(abort) }),
  };
}

function envoyDelay({ percent, delayMs }: NonNullable<FaultPolicy['delay']>): FaultDelay {
  return { faultDelaySecifier: { $case: 'fixedDelay', value: encodeDuration(delayMs) }, percentage: fraction(percent) };
}

function envoyAbort({ percent, status }: NonNullable<FaultPolicy['abort']>): FaultAbort {
  const kind = status.kind === 'http' ? ('httpStatus' as const) : ('grpcStatus' as const);
  return { errorType: { $case: kind, value: status.code }, percentage: fraction(percent) };
}

function envoySession({ cookie, ttlMs }: SessionPolicy): StatefulSessionPerRoute {
  const state: CookieBasedSessionState = { cookie: { name: cookie, path: '/', ...(ttlMs > 0 && { ttl: encodeDuration(ttlMs) }) } };
  return {
    override: {
      $case: 'statefulSession',
      value: { sessionState: { name: 'envoy.http.stateful_session.cookie', typedConfig: pack(CookieBasedSessionState, state) } },
    },
  };
}

/**
 * The rate limits of a virtual host. A bucket that a route has by itself would be one for each of the routes that become of it; so the buckets are
 * those of the virtual host, and routes say which ones a request needs a token of.
 */
export class EnvoyRateLimits {
  readonly #descriptors: LocalRateLimitDescriptor[] = [];
  readonly #direction: Direction;

  constructor(direction: Direction) {
    this.#direction = direction;
  }

  /** What a route says. `name`: unique in the virtual host. */
  add(name: string, limits: readonly RouteRateLimit[]): RateLimitMessage[] {
    return limits.flatMap((limit, index) => this.#addOne(`${name}#${index}`, limit));
  }

  #addOne(name: string, limit: RouteRateLimit): RateLimitMessage[] {
    const bucket = tokenBucket(limit);
    const { actions, entries } = limitConditions(name, limit.match);
    const header = keyHeader(limit.by, this.#direction);
    if (header === undefined) {
      this.#descriptors.push({ entries: [...entries], tokenBucket: bucket });
      return [{ actions: [...actions] }];
    }
    // An entry without a value stands for every value, each with a bucket of its own; requests without the header share one.
    this.#descriptors.push(
      { entries: [...entries, { key: VALUE_KEY }], tokenBucket: bucket },
      { entries: [...entries, { key: MISSING, value: MISSING }], tokenBucket: bucket },
    );
    const value: RateLimit_Action = {
      actionSpecifier: { $case: 'requestHeaders', value: { headerName: header, descriptorKey: VALUE_KEY } },
    };
    const missing: RateLimit_Action = {
      actionSpecifier: {
        $case: 'headerValueMatch',
        value: {
          descriptorKey: MISSING,
          descriptorValue: MISSING,
          headers: [{ name: header, headerMatchSpecifier: { $case: 'presentMatch', value: true }, invertMatch: true }],
        },
      },
    };
    return [{ actions: [...actions, value] }, { actions: [...actions, missing] }];
  }

  /** Of the virtual host; of a route that says by itself which ones a request needs a token of. */
  settings(said: readonly RateLimitMessage[] = []): { [filter: string]: Any } {
    if (this.#descriptors.length === 0) return {};
    // What no descriptor fits takes its tokens from here: as many as there are.
    const unlimited = { maxTokens: UINT32_MAX, tokensPerFill: UINT32_MAX, fillInterval: encodeDuration(1_000) };
    return { [RATE_LIMIT]: pack(LocalRateLimit, { ...limiter(unlimited), descriptors: this.#descriptors, rateLimits: [...said] }) };
  }
}

/** Rate limits of a route that answers by itself: it is one route at Envoy, too, and has its buckets by itself. */
export function answerRateLimits(name: string, limits: readonly RouteRateLimit[], direction: Direction): { [filter: string]: Any } {
  const own = new EnvoyRateLimits(direction);
  return own.settings(own.add(name, limits));
}

function limiter(bucket: TokenBucket): LocalRateLimit {
  const always = { defaultValue: fraction(100) };
  return {
    statPrefix: STAT_PREFIX,
    tokenBucket: bucket,
    filterEnabled: always,
    filterEnforced: always,
    alwaysConsumeDefaultTokenBucket: false,
    rateLimitedAsResourceExhausted: true,
    // No response flag tells these answers from those of others.
    responseHeadersToAdd: [
      {
        header: { key: ERROR_HEADER, value: 'RATE_LIMITED' },
        appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
      },
    ],
    maxDynamicDescriptors: DEFAULT_LIMITS.rateLimitKeysMax,
  };
}

/** Header by whose values callers are told apart; undefined: they are not. An Envoy's own calls are all of one identity. */
function keyHeader(by: RateLimit['by'], direction: Direction): string | undefined {
  if (by.kind === 'header') return by.name;
  return by.kind === 'identity' && direction === 'inbound' ? PEER_HEADER : undefined;
}

function tokenBucket({ requests, perMs, burst }: RateLimit): TokenBucket {
  // The same rate in longer steps; the bucket is filled continuously all the same.
  const steps = Math.max(1, Math.ceil(FILL_MS_MIN / perMs));
  return {
    maxTokens: Math.min(UINT32_MAX, burst),
    tokensPerFill: Math.min(UINT32_MAX, requests * steps),
    fillInterval: encodeDuration(perMs * steps),
  };
}
