// The pools against a real server that misbehaves.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Breaker, DEFAULT_LIMITS, NO_BREAKER } from '@heddle/core';
import { createLogger, createMetrics, nodeClock, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import type { Context } from '../stack/context.ts';
import { Deadlines } from '../stack/deadlines.ts';
import { Turn } from '../stack/turn.ts';
import { UpstreamMetrics } from '../telemetry/connections.ts';
import { InstanceMetricsTable } from '../telemetry/instances.ts';
import { localCluster } from '../testing/mesh.ts';
import { RawServer, until } from '../testing/raw-http.ts';
import { Http1Pool } from './http1-pool.ts';
import type { Http1Upstream } from './http1-upstream.ts';
import { Http2Pool } from './http2-pool.ts';
import { ConnectFailures } from './connect-failures.ts';
import { LoadProbes } from './load-probe.ts';
import type { PoolCluster, PoolHost } from './pool.ts';

type Kind<P> = new (context: Context, cluster: PoolCluster, host: PoolHost, workload: string) => P;

function poolTo<P>(kind: Kind<P>, port: number, limits = DEFAULT_LIMITS): { readonly pool: P; readonly deadlines: Deadlines } {
  const deadlines = new Deadlines(nodeClock);
  const context: Context = {
    network: nodeNetwork,
    clock: nodeClock,
    random: nodeRandom,
    logger: createLogger({ level: 'silent', name: 'test' }),
    metrics: createMetrics(),
    limits,
    deadlines,
    turn: new Turn(nodeNetwork),
    active: { count: 0 },
    connectFailures: new ConnectFailures(nodeClock),
    instances: new InstanceMetricsTable(createMetrics()),
    onlookers: { list: [] },
  };
  const cluster = {
    config: localCluster('orders', 'orders-1', port),
    tls: { isNeeded: false, of: () => undefined, isCurrent: () => true, missing: () => '' } as unknown as PoolCluster['tls'],
    metrics: new UpstreamMetrics(context.metrics, 'orders'),
    loadProbes: new LoadProbes(context.metrics, 'orders'),
    parserLimits: {},
    http2Limits: {},
    breaker: new Breaker(NO_BREAKER),
    refused: () => '',
    connectFailed: () => ({ code: 'CONNECT_FAILED', detail: '' }) as const,
  };
  const host = { instance: 'orders-1', address: '127.0.0.1', port, forgetIfUnused: () => {}, connectFailed: () => {} };
  return { pool: new kind(context, cluster, host, ''), deadlines };
}

test('an idle connection on which the instance talked out of turn is not given out, even before its close is known', async () => {
  const server = await RawServer.listen();
  const { pool, deadlines } = poolTo(Http1Pool, server.port);
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

test('a connection of HTTP/2 that nobody waits for any more is closed, also when the instance never says a word', async () => {
  const server = await RawServer.listen();
  const { pool, deadlines } = poolTo(Http2Pool, server.port, { ...DEFAULT_LIMITS, upstreamIdleTimeoutMs: 50, lingerTimeoutMs: 50 });
  try {
    const user = { onReady: () => assert.fail('nobody waits'), onNoConnection: () => {} };
    pool.acquire(user, false);
    pool.cancel(user);
    await until(() => server.peers.length === 1 && pool.counts.open === 1, 'a connection');
    await until(() => pool.isUnused, 'the connection to be closed');
  } finally {
    pool.retire();
    deadlines.close();
    await server.close();
  }
});
