// The instances of a cluster as one ClusterLoadAssignment with one locality.
import type { Endpoint, EndpointSet } from '@heddle/core';
import { HealthStatus } from '../../gen/envoy/envoy/config/core/v3/health_check.ts';
import type { ClusterLoadAssignment } from '../../gen/envoy/envoy/config/endpoint/v3/endpoint.ts';
import type { LbEndpoint } from '../../gen/envoy/envoy/config/endpoint/v3/endpoint_components.ts';
import type { At } from './rejection.ts';
import { decodeAddress, decodeMetadata, encodeAddress, encodeMetadata, metadataText, required, requiredText } from './values.ts';

/** UInt32Value, and the sum over a locality must stay within it; the registry's own limit is 1,000. */
const WEIGHT_MAX = 1_000_000;

const STATUS: Readonly<Record<Endpoint['health'], HealthStatus>> = {
  healthy: HealthStatus.HEALTHY,
  unhealthy: HealthStatus.UNHEALTHY,
  draining: HealthStatus.DRAINING,
};
/** As Envoy reads them: UNKNOWN counts as healthy, TIMEOUT as unhealthy. DEGRADED has no counterpart. */
const HEALTH: Readonly<Record<number, Endpoint['health']>> = {
  [HealthStatus.UNKNOWN]: 'healthy',
  [HealthStatus.HEALTHY]: 'healthy',
  [HealthStatus.UNHEALTHY]: 'unhealthy',
  [HealthStatus.TIMEOUT]: 'unhealthy',
  [HealthStatus.DRAINING]: 'draining',
};

export function encodeEndpoints(set: EndpointSet): ClusterLoadAssignment {
  if (set.endpoints.length === 0) return { clusterName: set.cluster };
  // gRPC's clients skip localities without a name or a weight (gRFC A27); with only one, Envoy ignores both.
  return {
    clusterName: set.cluster,
    endpoints: [{ locality: {}, loadBalancingWeight: 1, lbEndpoints: set.endpoints.map(encodeEndpoint) }],
  };
}

export function decodeEndpoints(message: ClusterLoadAssignment, at: At): EndpointSet {
  const cluster = requiredText(message.clusterName, at.field('cluster_name'));
  const localities = message.endpoints ?? [];
  const [locality] = localities;
  if (localities.length > 1) at.field('endpoints').reject(`only one locality is supported, not ${localities.length}`);
  const { region = '', zone = '', subZone = '' } = locality?.locality ?? {};
  if (region !== '' || zone !== '' || subZone !== '')
    at.item('endpoints', 0).field('locality').reject('localities with a name are not supported');
  const inside = at.item('endpoints', 0);
  return {
    cluster,
    endpoints: (locality?.lbEndpoints ?? []).map((endpoint, index) => decodeEndpoint(endpoint, inside.item('lb_endpoints', index))),
  };
}

function encodeEndpoint(endpoint: Endpoint): LbEndpoint {
  return {
    hostIdentifier: { $case: 'endpoint', value: { address: encodeAddress(endpoint.address, endpoint.port) } },
    healthStatus: STATUS[endpoint.health],
    metadata: encodeMetadata({ instance: endpoint.instance }),
    loadBalancingWeight: endpoint.weight,
  };
}

function decodeEndpoint(message: LbEndpoint, at: At): Endpoint {
  const host = required(message.hostIdentifier?.value, at.field('endpoint'));
  const { address, port } = decodeAddress(host.address, 1, at.field('endpoint').field('address'));
  const status = message.healthStatus ?? HealthStatus.UNKNOWN;
  const health = HEALTH[status] ?? at.field('health_status').reject(`${status} is not supported`);
  const weight = message.loadBalancingWeight ?? 1;
  if (weight < 1 || weight > WEIGHT_MAX) at.field('load_balancing_weight').reject(`must be between 1 and ${WEIGHT_MAX}, not ${weight}`);
  const metadata = decodeMetadata(message.metadata, ['instance'], at.field('metadata'));
  // A foreign control plane names no instances; the address is what people can tell them by.
  const instance = metadataText(metadata, 'instance', at.field('metadata')) ?? `${address}:${port}`;
  return { address, port, health, weight, instance };
}
