// Limits of what goes to one service: the breaker's, and the one that finds itself.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { NO_BREAKER, NO_RETRY } from '@heddle/core';
import { startFleet, WAYS } from './testing/instances.ts';
import type { FleetOptions } from './testing/instances.ts';
import { endpoint, mustApply, TestMesh } from './testing/mesh.ts';
import { isQuiet } from './testing/paths.ts';
import { connectRaw, RawServer, until } from './testing/raw-http.ts';

describe('breakers', () => {
  let mesh = new TestMesh();
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });
  const fleet = (made: FleetOptions, answer: Parameters<typeof startFleet>[2]) => startFleet(mesh, made, answer);

  for (const way of WAYS) {
    test(`as many requests as breaker.requests are under way; the others are refused at once, and there is room again after (${way.name})`, async () => {
      const held: (() => void)[] = [];
      const cluster = { breaker: { ...NO_BREAKER, requests: 3 } };
      const {
        client,
        requests,
        metrics,
        way: through,
      } = await fleet({ ...way, count: 1, cluster }, (_request, response) => {
        held.push(() => void response.end('ok'));
      });
      const calls = [1, 2, 3].map(() => client.call());
      await until(() => held.length === 3, 'three requests are under way');
      const refused = await client.call();
      assert.deepEqual([refused.status, refused.headers['x-heddle-error'], refused.headers['retry-after']], [503, 'CIRCUIT_OPEN', '1']);
      assert.match(refused.body.toString(), / default\/orders .*3; breaker\.requests allows 3/);
      assert.match(metrics(), /heddle_breaker_refusals_total\{[^}]*limit="requests"[^}]*\} 1\n/);
      for (const release of held.splice(0)) release();
      await Promise.all(calls);
      const again = client.call();
      await until(() => held.length === 1, 'there is room again');
      held[0]!();
      assert.deepEqual([(await again).status, requests()], [200, 4]);
      // A client that gives up makes room, too.
      const given = [1, 2, 3].map(() => client.begin({}));
      for (const call of given) call.answer.catch(() => {});
      await until(() => held.length === 4, 'three more are under way');
      for (const call of given) call.cancel();
      await until(() => isQuiet(through.planes), 'they have ended');
      const last = client.call();
      await until(() => held.length === 5, 'there is room again');
      held[4]!();
      assert.equal((await last).status, 200);
    });
  }

  test('breaker.connections bounds connections, breaker.pending those who wait for one', async () => {
    const held: (() => void)[] = [];
    const cluster = { breaker: { connections: 2, pending: 1, requests: 0 } };
    const { client, instances, metrics } = await fleet({ ...WAYS[0]!, count: 1, cluster }, (_request, response) => {
      held.push(() => void response.end('ok'));
    });
    // One after the other: each waits for its connection for a moment.
    const calls = [client.call()];
    await until(() => held.length === 1, 'the first has a connection');
    calls.push(client.call());
    await until(() => held.length === 2, 'the second has a connection');
    calls.push(client.call());
    await until(() => metrics().includes('heddle_upstream_pending_requests{cluster="outbound/default/orders"} 1'), 'the third waits');
    const refused = await client.call();
    assert.deepEqual([refused.status, refused.headers['x-heddle-error']], [503, 'CIRCUIT_OPEN']);
    assert.match(metrics(), /heddle_breaker_refusals_total\{[^}]*limit="pending"[^}]*\} 1\n/);
    held.shift()!();
    await until(() => held.length === 2, 'the third goes out on the connection of the first');
    for (const release of held) release();
    for (const { status } of await Promise.all(calls)) assert.equal(status, 200);
    assert.equal(instances[0]!.connections, 2);
  });

  test('byte streams count as requests, and as connections of their instance', async () => {
    const servers = [await RawServer.listen(), await RawServer.listen()];
    for (const server of servers) {
      mesh.onClose(() => server.close());
      server.onPeer = (peer) => {
        peer.send('hello');
        peer.socket.on('end', () => peer.socket.end());
      };
    }
    const { plane, metrics } = mesh.plane('web');
    const endpoints = servers.map(({ port }, index) => endpoint(port, `orders-${index + 1}`));
    const cluster = { http: 'http1', tls: undefined, breaker: { ...NO_BREAKER, connections: 1, requests: 3 } } as const;
    await mesh.outbound(plane, 'orders', endpoints, { cluster });
    const bind = await plane.reserve({ address: '127.0.0.1', port: 0 });
    const filter = { kind: 'tcp', cluster: 'outbound/default/orders' } as const;
    const listener = { name: 'bytes', direction: 'outbound', ...bind, workload: 'default/web/web-1', filter } as const;
    await mustApply(plane, { kind: 'listener', upserts: [listener], removed: [] });
    const clients = [connectRaw(bind.port), connectRaw(bind.port)];
    for (const client of clients) await client.expect('hello');
    assert.deepEqual(
      servers.map(({ peers }) => peers.length),
      [1, 1],
    );
    assert.equal(await connectRaw(bind.port).gone(), '');
    assert.match(metrics.expose(), /heddle_breaker_refusals_total\{[^}]*limit="connections"[^}]*\} 1\n/);
    clients[0]!.socket.destroy();
    await until(
      () => metrics.expose().includes('heddle_upstream_streams{cluster="outbound/default/orders",source="default/web"} 1'),
      'room',
    );
    await connectRaw(bind.port).expect('hello');
  });

  test('a limit that finds itself refuses what goes beyond it and is shown', async () => {
    const held: (() => void)[] = [];
    const cluster = { adaptiveConcurrency: { minRequests: 2, maxRequests: 2 } };
    const { client, metrics } = await fleet({ ...WAYS[1]!, count: 1, cluster, route: { retry: NO_RETRY } }, (_request, response) => {
      held.push(() => void response.end('ok'));
    });
    const calls = [client.call(), client.call()];
    await until(() => held.length === 2, 'two are under way');
    const refused = await client.call();
    assert.deepEqual([refused.status, refused.headers['x-heddle-error']], [503, 'OVERLOADED']);
    assert.match(metrics(), /heddle_breaker_refusals_total\{[^}]*limit="concurrency"[^}]*\} 1\n/);
    assert.match(metrics(), /heddle_concurrency_limit\{cluster="outbound\/default\/orders"\} 2\n/);
    for (const release of held.splice(0)) release();
    await Promise.all(calls);
    const next = client.call();
    await until(() => held.length === 1, 'there is room again');
    held[0]!();
    assert.equal((await next).status, 200);
  });
});
