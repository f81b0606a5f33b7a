// From `routes` to the rules of a service.
import type { FaultPolicy } from '../../model/resilience.ts';
import type { HeaderChanges, PathRewrite, RedirectAction } from '../../model/route.ts';
import type { Service, ServiceRef } from '../../model/service.ts';
import { ANY_REQUEST } from '../../model/defaults.ts';
import type { Destination, RuleForward, RuleMirror, TrafficRule } from '../../model/traffic.ts';
import type { Path } from '../fault.ts';
import type { RuleOutput } from '../schema/mesh.ts';
import { buildMatch } from './match.ts';
import { buildHedge, buildRateLimit, buildRetry, defaultRetry } from './traffic.ts';
import { listAt, milliseconds, percentOf, textAt, textsAt, type TextOf } from './values.ts';

/** What rules refer to. */
export interface RuleScope {
  /** The service whose rules they are, without them. */
  readonly service: Pick<Service, 'namespace' | 'name' | 'protocol' | 'retry'>;
  /** Of a name in the file that is known to be a service's. */
  readonly refOf: (name: string) => ServiceRef;
  readonly textOf: TextOf;
}

/** @param path of the list of rules. */
export function buildRules(rules: readonly RuleOutput[], scope: RuleScope, path: Path): TrafficRule[] {
  return rules.map((rule, index) => buildRule(rule, index, scope, [...path, index]));
}

/** Of the rule at this place, when it has been given none. */
export function ruleName(name: unknown, index: number): string {
  return typeof name === 'string' ? name : `rule ${index + 1}`;
}

function buildRule(rule: RuleOutput, index: number, scope: RuleScope, path: Path): TrafficRule {
  const { match, fault, rateLimit, headers } = rule;
  const matches = listAt(match, [...path, 'match']).map(({ item, path: inside }) => buildMatch(item, scope.textOf, inside));
  return {
    name: ruleName(rule.name, index),
    matches: matches.length === 0 ? [ANY_REQUEST] : matches,
    action: buildAction(rule, scope, path),
    ...buildHeaders(headers, scope.textOf, [...path, 'headers']),
    ...(fault && { fault: buildFault(fault) }),
    ...(rateLimit !== undefined && { rateLimits: listAt(rateLimit, []).map(({ item }) => buildRateLimit(item)) }),
  };
}

function buildAction(rule: RuleOutput, scope: RuleScope, path: Path): TrafficRule['action'] {
  if (rule.redirect !== undefined) return buildRedirect(rule.redirect);
  if (rule.respond !== undefined) return { kind: 'respond', ...rule.respond };
  return buildForward(rule, scope, path);
}

function buildForward(rule: RuleOutput, scope: RuleScope, path: Path): RuleForward {
  const { to, splitBy, timeout, idleTimeout, retry, hedge, rewrite, mirror } = rule;
  const { service, textOf } = scope;
  const own = scope.refOf(service.name);
  const destinations = listAt(to, [...path, 'to']).map(
    ({ item, path: inside }): Destination => ({
      service: item.service === undefined ? own : scope.refOf(item.service),
      labels: textsAt(item.labels ?? {}, textOf, [...inside, 'labels']),
      weight: item.weight ?? 1,
      ...buildHeaders(item.headers, textOf, [...inside, 'headers']),
    }),
  );
  const mirrors = listAt(mirror, [...path, 'mirror']).map(
    ({ item, path: inside }): RuleMirror => ({
      service: item.service === undefined ? own : scope.refOf(item.service),
      labels: textsAt(item.labels ?? {}, textOf, [...inside, 'labels']),
      percent: percentOf(item.percent),
    }),
  );
  return {
    kind: 'forward',
    to: destinations.length === 0 ? [{ service: own, labels: {}, weight: 1 }] : destinations,
    ...(splitBy !== undefined && { splitByHash: true }),
    ...(timeout !== undefined && { timeoutMs: milliseconds(timeout) }),
    ...(idleTimeout !== undefined && { idleTimeoutMs: milliseconds(idleTimeout) }),
    ...(retry !== undefined && { retry: buildRetry(retry, service.retry.attempts === 0 ? defaultRetry(service.protocol) : service.retry) }),
    ...(hedge !== undefined && { hedge: hedge === 'off' ? false : buildHedge(hedge) }),
    ...(rewrite && { rewrite: buildRewrite(rewrite) }),
    ...(mirrors.length > 0 && { mirrors }),
  };
}

function buildRewrite({ path, host }: NonNullable<RuleOutput['rewrite']>): NonNullable<RuleForward['rewrite']> {
  return { ...(path !== undefined && { path: buildPathRewrite(path) }), ...(host !== undefined && { authority: host }) };
}

function buildPathRewrite(path: NonNullable<NonNullable<RuleOutput['rewrite']>['path']>): PathRewrite {
  if (typeof path === 'string') return { kind: 'full', value: path };
  if (path.prefix !== undefined) return { kind: 'prefix', value: path.prefix };
  return { kind: 'regex', pattern: path.regex as string, substitution: path.substitution as string };
}

function buildRedirect({ status, scheme, host, path, prefix, stripQuery }: NonNullable<RuleOutput['redirect']>): RedirectAction {
  const rewritten: PathRewrite | undefined =
    path !== undefined ? { kind: 'full', value: path } : prefix !== undefined ? { kind: 'prefix', value: prefix } : undefined;
  return {
    kind: 'redirect',
    status,
    ...(scheme !== undefined && { scheme }),
    ...(host !== undefined && { authority: host }),
    ...(rewritten && { path: rewritten }),
    ...(stripQuery && { stripQuery }),
  };
}

type HeadersInput = NonNullable<RuleOutput['headers']>;

function buildHeaders(
  headers: HeadersInput | undefined,
  textOf: TextOf,
  path: Path,
): Pick<TrafficRule, 'requestHeaders' | 'responseHeaders'> {
  const { request, response } = headers ?? {};
  return {
    ...(request && { requestHeaders: buildChanges(request, textOf, [...path, 'request']) }),
    ...(response && { responseHeaders: buildChanges(response, textOf, [...path, 'response']) }),
  };
}

function buildChanges(
  { set = {}, add = {}, remove = [] }: NonNullable<HeadersInput['request']>,
  textOf: TextOf,
  path: Path,
): HeaderChanges {
  const named = (values: typeof set, key: string) =>
    Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name.toLowerCase(), textAt(value, textOf, [...path, key, name])] as const),
    );
  return { set: named(set, 'set'), add: named(add, 'add'), remove: remove.map((name) => name.toLowerCase()) };
}

function buildFault({ delay, abort }: NonNullable<RuleOutput['fault']>): FaultPolicy {
  return {
    ...(delay && { delay: { percent: percentOf(delay.percent), delayMs: milliseconds(delay.for) } }),
    ...(abort && {
      abort: {
        percent: percentOf(abort.percent),
        status: abort.grpc === undefined ? { kind: 'http', code: abort.status as number } : { kind: 'grpc', code: abort.grpc },
      },
    }),
  };
}
