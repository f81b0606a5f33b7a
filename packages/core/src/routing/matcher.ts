// Which route a request takes: authority to virtual host, then the first route whose prefix fits. Everything is decided
// when the configuration is compiled; a match is one Map lookup and a walk over prefixes, and nothing a peer sends is kept.
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
   * The route for a request, or undefined when no virtual host or none of its prefixes fits.
   * @param authority host with or without port, as received (any case).
   * @param path from the first slash on, query included; `*` for `OPTIONS *` (RFC 9112 §3.2.4).
   */
  match(authority: string, path: string): Route | undefined;
  /** The virtual host alone: an exact domain first, then `*`. */
  virtualHost(authority: string): VirtualHost | undefined;
}

/** The port of plain HTTP: `host` and `host:80` are the same authority (RFC 9110 §4.2.1). */
const DEFAULT_PORT = 80;

/**
 * Compiles a route configuration. The objects handed out by `match` are those of the configuration itself, frozen.
 * @throws RouteConfigError on a domain used twice, an empty or malformed domain, or a prefix that is not a path.
 */
export function compileRoutes(config: RouteConfig): RouteMatcher {
  const byDomain = new Map<string, VirtualHost>();
  let wildcard: VirtualHost | undefined;
  for (const host of config.virtualHosts) {
    freezeHost(host);
    checkPrefixes(config, host);
    for (const domain of host.domains) {
      if (domain === '*') {
        if (wildcard !== undefined) throw duplicateDomain(config, '*', wildcard, host);
        wildcard = host;
        continue;
      }
      const key = domain.toLowerCase();
      if (!DOMAIN.test(key)) {
        throw new RouteConfigError(
          `${at(config, host)}: "${domain}" is not an authority; write a host name or address, with or without a port, or "*"`,
        );
      }
      const other = byDomain.get(key);
      if (other !== undefined) throw duplicateDomain(config, domain, other, host);
      byDomain.set(key, host);
    }
  }
  addDefaultPorts(config, byDomain);
  return new CompiledRoutes(config.name, byDomain, wildcard);
}

// Host names and IPv4 addresses, or an IPv6 address in brackets; then a port or none. Wildcards inside a name are not supported.
const DOMAIN = /^(?:\[[0-9a-f:.%]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/;

class CompiledRoutes implements RouteMatcher {
  readonly name: string;
  private readonly byDomain: ReadonlyMap<string, VirtualHost>;
  private readonly wildcard: VirtualHost | undefined;

  constructor(name: string, byDomain: ReadonlyMap<string, VirtualHost>, wildcard: VirtualHost | undefined) {
    this.name = name;
    this.byDomain = byDomain;
    this.wildcard = wildcard;
  }

  virtualHost(authority: string): VirtualHost | undefined {
    if (this.byDomain.size === 0) return this.wildcard;
    // Almost every client sends lower case already; others pay for one more lookup.
    return this.byDomain.get(authority) ?? this.byDomain.get(authority.toLowerCase()) ?? this.wildcard;
  }

  match(authority: string, path: string): Route | undefined {
    const routes = this.virtualHost(authority)?.routes;
    if (routes === undefined) return undefined;
    for (let index = 0; index < routes.length; index++) {
      const route = routes[index] as Route;
      if (path.startsWith(route.prefix) || (path === '*' && route.prefix === '/')) return route;
    }
    return undefined;
  }
}

/** Enters `host:80` beside `host` and `host` beside `host:80`, so that a match need not take authorities apart. */
function addDefaultPorts(config: RouteConfig, byDomain: Map<string, VirtualHost>): void {
  for (const [domain, host] of [...byDomain]) {
    const hasPort = /:\d+$/.test(domain) && !domain.endsWith(']');
    const twin = hasPort ? domain.replace(/:\d+$/, '') : `${domain}:${DEFAULT_PORT}`;
    if (hasPort && !domain.endsWith(`:${DEFAULT_PORT}`)) continue;
    const other = byDomain.get(twin);
    if (other !== undefined && other !== host) throw duplicateDomain(config, domain, other, host);
    byDomain.set(twin, host);
  }
}

function checkPrefixes(config: RouteConfig, host: VirtualHost): void {
  for (const route of host.routes) {
    if (!route.prefix.startsWith('/') || /[?#]/.test(route.prefix)) {
      throw new RouteConfigError(
        `${at(config, host)}: prefix "${route.prefix}" is not a path; it must begin with "/" and hold no "?" or "#"`,
      );
    }
  }
}

function duplicateDomain(config: RouteConfig, domain: string, first: VirtualHost, second: VirtualHost): RouteConfigError {
  const place = first === second ? 'twice' : `and already in virtual host "${first.name}"`;
  return new RouteConfigError(
    `${at(config, second)}: domain "${domain}" is listed here ${place}; each domain may belong to one virtual host, once`,
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
