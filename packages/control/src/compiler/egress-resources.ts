// Hosts outside the mesh as data planes are told of them: a cluster each, and a virtual host among the routes of the shared HTTP proxy.
// Nothing of the mesh is shown to them: no certificate, no identity.
import {
  ALPN_HTTP1,
  ANY_REQUEST,
  DEFAULT_RETRY_BUDGET,
  EGRESS_NAMESPACE,
  NO_BREAKER,
  SINGLE_BALANCE,
  SYSTEM_ROOTS,
  forwardTo,
} from '@heddle/core';
import type { Cluster, EgressHost, Route, ServiceRef, VirtualHost } from '@heddle/core';
import { DEFAULT_ROUTE, TUNNEL_ROUTE } from './names.ts';
import type { CallerSide } from './service-security.ts';

/** How the host is named where services are. */
export function egressRef(egress: EgressHost): ServiceRef {
  return { namespace: EGRESS_NAMESPACE, name: authorityOf(egress) };
}

/** Name of the cluster and of the virtual host. */
export function egressName(egress: EgressHost): string {
  return `egress/${authorityOf(egress)}`;
}

export function compileEgressCluster(egress: EgressHost): Cluster {
  const host = egress.host.toLowerCase();
  return {
    name: egressName(egress),
    service: egressRef(egress),
    endpoints: { kind: 'dns', host, port: egress.port },
    balance: SINGLE_BALANCE,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    breaker: NO_BREAKER,
    retryBudget: DEFAULT_RETRY_BUDGET,
    http: 'http1',
    // Servers outside are of all ages (RFC 9325 §3.1.1: at least TLS 1.2).
    ...(egress.protocol === 'https' && {
      tls: { trustBundleName: SYSTEM_ROOTS, peerIds: [], serverName: host, alpn: [ALPN_HTTP1], minVersion: '1.2' },
    }),
  };
}

/** Domains that are in `taken` already are left out, and hosts of which none is left. */
export function compileEgressHosts(
  egress: readonly EgressHost[],
  taken: ReadonlySet<string>,
  callersOf: (called: ServiceRef) => CallerSide = () => ({}),
): VirtualHost[] {
  const all = new Set(taken);
  for (const domain of taken) all.add(twinOf(domain));
  const hosts: VirtualHost[] = [];
  for (const one of [...egress].sort(byRank)) {
    const domains = domainsOf(one).filter((domain) => !all.has(domain));
    if (domains.length === 0) continue;
    for (const domain of domains) all.add(domain).add(twinOf(domain));
    hosts.push({ name: egressName(one), domains, routes: [routeOf(one)], ...callersOf(egressRef(one)) });
  }
  return hosts.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What lies far away takes its time. */
const CONNECT_TIMEOUT_MS = 5_000;

function routeOf(egress: EgressHost): Route {
  const cluster = egressName(egress);
  if (egress.protocol === 'tcp')
    return { name: TUNNEL_ROUTE, match: { kind: 'connect' }, action: { kind: 'tunnel', how: 'terminate', cluster } };
  return { name: DEFAULT_ROUTE, match: ANY_REQUEST, action: forwardTo(cluster) };
}

/** CONNECT always names a port. Requests leave away that of HTTP; with https, which the data plane speaks, also that of HTTPS. */
function domainsOf(egress: EgressHost): string[] {
  const authority = authorityOf(egress);
  const usual = egress.protocol === 'http' ? 80 : egress.protocol === 'https' ? 443 : undefined;
  return egress.port === usual ? [hostOf(egress), authority] : [authority];
}

/** Data planes take `host` and `host:80` for the same (RFC 9110 §4.2.1). */
function twinOf(domain: string): string {
  if (domain.endsWith(':80')) return domain.slice(0, -3);
  return /:\d+$/.test(domain) ? domain : `${domain}:80`;
}

/** A host without a port is called by HTTP where both are declared. */
function byRank(a: EgressHost, b: EgressHost): number {
  return Number(a.port !== 80) - Number(b.port !== 80);
}

/** As it is named in requests: host and port. */
export function authorityOf(egress: EgressHost): string {
  return `${hostOf(egress)}:${egress.port}`;
}

function hostOf({ host }: EgressHost): string {
  const name = host.toLowerCase();
  return name.includes(':') ? `[${name}]` : name;
}
