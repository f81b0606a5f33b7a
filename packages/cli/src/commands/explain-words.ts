// Parts of an explanation in words.
import type { FaultPolicy, FieldMatch, HashSource, HeaderChanges, RetryPolicy, RouteMatch, TextMatch } from '@heddle/core';
import type { ForwardFacts, LimitFacts, Target } from '@heddle/dataplane/explain';

/** The shortest exact way: `2 s`, `1500 ms`. */
export function duration(ms: number): string {
  return ms >= 1_000 && ms % 1_000 === 0 ? `${ms / 1_000} s` : `${ms} ms`;
}

export function matchText(match: RouteMatch): string {
  if (match.kind === 'connect') return 'CONNECT';
  const { path, methods, headers = [], query = [], authority } = match;
  const parts = [
    methods?.join(' or ') ?? '',
    path.kind === 'prefix' && path.value === '/' ? '' : `path ${path.kind === 'exact' ? '' : `${path.kind} `}${path.value}`,
    ...headers.map((field) => `header ${fieldText(field)}`),
    ...query.map((field) => `query ${fieldText(field)}`),
    authority === undefined ? '' : `authority ${valueText(authority)}`,
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'every request' : parts.join(', ');
}

function fieldText({ name, match, invert }: FieldMatch): string {
  const text = match === undefined ? name : `${name} ${valueText(match)}`;
  return invert === true ? `not ${text}` : text;
}

function valueText(match: TextMatch): string {
  return `${match.kind === 'exact' ? '=' : match.kind} ${match.value}`;
}

export function timeText(
  { routeMs, callerMs, callerHeader, idleMs, error }: ForwardFacts['time'],
  { perTryMs }: RetryPolicy,
  clusters: readonly Target[],
): string[] {
  const connects = new Set(clusters.flatMap(({ cluster }) => (cluster === null ? [] : [duration(cluster.connectTimeoutMs)])));
  const route = routeMs === 0 ? 'no limit of the route' : `${duration(routeMs)} for the whole request`;
  const caller = callerMs === null ? '' : `; the caller gives ${duration(callerMs)} (${callerHeader})`;
  const parts = [
    ...(perTryMs === 0 ? [] : [`each try ${duration(perTryMs)}`]),
    ...[...connects].map((one) => `to connect ${one}`),
    ...(idleMs === 0 ? [] : [`without a byte ${duration(idleMs)}`]),
  ];
  return [`${route}${caller}${error === null ? '' : `; then ${error}`}`, ...(parts.length === 0 ? [] : [parts.join(', ')])];
}

export function retryText({ attempts, on, statuses, backoff }: RetryPolicy, note: string, clusters: readonly Target[]): string[] {
  if (attempts === 0) return [`none: ${note}`];
  const listed = on.map((condition) => (condition === 'retriable-status' ? `status ${statuses.join(', ')}` : condition)).join(', ');
  const budgets = new Set(clusters.flatMap(({ cluster }) => (cluster === null ? [] : [budgetText(cluster)])));
  return [
    `up to ${attempts} more, on ${listed}`,
    `at another instance at once, else after ${duration(backoff.baseMs)} to ${duration(backoff.maxMs)}`,
    note,
    ...budgets,
  ];
}

function budgetText({ retryBudget, retriesLeft }: NonNullable<Target['cluster']>): string {
  const { percent, minPerSecond } = retryBudget;
  return `budget: ${percent} % of the requests, and ${minPerSecond} a second${retriesLeft === null ? '' : `; ${retriesLeft} left now`}`;
}

export function hashText({ sources, source, text }: NonNullable<ForwardFacts['hash']>): string {
  return source === null ? `of ${sources.map(sourceText).join(', else ')}; the request has none` : `of ${sourceText(source)}: ${text}`;
}

function sourceText(source: HashSource): string {
  return source.kind === 'source' ? "the client's address" : `${source.kind} ${source.name}`;
}

export function faultText({ delay, abort }: FaultPolicy): string[] {
  return [
    ...(delay === undefined ? [] : [`${delay.percent} % of the requests are held back for ${duration(delay.delayMs)}`]),
    ...(abort === undefined
      ? []
      : [`${abort.percent} % are answered with ${abort.status.kind === 'http' ? 'status' : 'gRPC status'} ${abort.status.code}`]),
  ];
}

export function limitText({ text, key, applies, why }: LimitFacts): string {
  if (!applies) return `${text}; not this request: ${why}`;
  return key === null || key === '' ? text : `${text}; this one counts as ${key}`;
}

export function changesText(of: string, changes: HeaderChanges | null): string[] {
  if (changes === null) return [];
  const { set, add, remove } = changes;
  const fields = (what: string, values: Readonly<Record<string, string>>): string[] =>
    Object.entries(values).map(([name, value]) => `${of}: ${what} ${name}: ${value}`);
  return [...fields('set', set), ...fields('add', add), ...remove.map((name) => `${of}: remove ${name}`)];
}
