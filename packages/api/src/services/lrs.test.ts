// Load reports: what goes out can be read again, and what cannot be is refused with the place.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LOAD_COUNT_MAX } from '@heddle/core';
import { InvalidMessageError } from './invalid.ts';
import {
  instructionFromMessage,
  instructionToMessage,
  loadMessage,
  LoadReportingService,
  readLoad,
  readReportingNode,
  type LoadStatsRequest,
} from './lrs.ts';

const { requestSerialize, requestDeserialize, responseSerialize, responseDeserialize } = LoadReportingService.streamLoadStats;
const counts = (issued: number, failed = 0) => ({ issued, succeeded: issued - failed, failed, inProgress: 2, dropped: 0 });
const CLUSTER = 'outbound/default/orders';

function reasonFor(request: LoadStatsRequest): string {
  try {
    readLoad(request);
  } catch (error) {
    if (error instanceof InvalidMessageError) return error.message;
    throw error;
  }
  return '';
}

describe('a load report', () => {
  test('is read as it was written, the parts of each source included', () => {
    const load = {
      cluster: CLUSTER,
      intervalMs: 10_500,
      ...counts(10, 3),
      dropped: 4,
      bySource: new Map([
        ['default/web', counts(7, 1)],
        ['default/admin', counts(3, 2)],
      ]),
    };
    const message = loadMessage({ id: 'node-1', version: '1.2.3', stateHash: '0123456789abcdef' }, [load]);
    const back = requestDeserialize(requestSerialize(message));
    assert.deepEqual(readLoad(back), [load]);
    assert.deepEqual(readReportingNode(back), { id: 'node-1', sendsAllClusters: true, stateHash: '0123456789abcdef' });
  });

  test('of a client that says less is read as far as it goes', () => {
    const [load] = readLoad({
      clusterStats: [
        {
          clusterName: CLUSTER,
          upstreamLocalityStats: [
            { locality: { region: 'r' }, totalSuccessfulRequests: 5, totalErrorRequests: 1 },
            { locality: { region: 's' }, totalSuccessfulRequests: 2, upstreamEndpointStats: [{ totalSuccessfulRequests: 2 }] },
          ],
          loadReportInterval: { seconds: 0, nanos: 1 },
        },
      ],
    });
    assert.deepEqual(load, {
      cluster: CLUSTER,
      issued: 8,
      succeeded: 7,
      failed: 1,
      inProgress: 0,
      dropped: 0,
      intervalMs: undefined,
      bySource: new Map(),
    });
    assert.deepEqual(readReportingNode({ node: { metadata: { heddle: { stateHash: 'not one' } } } }), {
      id: '',
      sendsAllClusters: false,
      stateHash: undefined,
    });
    assert.deepEqual(readReportingNode({ node: { metadata: { heddle: 7 } } }).stateHash, undefined);
  });

  test('that cannot be is refused with the place', () => {
    const stats = (over: object) => ({ clusterStats: [{ clusterName: CLUSTER, ...over }] });
    assert.match(reasonFor({ clusterStats: [{}] }), /^cluster_stats\[0\]\.cluster_name: must have 1 to/);
    assert.match(reasonFor({ clusterStats: [{ clusterName: 'x'.repeat(3_000) }] }), /cluster_name: must have/);
    assert.match(
      reasonFor({ clusterStats: Array.from({ length: 20_001 }, () => ({ clusterName: CLUSTER })) }),
      /^cluster_stats: 20001 clusters/,
    );
    assert.match(
      reasonFor(stats({ upstreamLocalityStats: [{ totalIssuedRequests: LOAD_COUNT_MAX * 2 }] })),
      /^cluster_stats\[0\]\.upstream_locality_stats\[0\]\.total_issued_requests: 2000000000000 requests cannot be/,
    );
    assert.match(
      reasonFor(stats({ upstreamLocalityStats: [{ upstreamEndpointStats: Array.from({ length: 10_000 }, () => ({})) }] })),
      /10001 localities and endpoints; at most 10000/,
    );
    assert.match(reasonFor(stats({ totalDroppedRequests: Number.MAX_SAFE_INTEGER })), /total_dropped_requests: .* cannot be/);
    // Many parts, each of which could be, add up to no more than one could.
    const many = Array.from({ length: 100 }, () => ({ totalIssuedRequests: LOAD_COUNT_MAX }));
    assert.equal(readLoad(stats({ upstreamLocalityStats: many }))[0]?.issued, LOAD_COUNT_MAX);
  });
});

test('what a data plane is told can be read again; an interval that cannot be is the usual one', () => {
  for (const instruction of [
    { clusters: 'all' as const, intervalMs: 2_500, inParts: true },
    { clusters: [CLUSTER], intervalMs: 60_000, inParts: false },
  ])
    assert.deepEqual(instructionFromMessage(responseDeserialize(responseSerialize(instructionToMessage(instruction)))), instruction);
  assert.deepEqual(instructionFromMessage({ loadReportingInterval: { seconds: 0, nanos: 5 } }), {
    clusters: [],
    intervalMs: 10_000,
    inParts: false,
  });
});
