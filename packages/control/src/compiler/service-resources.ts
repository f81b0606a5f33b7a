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
  EgressHost,
  Endpoint,
  EndpointSet,
  Instance,
  InstanceHealth,
  Route,
  RouteConfig,
  ServerNameRoute,
  Service,
  ServiceRef,
  TcpFilter,
  VirtualHost,
} from '@heddle/core';
import type { ServiceView } from '../registry/view.ts';
import { compileEgressHosts } from './egress-resources.ts';
import { hasLabels } from './labels.ts';
import type { Labels } from './labels.ts';
import { DEFAULT_SERVICE_SECURITY } from './service-security.ts';
import type { CallerSide, ServiceSecurity } from './service-security.ts';
import { MESH_ROUTE, TUNNEL_ROUTE, outboundName } from './names.ts';
import { carriesBytes, carriesHttp } from './protocols.ts';

/** Only a healthy instance gets traffic; the others are listed so that everybody can see them. */
const ENDPOINT_HEALTH: Readonly<Record<InstanceHealth, Endpoint['health']>> = {
  starting: 'unhealthy',
  healthy: 'healthy',
  unhealthy: 'unhealthy',
  draining: 'draining',
};

/** `labels`: of the instances that have all of these alone. */
export function compileCluster(
  service: Service,
  trustDomain: string,
  labels: Labels = {},
  { mtls, minVersion }: ServiceSecurity = DEFAULT_SERVICE_SECURITY,
): Cluster {
  const { balance, connectTimeoutMs, breaker, retryBudget, adaptiveConcurrency, outlier, session } = service;
  return {
    name: outboundName(service, labels),
    service: { namespace: service.namespace, name: service.name },
    endpoints: { kind: 'eds' },
    balance,
    connectTimeoutMs,
    breaker,
    retryBudget,
    ...(adaptiveConcurrency === undefined ? {} : { adaptiveConcurrency }),
    ...(outlier === undefined ? {} : { outlier }),
    ...(session === undefined ? {} : { session }),
    http: 'http2',
    ...(mtls === 'off'
      ? { plainPeers: true }
      : {
          tls: {
            certificateName: WORKLOAD_CERTIFICATE,
            trustBundleName: TRUST_BUNDLE,
            peerIds: [formatSpiffeId({ trustDomain, namespace: service.namespace, name: service.name })],
            alpn: [ALPN_HTTP2],
            ...(minVersion !== undefined && { minVersion }),
          },
        }),
  };
}

/** A service without instances has an empty set: callers get 503, not 404. */
export function compileEndpoints({ service, instances }: ServiceView, labels: Labels = {}): EndpointSet {
  const all = Object.keys(labels).length === 0;
  const wanted = all ? instances : instances.filter((instance) => hasLabels(instance, labels));
  return { cluster: outboundName(service, labels), endpoints: byLocality(wanted).map(endpointOf) };
}

/** The registry keeps an instance while nothing of it changes, and so does this: sets that are alike are then compared in no time. */
const endpoints = new WeakMap<Instance, Endpoint>();

function endpointOf(instance: Instance): Endpoint {
  const known = endpoints.get(instance);
  if (known !== undefined) return known;
  const { id, inbound, health, weight, locality } = instance;
  const endpoint = {
    address: inbound.address,
    port: inbound.port,
    health: ENDPOINT_HEALTH[health],
    weight,
    instance: id,
    ...(locality === undefined ? {} : { locality }),
  };
  endpoints.set(instance, endpoint);
  return endpoint;
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
export function compileServiceRoute(service: Service, routes: readonly Route[], callers: CallerSide = {}): RouteConfig | undefined {
  if (!carriesHttp(service)) return undefined;
  const name = outboundName(service);
  return { name, virtualHosts: [{ name, domains: ['*'], routes, ...callers }] };
}

/**
 * The routes of the shared HTTP proxy: requests by their authority, `CONNECT host:port` to the services that carry bytes, and hosts outside the
 * mesh. `routesOf`: as `compileRequestRoutes` gives them. `callersOf`: what callers of the service or host are told.
 */
export function compileMeshRoute(
  services: Iterable<Service>,
  routesOf: (service: Service) => readonly Route[],
  egress: readonly EgressHost[] = [],
  callersOf: (called: ServiceRef) => CallerSide = () => ({}),
): RouteConfig {
  const virtualHosts: VirtualHost[] = [];
  for (const [service, hosts] of hostnamesOf(services)) {
    const routes = [...(carriesBytes(service) ? [tunnelRoute(service)] : []), ...(carriesHttp(service) ? routesOf(service) : [])];
    // Requests may leave the port away; CONNECT always names one (RFC 9110 §9.3.6).
    // Programs that look names up before they ask a proxy name the address; `heddle capture` learns it from here.
    const names = service.virtualAddress === undefined ? hosts : [...hosts, service.virtualAddress];
    const domains = names.flatMap((host) => (carriesHttp(service) ? [host, `${host}:${service.port}`] : [`${host}:${service.port}`]));
    virtualHosts.push({ name: outboundName(service), domains, routes, ...callersOf(service) });
  }
  const taken = new Set(virtualHosts.flatMap(({ domains }) => domains));
  return { name: MESH_ROUTE, virtualHosts: [...virtualHosts, ...compileEgressHosts(egress, taken, callersOf)] };
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
  const tunnel = `${name}.${namespace}.${MESH_DOMAIN}:${port}`.toLowerCase();
  return { kind: 'tcp', cluster: outboundName(service), tunnel, ...idleTimeout(service) };
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

function tunnelRoute(service: Service): Route {
  const action = { kind: 'tunnel', how: 'forward', cluster: outboundName(service), ...idleTimeout(service) } as const;
  return { name: TUNNEL_ROUTE, match: { kind: 'connect' }, action };
}

/** Of bytes; the caller's side closes what stands still. */
function idleTimeout({ idleTimeoutMs }: Service): { idleTimeoutMs?: number } {
  return idleTimeoutMs === 0 ? {} : { idleTimeoutMs };
}
