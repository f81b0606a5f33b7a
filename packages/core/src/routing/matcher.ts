// Which route a request takes: authority to virtual host, then the first route that fits; CONNECT has routes of its own.
// Everything is decided when the configuration is compiled; a match is a Map lookup and a walk over the routes, and nothing a peer sends
// is kept.
import type { RouteConfig, VirtualHost } from '../model/dataplane.ts';
import type { FieldMatch, RequestMatch, Route, RouteMatch, TextMatch } from '../model/route.ts';
import { checkMatch, checkRoute } from './check.ts';
import { compileDomains } from './domains.ts';
import type { Domains, DomainTables } from './domains.ts';
import { RouteConfigError, RouteFault } from './error.ts';
import { compilePath } from './path-test.ts';
import type { PathTest } from './path-test.ts';
import type { RequestView } from './request.ts';
import { compileText, FieldTest } from './text-test.ts';
import type { TextTest } from './text-test.ts';

export interface RouteMatcher {
  readonly name: string;
  /**
   * The route for a request that is no CONNECT, or undefined when no virtual host or none of its routes fits. Extended CONNECT (RFC 8441)
   * is such a request: it has a path.
   */
  match(request: RequestView): Route | undefined;
  /**
   * The route for a CONNECT request (RFC 9110 §9.3.6), or undefined. Only a domain with the same port fits, or `*`: no port is the usual
   * one.
   * @param authority `host:port` as received (any case).
   */
  matchConnect(authority: string): Route | undefined;
  /** The virtual host of requests that are no CONNECT: an exact domain first, then the longest `*.` one, then `*`. */
  virtualHost(authority: string): VirtualHost | undefined;
  /** That of CONNECT requests. */
  connectHost(authority: string): VirtualHost | undefined;
}

/**
 * Compiles a route configuration. The objects handed out by `match` are those of the configuration itself, frozen.
 * @throws RouteConfigError with place, reason and mend: domains that are none or used twice, routes that no request could ever take, paths,
 * templates and regular expressions that are none, and actions that cannot be carried out.
 */
export function compileRoutes(config: RouteConfig): RouteMatcher {
  const hosts = config.virtualHosts.map((host) => compileHost(config, host));
  const matcher = new CompiledRoutes(config.name, compileDomains(config, hosts));
  freezeAll(config.virtualHosts);
  return matcher;
}

/** A virtual host with its routes by what they are for. */
interface CompiledHost {
  readonly config: VirtualHost;
  readonly requests: readonly CompiledRoute[];
  readonly connect: Route | undefined;
}

function compileHost(config: RouteConfig, host: VirtualHost): CompiledHost {
  const requests: CompiledRoute[] = [];
  let connect: Route | undefined;
  const names = new Set<string>();
  const taken = new Map<string, Route>();
  for (const route of host.routes) {
    try {
      checkRoute(route);
      for (const { match } of route.rateLimits ?? []) if (match !== undefined) checkCompiles(match);
      if (names.has(route.name)) throw new RouteFault('the name is that of an earlier route too', 'give each its own');
      const other = taken.get(matchKey(route.match));
      if (other !== undefined)
        throw new RouteFault(
          `it matches the same as route "${other.name}" before it, so that no request would ever take it`,
          'remove one of them',
        );
      names.add(route.name);
      taken.set(matchKey(route.match), route);
      if (route.match.kind === 'request') requests.push(new CompiledRoute(route, route.match));
      else connect = route;
    } catch (error) {
      if (!(error instanceof RouteFault)) throw error;
      throw new RouteConfigError(
        `route configuration "${config.name}", virtual host "${host.name}", route "${route.name}": ${error.message}`,
      );
    }
  }
  return { config: host, requests, connect };
}

/** The same for matches that say the same in the same order. */
function matchKey(match: RouteMatch): string {
  if (match.kind === 'connect') return 'connect';
  const { path, methods, headers, query, authority } = match;
  const field = ({ name, match: text, invert }: FieldMatch): unknown => [name, textKey(text), invert === true];
  return JSON.stringify([path.kind, path.value, methods, headers?.map(field) ?? [], query?.map(field) ?? [], textKey(authority)]);
}

function textKey(match: TextMatch | undefined): unknown {
  return match === undefined ? null : [match.kind, match.value, match.kind !== 'regex' && match.ignoreCase === true];
}

/** @throws RouteFault when no route could have this match. */
export function checkCompiles(match: RequestMatch): void {
  checkMatch(match);
  const { rest } = compilePath(match.path);
  void new Conditions(match, rest);
}

/** A match by itself: of a route, or of what only some requests of a route are subject to. */
export class CompiledMatch {
  /** Every path that fits begins with it. */
  readonly literal: string;
  readonly takesAllPaths: boolean;
  /** The last character of `literal` and its place: by it most routes that do not fit are told from the others. */
  private readonly endIndex: number;
  private readonly endCode: number;
  /** Beyond that beginning; undefined: nothing more is asked. */
  readonly conditions: Conditions | undefined;

  /** @throws RouteFault */
  constructor(match: RequestMatch) {
    const { literal, rest, isAll } = compilePath(match.path);
    this.literal = literal;
    this.takesAllPaths = isAll;
    this.endIndex = literal.length - 1;
    this.endCode = literal.charCodeAt(this.endIndex);
    this.conditions = hasConditions(match) || rest !== undefined ? new Conditions(match, rest) : undefined;
  }

  /** Whether the path begins as it must. */
  mayTake(path: string): boolean {
    const { endIndex } = this;
    if (endIndex === -1) return true;
    if (path.charCodeAt(endIndex) === this.endCode) return endIndex === 0 || path.startsWith(this.literal);
    return this.takesAllPaths && path === '*';
  }

  fits(request: RequestView): boolean {
    return this.mayTake(request.path) && (this.conditions === undefined || this.conditions.fit(request));
  }
}

class CompiledRoute extends CompiledMatch {
  readonly route: Route;

  /** @throws RouteFault */
  constructor(route: Route, match: RequestMatch) {
    super(match);
    this.route = route;
  }
}

function hasConditions({ methods, headers, query, authority }: RequestMatch): boolean {
  return methods !== undefined || authority !== undefined || (headers ?? []).length > 0 || (query ?? []).length > 0;
}

/** What a route asks beyond the beginning of the path; cheap tests first. */
class Conditions {
  private readonly path: PathTest | undefined;
  private readonly methods: readonly string[] | undefined;
  private readonly authority: TextTest | undefined;
  private readonly fields: readonly FieldTest[];

  constructor(match: RequestMatch, path: PathTest | undefined) {
    this.path = path;
    this.methods = match.methods;
    this.authority = match.authority === undefined ? undefined : compileAuthority(match.authority);
    const headers = (match.headers ?? []).map((header) => new FieldTest('header', header));
    this.fields = [...headers, ...(match.query ?? []).map((parameter) => new FieldTest('query', parameter))];
  }

  fit(request: RequestView): boolean {
    const { path, methods, authority, fields } = this;
    if (methods !== undefined && !methods.includes(request.method)) return false;
    if (path !== undefined && !path.fits(request.path)) return false;
    if (authority !== undefined && !authority.fits(request.authority.toLowerCase())) return false;
    for (let index = 0; index < fields.length; index++) if (!(fields[index] as FieldTest).fits(request)) return false;
    return true;
  }
}

/** Authorities are compared in lower case (RFC 9110 §4.2.3); a regular expression sees them so too. */
export function compileAuthority(match: NonNullable<RequestMatch['authority']>): TextTest {
  return compileText(match.kind === 'regex' ? match : { kind: match.kind, value: match.value.toLowerCase() });
}

class CompiledRoutes implements RouteMatcher {
  readonly name: string;
  private readonly hosts: Domains<CompiledHost>;
  private readonly tunnels: Domains<CompiledHost>;

  constructor(name: string, { requests, connect }: DomainTables<CompiledHost>) {
    this.name = name;
    this.hosts = requests;
    this.tunnels = connect;
  }

  virtualHost(authority: string): VirtualHost | undefined {
    return this.hosts.find(authority)?.config;
  }

  connectHost(authority: string): VirtualHost | undefined {
    return this.tunnels.find(authority)?.config;
  }

  match(request: RequestView): Route | undefined {
    const routes = this.hosts.find(request.authority)?.requests;
    if (routes === undefined) return undefined;
    const { path } = request;
    for (let index = 0; index < routes.length; index++) {
      const route = routes[index] as CompiledRoute;
      if (!route.mayTake(path)) continue;
      if (route.conditions === undefined || route.conditions.fit(request)) return route.route;
    }
    return undefined;
  }

  matchConnect(authority: string): Route | undefined {
    return this.tunnels.find(authority)?.connect;
  }
}

/** Plain data all the way down. */
function freezeAll(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const part of Object.values(value)) freezeAll(part);
  Object.freeze(value);
}
