// Which route a request takes and why it takes none of those before it, in words. Decides nothing itself: it asks the parts that the
// matcher is made of, one by one.
import type { RouteConfig, VirtualHost } from '../model/dataplane.ts';
import type { FieldMatch, RequestMatch, Route, TextMatch } from '../model/route.ts';
import { compileAuthority, compileRoutes } from './matcher.ts';
import { compilePath } from './path-test.ts';
import type { RequestView } from './request.ts';
import { FieldTest } from './text-test.ts';

export interface RouteExplanation {
  /** Undefined: the authority belongs to none. */
  readonly virtualHost: VirtualHost | undefined;
  /** By which the virtual host was found; empty without one. */
  readonly domain: string;
  readonly route: Route | undefined;
  /** Routes of the virtual host before it, or all of them, in order. */
  readonly passedOver: readonly PassedOver[];
  /** What decided, or why there is no route, as a sentence without its end. */
  readonly reason: string;
}

export interface PassedOver {
  readonly route: string;
  /** As the end of `because …`. */
  readonly why: string;
}

/**
 * Agrees with `compileRoutes(config)` for every request. With the method CONNECT, the route for CONNECT is looked for, and only the
 * authority counts.
 * @throws RouteConfigError
 */
export function explainRoute(config: RouteConfig, request: RequestView): RouteExplanation {
  const matcher = compileRoutes(config);
  const isConnect = request.method === 'CONNECT';
  const route = isConnect ? matcher.matchConnect(request.authority) : matcher.match(request);
  const host = isConnect ? matcher.connectHost(request.authority) : matcher.virtualHost(request.authority);
  if (host === undefined)
    return { virtualHost: undefined, domain: '', route, passedOver: [], reason: noHost(request.authority, isConnect) };
  const domain = fittingDomain(host, request.authority);
  const passedOver: PassedOver[] = [];
  for (const candidate of host.routes) {
    if (candidate === route) break;
    passedOver.push({ route: candidate.name, why: whyNot(candidate, request) });
  }
  const found = `"${request.authority}" belongs to virtual host "${host.name}" by its domain "${domain}"`;
  const reason =
    route === undefined
      ? `${found}, but none of its ${host.routes.length} routes fits`
      : `${found}; route "${route.name}" is the first that fits`;
  return { virtualHost: host, domain, route, passedOver, reason };
}

function noHost(authority: string, isConnect: boolean): string {
  return isConnect
    ? `no virtual host has the domain "${authority}", with this port, and none has "*"`
    : `no virtual host has the domain "${authority}", and none has "*"`;
}

function fittingDomain(host: VirtualHost, authority: string): string {
  const canonical = (text: string): string => text.toLowerCase().replace(/:80$/, '');
  const asked = canonical(authority);
  const exact = host.domains.find((domain) => canonical(domain) === asked);
  const below = host.domains
    .filter((domain) => domain.startsWith('*.') && asked.endsWith(canonical(domain).slice(1)))
    .sort((a, b) => b.length - a.length);
  return exact ?? below[0] ?? '*';
}

/** Why a route does not take the request; empty if it does. */
function whyNot({ match }: Route, request: RequestView): string {
  const isConnect = request.method === 'CONNECT';
  if (match.kind === 'connect') return isConnect ? '' : 'it is for CONNECT, and the request has another method';
  return isConnect ? 'it is not for CONNECT' : whyNotMatch(match, request);
}

/** Why a match does not take a request that is no CONNECT, as the end of `because …`; empty if it does. */
export function whyNotMatch(match: RequestMatch, request: RequestView): string {
  const { path, methods, authority, headers, query } = match;
  const { literal, rest, isAll } = compilePath(path);
  const begins = request.path.startsWith(literal) || (isAll && request.path === '*');
  if (!begins || (rest !== undefined && !rest.fits(request.path)))
    return `the path "${request.path}" ${PATH_WORDS[path.kind]} "${path.value}"`;
  if (methods !== undefined && !methods.includes(request.method)) return `the method is ${request.method}, not ${methods.join(' or ')}`;
  if (authority !== undefined && !compileAuthority(authority).fits(request.authority.toLowerCase()))
    return `the authority "${request.authority}" ${textWords(authority)}`;
  for (const header of headers ?? []) {
    const test = new FieldTest('header', header);
    if (!test.fits(request)) return fieldWords('header', header, test.value(request));
  }
  for (const parameter of query ?? []) {
    const test = new FieldTest('query', parameter);
    if (!test.fits(request)) return fieldWords('query parameter', parameter, test.value(request));
  }
  return '';
}

const PATH_WORDS = {
  prefix: 'does not begin with',
  exact: 'is not',
  segments: 'is neither below nor equal to',
  template: 'does not fit the template',
  regex: 'does not match the regular expression',
} as const;

const TEXT_WORDS = {
  exact: ['is not', 'is'],
  prefix: ['does not begin with', 'begins with'],
  suffix: ['does not end with', 'ends with'],
  contains: ['does not contain', 'contains'],
  regex: ['does not match the regular expression', 'matches the regular expression'],
} as const;

function textWords(match: TextMatch, fits = false): string {
  const anyCase = match.kind !== 'regex' && match.ignoreCase === true ? ', in any case' : '';
  return `${TEXT_WORDS[match.kind][fits ? 1 : 0]} "${match.value}"${anyCase}`;
}

function fieldWords(what: string, { name, match, invert }: FieldMatch, value: string | undefined): string {
  if (value === undefined) return `the ${what} "${name}" is missing`;
  if (match === undefined) return `the ${what} "${name}" is there, and must not be`;
  return `the ${what} "${name}", which is "${value}", ${textWords(match, invert === true)}${invert === true ? ', and must not' : ''}`;
}
