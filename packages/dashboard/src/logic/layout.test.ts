import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NODE_HEIGHT, NODE_WIDTH, layoutOf, smoothPath } from './layout.ts';
import { declaredPairs, sumEdges, topologyOf } from './topology.ts';

const edge = (source: string, destination: string) => ({ source, destination });

test('nodes never lie upon one another, and callers come before what they call', () => {
  const name = fc.constantFrom(...'abcdefgh').map((letter) => `default/${letter}`);
  fc.assert(
    fc.property(fc.uniqueArray(name), fc.array(fc.tuple(name, name), { maxLength: 14 }), fc.boolean(), (services, pairs, down) => {
      const topology = topologyOf(
        services,
        [],
        pairs.map(([a, b]) => edge(a, b)),
        [],
      );
      const { nodes, edges, width, height } = layoutOf(topology, down);
      assert.equal(edges.size, topology.edges.length);
      const places = [...nodes.values()];
      for (const [index, a] of places.entries()) {
        assert.ok(a.x >= NODE_WIDTH / 2 && a.x <= width && a.y >= NODE_HEIGHT / 2 && a.y <= height);
        for (const b of places.slice(index + 1))
          assert.ok(Math.abs(a.x - b.x) >= NODE_WIDTH || Math.abs(a.y - b.y) >= NODE_HEIGHT, JSON.stringify([a, b]));
      }
    }),
    { numRuns: 40 },
  );
  const { nodes } = layoutOf(topologyOf(['d/a', 'd/b', 'd/c'], [], [edge('d/c', 'd/a'), edge('d/a', 'd/b')], []));
  const x = (id: string): number => nodes.get(id)?.x ?? Number.NaN;
  assert.ok(x('d/c') < x('d/a') && x('d/a') < x('d/b'));
});

test('an empty mesh has a picture, too', () => {
  assert.deepEqual([layoutOf({ nodes: [], edges: [] }).width, smoothPath([])], [0, '']);
});

test('the graph has who calls now and who may call, and tells callers outside from services', () => {
  const outbounds = [{ namespace: 'default', service: 'orders', listen: { address: '127.0.0.1', port: 1 } }];
  const declared = declaredPairs([
    { namespace: 'default', service: 'web', outbounds },
    { namespace: 'default', service: 'web', outbounds },
  ]);
  assert.deepEqual(declared, ['default/web default/orders']);
  const { nodes, edges } = topologyOf(
    ['default/web', 'default/orders'],
    [],
    [
      edge('heddle-system/operator', 'default/web'),
      edge('default/web', 'heddle-egress/example.com:443'),
      edge('default/web', 'default/web'),
    ],
    [...declared, 'default/gone default/web'],
  );
  assert.deepEqual(
    nodes.map(({ id, kind }) => `${id} ${kind}`),
    ['default/orders service', 'default/web service', 'heddle-egress/example.com:443 egress', 'heddle-system/operator operator'],
  );
  assert.equal(edges.length, 3);
});

test('a pair with two protocols is one edge', () => {
  const one = { ...edge('a', 'b'), protocol: 'http1', requestsPerSecond: 1, errorsPerSecond: 1, bytesPerSecond: 1, retriesPerSecond: 0 };
  const sum = sumEdges([
    { ...one, p50Ms: null, p90Ms: 1, p99Ms: 2, errors: { TIMEOUT: 1 } },
    { ...one, protocol: 'grpc', p50Ms: 3, p90Ms: null, p99Ms: 1, errors: { TIMEOUT: 0.5 } },
  ]);
  assert.deepEqual(
    [sum?.requestsPerSecond, sum?.p50Ms, sum?.p90Ms, sum?.p99Ms, sum?.errors, sum?.protocol],
    [2, 3, 1, 2, { TIMEOUT: 1.5 }, 'http1, grpc'],
  );
  assert.equal(sumEdges([]), undefined);
});
