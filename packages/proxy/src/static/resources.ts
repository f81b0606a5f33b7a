// A static configuration as the resources that a data plane takes. Names are stable from one version of the file to the next, so that
// what stays is not disturbed.
import { type Cluster, DEFAULT_NAMESPACE, type Listener, type RouteConfig, SYSTEM_NAMESPACE } from '@heddle/core';
import type { Endpoint, SocketAddress, StaticConfig, StaticListener, StaticService } from '@heddle/core';

export interface NamedListener extends StaticListener {
  readonly name: string;
}

/** By address and port; where the system chooses the port, by service, as the first, second, … of it. */
export function nameListeners(listeners: readonly StaticListener[]): NamedListener[] {
  const chosen = new Map<string, number>();
  return listeners.map((listener) => {
    const { address, port, service } = listener;
    if (port !== 0) return { ...listener, name: `static/${formatAddress({ address, port })}` };
    const key = `${address}/${service}`;
    const count = (chosen.get(key) ?? 0) + 1;
    chosen.set(key, count);
    return { ...listener, name: `static/${key}/${count}` };
  });
}

/** @param port the real one. */
export function listenerOf(listener: NamedListener, port: number, node: string): Listener {
  const { name, address, protocol, service } = listener;
  return {
    name,
    direction: 'outbound',
    address,
    port,
    workload: `${SYSTEM_NAMESPACE}/proxy/${node}`,
    filter:
      protocol === 'http' ? { kind: 'http', routeConfigName: resourceName(service) } : { kind: 'tcp', cluster: resourceName(service) },
  };
}

export function routesOf({ services }: StaticConfig): RouteConfig[] {
  return services
    .filter(({ protocol }) => protocol === 'http')
    .map(({ name, timeoutMs, retry }) => {
      const route = { prefix: '/', cluster: resourceName(name), timeoutMs, retry };
      return { name: resourceName(name), virtualHosts: [{ name, domains: ['*'], routes: [route] }] };
    });
}

export function clusterOf(service: StaticService, healthOf: (endpoint: SocketAddress) => Endpoint['health']): Cluster {
  const { name, endpoints, balance, connectTimeoutMs, health } = service;
  return {
    name: resourceName(name),
    service: { namespace: DEFAULT_NAMESPACE, name },
    endpoints: { kind: 'static', endpoints: endpoints.map((endpoint) => asEndpoint(endpoint, healthOf(endpoint))) },
    balance,
    connectTimeoutMs,
    ...(health && { health }),
  };
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

function asEndpoint({ address, port }: SocketAddress, health: Endpoint['health']): Endpoint {
  return { address, port, health, weight: 1, instance: formatAddress({ address, port }) };
}

/** Of a service's cluster and routes. */
export function resourceName(service: string): string {
  return `static/${service}`;
}
