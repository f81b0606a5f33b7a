// Clients of HTTP/2 that attack, by hand: each is cut off or held within bounds, the application hardly notices, and the next client is served.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { CLIENT_PREFACE, DEFAULT_HTTP2_LIMITS } from '@heddle/wire';
import {
  block,
  connectFrames,
  data,
  FLAG,
  FRAME,
  frame,
  get,
  headers,
  post,
  rstStream,
  SETTING,
  settings,
  uint32,
  windowUpdate,
} from './testing/frames.ts';
import type { FramePeer } from './testing/frames.ts';
import { TestMesh } from './testing/mesh.ts';
import { isQuiet, pair, startApplication } from './testing/paths.ts';
import type { Way } from './testing/paths.ts';
import { until } from './testing/raw-http.ts';

/** RFC 9113 §7. */
const ENHANCE_YOUR_CALM = 11;
const REFUSED_STREAM = 7;
const FLOW_CONTROL_ERROR = 3;
const BIG = Buffer.alloc(5_000_000, 'x');

describe('abuse of HTTP/2', () => {
  const mesh = new TestMesh();
  let way: Way;
  let requests = 0;
  const limits = { requestHeadTimeoutMs: 300, downstreamIdleTimeoutMs: 600, lingerTimeoutMs: 100, streamIdleTimeoutMs: 800 };

  before(async () => {
    const { port } = await startApplication(mesh, 'http1', (request, response) => {
      requests++;
      if (request.url === '/big') response.end(BIG);
      else if (request.url === '/echo') request.pipe(response);
      else if (request.url !== '/hang') response.end('ok');
    });
    way = await pair(mesh, 'http1', port, { limits, route: { timeoutMs: 0 } });
  });
  /** Whatever was done: the next client is served, and nothing is left behind. */
  afterEach(async () => {
    const peer = connectFrames(way.port);
    peer.send(headers(1, get()));
    await until(() => peer.isOver(1), 'the answer to the next client');
    assert.equal(peer.body(1), 'ok');
    peer.socket.destroy();
    await until(() => isQuiet(way.planes), 'nothing in flight');
    await until(() => way.planes[0]!.plane.status().openConnections === 0, 'no connection left');
    assert.deepEqual(
      way.planes.flatMap(({ faults }) => faults),
      [],
    );
    requests = 0;
  });
  after(() => mesh.close());

  /** Keeps sending while the socket takes it, until the data plane has had enough. */
  async function flood(peer: FramePeer, next: () => Buffer, batchesMax = 2_000): Promise<number> {
    for (let batch = 0; batch < batchesMax && !peer.closed && !peer.ended; batch++) {
      if (!peer.socket.write(next()))
        await Promise.race([
          new Promise((resolve) => peer.socket.once('drain', resolve)),
          new Promise((resolve) => peer.socket.once('close', resolve)),
        ]);
      else await new Promise((resolve) => setImmediate(resolve));
    }
    const code = await peer.gone();
    peer.socket.destroy();
    return code;
  }

  function repeated(piece: Buffer, count = 200): () => Buffer {
    const many = Buffer.concat(Array.from({ length: count }, () => piece));
    return () => many;
  }

  test('rapid reset (CVE-2023-44487) ends the connection, and the application sees bounded work', async () => {
    const peer = connectFrames(way.port);
    let id = 1;
    const code = await flood(
      peer,
      () => {
        const frames: Buffer[] = [];
        for (let count = 0; count < 500; count++, id += 2) frames.push(headers(id, get('/hang')), rstStream(id, 8));
        return Buffer.concat(frames);
      },
      200,
    );
    assert.equal(code, ENHANCE_YOUR_CALM);
    assert.ok(id < 100_000, `${id} streams were taken`);
    assert.ok(requests <= DEFAULT_HTTP2_LIMITS.resets.burst + 100, `${requests} requests reached the application`);
    assert.match(way.planes[0]!.metrics.expose(), /heddle_http2_broken_connections_total\{[^}]*rule="TOO_MANY_RESETS"[^}]*\} 1\n/);
  });

  test('streams that the client makes us reset (CVE-2025-8671) count the same', async () => {
    const peer = connectFrames(way.port);
    let id = 1;
    const code = await flood(
      peer,
      () => {
        const frames: Buffer[] = [];
        for (let count = 0; count < 200; count++, id += 2) frames.push(headers(id, get('/hang')), windowUpdate(id, 0));
        return Buffer.concat(frames);
      },
      200,
    );
    assert.equal(code, ENHANCE_YOUR_CALM);
    assert.ok(requests <= DEFAULT_HTTP2_LIMITS.resets.burst + 100, `${requests} requests reached the application`);
  });

  test('more streams than announced are refused, and the announced ones are served', async () => {
    const peer = connectFrames(way.port);
    const announced = await peer.expect(FRAME.settings);
    let limit = 0;
    for (let at = 0; at < announced.payload.length; at += 6)
      if (announced.payload.readUInt16BE(at) === SETTING.maxConcurrentStreams) limit = announced.payload.readUInt32BE(at + 2);
    assert.equal(limit, 256);
    const ids = Array.from({ length: limit + 20 }, (_, index) => 2 * index + 1);
    peer.send(...ids.map((id) => headers(id, post('/echo'), false)));
    await until(() => peer.of(FRAME.rstStream).length === 20, 'the refusals');
    for (const { payload, streamId } of peer.of(FRAME.rstStream)) {
      assert.equal(payload.readUInt32BE(), REFUSED_STREAM);
      assert.ok(streamId > 2 * limit);
    }
    peer.send(...ids.slice(0, limit).map((id) => data(id, 'x', true)));
    await until(() => ids.slice(0, limit).every((id) => peer.isOver(id)), 'the answers');
    peer.socket.destroy();
  });

  test('a CONTINUATION flood (CVE-2024-27316) ends the connection', async () => {
    const peer = connectFrames(way.port);
    peer.send(frame(FRAME.headers, FLAG.endStream, 1, block(get())));
    assert.equal(await flood(peer, repeated(frame(FRAME.continuation, 0, 1, block([['x-a', 'b']])))), ENHANCE_YOUR_CALM);
    assert.equal(requests, 0);
    const empty = connectFrames(way.port);
    empty.send(frame(FRAME.headers, 0, 1, block(get())));
    assert.equal(await flood(empty, repeated(frame(FRAME.continuation, 0, 1))), ENHANCE_YOUR_CALM);
  });

  for (const [what, piece] of [
    ['SETTINGS', settings([SETTING.initialWindowSize, 65_535])],
    ['PING', frame(FRAME.ping, 0, 0, Buffer.alloc(8))],
    ['PRIORITY', frame(FRAME.priority, 0, 1, [0, 0, 0, 0, 16])],
    ['unknown frames', frame(0xfa, 0, 0, Buffer.alloc(10))],
    ['WINDOW_UPDATE', windowUpdate(0, 1)],
  ] as const) {
    test(`a flood of ${what} ends the connection`, async () => {
      const peer = connectFrames(way.port);
      assert.equal(await flood(peer, repeated(piece)), ENHANCE_YOUR_CALM);
    });
  }

  test('a flood of empty DATA ends the connection (CVE-2019-9518)', async () => {
    const peer = connectFrames(way.port);
    peer.send(headers(1, post('/echo'), false));
    assert.equal(await flood(peer, repeated(data(1, ''))), ENHANCE_YOUR_CALM);
  });

  test('a flood of DATA on a closed stream ends the connection', async () => {
    const peer = connectFrames(way.port);
    peer.send(headers(1, post('/echo'), false), rstStream(1, 8));
    assert.notEqual(await flood(peer, repeated(data(1, 'x'))), 0);
  });

  test('a client that floods PING and never reads is cut off, and what waits for it is bounded', async () => {
    const peer = connectFrames(way.port);
    await peer.expect(FRAME.settings);
    peer.socket.pause();
    const before = process.memoryUsage().rss;
    const piece = repeated(frame(FRAME.ping, 0, 0, Buffer.alloc(8)), 2_000)();
    for (let count = 0; count < 50 && !peer.closed; count++) {
      peer.socket.write(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(process.memoryUsage().rss - before < 100_000_000);
    peer.socket.destroy();
  });

  test('an HPACK bomb gets 431 and no more memory than the limit', async () => {
    const peer = connectFrames(way.port);
    // One entry of 4,000 bytes in the dynamic table, referred to by one byte each.
    const entry = Buffer.concat([
      Buffer.from([0x40, 1]),
      Buffer.from('a'),
      Buffer.from([0x7f, ...varint(3_900 - 127)]),
      Buffer.alloc(3_900, 'b'),
    ]);
    const bomb = Buffer.concat([block(get()), entry, Buffer.alloc(12_000, 0x80 | 62)]);
    peer.send(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, bomb));
    const answer = await peer.expect(FRAME.headers, 1);
    assert.equal(answer.fields[':status'], '431');
    peer.send(headers(3, get()));
    await until(() => peer.isOver(3), 'the next request of the same connection');
    assert.equal(peer.body(3), 'ok');
    peer.socket.destroy();
  });

  test('too many and too large fields get 431', async () => {
    const peer = connectFrames(way.port);
    const many = Array.from({ length: 200 }, (_, index) => [`x-${index}`, 'a'] as const);
    peer.send(headers(1, get('/', many)));
    assert.equal((await peer.expect(FRAME.headers, 1)).fields[':status'], '431');
    const large = block(get('/', [['x-large', 'a'.repeat(70_000)]]));
    const pieces: Buffer[] = [];
    for (let at = 0; at < large.length; at += 16_000) {
      const isLast = at + 16_000 >= large.length;
      pieces.push(
        frame(
          at === 0 ? FRAME.headers : FRAME.continuation,
          (at === 0 ? FLAG.endStream : 0) | (isLast ? FLAG.endHeaders : 0),
          3,
          large.subarray(at, at + 16_000),
        ),
      );
    }
    peer.send(...pieces);
    assert.equal((await peer.expect(FRAME.headers, 3)).fields[':status'], '431');
    peer.socket.destroy();
  });

  test('a window of one byte is served without a frame for each byte for ever', async () => {
    const peer = connectFrames(way.port, { settings: settings([SETTING.initialWindowSize, 1]) });
    peer.onFrame = ({ type, streamId, flags }) => {
      if (type === FRAME.settings && (flags & FLAG.ack) === 0) peer.send(frame(FRAME.settings, FLAG.ack, 0));
      if (type === FRAME.data) peer.send(windowUpdate(streamId, 1));
    };
    peer.send(headers(1, get('/big')));
    assert.equal(await peer.gone(), ENHANCE_YOUR_CALM);
    assert.ok(peer.of(FRAME.data).length < 20_000);
    peer.socket.destroy();
  });

  test('windows that are never opened hold little memory, and not for ever', async () => {
    const peer = connectFrames(way.port, { settings: settings([SETTING.initialWindowSize, 0]) });
    const before = process.memoryUsage();
    const ids = Array.from({ length: 100 }, (_, index) => 2 * index + 1);
    peer.send(...ids.map((id) => headers(id, get('/big'))));
    await until(() => ids.every((id) => peer.of(FRAME.headers, id).length === 1), 'all heads');
    const { arrayBuffers, external } = process.memoryUsage();
    // 100 answers of 5 MB; each may hold its windows and buffers, in both data planes and in node's sockets in this same process.
    assert.ok(arrayBuffers + external - before.arrayBuffers - before.external < 150_000_000);
    await until(() => ids.every((id) => peer.of(FRAME.rstStream, id).length === 1), 'the streams to be given up');
    peer.socket.destroy();
  });

  test('windows that overflow break the rules', async () => {
    const stream = connectFrames(way.port);
    stream.send(headers(1, post('/echo'), false), windowUpdate(1, 0x7fff_ffff));
    await stream.expect(FRAME.rstStream, 1);
    stream.socket.destroy();
    const connection = connectFrames(way.port);
    connection.send(windowUpdate(0, 0x7fff_ffff));
    assert.equal(await connection.gone(), FLOW_CONTROL_ERROR);
    connection.socket.destroy();
  });

  test('more DATA than the window allows ends the stream', async () => {
    const peer = connectFrames(way.port);
    peer.send(headers(1, post('/hang'), false));
    peer.send(...Array.from({ length: 1_000 }, () => data(1, Buffer.alloc(16_384))));
    const { payload } = await peer.expect(FRAME.rstStream, 1);
    assert.equal(payload.readUInt32BE(), FLOW_CONTROL_ERROR);
    peer.socket.destroy();
  });

  test('a client that drips its preface, its settings or its first head is let go', async () => {
    const preface = connectFrames(way.port, { silent: true });
    preface.send(CLIENT_PREFACE.subarray(0, 20));
    await preface.gone();
    const greeting = connectFrames(way.port, { silent: true });
    greeting.send(CLIENT_PREFACE, settings().subarray(0, 5));
    await greeting.gone();
    const head = connectFrames(way.port);
    const bytes = headers(1, get());
    const drip = setInterval(() => void head.send(bytes.subarray(0, 1)), 20);
    head.send(bytes.subarray(0, 9));
    await head.gone();
    clearInterval(drip);
    const continued = connectFrames(way.port);
    continued.send(frame(FRAME.headers, FLAG.endStream, 1, block(get())));
    await continued.gone();
    for (const peer of [preface, greeting, head, continued]) peer.socket.destroy();
  });

  test('an idle connection is let go with GOAWAY, and pings do not keep it', async () => {
    const peer = connectFrames(way.port);
    const pings = setInterval(() => void peer.send(frame(FRAME.ping, 0, 0, Buffer.alloc(8))), 50);
    assert.equal(await peer.gone(), 0);
    clearInterval(pings);
    peer.socket.destroy();
  });

  test('a body that never comes is not waited for longer than the limit', async () => {
    const peer = connectFrames(way.port);
    peer.send(headers(1, post('/hang'), false));
    const answer = await peer.expect(FRAME.headers, 1);
    assert.deepEqual([answer.fields[':status'], answer.fields['x-heddle-error']], ['504', 'IDLE_TIMEOUT']);
    peer.socket.destroy();
  });

  test('frames that are none end the connection', async () => {
    for (const bytes of [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      frame(FRAME.data, 0, 0, [1]),
      frame(FRAME.headers, FLAG.endHeaders, 2, block(get())),
      frame(FRAME.settings, 0, 0, [1]),
      frame(FRAME.ping, 0, 0, [1]),
      Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0, 0]), uint32(1)]),
    ]) {
      const peer = connectFrames(way.port);
      peer.send(bytes);
      assert.notEqual(await peer.gone(), 0);
      peer.socket.destroy();
    }
  });
});

/** RFC 7541 §5.1, behind a full prefix. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let left = value; ; left >>= 7) {
    if (left < 128) return [...bytes, left];
    bytes.push((left & 127) | 128);
  }
}
