// What every caller of a service is told: its cluster, its endpoints, and for HTTP its routes. The same for all data planes.
import { ALPN_HTTP1, ALPN_TCP, TRUST_BUNDLE, WORKLOAD_CERTIFICATE, formatSpiffeId, serviceHostnames } from '@heddle/core';
import type { Cluster, Endpoint, EndpointSet, InstanceHealth, Route, RouteConfig, Service, VirtualHost } from '@heddle/core';
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
    tls: {
      certificateName: WORKLOAD_CERTIFICATE,
      trustBundleName: TRUST_BUNDLE,
      peerIds: [formatSpiffeId({ trustDomain, namespace: service.namespace, name: service.name })],
      alpn: [service.protocol === 'http' ? ALPN_HTTP1 : ALPN_TCP],
    },
  };
}

/** A service without instances has an empty set: callers get 503, not 404. */
export function compileEndpoints(view: ServiceView): EndpointSet {
  return {
    cluster: outboundName(view.service),
    endpoints: view.instances.map(({ id, inbound, health, weight }) => ({
      address: inbound.address,
      port: inbound.port,
      health: ENDPOINT_HEALTH[health],
      weight,
      instance: id,
    })),
  };
}

/** The routes of a local port that leads to this service alone. Undefined unless it speaks HTTP. */
export function compileServiceRoute(service: Service): RouteConfig | undefined {
  if (service.protocol !== 'http') return undefined;
  const name = outboundName(service);
  return { name, virtualHosts: [{ name, domains: ['*'], routes: [outboundRoute(service)] }] };
}

/**
 * The routes of the shared HTTP proxy. A name that several services answer to belongs to the one that is named most
 * fully by it, then to the first in order: two virtual hosts with one domain would be rejected by every data plane.
 */
export function compileMeshRoute(services: Iterable<Service>): RouteConfig {
  const http = [...services].filter((service) => service.protocol === 'http').sort((a, b) => (outboundName(a) < outboundName(b) ? -1 : 1));
  const owners = new Map<string, Service>();
  const hostnames = http.map((service) => serviceHostnames(service).map((host) => host.toLowerCase()));
  const levels = Math.max(0, ...hostnames.map((names) => names.length));
  for (let level = 0; level < levels; level += 1) {
    http.forEach((service, index) => {
      const host = hostnames[index]?.[level];
      if (host !== undefined && !owners.has(host)) owners.set(host, service);
    });
  }
  const virtualHosts: VirtualHost[] = [];
  http.forEach((service, index) => {
    const domains = (hostnames[index] ?? [])
      .filter((host) => owners.get(host) === service)
      .flatMap((host) => [host, `${host}:${service.port}`]);
    if (domains.length > 0) virtualHosts.push({ name: outboundName(service), domains, routes: [outboundRoute(service)] });
  });
  return { name: MESH_ROUTE, virtualHosts };
}

function outboundRoute(service: Service): Route {
  return { prefix: '/', cluster: outboundName(service), timeoutMs: service.timeoutMs, retry: service.retry };
}
