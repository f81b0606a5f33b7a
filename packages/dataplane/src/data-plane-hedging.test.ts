// A second try beside one that is slow: the first answer wins.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { NO_RETRY } from '@heddle/core';
import { answerGrpc, GRPC_HEADERS, startFleet, WAYS } from './testing/instances.ts';
import type { FleetOptions } from './testing/instances.ts';
import { TestMesh } from './testing/mesh.ts';
import { isQuiet } from './testing/paths.ts';
import { until } from './testing/raw-http.ts';

const HEDGE = { retry: NO_RETRY, hedge: { afterMs: 30, attempts: 1 } };

describe('hedging', () => {
  let mesh = new TestMesh();
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });
  const fleet = (options: FleetOptions, answer: Parameters<typeof startFleet>[2]) => startFleet(mesh, options, answer);

  for (const way of WAYS) {
    describe(way.name, () => {
      test('a slow instance is overtaken by another one and sees that nobody waits', async () => {
        let silent = 1;
        const {
          client,
          instances,
          metrics,
          way: through,
        } = await fleet({ ...way, count: 2, route: HEDGE }, (request, response) => {
          const chunks: Buffer[] = [];
          request.on('data', (chunk: Buffer) => chunks.push(chunk));
          request.on('end', () => void (silent-- <= 0 && response.end(Buffer.concat(chunks))));
        });
        const answer = await client.call({ method: 'PUT', body: ['the ', 'body'] });
        assert.deepEqual([answer.status, answer.body.toString()], [200, 'the body']);
        await until(() => instances[0]!.aborted + instances[1]!.aborted === 1, 'the slow try is broken off');
        assert.match(metrics(), /heddle_hedges_total\{[^}]*\} 1\n/);
        assert.match(metrics(), /heddle_hedges_won_total\{[^}]*\} 1\n/);
        assert.ok(isQuiet(through.planes));
      });

      test('the first try may still win, and is not broken off by a hedge that fails', async () => {
        let count = 0;
        const { client, requests, metrics } = await fleet({ ...way, count: 2, route: HEDGE }, (request, response) => {
          count += 1;
          if (count % 2 === 0) return void request.socket.destroy();
          const first = setInterval(() => {
            if (count % 2 === 1) return;
            clearInterval(first);
            setTimeout(() => response.end('first'), 20);
          }, 5);
        });
        assert.equal((await client.call()).body.toString(), 'first');
        assert.equal(requests(), 2);
        assert.doesNotMatch(metrics(), /heddle_hedges_won_total/);
      });

      test('what may not be executed twice is not hedged, nor is a lone instance, nor without budget', async () => {
        const slowly = (_request: unknown, response: { end(): void }): void => void setTimeout(() => response.end(), 80);
        const both = await fleet({ ...way, count: 2, route: HEDGE }, slowly);
        assert.equal((await both.client.call({ method: 'POST', body: [] })).status, 200);
        const lone = await fleet({ ...way, count: 1, route: HEDGE }, slowly);
        assert.equal((await lone.client.call()).status, 200);
        const cluster = { retryBudget: { percent: 0, minPerSecond: 0 } };
        const poor = await fleet({ ...way, count: 2, route: HEDGE, cluster }, slowly);
        assert.equal((await poor.client.call()).status, 200);
        assert.deepEqual([both.requests(), lone.requests(), poor.requests()], [1, 1, 1]);
      });
    });
  }

  test('a gRPC call is hedged where its service allows it', async () => {
    let silent = 1;
    const route = { ...HEDGE, retry: { ...NO_RETRY, nonIdempotent: true } };
    const { client } = await fleet({ hops: 'pair', version: 'http2', count: 2, route }, (request, response) => {
      request.resume();
      if (silent-- <= 0) answerGrpc(response, 'hello');
    });
    const answer = await client.call({ method: 'POST', path: '/s/Call', headers: GRPC_HEADERS, body: [Buffer.alloc(5)] });
    assert.deepEqual([answer.body.subarray(5).toString(), answer.trailers['grpc-status']], ['hello', '0']);
  });

  test('many clients at once get one answer each, whoever wins', async () => {
    const { client, way } = await fleet(
      { ...WAYS[3]!, count: 3, route: { ...HEDGE, hedge: { afterMs: 5, attempts: 2 } } },
      (request, response) => {
        setTimeout(() => response.end(request.url), Math.random() * 20);
      },
    );
    const calls = Array.from({ length: 200 }, (_, index) => client.call({ path: `/${index}` }));
    const answers = await Promise.all(calls);
    assert.deepEqual(
      answers.map(({ body }) => body.toString()),
      calls.map((_, index) => `/${index}`),
    );
    await until(() => isQuiet(way.planes), 'all tries have ended');
    assert.deepEqual(
      way.planes.flatMap(({ faults }) => faults),
      [],
    );
  });
});
