// Tries that are repeated: after answers of the application, after the time of one try, within the budget.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import type { RetryPolicy } from '@heddle/core';
import { answerGrpc, failGrpc, GRPC_HEADERS, startFleet, WAYS } from './testing/instances.ts';
import type { FleetOptions } from './testing/instances.ts';
import { TestMesh } from './testing/mesh.ts';
import { isQuiet } from './testing/paths.ts';
import { until } from './testing/raw-http.ts';

const retry = (policy: Partial<RetryPolicy>) => ({ retry: { backoff: { baseMs: 1, maxMs: 2 }, ...policy } });
const GATEWAY = retry({ attempts: 2, on: ['gateway-error'] });

describe('tries that are repeated', () => {
  let mesh = new TestMesh();
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });
  const fleet = (options: FleetOptions, answer: Parameters<typeof startFleet>[2]) => startFleet(mesh, options, answer);

  for (const way of WAYS) {
    describe(way.name, () => {
      test('an answer that the policy names is taken from another instance; another is passed on, as is that to a POST', async () => {
        let failures = 1;
        const { client, instances, metrics } = await fleet({ ...way, count: 2, route: GATEWAY }, (request, response) => {
          if (failures-- > 0) response.writeHead(request.url === '/500' ? 500 : 503).end('not now');
          else response.end('here you are');
        });
        const answer = await client.call();
        assert.deepEqual([answer.status, answer.body.toString()], [200, 'here you are']);
        assert.deepEqual(
          instances.map(({ requests }) => requests),
          [1, 1],
        );
        assert.match(metrics(), /heddle_retries_total\{[^}]*reason="503"[^}]*\} 1\n/);
        failures = 1;
        assert.equal((await client.call({ path: '/500' })).status, 500);
        failures = 1;
        const posted = await client.call({ method: 'POST', body: ['x'] });
        assert.deepEqual([posted.status, posted.body.toString()], [503, 'not now']);
        assert.match(metrics(), /heddle_retry_decisions_total\{[^}]*verdict="condition-not-listed"[^}]*\} 1\n/);
        assert.match(metrics(), /heddle_retry_decisions_total\{[^}]*verdict="not-idempotent"[^}]*\} 1\n/);
      });

      test('the last answer is passed on when the tries are used up', async () => {
        const { client, requests, metrics } = await fleet({ ...way, count: 2, route: GATEWAY }, (_request, response) => {
          response.writeHead(502).end('no');
        });
        const answer = await client.call();
        assert.deepEqual([answer.status, answer.body.toString(), requests()], [502, 'no', 3]);
        assert.match(metrics(), /heddle_retry_decisions_total\{[^}]*verdict="tries-used-up"[^}]*\} 1\n/);
      });

      test('the rest of a short answer is read, so that its connection serves on; an endless one is broken off', async () => {
        let failing = true;
        const {
          client,
          instances,
          way: through,
        } = await fleet({ ...way, count: 1, route: GATEWAY }, (request, response) => {
          failing = !failing;
          if (failing) return void response.end('good');
          response.writeHead(503);
          if (request.url === '/') return void response.end(Buffer.alloc(20_000));
          response.on('error', () => {});
          response.write(Buffer.alloc(1_000_000));
        });
        failing = true;
        for (let call = 0; call < 3; call++) assert.equal((await client.call()).body.toString(), 'good');
        assert.equal(instances[0]!.requests, 6);
        assert.equal(instances[0]!.connections, 1);
        assert.equal((await client.call({ path: '/endless' })).body.toString(), 'good');
        await until(() => instances[0]!.aborted === 1, 'the endless answer is broken off');
        assert.ok(isQuiet(through.planes));
      });

      test('a body that was kept goes out again whole; one that is too long to be kept is sent once', async () => {
        const bodies: number[] = [];
        const route = retry({ attempts: 1, on: ['5xx'], nonIdempotent: true });
        const { client, metrics } = await fleet({ ...way, count: 2, route }, (request, response) => {
          let bytes = 0;
          request.on('data', (chunk: Buffer) => (bytes += chunk.length));
          request.on('end', () => {
            bodies.push(bytes);
            if (bodies.length % 2 === 1) response.writeHead(500);
            response.end(String(bytes));
          });
        });
        const kept = await client.call({ method: 'POST', body: [Buffer.alloc(30_000), Buffer.alloc(20_000)] });
        assert.deepEqual([kept.status, kept.body.toString()], [200, '50000']);
        assert.equal((await client.call({ method: 'POST', body: [Buffer.alloc(200_000)] })).status, 500);
        assert.deepEqual(bodies, [50_000, 50_000, 200_000]);
        assert.match(metrics(), /heddle_retry_decisions_total\{[^}]*verdict="body-gone"[^}]*\} 1\n/);
      });

      test('a try without an answer in its time is given up for another one, or told', async () => {
        let silent = 1;
        // More tries than are needed, for slow machines.
        const route = retry({ attempts: 3, on: ['timeout'], perTryMs: 100 });
        const { client, instances, metrics } = await fleet({ ...way, count: 2, route }, (_request, response) => {
          if (silent-- <= 0) response.end('at last');
        });
        const answer = await client.call();
        assert.deepEqual([answer.status, answer.body.toString()], [200, 'at last']);
        await until(() => instances[0]!.aborted + instances[1]!.aborted >= 1, 'the silent instance sees that nobody waits');
        silent = 99;
        const told = await client.call();
        assert.deepEqual([told.status, told.headers['x-heddle-error']], [504, 'TRY_TIMEOUT']);
        assert.match(metrics(), /heddle_try_timeouts_total\{[^}]*\} [1-9]/);
      });

      test('when an answer asks to come later than anybody waits, it is passed on', async () => {
        let answers = 0;
        const route = retry({ attempts: 1, on: ['retriable-status'], statuses: [429] });
        const { client } = await fleet({ ...way, count: 2, route }, (request, response) => {
          answers += 1;
          if (answers % 2 === 1) response.writeHead(429, { 'retry-after': request.url === '/' ? '0' : '60' });
          response.end();
        });
        assert.equal((await client.call()).status, 200);
        const later = await client.call({ path: '/later' });
        assert.deepEqual([later.status, later.headers['retry-after']], [429, '60']);
      });
    });
  }

  for (const hops of ['single', 'pair'] as const) {
    test(`a gRPC status before any message is repeated, one after a message is not (${hops})`, async () => {
      let failures = 1;
      const route = retry({ attempts: 1, on: ['grpc-unavailable'], nonIdempotent: true });
      const { client, requests } = await fleet({ hops, version: 'http2', count: 2, route }, (request, response) => {
        request.resume();
        if (failures-- <= 0) answerGrpc(response, 'hello');
        else if (request.url === '/s/Early') failGrpc(response, 14);
        else if (request.url === '/s/Never') failGrpc(response, 14, { 'grpc-retry-pushback-ms': '-1' });
        else answerGrpc(response, 'half', 14);
      });
      const call = (path: string) => client.call({ method: 'POST', path, headers: GRPC_HEADERS, body: [Buffer.alloc(5)] });
      const early = await call('/s/Early');
      assert.deepEqual([early.body.subarray(5).toString(), early.trailers['grpc-status'], requests()], ['hello', '0', 2]);
      failures = 1;
      const never = await call('/s/Never');
      assert.deepEqual([never.headers['grpc-status'], requests()], ['14', 3]);
      failures = 1;
      const late = await call('/s/Late');
      assert.deepEqual([late.body.subarray(5).toString(), late.trailers['grpc-status'], requests()], ['half', '14', 4]);
    });
  }

  test('a storm: the upstream gets no more than the budget on top of what was asked for', async () => {
    const cluster = { retryBudget: { percent: 20, minPerSecond: 0 } };
    const { client, requests, metrics } = await fleet({ ...WAYS[0]!, count: 2, route: GATEWAY, cluster }, (_request, response) => {
      response.writeHead(503).end();
    });
    for (let call = 0; call < 100; call++) assert.equal((await client.call()).status, 503);
    assert.ok(requests() > 100 && requests() <= 120, `${requests()} tries of 100 requests`);
    assert.match(metrics(), /verdict="budget-spent"/);
  });
});
