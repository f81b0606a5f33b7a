// Small valid resources for tests, of which only the names and the content that changes matter.
import { ANY_REQUEST, DEFAULT_RETRY_BUDGET, forwardTo, NO_BREAKER, SINGLE_BALANCE } from '@heddle/core';
import type { Cluster, EndpointSet, Listener, RouteConfig, TrustBundle } from '@heddle/core';
import { type EncodedResource, encodeResource } from '../xds/convert/index.ts';
import { createSnapshot, type Snapshot } from '../xds/server/index.ts';

export function clusterNamed(name: string, connectTimeoutMs = 1_000): Cluster {
  return {
    name,
    service: { namespace: 'default', name },
    endpoints: { kind: 'eds' },
    balance: SINGLE_BALANCE,
    connectTimeoutMs,
    breaker: NO_BREAKER,
    retryBudget: DEFAULT_RETRY_BUDGET,
    http: 'http1',
  };
}

export function endpointsNamed(cluster: string, port = 80): EndpointSet {
  return { cluster, endpoints: [{ address: '127.0.0.1', port, health: 'healthy', weight: 1, instance: `${cluster}-1` }] };
}

export function routeNamed(name: string, cluster: string): RouteConfig {
  return {
    name,
    virtualHosts: [{ name: 'all', domains: ['*'], routes: [{ name: 'all', match: ANY_REQUEST, action: forwardTo(cluster) }] }],
  };
}

/** Where the first route leads; undefined when there is none. */
export function targetOf({ virtualHosts }: RouteConfig): string | undefined {
  const action = virtualHosts[0]?.routes[0]?.action;
  return action?.kind === 'forward' ? action.clusters[0]?.cluster : undefined;
}

export function listenerNamed(name: string, routeConfigName: string, port = 8_080): Listener {
  return { name, direction: 'outbound', address: '127.0.0.1', port, filter: { kind: 'http', routeConfigName } };
}

export function bundleNamed(name: string, rootsPem = 'pem'): TrustBundle {
  return { name, rootsPem };
}

export interface Contents {
  readonly listener?: readonly Listener[];
  readonly route?: readonly RouteConfig[];
  readonly cluster?: readonly Cluster[];
  readonly endpoints?: readonly EndpointSet[];
  readonly secret?: readonly TrustBundle[];
}

export function snapshotOf(version: string, contents: Contents, previous?: Snapshot): Snapshot {
  const resources: EncodedResource[] = [
    ...(contents.listener ?? []).map((resource) => encodeResource('listener', resource)),
    ...(contents.route ?? []).map((resource) => encodeResource('route', resource)),
    ...(contents.cluster ?? []).map((resource) => encodeResource('cluster', resource)),
    ...(contents.endpoints ?? []).map((resource) => encodeResource('endpoints', resource)),
    ...(contents.secret ?? []).map((resource) => encodeResource('secret', resource)),
  ];
  return createSnapshot(version, resources, previous);
}
