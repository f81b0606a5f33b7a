// Questions about load over the connections of a pool, against a server whose frames the test writes by hand.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { Breaker, DEFAULT_LIMITS, NO_BREAKER } from '@heddle/core';
import type { BalancedHost } from '@heddle/core';
import { createLogger, createMetrics, nodeClock, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import type { Context } from '../stack/context.ts';
import { Deadlines } from '../stack/deadlines.ts';
import { Turn } from '../stack/turn.ts';
import { UpstreamMetrics } from '../telemetry/connections.ts';
import { InstanceMetricsTable } from '../telemetry/instances.ts';
import { frame, FRAME, FrameServer, SETTING, settings, uint32 } from '../testing/frames.ts';
import type { FramePeer } from '../testing/frames.ts';
import { localCluster } from '../testing/mesh.ts';
import { until } from '../testing/raw-http.ts';
import { ConnectFailures } from './connect-failures.ts';
import { Http2Pool } from './http2-pool.ts';
import { LoadProbes } from './load-probe.ts';
import type { PoolCluster } from './pool.ts';

const HOST: BalancedHost = { address: '127.0.0.1', port: 1, health: 'healthy', weight: 1, locality: undefined };
const WAYS_MAX = 64;

describe('a question about load', () => {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  function cluster(): { open: (port: number) => Http2Pool; context: Context; metrics: () => string } {
    const metrics = createMetrics();
    const context: Context = {
      network: nodeNetwork,
      clock: nodeClock,
      random: nodeRandom,
      logger: createLogger({ level: 'silent', name: 'test' }),
      metrics,
      limits: DEFAULT_LIMITS,
      deadlines: new Deadlines(nodeClock),
      turn: new Turn(nodeNetwork),
      active: { count: 0 },
      connectFailures: new ConnectFailures(nodeClock),
      instances: new InstanceMetricsTable(createMetrics()),
      onlookers: { list: [] },
    };
    closers.push(() => context.deadlines.close());
    const shared = {
      tls: { isNeeded: false, of: () => undefined, isCurrent: () => true, missing: () => '' } as unknown as PoolCluster['tls'],
      metrics: new UpstreamMetrics(metrics, 'orders'),
      loadProbes: new LoadProbes(metrics, 'orders'),
      parserLimits: {},
      http2Limits: {},
      breaker: new Breaker(NO_BREAKER),
      refused: () => '',
      connectFailed: () => ({ code: 'CONNECT_FAILED', detail: '' }) as const,
    };
    const open = (port: number): Http2Pool => {
      const host = { instance: 'orders-1', address: '127.0.0.1', port, forgetIfUnused: () => {}, connectFailed: () => {} };
      const pool = new Http2Pool(context, { ...shared, config: localCluster('orders', 'orders-1', port) }, host, '');
      closers.push(() => pool.retire());
      return pool;
    };
    return { open, context, metrics: () => metrics.expose() };
  }

  async function server(greeting = settings([SETTING.answersLoad, 1])): Promise<FrameServer> {
    const made = await FrameServer.listen(greeting);
    closers.push(() => made.close());
    return made;
  }

  /** Remembers what it was told. */
  class Asker {
    readonly told: string[] = [];

    loadReported(host: BalancedHost, { inFlight, latencyMs }: { inFlight: number; latencyMs: number }): void {
      assert.equal(host, HOST);
      this.told.push(`${inFlight} requests, ${latencyMs} ms`);
    }

    probeFailed(host: BalancedHost, why: string): void {
      assert.equal(host, HOST);
      this.told.push(why);
    }
  }

  function ask(pool: Http2Pool, context: Context, asker: Asker): void {
    pool.askLoad(HOST, asker, nodeClock.nowMs());
    context.turn.end();
  }

  async function question(peer: FramePeer, count: number): Promise<number> {
    await until(() => peer.of(FRAME.load).length >= count, 'a question');
    return peer.of(FRAME.load)[count - 1]!.payload.readUInt32BE();
  }

  const answer = (number: number, inFlight: number, micros: number): Buffer =>
    frame(FRAME.load, 1, 0, Buffer.concat([uint32(number), uint32(inFlight), uint32(micros)]));

  test('opens a connection, which the next question and requests use as well', async () => {
    const { port, peers } = await server();
    const { open, context, metrics } = cluster();
    const pool = open(port);
    const asker = new Asker();
    ask(pool, context, asker);
    await until(() => peers.length === 1, 'a connection');
    peers[0]!.send(answer(await question(peers[0]!, 1), 3, 2_500));
    await until(() => asker.told.length === 1, 'the answer');
    ask(pool, context, asker);
    peers[0]!.send(answer(await question(peers[0]!, 2), 0, 0));
    await until(() => asker.told.length === 2, 'the second answer');
    assert.deepEqual(asker.told, ['3 requests, 2.5 ms', '0 requests, 0 ms']);
    let isReused: boolean | undefined;
    pool.acquire({ onReady: (_upstream, reused) => void (isReused = reused), onNoConnection: () => {} }, false);
    // So that a request that finds it closed goes out again.
    assert.equal(isReused, true);
    assert.equal(peers.length, 1);
    assert.match(metrics(), /heddle_load_probes_total\{cluster="orders",result="answered"\} 2\n/);
  });

  test('is given up after a while, but an answer that comes late is good until the next question', async () => {
    const { port, peers } = await server();
    const { open, context } = cluster();
    const pool = open(port);
    const asker = new Asker();
    ask(pool, context, asker);
    await until(() => asker.told.length === 1, 'the end of patience');
    const first = await question(peers[0]!, 1);
    peers[0]!.send(answer(first + 7, 1, 1), answer(first, 5, 1_000), answer(first, 6, 1_000));
    await until(() => asker.told.length === 2, 'the late answer');
    ask(pool, context, asker);
    const second = await question(peers[0]!, 2);
    peers[0]!.send(answer(first, 9, 9_000), answer(second, 2, 4_000));
    await until(() => asker.told.length === 3, 'the answer in time');
    assert.deepEqual(asker.told, ['unanswered', '5 requests, 1 ms', '2 requests, 4 ms']);
  });

  test('is not sent to a server that has not said that it answers', async () => {
    const { port, peers } = await server(settings());
    const { open, context } = cluster();
    const asker = new Asker();
    ask(open(port), context, asker);
    await until(() => asker.told.length === 1, 'news');
    assert.deepEqual(asker.told, ['unsupported']);
    assert.equal(peers[0]!.of(FRAME.load).length, 0);
  });

  test(`opens connections to ${WAYS_MAX} endpoints of a cluster and no more, until one of them is closed`, async () => {
    const { port, peers } = await server();
    const { open, context } = cluster();
    const asker = new Asker();
    for (let count = 0; count < WAYS_MAX; count++) ask(open(port), context, asker);
    await until(() => peers.length === WAYS_MAX && peers.every((peer) => peer.of(FRAME.load).length === 1), 'a question to each');
    const one = open(port);
    ask(one, context, asker);
    assert.deepEqual(asker.told, ['unanswered']);
    peers[0]!.socket.destroy();
    await until(() => {
      if (one.counts.open === 0) ask(one, context, new Asker());
      return peers.length > WAYS_MAX;
    }, 'one more');
  });
});
