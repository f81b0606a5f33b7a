// What the settings of a service's callers mean to one another: time limits, retries, hedges, breakers, rate limits.
import { parseDuration } from '../duration.ts';
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { parsePercent } from '../percent.ts';
import { carriesBytes } from '../build/traffic.ts';
import { checkBalance, checkHeaderName, checkOutlier } from './balance.ts';
import { checkMatch } from './match.ts';
import { checkTwice, isLonger, items, keyFault, noEffect, present, recordOf, valueFault, warning, type Raw } from './raw.ts';

const OF_REQUESTS = ['timeout', 'retry', 'hedge', 'concurrency', 'sticky', 'rateLimit'];
/** Never executed: repeating them is safe for every method. */
const SAFE: readonly unknown[] = ['connect-failure', 'refused'];
const DEFAULT_TIMEOUT = '15s';

/**
 * @param path of the service.
 * @param rules of the service; undefined where services have none.
 */
export function checkTraffic(service: Raw, path: Path, rules: readonly Raw[] | undefined): Fault[] {
  const { protocol } = service;
  const hasHedge = service['hedge'] !== undefined || rules?.some(({ hedge, retry }) => isRecord(hedge) || isRecord(retry)) === true;
  const common = [...checkBalance(service, path, rules), ...checkOutlier(service, path)];
  if (carriesBytes(protocol)) return [...checkBytes(service, path), ...common];
  return [
    ...common,
    ...checkRetry(service['retry'], { protocol, timeout: timeoutOf(service), hasHedge }, [...path, 'retry']),
    ...checkHedge(service, path),
    ...checkConcurrency(service, path),
    ...items(service['rateLimit'], [...path, 'rateLimit']).flatMap((item) => checkRateLimit(item.value, protocol, item.path)),
  ];
}

/** What only requests can have. */
function checkBytes(service: Raw, path: Path): Fault[] {
  const why = `a service with protocol ${shown(service['protocol'])} is carried as a byte stream, in which there are no requests`;
  const mend = 'remove it, or use protocol http, http2 or grpc if the service speaks one of these';
  const breaker = recordOf(service['breaker']);
  return [
    ...present(service, OF_REQUESTS).map((key) => noEffect([...path, key], why, mend)),
    ...present(breaker, ['pending', 'requests']).map((key) => noEffect([...path, 'breaker', key], why, mend)),
  ];
}

/** As it is written, or would be. */
export function timeoutOf(service: Raw): unknown {
  return service['timeout'] ?? (service['protocol'] === 'grpc' ? 0 : DEFAULT_TIMEOUT);
}

/** What a retry policy is made for. */
export interface RetryScope {
  readonly protocol: unknown;
  /** Of the whole request, as it is written. */
  readonly timeout: unknown;
  /** Something else follows what the policy says about budget and methods: hedges, and rules. */
  readonly hasHedge: boolean;
  /** What holds where the policy says nothing: of the service, for a rule. */
  readonly base?: Raw;
}

/** @param path of the policy. */
export function checkRetry(retry: unknown, scope: RetryScope, path: Path): Fault[] {
  if (!isRecord(retry)) return [];
  const { base = {}, protocol } = scope;
  const merged: Raw = { ...base, ...retry };
  const repeated = [...checkTwice(retry['on'], [...path, 'on']), ...checkTwice(retry['statuses'], [...path, 'statuses'])];
  if (merged['attempts'] === 0) {
    const others = present(retry, ['perTry', 'on', 'statuses', 'backoff', ...(scope.hasHedge ? [] : ['nonIdempotent', 'budget'])]);
    return [
      ...repeated,
      ...others.map((key) => noEffect([...path, key], 'with "attempts: 0" nothing is tried again', 'write "retry: off"')),
      ...(scope.hasHedge ? checkBudget(retry['budget'], [...path, 'budget']) : []),
    ];
  }
  const conditions = Array.isArray(merged['on']) ? merged['on'] : ['connect-failure', 'refused', ...(protocol === 'grpc' ? [] : ['reset'])];
  return [
    ...repeated,
    ...checkConditions(retry['on'], merged, protocol, [...path, 'on']),
    ...checkPerTry(retry['perTry'], scope.timeout, [...path, 'perTry']),
    ...(scope.hasHedge ? [] : checkNonIdempotent(retry, merged, conditions, path)),
    ...checkGrpcConditions(retry, merged, protocol, path),
    ...checkBackoff(retry['backoff'], recordOf(base['backoff']), [...path, 'backoff']),
    ...checkBudget(retry['budget'], [...path, 'budget']),
  ];
}

/** Conditions that can never come about. */
function checkConditions(on: unknown, merged: Raw, protocol: unknown, path: Path): Fault[] {
  return items(on, path).flatMap(({ value, path: at }): Fault[] => {
    if (value === 'retriable-status' && merged['statuses'] === undefined)
      return [
        valueFault(at, '"retriable-status" means the statuses of "statuses", and there are none', 'add "statuses: [429]", or remove it'),
      ];
    if (value === 'timeout' && merged['perTry'] === undefined)
      return [valueFault(at, '"timeout" is about the time of one try, which has no limit here', 'add "perTry: 500ms", or remove it')];
    if (typeof value === 'string' && value.startsWith('grpc-') && protocol !== 'grpc' && protocol !== 'http2') {
      const reason = `${shown(value)} is about gRPC calls, and the service has protocol ${shown(protocol ?? 'http')}`;
      return [valueFault(at, reason, 'write "protocol: grpc", or remove it')];
    }
    return [];
  });
}

function checkPerTry(perTry: unknown, timeout: unknown, path: Path): Fault[] {
  if (parseDuration(timeout) === 0 || !isLonger(perTry, timeout)) return [];
  const reason = `${String(perTry)} is longer than ${String(timeout)}, the time for all tries together`;
  return [valueFault(path, reason, 'shorten it, or lengthen "timeout"')];
}

function checkNonIdempotent(retry: Raw, merged: Raw, conditions: readonly unknown[], path: Path): Fault[] {
  if (retry['nonIdempotent'] !== true || merged['statuses'] !== undefined || merged['perTry'] !== undefined) return [];
  if (conditions.some((condition) => !SAFE.includes(condition))) return [];
  const why = `with "on: [${conditions.join(', ')}]" the service never saw the request, so that all methods are tried again`;
  return [noEffect([...path, 'nonIdempotent'], why, 'remove it, or add a condition such as "5xx"')];
}

/** They are POST requests, which may be executed twice only where somebody says so. */
function checkGrpcConditions(retry: Raw, merged: Raw, protocol: unknown, path: Path): Fault[] {
  if (protocol !== 'grpc' || merged['nonIdempotent'] === true) return [];
  const mend = 'add "nonIdempotent: true" if they may be executed twice, or remove it';
  const faults = items(retry['on'], [...path, 'on'])
    .filter(({ value }) => typeof value === 'string' && !SAFE.includes(value) && value !== 'reset')
    .map(({ value, path: at }) =>
      valueFault(at, `a gRPC call may have been executed, so that it is not tried again for ${shown(value)}`, mend),
    );
  for (const key of present(retry, ['perTry', 'statuses']))
    faults.push(keyFault([...path, key], 'a gRPC call may have been executed, so that it is not tried again for this', mend));
  return faults.map(warning);
}

function checkBackoff(backoff: unknown, base: Raw, path: Path): Fault[] {
  if (!isRecord(backoff)) return [];
  const merged: Raw = { ...base, ...backoff };
  if (!isLonger(merged['base'] ?? '25ms', merged['max'])) return [];
  const reason = `${String(merged['max'])} is shorter than "base", ${String(merged['base'] ?? '25ms')}`;
  return [valueFault([...path, backoff['max'] === undefined ? 'base' : 'max'], reason, 'make "max" longer, or "base" shorter')];
}

function checkBudget(budget: unknown, path: Path): Fault[] {
  const isNone = isRecord(budget) ? parsePercent(budget['percent']) === 0 && budget['minPerSecond'] === 0 : parsePercent(budget) === 0;
  return isNone ? [valueFault(path, 'nothing may be tried again', 'write "retry: off", or a larger budget such as 20%')] : [];
}

function checkHedge(service: Raw, path: Path): Fault[] {
  const hedge = service['hedge'];
  const scope = { protocol: service['protocol'], timeout: timeoutOf(service), retry: recordOf(service['retry']) };
  return isRecord(hedge) ? checkHedgeOf(hedge, scope, [...path, 'hedge']) : [];
}

/** @param path of the hedge. */
export function checkHedgeOf(
  hedge: Raw,
  { protocol, timeout, retry }: { readonly protocol: unknown; readonly timeout: unknown; readonly retry: Raw },
  path: Path,
): Fault[] {
  if (protocol === 'grpc' && retry['nonIdempotent'] !== true) {
    const why = 'a second try is for requests that may be executed twice, and gRPC calls may not, unless it is said';
    return [noEffect(path, why, 'add "retry: { nonIdempotent: true }" if they may, or remove it')];
  }
  const [afterMs, timeoutMs] = [parseDuration(hedge['after']), parseDuration(timeout)];
  if (afterMs === undefined || timeoutMs === undefined || timeoutMs === 0 || afterMs < timeoutMs) return [];
  return [
    valueFault([...path, 'after'], `the request is over by then: its time is ${String(timeout)}`, 'shorten it, or lengthen "timeout"'),
  ];
}

function checkConcurrency(service: Raw, path: Path): Fault[] {
  const concurrency = recordOf(service['concurrency']);
  const [min, max] = [concurrency['min'] ?? 4, concurrency['max'] ?? 1_000];
  if (typeof min !== 'number' || typeof max !== 'number' || min <= max) return [];
  const key = concurrency['max'] === undefined ? 'min' : 'max';
  return [valueFault([...path, 'concurrency', key], `the smallest limit, ${min}, is above the largest, ${max}`, 'exchange the two')];
}

export function checkRateLimit(limit: unknown, protocol: unknown, path: Path): Fault[] {
  if (!isRecord(limit)) return [];
  const by = limit['by'];
  const header = isRecord(by) ? by['header'] : undefined;
  return [
    ...(typeof header === 'string' ? checkHeaderName(header, [...path, 'by', 'header']) : []),
    ...checkMatch(limit['match'], protocol, [...path, 'match']),
  ];
}
