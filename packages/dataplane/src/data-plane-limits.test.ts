// The limits of the table that a client can run into, each made small: it holds, it says so, and the next client is served.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import type { Limits } from '@heddle/core';
import { connectFrames, data, FRAME, get, headers, SETTING } from './testing/frames.ts';
import { TestMesh } from './testing/mesh.ts';
import { isQuiet, pair, single, startApplication } from './testing/paths.ts';
import type { Application, Way } from './testing/paths.ts';
import { connectRaw, RawServer, until } from './testing/raw-http.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const POST_OF_TEN = 'POST /early HTTP/1.1\r\nHost: orders\r\nContent-Length: 10\r\n\r\n';

describe('limits', () => {
  let mesh = new TestMesh();
  let ways: Way[] = [];
  afterEach(async () => {
    try {
      await until(() => ways.every(({ planes }) => isQuiet(planes)), 'nothing in flight');
      assert.deepEqual(
        ways.flatMap(({ planes }) => planes.flatMap(({ faults }) => faults)),
        [],
      );
    } finally {
      ways = [];
      await mesh.close();
      mesh = new TestMesh();
    }
  });

  /** An application behind one data plane with these limits: `/hang` is never answered, `/early` at once, others after their body. */
  async function limited(limits: Partial<Limits>): Promise<{ port: number; way: Way; application: Application; waiting: (() => void)[] }> {
    const waiting: (() => void)[] = [];
    const application = await startApplication(mesh, 'http1', (request, response) => {
      request.on('error', () => {});
      if (request.url === '/hang') waiting.push(() => response.end('late'));
      else if (request.url === '/early') response.end('early');
      else request.resume().on('end', () => response.end('ok'));
    });
    const way = await single(mesh, 'http1', [application.port], { limits, route: { timeoutMs: 0 } });
    ways.push(way);
    return { port: way.port, way, application, waiting };
  }

  async function told(port: number, request: string): Promise<string> {
    const client = connectRaw(port);
    client.send(request);
    await client.expect(/^HTTP\/1\.1 \d{3}/);
    client.socket.destroy();
    return client.text.slice(9, 12);
  }

  async function toldFrames(port: number, fields: Parameters<typeof headers>[1]): Promise<string | undefined> {
    const peer = connectFrames(port);
    peer.send(headers(1, fields));
    const answer = await peer.expect(FRAME.headers, 1);
    peer.socket.destroy();
    return answer.fields[':status'];
  }

  const request = (lines: string, target = '/'): string => `GET ${target} HTTP/1.1\r\nHost: orders\r\n${lines}\r\n`;

  test('requestLineBytesMax', async () => {
    const { port } = await limited({ requestLineBytesMax: 100 });
    assert.equal(await told(port, request('', `/${'a'.repeat(60)}`)), '200');
    assert.equal(await told(port, request('', `/${'a'.repeat(120)}`)), '414');
  });

  test('requestBodyBytesMax, told beforehand or found out, in both versions', async () => {
    const { port } = await limited({ requestBodyBytesMax: 10 });
    const post = (lines: string, body: string): string => `POST / HTTP/1.1\r\nHost: orders\r\n${lines}\r\n${body}`;
    assert.equal(await told(port, post('Content-Length: 10\r\n', '0123456789')), '200');
    assert.equal(await told(port, post('Content-Length: 11\r\n', '')), '413');
    assert.equal(await told(port, post('Transfer-Encoding: chunked\r\n', 'a\r\n0123456789\r\n0\r\n\r\n')), '200');
    assert.equal(await told(port, post('Transfer-Encoding: chunked\r\n', 'a\r\n0123456789\r\n1\r\nx\r\n')), '413');
    const fields = [[':method', 'POST'], ...get('/').slice(1)] as const;
    for (const [body, status] of [
      ['0123456789', '200'],
      ['0123456789x', '413'],
    ] as const) {
      const peer = connectFrames(port);
      peer.send(headers(1, fields, false), data(1, body, true));
      assert.equal((await peer.expect(FRAME.headers, 1)).fields[':status'], status);
      peer.socket.destroy();
    }
  });

  test('headerBytesMax, in both versions', async () => {
    const { port } = await limited({ headerBytesMax: 2_000 });
    assert.equal(await told(port, request(`X-A: ${'a'.repeat(1_000)}\r\n`)), '200');
    assert.equal(await told(port, request(`X-A: ${'a'.repeat(2_100)}\r\n`)), '431');
    assert.equal(await toldFrames(port, get('/', [['x-a', 'a'.repeat(1_000)]])), '200');
    assert.equal(await toldFrames(port, get('/', [['x-a', 'a'.repeat(2_100)]])), '431');
  });

  test('headerCountMax, in both versions', async () => {
    const { port } = await limited({ headerCountMax: 10 });
    const fields = (count: number) => Array.from({ length: count }, (_, index) => [`x-${index}`, 'a'] as const);
    const lines = (count: number) =>
      fields(count)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join('');
    assert.equal(await told(port, request(lines(9))), '200');
    assert.equal(await told(port, request(lines(10))), '431');
    assert.equal(await toldFrames(port, get('/', fields(10))), '200');
    assert.equal(await toldFrames(port, get('/', fields(11))), '431');
  });

  test('chunkLineBytesMax and trailerBytesMax', async () => {
    const { port } = await limited({ chunkLineBytesMax: 64, trailerBytesMax: 200 });
    const chunked = (body: string) => `POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
    assert.equal(await told(port, chunked(`1;${'a'.repeat(20)}\r\nx\r\n0\r\nX-T: ${'b'.repeat(100)}\r\n\r\n`)), '200');
    assert.match(await told(port, chunked(`1;${'a'.repeat(200)}\r\nx\r\n0\r\n\r\n`)), /^4\d\d$/);
    assert.match(await told(port, chunked(`1\r\nx\r\n0\r\nX-T: ${'b'.repeat(300)}\r\n\r\n`)), /^4\d\d$/);
  });

  test('bodyReplayBytesMax: a larger body is sent once only', async () => {
    const application = await RawServer.listen();
    mesh.onClose(() => application.close());
    const way = await single(mesh, 'http1', [application.port], { limits: { bodyReplayBytesMax: 1_000 } });
    ways.push(way);
    let kills = 0;
    application.onPeer = (peer) => {
      const answer = (): void => {
        if (!peer.text.endsWith('y')) return;
        if (kills-- > 0) peer.socket.resetAndDestroy();
        else peer.send(OK);
      };
      peer.socket.on('data', answer);
    };
    for (const [bytes, status] of [
      [500, '200'],
      [5_000, '502'],
    ] as const) {
      kills = 1;
      assert.equal(
        await told(way.port, `PUT / HTTP/1.1\r\nHost: orders\r\nContent-Length: ${bytes}\r\n\r\n${'x'.repeat(bytes - 1)}y`),
        status,
      );
    }
  });

  test('discardedBytesMax: the rest of a request that was answered early is read up to here', async () => {
    const { port } = await limited({ discardedBytesMax: 1_000, lingerTimeoutMs: 50 });
    const kept = connectRaw(port);
    kept.send(POST_OF_TEN);
    await kept.expect('early');
    kept.send('0123456789');
    kept.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n');
    await kept.expect(/early[\s\S]*200 OK[\s\S]*ok/);
    kept.socket.destroy();
    const cut = connectRaw(port);
    cut.send(POST_OF_TEN.replace('10', '100000'));
    await cut.expect('early');
    cut.send('x'.repeat(5_000));
    await cut.gone();
    cut.socket.destroy();
  });

  test('pipelinedBytesMax: a client that asks on and on waits for its answers', async () => {
    const { port, waiting } = await limited({ pipelinedBytesMax: 1_000 });
    const client = connectRaw(port);
    client.send('GET /hang HTTP/1.1\r\nHost: orders\r\n\r\n');
    await until(() => waiting.length === 1, 'the first request');
    client.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n'.repeat(500_000));
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(client.socket.writableLength > 5_000_000, `${client.socket.writableLength} bytes are left`);
    client.socket.destroy();
    for (const finish of waiting) finish();
  });

  test('connectionsPerListenerMax: one too many is closed at once, and leaves room when others go', async () => {
    const { port } = await limited({ connectionsPerListenerMax: 3 });
    const clients = [1, 2, 3].map(() => connectRaw(port));
    for (const client of clients) {
      client.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n');
      await client.expect('ok');
    }
    const refused = connectRaw(port);
    await refused.gone();
    assert.equal(refused.text, '');
    refused.socket.destroy();
    for (const client of clients) client.socket.destroy();
    await until(() => ways[0]!.planes[0]!.plane.status().openConnections === 0, 'room');
    assert.equal(await told(port, request('')), '200');
  });

  test('streamsPerConnectionMax, streamWindowBytes and clientWindowBytes are announced', async () => {
    const { port, waiting } = await limited({ streamsPerConnectionMax: 5, streamWindowBytes: 70_000, clientWindowBytes: 300_000 });
    const peer = connectFrames(port);
    const { payload } = await peer.expect(FRAME.settings);
    const announced = new Map<number, number>();
    for (let at = 0; at < payload.length; at += 6) announced.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    assert.deepEqual([announced.get(SETTING.maxConcurrentStreams), announced.get(SETTING.initialWindowSize)], [5, 70_000]);
    const { payload: window } = await peer.expect(FRAME.windowUpdate, 0);
    assert.equal(65_535 + window.readUInt32BE(), 300_000);
    for (const id of [1, 3, 5, 7, 9, 11]) peer.send(headers(id, get('/hang')));
    const { streamId } = await peer.expect(FRAME.rstStream);
    assert.equal(streamId, 11);
    await until(() => waiting.length === 5, 'five requests');
    for (const finish of waiting) finish();
    await until(() => [1, 3, 5, 7, 9].every((id) => peer.isOver(id)), 'the answers');
    peer.socket.destroy();
  });

  test('applicationIdleTimeoutMs and upstreamIdleTimeoutMs: kept connections are let go', async () => {
    const { port, application } = await limited({ applicationIdleTimeoutMs: 100 });
    assert.equal(await told(port, request('')), '200');
    assert.equal(application.sockets.size, 1);
    await until(() => application.sockets.size === 0, 'the connection to the application to end');
    const made = await pair(mesh, 'http1', application.port, { limits: { upstreamIdleTimeoutMs: 100 } });
    ways.push(made);
    assert.equal(await told(made.port, request('')), '200');
    assert.equal(made.planes[1]!.plane.status().openConnections, 1);
    await until(() => made.planes[1]!.plane.status().openConnections === 0, 'the connection between the data planes to end');
    assert.equal(await told(made.port, request('')), '200');
  });

  test('requestHeadTimeoutMs, downstreamIdleTimeoutMs and streamIdleTimeoutMs of HTTP/1.1', async () => {
    const { port } = await limited({
      requestHeadTimeoutMs: 150,
      downstreamIdleTimeoutMs: 300,
      streamIdleTimeoutMs: 200,
      lingerTimeoutMs: 50,
    });
    const dripping = connectRaw(port);
    const drip = setInterval(() => void dripping.send('a'), 10);
    dripping.send('GET /');
    assert.match(await dripping.gone(), /^HTTP\/1\.1 408 /);
    clearInterval(drip);
    dripping.socket.destroy();
    const idle = connectRaw(port);
    assert.equal(await idle.gone(), '');
    idle.socket.destroy();
    const stopped = connectRaw(port);
    stopped.send('POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 10\r\n\r\n01234');
    assert.match(await stopped.gone(), /^HTTP\/1\.1 504 [\s\S]*IDLE_TIMEOUT/);
    stopped.socket.destroy();
  });
});
