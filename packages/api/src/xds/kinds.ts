// The five kinds of resources by their names on the wire, and the order in which changes are made.
import type { ResourceKind } from '@heddle/core';

const TYPE_URL_PREFIX = 'type.googleapis.com/';

export const TYPE_URLS = {
  listener: `${TYPE_URL_PREFIX}envoy.config.listener.v3.Listener`,
  route: `${TYPE_URL_PREFIX}envoy.config.route.v3.RouteConfiguration`,
  cluster: `${TYPE_URL_PREFIX}envoy.config.cluster.v3.Cluster`,
  endpoints: `${TYPE_URL_PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment`,
  secret: `${TYPE_URL_PREFIX}envoy.extensions.transport_sockets.tls.v3.Secret`,
} as const satisfies Record<ResourceKind, string>;

/** What people call the kind in messages: Envoy's message name. */
export const KIND_TITLES = {
  listener: 'Listener',
  route: 'RouteConfiguration',
  cluster: 'Cluster',
  endpoints: 'ClusterLoadAssignment',
  secret: 'Secret',
} as const satisfies Record<ResourceKind, string>;

/**
 * Make before break (xDS protocol, "Eventual consistency considerations"): what is used comes before what uses it. Removals go the other
 * way.
 */
export const MAKE_ORDER = ['secret', 'cluster', 'endpoints', 'listener', 'route'] as const satisfies readonly ResourceKind[];

const KINDS = new Map<string, ResourceKind>(MAKE_ORDER.map((kind) => [TYPE_URLS[kind], kind]));

export function kindOfTypeUrl(typeUrl: string): ResourceKind | undefined {
  return KINDS.get(typeUrl);
}

/** Kinds of which a data plane asks for everything it may have, instead of by name. */
export function isWildcardKind(kind: ResourceKind): boolean {
  return kind === 'listener' || kind === 'cluster';
}
