// Endpoints in their localities.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint } from '@heddle/core';
import { ClusterLoadAssignment } from '../../gen/envoy/envoy/config/endpoint/v3/endpoint.ts';
import { At } from './rejection.ts';
import { decodeEndpoints, encodeEndpoints } from './endpoints.ts';

const EAST = { region: 'eu', zone: 'eu-east' };
const WEST = { region: 'eu', zone: 'eu-west', subZone: 'hall-2' };

function endpoint(port: number, locality?: Endpoint['locality']): Endpoint {
  return {
    address: '10.0.0.1',
    port,
    health: 'healthy',
    weight: port,
    instance: `i${port}`,
    ...(locality === undefined ? {} : { locality }),
  };
}

test('endpoints of one locality are brought together, each locality is there once, and its weight is that of its endpoints', () => {
  const message = encodeEndpoints({ cluster: 'c', endpoints: [endpoint(1, WEST), endpoint(2), endpoint(3, WEST), endpoint(4, EAST)] });
  assert.deepEqual(
    message.endpoints?.map(({ locality, loadBalancingWeight, lbEndpoints }) => [locality, loadBalancingWeight, lbEndpoints?.length]),
    [
      [WEST, 4, 2],
      [{}, 1, 1],
      [EAST, 4, 1],
    ],
  );
  const bytes = ClusterLoadAssignment.encode(message).finish();
  assert.deepEqual(decodeEndpoints(ClusterLoadAssignment.decode(bytes), new At('endpoints')), {
    cluster: 'c',
    endpoints: [endpoint(1, WEST), endpoint(3, WEST), endpoint(2), endpoint(4, EAST)],
  });
});

test('a locality that is there twice is rejected, since nobody knows what that means', () => {
  const [group] = encodeEndpoints({ cluster: 'c', endpoints: [endpoint(1, WEST)] }).endpoints ?? [];
  assert.throws(
    () => decodeEndpoints({ clusterName: 'c', endpoints: [group!, group!] }, new At('endpoints')),
    /endpoints\[1\]: locality: \["eu","eu-west","hall-2"\] is there twice/,
  );
});
