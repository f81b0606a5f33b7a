// From the authority of a request to the virtual host: an exact domain, else the longest `*.` domain it lies below, else `*`.
import type { RouteConfig, VirtualHost } from '../model/dataplane.ts';
import { RouteConfigError } from './error.ts';

/** The port of plain HTTP: `host` and `host:80` are the same authority (RFC 9110 §4.2.1). */
const DEFAULT_PORT = 80;
/** The port at the end of a domain. */
const PORT = /:\d+$/;
/** Host names and IPv4 addresses, or an IPv6 address in brackets; then a port or none. `*.` in front of a name: all below it. */
const DOMAIN = /^(?:\[[0-9a-f:.%]+\]|(?:\*\.)?[a-z0-9._-]+)(?::\d{1,5})?$/;
/** A name has 253 characters at most (RFC 1035 §3.1, without the root), then the port. Longer ones lie below no domain. */
const AUTHORITY_LENGTH_MAX = 259;

/** Hosts of any kind that belong to virtual hosts. */
export interface DomainOwner {
  readonly config: VirtualHost;
}

export class Domains<H extends DomainOwner> {
  private readonly exact: ReadonlyMap<string, H>;
  /** Without the `*`: `.example.com:443`. */
  private readonly below: ReadonlyMap<string, H>;
  private readonly any: H | undefined;

  constructor(exact: ReadonlyMap<string, H>, below: ReadonlyMap<string, H>, any: H | undefined) {
    this.exact = exact;
    this.below = below;
    this.any = any;
  }

  find(authority: string): H | undefined {
    // Almost every client sends lower case already; others pay for one more lookup.
    if (this.exact.size > 0) {
      const found = this.exact.get(authority) ?? this.exact.get(authority.toLowerCase());
      if (found !== undefined) return found;
    }
    return this.below.size === 0 ? this.any : (this.findBelow(authority) ?? this.any);
  }

  private findBelow(authority: string): H | undefined {
    if (authority.length > AUTHORITY_LENGTH_MAX) return undefined;
    const lower = authority.toLowerCase();
    // The first dot belongs to the longest domain. A name that begins with a dot is none.
    for (let dot = lower.indexOf('.', 1); dot !== -1; dot = lower.indexOf('.', dot + 1)) {
      const found = this.below.get(lower.slice(dot));
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** `requests`: `host` and `host:80` are the same. `connect`: of those with a port only, or `*`: CONNECT knows no default port. */
export interface DomainTables<H extends DomainOwner> {
  readonly requests: Domains<H>;
  readonly connect: Domains<H>;
}

/** @throws RouteConfigError for domains that are none, or are listed twice. */
export function compileDomains<H extends DomainOwner>(config: RouteConfig, hosts: readonly H[]): DomainTables<H> {
  const byDomain = new Map<string, H>();
  for (const host of hosts) {
    for (const domain of host.config.domains) {
      const key = domain.toLowerCase();
      if (domain !== '*' && !DOMAIN.test(key)) {
        throw new RouteConfigError(
          `${at(config, host)}: "${domain}" is not an authority; write a host, with or without a port, "*." in front for all below it, or "*"`,
        );
      }
      const other = byDomain.get(key);
      if (other !== undefined) throw duplicateDomain(config, domain, other, host);
      byDomain.set(key, host);
    }
  }
  // Before the twins are entered.
  const connect = tablesOf([...byDomain].filter(([domain]) => domain === '*' || PORT.test(domain)));
  addDefaultPorts(config, byDomain);
  return { requests: tablesOf([...byDomain]), connect };
}

function tablesOf<H extends DomainOwner>(entries: readonly (readonly [domain: string, host: H])[]): Domains<H> {
  const exact = new Map<string, H>();
  const below = new Map<string, H>();
  let any: H | undefined;
  for (const [domain, host] of entries) {
    if (domain === '*') any = host;
    else if (domain.startsWith('*')) below.set(domain.slice(1), host);
    else exact.set(domain, host);
  }
  return new Domains(exact, below, any);
}

/** Enters `host:80` beside `host` and `host` beside `host:80`, so that a match need not take authorities apart. */
function addDefaultPorts<H extends DomainOwner>(config: RouteConfig, byDomain: Map<string, H>): void {
  for (const [domain, host] of [...byDomain]) {
    if (domain === '*') continue;
    const hasPort = PORT.test(domain);
    const twin = hasPort ? domain.replace(PORT, '') : `${domain}:${DEFAULT_PORT}`;
    if (hasPort && !domain.endsWith(`:${DEFAULT_PORT}`)) continue;
    const other = byDomain.get(twin);
    if (other !== undefined && other !== host) throw duplicateDomain(config, domain, other, host);
    byDomain.set(twin, host);
  }
}

function duplicateDomain(config: RouteConfig, domain: string, first: DomainOwner, second: DomainOwner): RouteConfigError {
  const place = first === second ? 'twice' : `and already in virtual host "${first.config.name}"`;
  return new RouteConfigError(
    `${at(config, second)}: domain "${domain}" is listed here ${place}; each domain may belong to one virtual host, once`,
  );
}

function at(config: RouteConfig, { config: host }: DomainOwner): string {
  return `route configuration "${config.name}", virtual host "${host.name}"`;
}
