// The pool against a real server, where a turn of the event loop matters.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS } from '@heddle/core';
import { createLogger, createMetrics, nodeClock, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import type { Context } from '../stack/context.ts';
import { Deadlines } from '../stack/deadlines.ts';
import { Turn } from '../stack/turn.ts';
import { UpstreamMetrics } from '../telemetry/connections.ts';
import { localCluster } from '../testing/mesh.ts';
import { RawServer, until } from '../testing/raw-http.ts';
import { Http1Pool } from './http1-pool.ts';
import type { Http1Upstream } from './http1-upstream.ts';
import type { PoolCluster } from './pool.ts';

function poolTo(port: number): { readonly pool: Http1Pool; readonly deadlines: Deadlines } {
  const deadlines = new Deadlines(nodeClock);
  const context: Context = {
    network: nodeNetwork,
    clock: nodeClock,
    random: nodeRandom,
    logger: createLogger({ level: 'silent', name: 'test' }),
    metrics: createMetrics(),
    limits: DEFAULT_LIMITS,
    deadlines,
    turn: new Turn(nodeNetwork),
    active: { count: 0 },
  };
  const cluster = {
    config: localCluster('orders', 'orders-1', port),
    tls: { isNeeded: false, of: () => undefined, missing: () => '' } as unknown as PoolCluster['tls'],
    metrics: new UpstreamMetrics(context.metrics, 'orders'),
    parserLimits: {},
    http2Limits: {},
    pending: 0,
  };
  const host = { instance: 'orders-1', address: '127.0.0.1', port, forgetIfUnused: () => {} };
  return { pool: new Http1Pool(context, cluster, host, ''), deadlines };
}

test('an idle connection on which the instance talked out of turn is not given out, even before its close is known', async () => {
  const server = await RawServer.listen();
  const { pool, deadlines } = poolTo(server.port);
  try {
    const got: Http1Upstream[] = [];
    const user = { onReady: (upstream: unknown) => void got.push(upstream as Http1Upstream), onNoConnection: () => {} };
    pool.acquire(user, false);
    await until(() => got.length === 1, 'a connection');
    const [first] = got;
    pool.released(first!);
    assert.equal(pool.counts.idle, 1);
    server.peers[0]!.send('noise\r\n\r\n');
    // Between the event that brings the bytes and the one that tells of the close.
    while (!first!.gotBytes) await new Promise((resolve) => setImmediate(resolve));
    pool.acquire(user, false);
    await until(() => got.length === 2, 'another connection');
    assert.notEqual(got[1], first);
    got[1]!.destroy();
  } finally {
    pool.retire();
    deadlines.close();
    await server.close();
  }
});
