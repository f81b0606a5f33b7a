// The instances of a cluster as one ClusterLoadAssignment: endpoints grouped by where they run. All localities have the same priority, and
// without locality-weighted balancing, which no cluster of ours asks for, an endpoint's own weight decides (as in Envoy).
import type { Endpoint, EndpointSet, Locality } from '@heddle/core';
import { HealthStatus } from '../../gen/envoy/envoy/config/core/v3/health_check.ts';
import type { ClusterLoadAssignment } from '../../gen/envoy/envoy/config/endpoint/v3/endpoint.ts';
import type { LbEndpoint, LocalityLbEndpoints } from '../../gen/envoy/envoy/config/endpoint/v3/endpoint_components.ts';
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

/** Of localities of one priority each may be there once (gRFC A27): those that stand apart are brought together. */
export function encodeEndpoints(set: EndpointSet): ClusterLoadAssignment {
  if (set.endpoints.length === 0) return { clusterName: set.cluster };
  const groups = new Map<string, { readonly locality: Locality | undefined; readonly endpoints: Endpoint[] }>();
  for (const endpoint of set.endpoints) {
    const { locality } = endpoint;
    const key = locality === undefined ? '' : JSON.stringify([locality.region, locality.zone, locality.subZone ?? '']);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { locality, endpoints: [endpoint] });
    else group.endpoints.push(endpoint);
  }
  return { clusterName: set.cluster, endpoints: [...groups.values()].map(encodeGroup) };
}

/** gRPC's clients skip localities without a name or a weight; the others ignore it. */
function encodeGroup({ locality, endpoints }: { locality: Locality | undefined; endpoints: readonly Endpoint[] }): LocalityLbEndpoints {
  return {
    locality: locality === undefined ? {} : { ...locality },
    loadBalancingWeight: locality === undefined ? 1 : endpoints.reduce((sum, { weight }) => sum + weight, 0),
    lbEndpoints: endpoints.map(encodeEndpoint),
  };
}

export function decodeEndpoints(message: ClusterLoadAssignment, at: At): EndpointSet {
  const cluster = requiredText(message.clusterName, at.field('cluster_name'));
  const seen = new Set<string>();
  const endpoints = (message.endpoints ?? []).flatMap((group, index): Endpoint[] => {
    const inside = at.item('endpoints', index);
    const { region = '', zone = '', subZone = '' } = group.locality ?? {};
    const key = JSON.stringify([region, zone, subZone]);
    if (seen.has(key)) return inside.field('locality').reject(`${key} is there twice`);
    seen.add(key);
    const locality =
      region === '' && zone === '' && subZone === '' ? {} : { locality: { region, zone, ...(subZone === '' ? {} : { subZone }) } };
    return (group.lbEndpoints ?? []).map((endpoint, place) => ({
      ...decodeEndpoint(endpoint, inside.item('lb_endpoints', place)),
      ...locality,
    }));
  });
  return { cluster, endpoints };
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
