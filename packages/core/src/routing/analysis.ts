// What can be said about a service's traffic rules before a request comes: rules that nothing reaches, splits that do not add up, times
// that leave no room. Only what is certain is called an error; what is most likely not meant, a warning.
import { forwardTo } from '../model/defaults.ts';
import type { HedgePolicy, RetryPolicy } from '../model/resilience.ts';
import type { RequestMatch, Route, RouteAction } from '../model/route.ts';
import { serviceHostnames } from '../model/service.ts';
import type { Service, ServiceRef } from '../model/service.ts';
import { subsetName } from '../model/traffic.ts';
import type { Destination, RuleForward, TrafficRule } from '../model/traffic.ts';
import { checkRoute } from './check.ts';
import { covers } from './covers.ts';
import { RouteFault } from './error.ts';
import { checkCompiles } from './matcher.ts';
import { compilePath } from './path-test.ts';

/** `invalid`: a data plane would refuse it. */
export type RouteFindingKind = 'invalid' | 'unreachable' | 'split' | 'mirror' | 'retry' | 'hedge' | 'delay' | 'loop';

export interface RouteFinding {
  readonly kind: RouteFindingKind;
  readonly severity: 'error' | 'warning';
  /** Where in the service, by the names of the model: `['rules', 1, 'matches', 0]`, `['retry']`. */
  readonly path: readonly (string | number)[];
  readonly reason: string;
  readonly mend: string;
}

/** What of a service is looked at. */
export type AnalysedService = Pick<Service, 'namespace' | 'name' | 'port' | 'timeoutMs' | 'retry' | 'hedge' | 'hash' | 'rules'>;

type Place = RouteFinding['path'];

/** Everything that is wrong or odd, in the order of the rules. Labels and names of services are not looked up here. */
export function analyseService(service: AnalysedService): RouteFinding[] {
  const findings: RouteFinding[] = [];
  checkTimes(service, service.timeoutMs, { retry: ['retry'], hedge: ['hedge'] }, findings);
  const names = new Set<string>();
  const usable = new Set(
    service.rules.flatMap(({ matches }) => matches).filter((match) => faultOf(() => checkCompiles(match)) === undefined),
  );
  service.rules.forEach((rule, index) => {
    const place = ['rules', index];
    if (names.has(rule.name))
      findings.push(
        error('invalid', [...place, 'name'], `an earlier rule is called "${rule.name}" too`, 'give each rule a name of its own'),
      );
    names.add(rule.name);
    const sound = findFaults(service, rule, place, findings);
    if (rule.matches.length === 0)
      findings.push(
        error(
          'invalid',
          [...place, 'matches'],
          'the rule has no match, so that no request could take it',
          'give a match, or remove the rule',
        ),
      );
    if (rule.action.kind === 'forward') checkForward(service, rule, rule.action, place, findings);
    if (!sound) return;
    findUnreachable(service.rules, index, usable, findings);
    findLoops(service, rule, index, usable, findings);
  });
  return findings;
}

function error(kind: RouteFindingKind, path: Place, reason: string, mend: string): RouteFinding {
  return { kind, severity: 'error', path, reason, mend };
}

function warning(kind: RouteFindingKind, path: Place, reason: string, mend: string): RouteFinding {
  return { kind, severity: 'warning', path, reason, mend };
}

// --- what a data plane would refuse

function findFaults(service: AnalysedService, rule: TrafficRule, place: Place, findings: RouteFinding[]): boolean {
  const before = findings.length;
  const seen = new Set<string>();
  rule.matches.forEach((match, index) => {
    const fault = faultOf(() => checkCompiles(match));
    if (fault !== undefined) {
      findings.push(faultFinding([...place, 'matches', index], fault));
      return;
    }
    // Rewrites depend on the match, the rest is the same for all: said once.
    const whole = faultOf(() => checkRoute(routeOf(service, rule, match)));
    if (whole === undefined || seen.has(whole.message)) return;
    seen.add(whole.message);
    findings.push(faultFinding(place, whole));
  });
  return findings.length === before;
}

function faultOf(check: () => void): RouteFault | undefined {
  try {
    check();
    return undefined;
  } catch (fault) {
    if (fault instanceof RouteFault) return fault;
    throw fault;
  }
}

function faultFinding(path: Place, { reason, mend }: RouteFault): RouteFinding {
  return error('invalid', path, reason, mend);
}

/** As the compiler of routes makes it, but for names of clusters, which do not matter here. */
function routeOf(service: AnalysedService, rule: TrafficRule, match: RequestMatch): Route {
  const { action, matches: _, ...rest } = rule;
  return {
    ...rest,
    name: rule.name === '' ? 'rule' : rule.name,
    match,
    action: action.kind === 'forward' ? forwardOf(service, action) : action,
  };
}

function forwardOf(service: AnalysedService, action: RuleForward): RouteAction {
  const { to, hedge: _, mirrors, splitByHash, ...rest } = action;
  const cluster = ({ service: ref, labels }: Pick<Destination, 'service' | 'labels'>): string =>
    `${ref.namespace}/${ref.name}${subsetName(labels)}`;
  return {
    ...forwardTo(''),
    ...rest,
    clusters: to.map(({ service: ref, labels, ...share }) => ({ ...share, cluster: cluster({ service: ref, labels }) })),
    hash: service.hash,
    mirrors: (mirrors ?? []).map((mirror) => ({ cluster: cluster(mirror), percent: mirror.percent })),
    ...(splitByHash === true ? { splitByHash } : {}),
  };
}

// --- what is never reached

function findUnreachable(rules: readonly TrafficRule[], index: number, usable: ReadonlySet<RequestMatch>, findings: RouteFinding[]): void {
  const rule = rules[index] as TrafficRule;
  const unreachable: [match: number, by: string][] = [];
  rule.matches.forEach((match, at) => {
    const same = rule.matches.slice(0, at).some((earlier) => covers(earlier, match));
    const by = same
      ? 'another match of the same rule'
      : rules.slice(0, index).find((earlier) => earlier.matches.some((one) => usable.has(one) && covers(one, match)));
    if (by !== undefined) unreachable.push([at, typeof by === 'string' ? by : `rule "${by.name}"`]);
  });
  const mend = 'put the narrower one first, or remove it';
  if (unreachable.length > 1 && unreachable.length === rule.matches.length) {
    const by = [...new Set(unreachable.map(([, one]) => one))].join(' and ');
    findings.push(
      error('unreachable', ['rules', index], `the rule can never be reached: ${by} before it takes every request that it would take`, mend),
    );
    return;
  }
  for (const [at, by] of unreachable)
    findings.push(
      error(
        'unreachable',
        ['rules', index, 'matches', at],
        `the match can never be reached: ${by} before it takes every request that it would take`,
        mend,
      ),
    );
}

// --- what does not add up

function checkForward(service: AnalysedService, rule: TrafficRule, action: RuleForward, place: Place, findings: RouteFinding[]): void {
  const at = [...place, 'action'];
  checkSplit(action.to, [...at, 'to'], findings);
  checkMirrors(action, at, findings);
  const timeoutMs = action.timeoutMs ?? service.timeoutMs;
  // What holds for the service as a whole is said there, once.
  const isOwnTime = action.timeoutMs !== undefined;
  const hedge = action.hedge === false ? undefined : (action.hedge ?? service.hedge);
  const times = {
    retry: isOwnTime || action.retry !== undefined ? (action.retry ?? service.retry) : undefined,
    hedge: isOwnTime || action.hedge !== undefined ? hedge : undefined,
  };
  const inherited = [...at, 'timeoutMs'];
  const places = {
    retry: action.retry === undefined ? inherited : [...at, 'retry'],
    hedge: action.hedge === undefined ? inherited : [...at, 'hedge'],
  };
  checkTimes(times, timeoutMs, places, findings);
  const delay = rule.fault?.delay;
  if (delay !== undefined && delay.percent > 0 && timeoutMs > 0 && delay.delayMs >= timeoutMs) {
    findings.push(
      warning(
        'delay',
        [...place, 'fault', 'delay'],
        `the delay of ${delay.delayMs} ms is not shorter than the timeout of ${timeoutMs} ms`,
        'delay for less, or test timeouts by an abort with status 504',
      ),
    );
  }
}

function checkSplit(to: readonly Destination[], place: Place, findings: RouteFinding[]): void {
  if (to.length < 2) return;
  const weights = to.map(({ weight }) => weight).filter((weight) => weight > 0);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  // Like percentages, but no shares as 1 to 2, and not all the same.
  const looksLikePercent = weights.length > 1 && sum > 50 && sum < 150 && Math.max(...weights) >= 10 && new Set(weights).size > 1;
  if (looksLikePercent && sum !== 100) {
    const shares = weights.map((weight) => `${Math.round((1_000 * weight) / sum) / 10} %`).join(', ');
    findings.push(
      warning(
        'split',
        place,
        `the weights add up to ${sum}; so the shares are ${shares}`,
        'let them add up to 100 if percentages are meant',
      ),
    );
  }
  to.forEach((one, index) => {
    if (one.requestHeaders !== undefined || one.responseHeaders !== undefined) return;
    const twin = to
      .slice(0, index)
      .findIndex((other) => isSameTarget(one, other) && other.requestHeaders === undefined && other.responseHeaders === undefined);
    if (twin !== -1)
      findings.push(warning('split', [...place, index], 'the same instances stand in the split before', 'add the weights up'));
  });
}

function checkMirrors({ to, mirrors }: RuleForward, place: Place, findings: RouteFinding[]): void {
  (mirrors ?? []).forEach((mirror, index) => {
    const same = to.find((one) => (one.weight > 0 || to.length === 1) && isSameTarget(one, mirror));
    if (same === undefined) return;
    const what = 'the mirror goes to the instances that get the request itself, so that they get it twice';
    findings.push(warning('mirror', [...place, 'mirrors', index], what, 'mirror to another service, or to other labels'));
  });
}

function isSameTarget(one: Pick<Destination, 'service' | 'labels'>, other: Pick<Destination, 'service' | 'labels'>): boolean {
  return isSameService(one.service, other.service) && subsetName(one.labels) === subsetName(other.labels);
}

function isSameService(one: ServiceRef, other: ServiceRef): boolean {
  return one.namespace === other.namespace && one.name === other.name;
}

// --- times that leave no room

function checkTimes(
  { retry, hedge }: { readonly retry: RetryPolicy | undefined; readonly hedge?: HedgePolicy | undefined },
  timeoutMs: number,
  places: { readonly retry: Place; readonly hedge: Place },
  findings: RouteFinding[],
): void {
  if (timeoutMs === 0) return;
  if (retry !== undefined && retry.perTryMs > 0) {
    const { attempts, perTryMs } = retry;
    if (perTryMs >= timeoutMs) {
      const reason = `one try may take ${perTryMs} ms and the whole request only ${timeoutMs} ms, so that the limit of a try never counts`;
      findings.push(warning('retry', places.retry, reason, 'make the time of a try shorter, or the timeout longer'));
    } else if (attempts > 0 && attempts * perTryMs >= timeoutMs) {
      const fit = Math.ceil(timeoutMs / perTryMs) - 1;
      const reason = `${attempts} retries do not fit: after ${fit + 1} tries of ${perTryMs} ms the timeout of ${timeoutMs} ms is over`;
      findings.push(
        warning('retry', places.retry, reason, `allow at most ${fit} retries, or make the time of a try shorter or the timeout longer`),
      );
    }
  }
  if (hedge === undefined) return;
  const { afterMs, attempts } = hedge;
  if (afterMs >= timeoutMs)
    findings.push(
      error(
        'hedge',
        places.hedge,
        `a second try after ${afterMs} ms is never sent: the request ends after ${timeoutMs} ms`,
        'send it earlier, or make the timeout longer',
      ),
    );
  else if (attempts * afterMs >= timeoutMs)
    findings.push(
      warning(
        'hedge',
        places.hedge,
        `try ${attempts} beyond the first is never sent: after ${attempts * afterMs} ms, and the request ends after ${timeoutMs} ms`,
        'send fewer, or earlier',
      ),
    );
}

// --- redirects that lead back

function findLoops(
  service: AnalysedService,
  { action, matches }: TrafficRule,
  index: number,
  usable: ReadonlySet<RequestMatch>,
  findings: RouteFinding[],
): void {
  if (action.kind !== 'redirect' || action.scheme === 'https') return;
  if (action.authority !== undefined && !isOwnName(service, action.authority)) return;
  matches.forEach((match, at) => {
    if (match.authority !== undefined) return;
    const target = leadsTo(action.path, match);
    if (target === undefined || (match.query !== undefined && action.stripQuery === true)) return;
    // An earlier rule may take what comes back.
    const isTaken = service.rules
      .slice(0, index)
      .some((earlier) => earlier.matches.some((one) => usable.has(one) && takesPath(one, target)));
    if (!isTaken && takesPath(match, target))
      findings.push(
        error(
          'loop',
          ['rules', index, 'matches', at],
          `the redirect leads to ${target}, which the same rule redirects again`,
          'redirect to a path or host that the match does not take',
        ),
      );
  });
}

function isOwnName(service: AnalysedService, authority: string): boolean {
  const host = authority.toLowerCase().replace(new RegExp(`:(?:80|${service.port})$`), '');
  return serviceHostnames(service).includes(host);
}

/** A path that the redirect leads to from one that the match takes; undefined: not certain. */
function leadsTo(rewrite: Extract<RouteAction, { kind: 'redirect' }>['path'], { path }: RequestMatch): string | undefined {
  if (rewrite === undefined) return path.kind === 'prefix' || path.kind === 'exact' || path.kind === 'segments' ? path.value : undefined;
  if (rewrite.kind === 'regex' || rewrite.value.includes('{')) return undefined;
  return rewrite.value;
}

function takesPath({ path }: RequestMatch, target: string): boolean {
  const { literal, rest } = compilePath(path);
  return target.startsWith(literal) && rest?.fits(target) !== false;
}
