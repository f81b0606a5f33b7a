// The instances of a service for gRPC clients, which weigh localities against one another but not the endpoints in one (gRFC A27, A42): so
// instances of one place that differ in weight are told as several places, and every instance gets its share.
import type { Endpoint, EndpointSet, Locality } from '@heddle/core';
import { HealthStatus } from '../../../gen/foreign/envoy/config/core/v3/health_check.ts';
import type { ClusterLoadAssignment } from '../../../gen/foreign/envoy/config/endpoint/v3/endpoint.ts';
import type { LbEndpoint, LocalityLbEndpoints } from '../../../gen/foreign/envoy/config/endpoint/v3/endpoint_components.ts';
import { encodeAddress, encodeMetadata } from '../values.ts';

const STATUS: Readonly<Record<Endpoint['health'], HealthStatus>> = {
  healthy: HealthStatus.HEALTHY,
  unhealthy: HealthStatus.UNHEALTHY,
  draining: HealthStatus.DRAINING,
};

interface Place {
  readonly locality: Locality | undefined;
  /** Of each of its endpoints. */
  readonly weight: number;
  readonly endpoints: Endpoint[];
}

export function grpcEndpoints(set: EndpointSet): ClusterLoadAssignment {
  const places = placesOf(distinct(set.endpoints));
  const weights = new Map<string, number>();
  for (const { locality } of places) weights.set(localityKey(locality), (weights.get(localityKey(locality)) ?? 0) + 1);
  return {
    clusterName: set.cluster,
    endpoints: places.flatMap((place) => encodePlace(place, (weights.get(localityKey(place.locality)) ?? 1) > 1)),
  };
}

/** A library refuses a set that names one address twice. Where an instance has taken over the address of another, the healthy one counts. */
function distinct(endpoints: readonly Endpoint[]): Endpoint[] {
  const byAddress = new Map<string, Endpoint>();
  for (const endpoint of endpoints) {
    const key = `${endpoint.address} ${endpoint.port}`;
    const known = byAddress.get(key);
    if (known === undefined || (known.health !== 'healthy' && endpoint.health === 'healthy')) byAddress.set(key, endpoint);
  }
  return [...byAddress.values()];
}

function placesOf(endpoints: readonly Endpoint[]): Place[] {
  const places = new Map<string, Place>();
  for (const endpoint of endpoints) {
    const { locality, weight } = endpoint;
    const key = `${localityKey(locality)} ${weight}`;
    const place = places.get(key) ?? { locality, weight, endpoints: [] };
    places.set(key, place);
    place.endpoints.push(endpoint);
  }
  return [...places.values()];
}

function localityKey(locality: Locality | undefined): string {
  return JSON.stringify([locality?.region ?? '', locality?.zone ?? '', locality?.subZone ?? '']);
}

function encodePlace({ locality, weight, endpoints }: Place, isPart: boolean): LocalityLbEndpoints[] {
  const healthy = endpoints.filter(({ health }) => health === 'healthy').length;
  // A locality without weight is skipped by every library; one whose instances are all unhealthy must not get a share.
  if (healthy === 0) return [];
  const { region = '', zone = '', subZone = '' } = locality ?? {};
  return [
    {
      locality: { region, zone, subZone: isPart ? [subZone, `weight-${weight}`].filter(Boolean).join('/') : subZone },
      loadBalancingWeight: weight * healthy,
      lbEndpoints: endpoints.map(encodeEndpoint),
    },
  ];
}

function encodeEndpoint({ address, port, health, weight, instance }: Endpoint): LbEndpoint {
  return {
    hostIdentifier: { $case: 'endpoint', value: { address: encodeAddress(address, port) } },
    healthStatus: STATUS[health],
    metadata: encodeMetadata({ instance }),
    loadBalancingWeight: weight,
  };
}
