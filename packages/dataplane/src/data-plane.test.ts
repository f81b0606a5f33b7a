// Calls from one data plane to another and to the application behind it, on real sockets with real certificates.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { NO_RETRY } from '@heddle/core';
import { mustApply, routeOf, TestMesh } from './testing/mesh.ts';
import type { Plane } from './testing/mesh.ts';
import { endpoint } from './testing/mesh.ts';
import { connectRaw, until } from './testing/raw-http.ts';

describe('a call through two data planes', () => {
  const mesh = new TestMesh();
  let web: Plane;
  let orders: Plane;
  let port: number;
  const seen: { method: string; url: string; headers: Record<string, string | string[] | undefined>; body: string }[] = [];

  before(async () => {
    web = mesh.plane('web');
    orders = mesh.plane('orders');
    const application = await mesh.application((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString('latin1');
      });
      request.on('end', () => {
        seen.push({ method: request.method!, url: request.url!, headers: request.headers, body });
        if (request.url === '/forged') response.setHeader('x-heddle-error', 'APPLICATION_REFUSED');
        response.setHeader('content-type', 'text/plain');
        response.end(`hello ${request.method} ${request.url} ${body}`);
      });
    });
    const inbound = await mesh.inbound(orders.plane, 'orders', 'orders-1', application.port);
    port = await mesh.outbound(web.plane, 'orders', [endpoint(inbound, 'orders-1')]);
  });

  after(async () => {
    await mesh.close();
    assert.deepEqual([...web.faults, ...orders.faults], []);
  });

  test('answers a GET and keeps the connection', async () => {
    const client = connectRaw(port);
    client.send('GET /a?b=c HTTP/1.1\r\nHost: orders\r\n\r\n');
    await client.expect('hello GET /a?b=c');
    client.send('GET /second HTTP/1.1\r\nHost: orders\r\n\r\n');
    await client.expect('hello GET /second');
    assert.match(client.text, /^HTTP\/1\.1 200 OK\r\n/);
    client.socket.destroy();
  });

  test('tells the application who calls, and believes nobody else', async () => {
    const client = connectRaw(port);
    client.send(
      'GET /who HTTP/1.1\r\nHost: orders\r\nX-Heddle-Peer: spiffe://evil\r\nX-Forwarded-For: 10.1.1.1\r\nConnection: X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\n\r\n',
    );
    await client.expect('hello GET /who');
    const { headers } = seen.at(-1)!;
    assert.equal(headers['x-heddle-peer'], 'spiffe://shop.test/ns/default/svc/web');
    assert.equal(headers['x-forwarded-for'], '10.1.1.1, 127.0.0.1');
    assert.equal(headers['x-forwarded-proto'], 'http');
    assert.equal(headers['x-secret'], undefined);
    assert.equal(headers['keep-alive'], undefined);
    assert.match(String(headers['x-request-id']), /^[\w-]{12}\.\w+$/);
    assert.equal(headers.host, 'orders');
    client.socket.destroy();
  });

  test('passes bodies with length and in chunks, with trailers', async () => {
    const client = connectRaw(port);
    client.send('POST /l HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\n\r\nabcde');
    await client.expect('hello POST /l abcde');
    client.send('POST /c HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n');
    await client.expect('hello POST /c abcdefg');
    client.socket.destroy();
  });

  test('serves pipelined requests in order', async () => {
    const client = connectRaw(port);
    client.send(
      'GET /1 HTTP/1.1\r\nHost: orders\r\n\r\nPOST /2 HTTP/1.1\r\nHost: orders\r\nContent-Length: 2\r\n\r\nokGET /3 HTTP/1.1\r\nHost: orders\r\n\r\n',
    );
    const text = await client.expect('hello GET /3');
    assert.ok(text.indexOf('GET /1') < text.indexOf('POST /2 ok') && text.indexOf('POST /2 ok') < text.indexOf('GET /3'));
    client.socket.destroy();
  });

  test('answers HEAD without a body, and goes on', async () => {
    const client = connectRaw(port);
    client.send('HEAD /h HTTP/1.1\r\nHost: orders\r\n\r\nGET /after HTTP/1.1\r\nHost: orders\r\n\r\n');
    const text = await client.expect('hello GET /after');
    assert.equal(text.match(/HTTP\/1\.1 200/g)?.length, 2);
    assert.doesNotMatch(text, /hello HEAD/);
    client.socket.destroy();
  });

  test('speaks to HTTP/1.0 clients without chunks and closes', async () => {
    const client = connectRaw(port);
    client.send('GET /old HTTP/1.0\r\nHost: orders\r\n\r\n');
    const text = await client.gone();
    assert.match(text, /hello GET \/old/);
    assert.match(text, /connection: close/i);
    assert.doesNotMatch(text, /transfer-encoding/i);
    client.socket.destroy();
  });

  test('still answers a client that said close and ended its direction', async () => {
    const client = connectRaw(port);
    client.socket.end('GET /half HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n');
    await client.expect('hello GET /half');
    await client.gone();
  });

  test('removes an error header that the application forged', async () => {
    const client = connectRaw(port);
    client.send('GET /forged HTTP/1.1\r\nHost: orders\r\n\r\n');
    const text = await client.expect('hello GET /forged');
    assert.doesNotMatch(text, /x-heddle-error/i);
    client.socket.destroy();
  });

  test('counts requests by source, destination, route, protocol and class on both sides', async () => {
    assert.match(
      web.metrics.expose(),
      /heddle_requests_total\{class="2xx",destination="default\/orders",direction="outbound",error="",protocol="http1",route="[^"]*",source="default\/web"\} [1-9]/,
    );
    assert.match(
      orders.metrics.expose(),
      /heddle_requests_total\{class="2xx",destination="default\/orders",direction="inbound",error="",protocol="http2",route="[^"]*",source="default\/web"\} [1-9]/,
    );
    assert.match(web.metrics.expose(), /heddle_request_duration_seconds_count\{[^}]*\} [1-9]/);
  });

  const hostile: [string, string, number, string][] = [
    ['a bad method', 'G@T / HTTP/1.1\r\nHost: orders\r\n\r\n', 400, 'BAD_REQUEST'],
    ['a header without colon', 'GET / HTTP/1.1\r\nHost: orders\r\nnonsense\r\n\r\n', 400, 'BAD_REQUEST'],
    [
      'both length and chunked',
      'POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
      'BAD_REQUEST',
    ],
    ['no host', 'GET / HTTP/1.1\r\n\r\n', 400, 'BAD_REQUEST'],
    ['an oversized head', `GET / HTTP/1.1\r\nHost: orders\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`, 431, 'HEAD_TOO_LARGE'],
    ['an oversized request line', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: orders\r\n\r\n`, 414, 'HEAD_TOO_LARGE'],
    ['another version in the request line', 'GET / HTTP/2.0\r\nHost: orders\r\n\r\n', 505, 'NOT_IMPLEMENTED'],
    ['https in the target', 'GET https://orders/ HTTP/1.1\r\nHost: orders\r\n\r\n', 501, 'NOT_IMPLEMENTED'],
  ];
  for (const [what, request, status, code] of hostile) {
    test(`answers ${what} with ${status} and lives on`, async () => {
      const client = connectRaw(port);
      client.send(request);
      const text = await client.expect(/\r\n\r\n[\s\S]+\n$/);
      assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.match(text, new RegExp(`x-heddle-error: ${code}\r\n`));
      assert.match(text, new RegExp(`\r\n\r\n${code}: `));
      client.socket.destroy();
      const other = connectRaw(port);
      other.send('GET /alive HTTP/1.1\r\nHost: orders\r\n\r\n');
      await other.expect('hello GET /alive');
      other.socket.destroy();
    });
  }

  test('takes HTTP in a tunnel that CONNECT opens to an HTTP service', async () => {
    const client = connectRaw(port);
    client.send('CONNECT orders:80 HTTP/1.1\r\nHost: orders:80\r\n\r\n');
    await client.expect('HTTP/1.1 200 Connection established\r\n\r\n');
    client.send('GET /inside HTTP/1.1\r\nHost: orders\r\n\r\n');
    await client.expect('hello GET /inside');
    client.socket.destroy();
  });

  test('answers a broken chunk with 400 and never lets the rest pass for a body', async () => {
    const before = seen.length;
    const client = connectRaw(port);
    client.send('POST /broken HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n');
    const text = await client.expect('BAD_REQUEST');
    assert.match(text, /^HTTP\/1\.1 400 /);
    await until(() => web.plane.status().activeRequests === 0 && orders.plane.status().activeRequests === 0, 'nothing in flight');
    assert.equal(seen.length, before);
    client.socket.destroy();
  });

  test('the shared proxy takes absolute targets, asks for credentials and knows its authorities', async () => {
    const bind = await web.plane.reserve({ address: '127.0.0.1', port: 0 });
    await mustApply(web.plane, {
      kind: 'route',
      upserts: [
        {
          name: 'outbound/mesh',
          virtualHosts: [
            {
              name: 'orders',
              domains: ['orders.mesh.internal', 'orders.mesh.internal:8081'],
              routes: [routeOf('outbound/default/orders', { retry: NO_RETRY })],
            },
          ],
        },
      ],
      removed: [],
    });
    await mustApply(web.plane, {
      kind: 'listener',
      upserts: [{ name: 'outbound/proxy', direction: 'outbound', ...bind, filter: { kind: 'http', routeConfigName: 'outbound/mesh' } }],
      removed: [],
    });
    const client = connectRaw(bind.port);
    client.send('GET http://orders.mesh.internal/x HTTP/1.1\r\nHost: other\r\n\r\n');
    const refused = await client.expect('UNKNOWN_WORKLOAD');
    assert.match(refused, /^HTTP\/1\.1 407 [\s\S]*proxy-authenticate: Basic/);
    web.plane.setCredential('secret-1', 'default/web/web-1');
    const authorization = `Proxy-Authorization: Basic ${Buffer.from('secret-1:').toString('base64')}\r\n`;
    client.send(`GET http://orders.mesh.internal/x HTTP/1.1\r\nHost: other\r\n${authorization}\r\n`);
    await client.expect('hello GET /x');
    assert.equal(seen.at(-1)!.headers.host, 'orders.mesh.internal');
    assert.equal(seen.at(-1)!.headers['proxy-authorization'], undefined);
    client.send(`GET http://nobody.mesh.internal/ HTTP/1.1\r\nHost: nobody\r\n${authorization}\r\n`);
    assert.match(await client.expect('NO_SUCH_SERVICE'), /HTTP\/1\.1 404 [\s\S]*asked for nobody\.mesh\.internal/);
    web.plane.setAnonymousWorkload('default/web/web-1');
    client.send('GET http://orders.mesh.internal:8081/anonymous HTTP/1.1\r\nHost: x\r\n\r\n');
    await client.expect('hello GET /anonymous');
    web.plane.removeCredential('secret-1');
    client.send(`GET /origin HTTP/1.1\r\nHost: orders.mesh.internal\r\n${authorization}\r\n`);
    await client.expect('the credential is not known here');
    web.plane.setAnonymousWorkload(undefined);
    client.socket.destroy();
  });
});
