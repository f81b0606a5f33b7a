// What every caller of a service is told: its cluster, its endpoints, its routes and names. The same for all data planes. Between two
// data planes it is always HTTP/2: requests as they are, other bytes in CONNECT streams.
import {
  ALPN_HTTP2,
  MESH_DOMAIN,
  TRUST_BUNDLE,
  WORKLOAD_CERTIFICATE,
  formatLocality,
  formatSpiffeId,
  isServerName,
  serviceHostnames,
} from '@heddle/core';
import type {
  Cluster,
  Endpoint,
  EndpointSet,
  Instance,
  InstanceHealth,
  Route,
  RouteConfig,
  ServerNameRoute,
  Service,
  TcpFilter,
  VirtualHost,
} from '@heddle/core';
import type { ServiceView } from '../registry/view.ts';
import { MESH_ROUTE, outboundName } from './names.ts';

/** Only a healthy instance gets traffic; the others are listed so that everybody can see them. */
const ENDPOINT_HEALTH: Readonly<Record<InstanceHealth, Endpoint['health']>> = {
  starting: 'unhealthy',
  healthy: 'healthy',
  unhealthy: 'unhealthy',
  draining: 'draining',
};

export function compileCluster(service: Service, trustDomain: string): Cluster {
  return {
    name: outboundName(service),
    service: { namespace: service.namespace, name: service.name },
    endpoints: { kind: 'eds' },
    balance: service.balance,
    connectTimeoutMs: service.connectTimeoutMs,
    http: 'http2',
    tls: {
      certificateName: WORKLOAD_CERTIFICATE,
      trustBundleName: TRUST_BUNDLE,
      peerIds: [formatSpiffeId({ trustDomain, namespace: service.namespace, name: service.name })],
      alpn: [ALPN_HTTP2],
    },
  };
}

/** A service without instances has an empty set: callers get 503, not 404. */
export function compileEndpoints(view: ServiceView): EndpointSet {
  return {
    cluster: outboundName(view.service),
    endpoints: byLocality(view.instances).map(({ id, inbound, health, weight, locality }) => ({
      address: inbound.address,
      port: inbound.port,
      health: ENDPOINT_HEALTH[health],
      weight,
      instance: id,
      ...(locality === undefined ? {} : { locality }),
    })),
  };
}

/** Those of one locality together, otherwise in the order they have; those of none first. */
function byLocality(instances: readonly Instance[]): readonly Instance[] {
  if (instances.every(({ locality }) => locality === undefined)) return instances;
  const groups = new Map<string, Instance[]>();
  for (const instance of instances) {
    const key = instance.locality === undefined ? '' : formatLocality(instance.locality);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [instance]);
    else group.push(instance);
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, group]) => group);
}

/** The routes of a local port that leads to this service alone. Undefined for services that carry bytes only. */
export function compileServiceRoute(service: Service): RouteConfig | undefined {
  if (!carriesHttp(service)) return undefined;
  const name = outboundName(service);
  return { name, virtualHosts: [{ name, domains: ['*'], routes: [requestRoute(service)] }] };
}

/** The routes of the shared HTTP proxy: requests by their authority, `CONNECT host:port` to the services that carry bytes. */
export function compileMeshRoute(services: Iterable<Service>): RouteConfig {
  const virtualHosts: VirtualHost[] = [];
  for (const [service, hosts] of hostnamesOf(services)) {
    const routes = [...(carriesBytes(service) ? [tunnelRoute(service)] : []), ...(carriesHttp(service) ? [requestRoute(service)] : [])];
    // Requests may leave the port away; CONNECT always names one (RFC 9110 §9.3.6).
    // Programs that look names up before they ask a proxy name the address; `heddle capture` learns it from here.
    const names = service.virtualAddress === undefined ? hosts : [...hosts, service.virtualAddress];
    const domains = names.flatMap((host) => (carriesHttp(service) ? [host, `${host}:${service.port}`] : [`${host}:${service.port}`]));
    virtualHosts.push({ name: outboundName(service), domains, routes });
  }
  return { name: MESH_ROUTE, virtualHosts };
}

/** TLS connections to the shared proxy that pass through by the name in their ClientHello. */
export function compileServerNames(services: Iterable<Service>): ServerNameRoute[] {
  return (
    [...hostnamesOf(services)]
      .filter(([service]) => service.protocol === 'tls')
      // The registry takes names that no ClientHello can hold.
      .map(([service, names]) => ({ names: names.filter(isServerName), filter: tunnelFilter(service) }))
      .filter(({ names }) => names.length > 0)
  );
}

/** Bytes to a service, as the data plane of the called instance asks for them. */
export function tunnelFilter(service: Service): TcpFilter {
  const { namespace, name, port } = service;
  return { kind: 'tcp', cluster: outboundName(service), tunnel: `${name}.${namespace}.${MESH_DOMAIN}:${port}`.toLowerCase() };
}

/** Whether there are requests to route. */
export function carriesHttp({ protocol }: Service): boolean {
  return protocol !== 'tcp' && protocol !== 'tls';
}

/** Whether connections are carried as they are. */
export function carriesBytes({ protocol }: Service): boolean {
  return protocol === 'tcp' || protocol === 'tls' || protocol === 'auto';
}

/**
 * The names by which each service is called, in lower case; services without any are left out. A name that several services answer to
 * belongs to the one that is named most fully by it, then to the first in order: two virtual hosts with one domain would be rejected by
 * every data plane.
 */
export function hostnamesOf(services: Iterable<Service>): Map<Service, string[]> {
  const inOrder = [...services].sort((a, b) => (outboundName(a) < outboundName(b) ? -1 : 1));
  const owners = new Map<string, Service>();
  const hostnames = inOrder.map((service) => serviceHostnames(service).map((host) => host.toLowerCase()));
  const levels = Math.max(0, ...hostnames.map((names) => names.length));
  for (let level = 0; level < levels; level += 1) {
    inOrder.forEach((service, index) => {
      const host = hostnames[index]?.[level];
      if (host !== undefined && !owners.has(host)) owners.set(host, service);
    });
  }
  const owned = new Map<Service, string[]>();
  inOrder.forEach((service, index) => {
    const names = (hostnames[index] ?? []).filter((host) => owners.get(host) === service);
    if (names.length > 0) owned.set(service, names);
  });
  return owned;
}

function requestRoute(service: Service): Route {
  return { prefix: '/', cluster: outboundName(service), timeoutMs: service.timeoutMs, retry: service.retry };
}

function tunnelRoute(service: Service): Route {
  return { prefix: '', connect: 'forward', cluster: outboundName(service), timeoutMs: 0, retry: { attempts: 0, on: [] } };
}
