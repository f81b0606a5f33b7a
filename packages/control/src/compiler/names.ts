// What resources are called. Data planes take these names as opaque; people and the CLI read them.
import { serviceKey } from '@heddle/core';
import type { ServiceRef } from '@heddle/core';
import { instanceName } from '../registry/keys.ts';
import type { InstanceRef } from '../registry/keys.ts';

/** Routes of the shared HTTP proxy: one virtual host for each service of the mesh. */
export const MESH_ROUTE = 'outbound/mesh';
/** The listener for calls through `HTTP_PROXY`. */
export const PROXY_LISTENER = 'outbound/proxy';

/** Cluster, endpoints and route configuration towards a service. */
export function outboundName(service: ServiceRef): string {
  return `outbound/${serviceKey(service)}`;
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
