// A static configuration as the resources that a data plane takes. Names are stable from one version of the file to the next, so that
// what stays is not disturbed.
import { createHash } from 'node:crypto';
import {
  ALPN_HTTP2,
  ANY_REQUEST,
  DEFAULT_NAMESPACE,
  DEFAULT_RETRY_BUDGET,
  forwardTo,
  NO_BREAKER,
  SINGLE_BALANCE,
  SYSTEM_NAMESPACE,
} from '@heddle/core';
import type {
  Cluster,
  DownstreamTls,
  Endpoint,
  HttpVersion,
  Listener,
  Route,
  RouteConfig,
  SocketAddress,
  StaticCertificate,
  StaticConfig,
  StaticEndpoint,
  StaticListener,
  StaticListenerTls,
  StaticService,
  StaticServiceTls,
  TcpFilter,
  TrustBundle,
  UpstreamTls,
} from '@heddle/core';

/** No name of a service has a colon. */
const NOWHERE = 'static:nowhere';

export interface NamedListener extends StaticListener {
  readonly name: string;
}

/** By address and port; where the system chooses the port, by service, as the first, second, … of it. */
export function nameListeners(listeners: readonly StaticListener[]): NamedListener[] {
  const chosen = new Map<string, number>();
  return listeners.map((listener) => {
    const { address, port, service } = listener;
    if (port !== 0) return { ...listener, name: `static/${formatAddress({ address, port })}` };
    const key = `${address}/${service ?? 'sni'}`;
    const count = (chosen.get(key) ?? 0) + 1;
    chosen.set(key, count);
    return { ...listener, name: `static/${key}/${count}` };
  });
}

/** @param port the real one. */
export function listenerOf(
  listener: NamedListener,
  port: number,
  node: string,
  { services, telemetry = {} }: Pick<StaticConfig, 'services' | 'telemetry'>,
): Listener {
  const { name, address, tls, serverNames } = listener;
  const bytesTo = (service: string) => tcpFilter(service, services);
  return {
    name,
    direction: 'outbound',
    address,
    port,
    workload: `${SYSTEM_NAMESPACE}/proxy/${node}`,
    ...(tls && { tls: downstreamTls(tls) }),
    ...(serverNames && { serverNames: serverNames.map((route) => ({ names: [route.name], filter: bytesTo(route.service) })) }),
    filter: { ...filterOf(listener, bytesTo), ...(carriesRequests(listener) && telemetry) },
  };
}

function carriesRequests({ protocol, service }: StaticListener): boolean {
  return service !== undefined && protocol !== 'tcp' && protocol !== 'tls';
}

function filterOf({ protocol, service }: StaticListener, bytesTo: (service: string) => TcpFilter): Listener['filter'] {
  // Connections for no listed name lead nowhere.
  if (service === undefined) return { kind: 'tcp', cluster: NOWHERE };
  if (protocol === 'tcp' || protocol === 'tls') return bytesTo(service);
  const otherwise = protocol === 'auto' ? bytesTo(service) : undefined;
  return { kind: 'http', routeConfigName: resourceName(service), useRemoteAddress: true, ...(otherwise && { otherwise }) };
}

function tcpFilter(name: string, services: readonly StaticService[]): TcpFilter {
  const idleTimeoutMs = services.find((service) => service.name === name)?.idleTimeoutMs ?? 0;
  return { kind: 'tcp', cluster: resourceName(name), ...(idleTimeoutMs > 0 && { idleTimeoutMs }) };
}

export function routesOf({ services }: StaticConfig): RouteConfig[] {
  return services
    .filter(({ protocol }) => protocol !== 'tcp' && protocol !== 'tls')
    .map((service) => ({
      name: resourceName(service.name),
      virtualHosts: [{ name: service.name, domains: ['*'], routes: [routeOf(service)] }],
    }));
}

function routeOf({ name, timeoutMs, idleTimeoutMs, retry, hedge, hash }: StaticService): Route {
  const action = { ...forwardTo(resourceName(name)), hash, timeoutMs, idleTimeoutMs, retry, ...(hedge && { hedge }) };
  return { name, match: ANY_REQUEST, action };
}

export function clusterOf(service: StaticService, healthOf: (endpoint: SocketAddress) => Endpoint['health']): Cluster {
  const { name, protocol, endpoints, balance, connectTimeoutMs, breaker, retryBudget, health, tls } = service;
  const { adaptiveConcurrency, outlier, session } = service;
  const http = protocol === 'http2' || protocol === 'grpc' ? 'http2' : 'http1';
  return {
    name: resourceName(name),
    service: { namespace: DEFAULT_NAMESPACE, name },
    endpoints: { kind: 'static', endpoints: endpoints.map((endpoint) => asEndpoint(endpoint, healthOf(endpoint))) },
    balance,
    connectTimeoutMs,
    breaker,
    retryBudget,
    ...(adaptiveConcurrency && { adaptiveConcurrency }),
    ...(outlier && { outlier }),
    ...(session && { session }),
    http,
    ...(health && { health }),
    ...(tls && { tls: upstreamTls(tls, http) }),
  };
}

/** Where a listener needs it: the cluster without endpoints that `NOWHERE` names. */
export function nowhere({ listeners }: StaticConfig): Cluster[] {
  if (listeners.every(({ service }) => service !== undefined)) return [];
  const service = { namespace: SYSTEM_NAMESPACE, name: 'no-such-server-name' };
  const endpoints = { kind: 'static', endpoints: [] } as const;
  return [
    {
      name: NOWHERE,
      service,
      endpoints,
      balance: SINGLE_BALANCE,
      connectTimeoutMs: 1,
      breaker: NO_BREAKER,
      retryBudget: DEFAULT_RETRY_BUDGET,
      http: 'http1',
    },
  ];
}

/** Clients and servers of all ages come, and have names, not identities (RFC 9325 §3.1.1: at least 1.2). */
const EDGE_VERSION = '1.2';

function downstreamTls({ certificate, rootsPem }: StaticListenerTls): DownstreamTls {
  return {
    certificateName: certificateName(certificate),
    ...(rootsPem !== undefined && { trustBundleName: bundleName(rootsPem) }),
    minVersion: EDGE_VERSION,
  };
}

function upstreamTls({ rootsPem, serverName, certificate }: StaticServiceTls, http: HttpVersion): UpstreamTls {
  return {
    ...(certificate && { certificateName: certificateName(certificate) }),
    trustBundleName: bundleName(rootsPem),
    peerIds: [],
    serverName,
    // HTTP/2 must be agreed on (RFC 9113 §3.2). For the rest nothing is offered: servers that know no ALPN would be refused.
    alpn: http === 'http2' ? [ALPN_HTTP2] : [],
    minVersion: EDGE_VERSION,
  };
}

/** Everything that the file shows to peers, by the name it has in the data plane. */
export function certificatesOf({ listeners, services }: StaticConfig): Map<string, StaticCertificate> {
  const all = [...listeners.map(({ tls }) => tls?.certificate), ...services.map(({ tls }) => tls?.certificate)];
  return new Map(all.flatMap((certificate) => (certificate === undefined ? [] : [[certificateName(certificate), certificate] as const])));
}

export function bundlesOf({ listeners, services }: StaticConfig): TrustBundle[] {
  const all = [...listeners.map(({ tls }) => tls?.rootsPem), ...services.map(({ tls }) => tls?.rootsPem)];
  const roots = new Set(all.filter((pem) => pem !== undefined));
  return [...roots].map((rootsPem) => ({ name: bundleName(rootsPem), rootsPem }));
}

/** By what they are: a file that is read again with another content gives another name, so that old and new stand side by side. */
function certificateName({ certificatePem }: StaticCertificate): string {
  return `static/certificate/${digest(certificatePem)}`;
}

function bundleName(rootsPem: string): string {
  return `static/roots/${digest(rootsPem)}`;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 16);
}

/** One for each endpoint that is checked, as the health monitor checks one address per cluster. */
export function checkedClusters({ services }: StaticConfig): Cluster[] {
  return services
    .filter(({ health }) => health !== undefined)
    .flatMap((service) =>
      service.endpoints.map((endpoint) => ({
        ...clusterOf({ ...service, endpoints: [endpoint] }, () => 'healthy'),
        name: checkName(service.name, endpoint),
      })),
    );
}

/** Names the check of one endpoint. */
export function checkName(service: string, endpoint: SocketAddress): string {
  return `${service} ${formatAddress(endpoint)}`;
}

export function formatAddress({ address, port }: SocketAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function asEndpoint({ address, port, weight }: StaticEndpoint, health: Endpoint['health']): Endpoint {
  return { address, port, health, weight, instance: formatAddress({ address, port }) };
}

/** Of a service's cluster and routes. */
export function resourceName(service: string): string {
  return `static/${service}`;
}
