// The time that the caller gives: it shortens the route's, and is told on.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { answerGrpc, GRPC_HEADERS, startFleet, WAYS } from './testing/instances.ts';
import type { FleetOptions } from './testing/instances.ts';
import { TestMesh } from './testing/mesh.ts';
import { connectRaw, RawServer } from './testing/raw-http.ts';
import { endpoint } from './testing/mesh.ts';

describe('deadlines', () => {
  let mesh = new TestMesh();
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });
  const fleet = (options: FleetOptions, answer: Parameters<typeof startFleet>[2]) => startFleet(mesh, options, answer);

  for (const way of WAYS) {
    describe(way.name, () => {
      test('what is left of x-request-timeout is told to the instance in the words of the caller; nothing is said unasked', async () => {
        const { client } = await fleet({ ...way, count: 1 }, (request, response) => {
          response.end(JSON.stringify(request.headers['x-request-timeout'] ?? null));
        });
        const seen = async (value?: string) =>
          JSON.parse(
            (await client.call(value === undefined ? {} : { headers: { 'x-request-timeout': value } })).body.toString(),
          ) as unknown;
        assert.equal(await seen(), null);
        const left = String(await seen('3s'));
        assert.match(left, /^[0-9]{4}ms$/);
        assert.ok(parseInt(left, 10) <= 3_000);
        assert.match(String(await seen('3000')), /^[0-9]{4}$/);
        // The route's own limit is shorter.
        assert.ok(parseInt(String(await seen('1h')), 10) <= 5_000);
        assert.equal(await seen('soon'), 'soon');
        assert.equal(await seen(), null);
      });

      test('when it is over the caller hears whose time it was', async () => {
        const { client, requests } = await fleet({ ...way, count: 1 }, () => {});
        const answer = await client.call({ headers: { 'x-request-timeout': '60ms' } });
        assert.deepEqual([answer.status, answer.headers['x-heddle-error']], [504, 'DEADLINE_EXCEEDED']);
        const none = await client.call({ headers: { 'x-request-timeout': '0' } });
        assert.deepEqual([none.status, none.headers['x-heddle-error'], requests()], [504, 'DEADLINE_EXCEEDED', 1]);
      });
    });
  }

  for (const way of [WAYS[0]!, WAYS[3]!]) {
    test(`a request on which no byte moves ends after the idle limit of its route; one that trickles goes on (${way.name})`, async () => {
      const route = { timeoutMs: 0, idleTimeoutMs: 400 };
      const { client } = await fleet({ ...way, count: 1, route }, (request, response) => {
        if (request.url === '/silent') return;
        let pieces = 0;
        const timer = setInterval(() => {
          pieces += 1;
          if (pieces < 10) return void response.write('x');
          clearInterval(timer);
          response.end();
        }, 60);
      });
      assert.equal((await client.call()).body.toString(), 'xxxxxxxxx');
      const silent = await client.call({ path: '/silent' });
      assert.deepEqual([silent.status, silent.headers['x-heddle-error']], [504, 'IDLE_TIMEOUT']);
    });
  }

  for (const hops of ['single', 'pair'] as const) {
    test(`grpc-timeout likewise, answered as gRPC (${hops})`, async () => {
      const { client } = await fleet({ hops, version: 'http2', count: 1 }, (request, response) => {
        request.resume();
        if (request.url === '/s/Call') answerGrpc(response, String(request.headers['grpc-timeout']));
      });
      const call = (path: string, timeout: string) =>
        client.call({ method: 'POST', path, headers: { ...GRPC_HEADERS, 'grpc-timeout': timeout }, body: [Buffer.alloc(5)] });
      const left = (await call('/s/Call', '3S')).body.subarray(5).toString();
      assert.match(left, /^[0-9]{4}m$/);
      assert.ok(parseInt(left, 10) <= 3_000);
      const late = await call('/s/Silent', '60m');
      assert.deepEqual([late.status, late.headers['grpc-status'], late.headers['x-heddle-error']], [200, '4', 'DEADLINE_EXCEEDED']);
    });
  }

  test('a byte stream ends after the idle limit of its listener', async () => {
    const server = await RawServer.listen();
    mesh.onClose(() => server.close());
    server.onPeer = (peer) => peer.send('hello');
    const { plane } = mesh.plane('web');
    await mesh.outbound(plane, 'orders', [endpoint(server.port, 'orders-1')], { cluster: { http: 'http1', tls: undefined } });
    const bind = await plane.reserve({ address: '127.0.0.1', port: 0 });
    const filter = { kind: 'tcp', cluster: 'outbound/default/orders', idleTimeoutMs: 100 } as const;
    const listener = { name: 'bytes', direction: 'outbound', ...bind, workload: 'default/web/web-1', filter } as const;
    assert.equal(await plane.apply({ kind: 'listener', upserts: [listener], removed: [] }), undefined);
    const client = connectRaw(bind.port);
    assert.equal(await client.gone(), 'hello');
  });
});
