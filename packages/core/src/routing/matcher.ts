// Which route a request takes: authority to virtual host, then the first route whose prefix fits; CONNECT has routes of its own.
// Everything is decided when the configuration is compiled; a match is one Map lookup and a walk over prefixes, and nothing a peer sends
// is kept.
import type { Route, RouteConfig, VirtualHost } from '../model/dataplane.ts';

/** A route configuration that cannot be applied; the message says where and why, and goes into the NACK. */
export class RouteConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RouteConfigError';
  }
}

export interface RouteMatcher {
  readonly name: string;
  /**
   * The route for a request that is no CONNECT, or undefined when no virtual host or none of its prefixes fits. Extended CONNECT (RFC 8441)
   * is such a request: it has a path.
   * @param authority host with or without port, as received (any case).
   * @param path from the first slash on, query included; `*` for `OPTIONS *` (RFC 9112 §3.2.4).
   */
  match(authority: string, path: string): Route | undefined;
  /**
   * The route for a CONNECT request (RFC 9110 §9.3.6), or undefined. Only a domain with the same port fits, or `*`: no port is the usual one.
   * @param authority `host:port` as received (any case).
   */
  matchConnect(authority: string): Route | undefined;
  /** The virtual host alone: an exact domain first, then `*`. */
  virtualHost(authority: string): VirtualHost | undefined;
}

/** The port of plain HTTP: `host` and `host:80` are the same authority (RFC 9110 §4.2.1). */
const DEFAULT_PORT = 80;
/** The port at the end of a domain. */
const PORT = /:\d+$/;

/**
 * Compiles a route configuration. The objects handed out by `match` are those of the configuration itself, frozen.
 * @throws RouteConfigError on a domain used twice, an empty or malformed domain, a prefix that is not a path, or a route that no request
 * could ever take.
 */
export function compileRoutes(config: RouteConfig): RouteMatcher {
  const byDomain = new Map<string, CompiledHost>();
  let wildcard: CompiledHost | undefined;
  for (const virtualHost of config.virtualHosts) {
    freezeHost(virtualHost);
    checkRoutes(config, virtualHost);
    const host = compileHost(virtualHost);
    for (const domain of virtualHost.domains) {
      if (domain === '*') {
        if (wildcard !== undefined) throw duplicateDomain(config, '*', wildcard, host);
        wildcard = host;
        continue;
      }
      const key = domain.toLowerCase();
      if (!DOMAIN.test(key)) {
        throw new RouteConfigError(
          `${at(config, virtualHost)}: "${domain}" is not an authority; write a host name or address, with or without a port, or "*"`,
        );
      }
      const other = byDomain.get(key);
      if (other !== undefined) throw duplicateDomain(config, domain, other, host);
      byDomain.set(key, host);
    }
  }
  // Before the twins are entered: CONNECT knows no default port.
  const byAuthority = new Map([...byDomain].filter(([domain]) => PORT.test(domain)));
  addDefaultPorts(config, byDomain);
  return new CompiledRoutes(config.name, byDomain, byAuthority, wildcard);
}

// Host names and IPv4 addresses, or an IPv6 address in brackets; then a port or none. Wildcards inside a name are not supported.
const DOMAIN = /^(?:\[[0-9a-f:.%]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/;

/** A virtual host with its routes by what they are for. */
interface CompiledHost {
  readonly config: VirtualHost;
  readonly requests: readonly Route[];
  readonly connect: Route | undefined;
}

class CompiledRoutes implements RouteMatcher {
  readonly name: string;
  private readonly byDomain: ReadonlyMap<string, CompiledHost>;
  /** Domains as they are listed, of those only that have a port. */
  private readonly byAuthority: ReadonlyMap<string, CompiledHost>;
  private readonly wildcard: CompiledHost | undefined;

  constructor(
    name: string,
    byDomain: ReadonlyMap<string, CompiledHost>,
    byAuthority: ReadonlyMap<string, CompiledHost>,
    wildcard: CompiledHost | undefined,
  ) {
    this.name = name;
    this.byDomain = byDomain;
    this.byAuthority = byAuthority;
    this.wildcard = wildcard;
  }

  virtualHost(authority: string): VirtualHost | undefined {
    return this.host(authority)?.config;
  }

  private host(authority: string): CompiledHost | undefined {
    if (this.byDomain.size === 0) return this.wildcard;
    // Almost every client sends lower case already; others pay for one more lookup.
    return this.byDomain.get(authority) ?? this.byDomain.get(authority.toLowerCase()) ?? this.wildcard;
  }

  match(authority: string, path: string): Route | undefined {
    const routes = this.host(authority)?.requests;
    if (routes === undefined) return undefined;
    for (let index = 0; index < routes.length; index++) {
      const route = routes[index] as Route;
      if (path.startsWith(route.prefix) || (path === '*' && route.prefix === '/')) return route;
    }
    return undefined;
  }

  matchConnect(authority: string): Route | undefined {
    const { byAuthority, wildcard } = this;
    if (byAuthority.size === 0) return wildcard?.connect;
    return (byAuthority.get(authority) ?? byAuthority.get(authority.toLowerCase()) ?? wildcard)?.connect;
  }
}

function compileHost(config: VirtualHost): CompiledHost {
  return {
    config,
    requests: config.routes.filter((route) => route.connect === undefined),
    connect: config.routes.find((route) => route.connect !== undefined),
  };
}

/** Enters `host:80` beside `host` and `host` beside `host:80`, so that a match need not take authorities apart. */
function addDefaultPorts(config: RouteConfig, byDomain: Map<string, CompiledHost>): void {
  for (const [domain, host] of [...byDomain]) {
    const hasPort = PORT.test(domain);
    const twin = hasPort ? domain.replace(PORT, '') : `${domain}:${DEFAULT_PORT}`;
    if (hasPort && !domain.endsWith(`:${DEFAULT_PORT}`)) continue;
    const other = byDomain.get(twin);
    if (other !== undefined && other !== host) throw duplicateDomain(config, domain, other, host);
    byDomain.set(twin, host);
  }
}

function checkRoutes(config: RouteConfig, host: VirtualHost): void {
  const taken = new Set<string>();
  for (const route of host.routes) {
    if (route.connect !== undefined) checkConnect(config, host, route);
    else if (!route.prefix.startsWith('/') || /[?#]/.test(route.prefix)) {
      throw new RouteConfigError(
        `${at(config, host)}: prefix "${route.prefix}" is not a path; it must begin with "/" and hold no "?" or "#"`,
      );
    }
    const what = route.connect === undefined ? `prefix "${route.prefix}"` : 'CONNECT';
    if (taken.has(what)) throw new RouteConfigError(`${at(config, host)}: a second route for ${what}; no request would ever take it`);
    taken.add(what);
  }
}

function checkConnect(config: RouteConfig, host: VirtualHost, { connect, prefix }: Route): void {
  if (connect !== 'forward' && connect !== 'terminate')
    throw new RouteConfigError(`${at(config, host)}: connect "${String(connect)}" is not known; forward and terminate are`);
  // RFC 9110 §9.3.6: the target of CONNECT is an authority.
  if (prefix !== '') throw new RouteConfigError(`${at(config, host)}: prefix "${prefix}" in a route for CONNECT, which has no path`);
}

function duplicateDomain(config: RouteConfig, domain: string, first: CompiledHost, second: CompiledHost): RouteConfigError {
  const place = first === second ? 'twice' : `and already in virtual host "${first.config.name}"`;
  return new RouteConfigError(
    `${at(config, second.config)}: domain "${domain}" is listed here ${place}; each domain may belong to one virtual host, once`,
  );
}

function at(config: RouteConfig, host: VirtualHost): string {
  return `route configuration "${config.name}", virtual host "${host.name}"`;
}

function freezeHost(host: VirtualHost): void {
  for (const route of host.routes) {
    Object.freeze(route.retry.on);
    Object.freeze(route.retry);
    Object.freeze(route);
  }
  Object.freeze(host.routes);
  Object.freeze(host.domains);
  Object.freeze(host);
}
