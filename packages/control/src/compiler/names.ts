// What resources are called. Data planes take these names as opaque; people and the CLI read them.
import { serviceKey, subsetName } from '@heddle/core';
import type { ServiceRef } from '@heddle/core';
import { instanceName } from '../registry/keys.ts';
import type { InstanceRef } from '../registry/keys.ts';

/** Routes of the shared HTTP proxy: one virtual host for each service of the mesh. */
export const MESH_ROUTE = 'outbound/mesh';
/** The listener for calls through `HTTP_PROXY`. */
export const PROXY_LISTENER = 'outbound/proxy';

/** The route of requests that no rule takes. */
export const DEFAULT_ROUTE = 'default';
/** The route of CONNECT. */
export const TUNNEL_ROUTE = 'connect';

/** Begins the names of all clusters that lead to services. */
export const OUTBOUND = 'outbound/';

/** Cluster, endpoints and route configuration towards a service; with labels, cluster and endpoints of the instances that have them. */
export function outboundName(service: ServiceRef, labels: Readonly<Record<string, string>> = {}): string {
  return `${OUTBOUND}${serviceKey(service)}${subsetName(labels)}`;
}

/** Key of the service to which a cluster leads, whichever of its instances it has; undefined for all other clusters. */
export function serviceOfCluster(cluster: string): string | undefined {
  if (!cluster.startsWith(OUTBOUND)) return undefined;
  // No name of a service has a brace.
  const labels = cluster.indexOf('{');
  return labels === -1 ? cluster.slice(OUTBOUND.length) : cluster.slice(OUTBOUND.length, labels);
}

/** Listener and route configuration of an instance's way in. */
export function inboundName(instance: InstanceRef): string {
  return `inbound/${instanceName(instance)}`;
}

/** The local port on which one instance's application calls one service. */
export function outboundListenerName(instance: InstanceRef, target: ServiceRef): string {
  return `outbound/${instanceName(instance)}/${serviceKey(target)}`;
}

/** The cluster that is the application of an instance. */
export function localName(instance: InstanceRef): string {
  return `local/${instanceName(instance)}`;
}
