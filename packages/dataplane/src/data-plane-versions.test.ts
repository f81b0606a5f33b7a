// Every behaviour of HTTP on every way: client and application of either version, one data plane in between or a pair.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { RouteConfig } from '@heddle/core';
import type { Client } from './testing/clients.ts';
import { routeConfig, TestMesh } from './testing/mesh.ts';
import { HOPS, isQuiet, startApplication, startWay, VERSIONS } from './testing/paths.ts';
import type { Handler, Way } from './testing/paths.ts';
import { until } from './testing/raw-http.ts';

/** What the application is asked for by path. */
const handler: Handler = (request, response) => {
  const chunks: Buffer[] = [];
  const seen = { method: request.method, url: request.url, headers: request.headers };
  switch (new URL(request.url ?? '/', 'http://x').pathname) {
    case '/echo':
      if (request.headers['content-length'] !== undefined) response.setHeader('content-length', request.headers['content-length']);
      request.pipe(response);
      return;
    case '/headers':
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () =>
        response.end(JSON.stringify({ ...seen, body: Buffer.concat(chunks).toString(), trailers: request.trailers })),
      );
      return;
    case '/trailers':
      response.setHeader('trailer', 'x-sum');
      response.write('body');
      response.addTrailers({ 'x-sum': '42' });
      response.end();
      return;
    case '/status/204':
    case '/status/304':
    case '/status/404':
      response.statusCode = Number(request.url?.slice(8));
      if (response.statusCode === 304) response.setHeader('etag', '"1"');
      response.end();
      return;
    case '/early-hints':
      response.writeEarlyHints({ link: '</style.css>; rel=preload' });
      response.end('after');
      return;
    case '/early-answer':
      response.statusCode = 413;
      response.end('enough');
      return;
    case '/length':
      response.setHeader('content-length', '5');
      response.end('hello');
      return;
    case '/events':
      response.setHeader('content-type', 'text/event-stream');
      response.write('data: 1\n\n');
      response.on('error', () => {});
      events.push((text) => (text === '' ? void response.end() : void response.write(text)));
      return;
    case '/hang':
      hanging.push(seen.headers['x-name'] as string);
      response.on('close', () => gone.push(seen.headers['x-name'] as string));
      return;
    default:
      response.setHeader('x-one', ['a', 'b']);
      response.end('plain');
  }
};

const events: ((text: string) => void)[] = [];
const hanging: string[] = [];
const gone: string[] = [];

for (const hops of HOPS) {
  for (const application of VERSIONS) {
    for (const version of VERSIONS) {
      describe(`${version} client, ${hops === 'pair' ? 'pair' : 'one data plane'}, ${application} application`, () => {
        const mesh = new TestMesh();
        let way: Way;
        let client: Client;

        before(async () => {
          const { port } = await startApplication(mesh, application, handler);
          way = await startWay(mesh, hops, application, port);
          client = way.client(version);
        });
        after(async () => {
          try {
            await until(() => isQuiet(way.planes), 'nothing in flight');
            assert.deepEqual(
              way.planes.flatMap(({ faults }) => faults),
              [],
            );
          } finally {
            await mesh.close();
          }
        });

        async function seen(options: Parameters<Client['call']>[0]): Promise<Seen> {
          const answer = await client.call({ path: '/headers', ...options });
          assert.equal(answer.status, 200, answer.body.toString());
          return JSON.parse(answer.body.toString()) as Seen;
        }

        test('GET', async () => {
          const answer = await client.call({ path: '/?a=b' });
          assert.deepEqual([answer.status, answer.body.toString()], [200, 'plain']);
          assert.equal(answer.headers['x-one'], 'a, b');
        });

        test('HEAD has the length of the answer to GET and no body', async () => {
          const answer = await client.call({ method: 'HEAD', path: '/length' });
          assert.deepEqual([answer.status, answer.headers['content-length'], answer.body.length], [200, '5', 0]);
          assert.equal((await client.call({ path: '/length' })).body.toString(), 'hello');
        });

        for (const status of [204, 304, 404]) {
          test(`${status} without a body`, async () => {
            const answer = await client.call({ path: `/status/${status}` });
            assert.deepEqual([answer.status, answer.body.length], [status, 0]);
            if (status === 304) assert.equal(answer.headers.etag, '"1"');
          });
        }

        test('POST with a length, without one, with an empty body, and without a body', async () => {
          const given = await seen({ method: 'POST', headers: { 'content-length': '6' }, body: ['abc', 'def'] });
          assert.deepEqual([given.method, given.headers['content-length'], given.body], ['POST', '6', 'abcdef']);
          const chunked = await seen({ method: 'POST', body: ['abc', 'def'] });
          assert.deepEqual([chunked.headers['content-length'], chunked.body], [undefined, 'abcdef']);
          const empty = await seen({ method: 'PUT', headers: { 'content-length': '0' }, body: [] });
          assert.deepEqual([empty.method, empty.headers['content-length'], empty.body], ['PUT', '0', '']);
          const none = await seen({ method: 'DELETE' });
          assert.deepEqual([none.method, none.headers['transfer-encoding'], none.body], ['DELETE', undefined, '']);
        });

        test('large bodies come back as they went out', async () => {
          const body = Array.from({ length: 40 }, () => randomBytes(50_000));
          const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
          const [one, two] = await Promise.all([
            client.call({ method: 'POST', path: '/echo', body }),
            client.call({ method: 'POST', path: '/echo', headers: { 'content-length': '2000000' }, body }),
          ]);
          assert.deepEqual([hash(one.body), hash(two.body)], [hash(Buffer.concat(body)), hash(Buffer.concat(body))]);
        });

        test('trailers both ways', async () => {
          const answer = await client.call({ path: '/trailers', headers: { te: 'trailers' } });
          assert.deepEqual([answer.body.toString(), answer.trailers['x-sum']], ['body', '42']);
          const sent = await seen({ method: 'POST', body: ['abc'], trailers: { 'x-check': 'sum' } });
          assert.deepEqual([sent.body, sent.trailers['x-check']], ['abc', 'sum']);
          const only = await seen({ method: 'POST', body: [], trailers: { 'x-check': 'none' } });
          assert.deepEqual([only.body, only.trailers['x-check']], ['', 'none']);
        });

        test('early hints come before the answer', async () => {
          const answer = await client.call({ path: '/early-hints' });
          assert.equal(answer.body.toString(), 'after');
          assert.deepEqual(
            answer.interim.map(({ status, headers }) => [status, headers.link]),
            [[103, '</style.css>; rel=preload']],
          );
        });

        test('100-continue comes before the body is sent', async () => {
          const call = client.begin({ method: 'POST', path: '/echo', headers: { expect: '100-continue' }, body: [] });
          await until(() => call.interim.length > 0 || call.status !== 0, '100');
          assert.deepEqual([call.interim[0]?.status, call.status], [100, 0]);
          call.write('body');
          call.end();
          assert.equal((await call.answer).body.toString(), 'body');
        });

        test('an answer before the end of the request is passed on, and the connection serves the next one', async () => {
          const call = client.begin({ method: 'POST', path: '/early-answer', body: [] });
          call.write('x'.repeat(1_000));
          await until(() => call.status !== 0, 'the answer');
          assert.equal(call.status, 413);
          await until(() => call.text === 'enough', 'its body');
          if (version === 'http2') {
            // RFC 9113 §8.1.
            await until(() => call.resetCode !== -1, 'the end of the stream');
            assert.equal(call.resetCode, 0);
          }
          call.cancel();
          assert.equal((await client.call()).status, 200);
        });

        test('a client that gives up takes its request back from the application', async () => {
          const name = randomBytes(8).toString('hex');
          const call = client.begin({ path: '/hang', headers: { 'x-name': name } });
          await until(() => hanging.includes(name), 'the request at the application');
          call.cancel();
          await until(() => gone.includes(name), 'the application to hear of it');
          assert.equal((await client.call()).status, 200);
        });

        test('server-sent events arrive one by one', async () => {
          const call = client.begin({ path: '/events', headers: { accept: 'text/event-stream' } });
          await until(() => call.text === 'data: 1\n\n', 'the first event');
          const write = events.pop()!;
          for (const count of [2, 3]) {
            write(`data: ${count}\n\n`);
            await until(() => call.text.endsWith(`data: ${count}\n\n`), `event ${count}`);
          }
          assert.equal(call.ended, false);
          write('');
          await call.answer;
        });

        test('what belongs to one connection stays there, and what was forged is taken out', async () => {
          const { headers } = await seen({
            headers: {
              ...(version === 'http1'
                ? {
                    connection: 'x-mine, keep-alive',
                    'x-mine': '1',
                    'keep-alive': 'timeout=5',
                    'proxy-connection': 'keep-alive',
                    te: 'trailers, deflate',
                  }
                : { te: 'trailers' }),
              'proxy-authorization': 'Basic c2VjcmV0Og==',
              'x-heddle-peer': 'spiffe://shop.test/ns/default/svc/admin',
              'x-kept': 'yes',
              traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
              tracestate: 'a=b',
            },
          });
          for (const name of ['x-mine', 'keep-alive', 'proxy-connection', 'proxy-authorization'])
            assert.equal(headers[name], undefined, name);
          assert.equal(headers['x-heddle-peer'], hops === 'pair' ? 'spiffe://shop.test/ns/default/svc/web' : undefined);
          assert.equal(headers['x-kept'], 'yes');
          assert.equal(headers.traceparent, '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01');
          assert.equal(headers.tracestate, 'a=b');
          assert.ok([undefined, 'trailers'].includes(headers.te), String(headers.te));
          const first = version === 'http1' ? '1.1 heddle' : '2 heddle';
          assert.equal(headers.via, hops === 'pair' ? `${first}, 2 heddle` : first);
        });

        test('the request id is kept, or made where there is none', async () => {
          assert.equal((await seen({ headers: { 'x-request-id': 'mine' } })).headers['x-request-id'], 'mine');
          const made = [(await seen({})).headers['x-request-id'], (await seen({})).headers['x-request-id']];
          assert.match(made[0] ?? '', /^[\w.-]{12,}$/);
          assert.notEqual(made[0], made[1]);
        });

        test('the authority is the host, and the path stays as it is', async () => {
          const { headers, url } = await seen({ path: '/headers?q=%20/../&x', headers: { host: 'orders.mesh.internal:8080' } });
          assert.equal(application === 'http1' ? headers.host : headers[':authority'], 'orders.mesh.internal:8080');
          assert.equal(url, '/headers?q=%20/../&x');
        });

        if (hops === 'pair') {
          test('tells the application who called and from where', async () => {
            const { headers } = await seen({ headers: { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'https' } });
            assert.equal(headers['x-forwarded-for'], '203.0.113.9, 127.0.0.1');
            assert.equal(headers['x-forwarded-proto'], 'https');
            const { headers: own } = await seen({});
            assert.deepEqual([own['x-forwarded-for'], own['x-forwarded-proto']], ['127.0.0.1', 'http']);
          });
        }

        if (version === 'http2') {
          test('the crumbs of a cookie become one (RFC 9113 §8.2.3)', async () => {
            assert.equal((await seen({ headers: { cookie: ['a=1', 'b=2', 'c=3'] } })).headers.cookie, 'a=1; b=2; c=3');
          });
        }

        test('an error of a data plane says its code', async () => {
          const { plane } = way.planes[0]!;
          await plane.apply({ kind: 'route', upserts: [], removed: ['outbound/default/orders'] });
          try {
            const plain = await client.call();
            assert.deepEqual([plain.status, plain.headers['x-heddle-error']], [503, 'NO_HEALTHY_INSTANCE']);
            assert.match(plain.body.toString(), /^NO_HEALTHY_INSTANCE: /);
            assert.equal((await client.call({ method: 'HEAD' })).body.length, 0);
            const grpc = await client.call({ method: 'POST', headers: { 'content-type': 'application/grpc', te: 'trailers' }, body: [] });
            if (version === 'http2') {
              assert.deepEqual([grpc.status, grpc.headers['grpc-status'], grpc.body.length], [200, '14', 0]);
              assert.match(String(grpc.headers['grpc-message']), /^NO_HEALTHY_INSTANCE: /);
            } else {
              assert.equal(grpc.status, 503);
            }
          } finally {
            await plane.apply({ kind: 'route', upserts: [routes()], removed: [] });
          }
          assert.equal((await client.call()).status, 200);
        });
      });
    }
  }
}

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
  readonly trailers: Readonly<Record<string, string>>;
}

function routes(): RouteConfig {
  return routeConfig('outbound/default/orders', 'outbound/default/orders');
}
