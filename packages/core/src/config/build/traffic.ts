// What callers of a service do, with every default filled in: of a service of the mesh, and of one in the file of a static proxy.
import type { BalancePolicy, HashSource, OutlierPolicy } from '../../model/balance.ts';
import {
  DEFAULT_BALANCE,
  DEFAULT_BYTES_BALANCE,
  DEFAULT_OUTLIER,
  DEFAULT_RETRY_BACKOFF,
  DEFAULT_RETRY_BUDGET,
  NO_BREAKER,
  NO_RETRY,
} from '../../model/defaults.ts';
import type { HedgePolicy, RateLimit, RetryBudget, RetryCondition, RetryPolicy } from '../../model/resilience.ts';
import type { HealthCheckPolicy, Protocol, Service } from '../../model/service.ts';
import { STATUS_RANGE_PATTERN } from '../schema/health.ts';
import type { HealthOutput, RuleOutput, ServiceOutput } from '../schema/mesh.ts';
import type { trafficFields } from '../schema/service.ts';
import { listAt, milliseconds, percentOf } from './values.ts';

const DEFAULT_RETRY_ON: readonly RetryCondition[] = ['connect-failure', 'refused', 'reset'];
/** Each of them includes that the time of a try is over. */
const TRY_TIMEOUT: readonly RetryCondition[] = ['timeout', 'gateway-error', '5xx'];
const DEFAULT_RETRY_ATTEMPTS = 2;
const ADAPTIVE = { minRequests: 4, maxRequests: 1_000 };

export function buildHealth(health: HealthOutput): HealthCheckPolicy {
  const { http, grpc, expect, port, unhealthyAfter, healthyAfter } = health;
  const intervalMs = milliseconds(health.interval);
  return {
    ...(http !== undefined
      ? { kind: 'http', path: http, ...(expect !== undefined && { statuses: listAt(expect, []).map(({ item }) => statusRange(item)) }) }
      : grpc !== undefined
        ? { kind: 'grpc', grpcService: grpc === true ? '' : grpc }
        : { kind: 'tcp' }),
    ...(port !== undefined && { port }),
    intervalMs,
    timeoutMs: health.timeout === undefined ? Math.min(1_000, intervalMs) : milliseconds(health.timeout),
    unhealthyAfter,
    healthyAfter,
  };
}

/** `204` and `300-399`, both ends included. */
export function statusRange(written: number | string): readonly [from: number, to: number] {
  const [, from, to] = STATUS_RANGE_PATTERN.exec(String(written)) ?? [];
  return from === undefined ? [Number(written), Number(written)] : [Number(from), Number(to)];
}

type TrafficInput = Pick<ServiceOutput, keyof typeof trafficFields> & { readonly protocol: Protocol };
type Traffic = Pick<
  Service,
  | 'balance'
  | 'timeoutMs'
  | 'connectTimeoutMs'
  | 'idleTimeoutMs'
  | 'retry'
  | 'retryBudget'
  | 'hedge'
  | 'breaker'
  | 'adaptiveConcurrency'
  | 'outlier'
  | 'hash'
  | 'session'
>;

/** A byte stream has no requests to limit or repeat. */
export function carriesBytes(protocol: unknown): boolean {
  return protocol === 'tcp' || protocol === 'tls';
}

export function buildTraffic(input: TrafficInput): Traffic {
  const { protocol, idleTimeout, breaker, hedge, concurrency, sticky } = input;
  const isBytes = carriesBytes(protocol);
  // gRPC calls carry their callers' time limit, and a streaming one may go on for days.
  const timeout = input.timeout ?? (protocol === 'grpc' ? 0 : '15s');
  const outlier = buildOutlier(input.outlier, isBytes);
  return {
    ...buildBalance(input.balance, isBytes),
    timeoutMs: isBytes ? 0 : milliseconds(timeout),
    connectTimeoutMs: milliseconds(input.connectTimeout),
    idleTimeoutMs: idleTimeout === undefined ? 0 : milliseconds(idleTimeout),
    retry: isBytes ? NO_RETRY : buildRetry(input.retry, defaultRetry(protocol)),
    retryBudget: buildBudget(input.retry),
    ...(hedge && { hedge: buildHedge(hedge) }),
    breaker:
      breaker === undefined
        ? NO_BREAKER
        : { connections: breaker.connections ?? 0, pending: breaker.pending ?? 0, requests: breaker.requests ?? 0 },
    ...(concurrency !== undefined && {
      adaptiveConcurrency: concurrency === 'adaptive' ? ADAPTIVE : { minRequests: concurrency.min, maxRequests: concurrency.max },
    }),
    ...(outlier && { outlier }),
    ...(sticky && { session: { cookie: sticky.cookie, ttlMs: milliseconds(sticky.ttl) } }),
  };
}

function buildBalance(input: TrafficInput['balance'], isBytes: boolean): { readonly balance: BalancePolicy; readonly hash: HashSource[] } {
  const standard = isBytes ? DEFAULT_BYTES_BALANCE : DEFAULT_BALANCE;
  if (input === undefined || typeof input === 'string')
    return { balance: { ...standard, algorithm: input ?? standard.algorithm }, hash: [] };
  const { policy = standard.algorithm, locality, slowStart, panic, hash } = input;
  return {
    balance: { algorithm: policy, locality, slowStartMs: milliseconds(slowStart), panicPercent: percentOf(panic) },
    hash: listAt(hash, []).map(({ item }): HashSource => {
      if (item === 'source') return { kind: 'source' };
      if (item.header !== undefined) return { kind: 'header', name: item.header.toLowerCase() };
      if (item.query !== undefined) return { kind: 'query', name: item.query };
      return { kind: 'cookie', name: item.cookie as string, ...(item.ttl !== undefined && { ttlMs: milliseconds(item.ttl) }) };
    }),
  };
}

/** A gRPC library would repeat calls that an application may have seen: only where somebody has asked for it. */
export function defaultRetry(protocol: Protocol): RetryPolicy {
  const on = DEFAULT_RETRY_ON.filter((condition) => condition !== 'reset' || protocol !== 'grpc');
  return { ...NO_RETRY, attempts: DEFAULT_RETRY_ATTEMPTS, on };
}

/** @param base what holds where the input says nothing. */
export function buildRetry(input: RuleOutput['retry'], base: RetryPolicy): RetryPolicy {
  if (input === 'off') return NO_RETRY;
  if (input === undefined) return base;
  const on = [...(input.on ?? base.on)];
  // Whoever names statuses wants them tried again, and whoever limits a try wants another one after it.
  if (input.statuses !== undefined && !on.includes('retriable-status')) on.push('retriable-status');
  if (input.perTry !== undefined && !on.some((condition) => TRY_TIMEOUT.includes(condition))) on.push('timeout');
  return {
    attempts: input.attempts ?? base.attempts,
    on,
    perTryMs: input.perTry === undefined ? base.perTryMs : milliseconds(input.perTry),
    statuses: on.includes('retriable-status') ? [...(input.statuses ?? base.statuses)] : [],
    nonIdempotent: input.nonIdempotent ?? base.nonIdempotent,
    backoff: buildBackoff(input.backoff, base.backoff),
  };
}

type BackoffInput = Extract<NonNullable<RuleOutput['retry']>, object>['backoff'];

function buildBackoff(input: BackoffInput, base: RetryPolicy['backoff']): RetryPolicy['backoff'] {
  if (input === undefined) return base;
  const baseMs = input.base === undefined ? base.baseMs : milliseconds(input.base);
  if (input.max !== undefined) return { baseMs, maxMs: milliseconds(input.max) };
  return { baseMs, maxMs: input.base === undefined ? base.maxMs : Math.max(DEFAULT_RETRY_BACKOFF.maxMs, 10 * baseMs) };
}

function buildBudget(retry: TrafficInput['retry']): RetryBudget {
  const budget = typeof retry === 'object' ? retry.budget : undefined;
  if (budget === undefined) return DEFAULT_RETRY_BUDGET;
  if (typeof budget === 'object') return { percent: percentOf(budget.percent), minPerSecond: budget.minPerSecond };
  const percent = percentOf(budget);
  // "0%" alone means none.
  return { percent, minPerSecond: percent === 0 ? 0 : DEFAULT_RETRY_BUDGET.minPerSecond };
}

export function buildHedge({ after, attempts }: NonNullable<TrafficInput['hedge']>): HedgePolicy {
  return { afterMs: milliseconds(after), attempts };
}

function buildOutlier(input: TrafficInput['outlier'], isBytes: boolean): OutlierPolicy | undefined {
  if (input === 'off') return undefined;
  // Of bytes nothing is known but whether a connection came about.
  const standard = isBytes ? { ...DEFAULT_OUTLIER, consecutiveErrors: 0 } : DEFAULT_OUTLIER;
  if (input === undefined) return standard;
  const ejectMs = milliseconds(input.eject);
  return {
    consecutiveErrors: input.consecutiveErrors ?? standard.consecutiveErrors,
    consecutiveGatewayErrors: input.gatewayErrors,
    consecutiveLocalErrors: input.localErrors,
    intervalMs: input.interval === undefined ? standard.intervalMs : milliseconds(input.interval),
    successRateFactor: input.successRate ?? standard.successRateFactor,
    failurePercent: input.failures === undefined ? standard.failurePercent : percentOf(input.failures),
    latencyFactor: input.latency ?? standard.latencyFactor,
    minimumRequests: input.minRequests ?? standard.minimumRequests,
    minimumInstances: input.minInstances ?? standard.minimumInstances,
    ejectMs,
    maxEjectMs: input.maxEject === undefined ? Math.max(standard.maxEjectMs, ejectMs) : milliseconds(input.maxEject),
    maxEjectedPercent: percentOf(input.maxEjected),
  };
}

type RateLimitInput = Extract<NonNullable<RuleOutput['rateLimit']>, { readonly requests: number }>;

export function buildRateLimit({ requests, per, burst, by }: RateLimitInput): RateLimit {
  return {
    requests,
    perMs: milliseconds(per),
    burst: burst ?? requests,
    by: typeof by === 'string' ? { kind: by } : { kind: 'header', name: by.header.toLowerCase() },
  };
}
