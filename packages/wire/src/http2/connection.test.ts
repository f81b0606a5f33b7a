import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Http2Client } from './client.ts';
import type { Http2ClientHandler } from './handler.ts';
import { CLIENT_PREFACE, FLAG, FRAME, SETTING } from './frame.ts';
import {
  GET,
  POST,
  SETTINGS_ACK,
  block,
  data,
  frame,
  framesOf,
  goaway,
  headers,
  rstStream,
  settings,
  uint32,
  windowUpdate,
} from './testing/frames.ts';
import { ownRequest, ownResponse } from './testing/heads.ts';
import { clientBench, freshServer, serverBench } from './testing/record.ts';
import type { Http2Options } from './core.ts';

const PING = Buffer.from('pingpong');

/** RFC section, name, frames, violated rule, error code of the GOAWAY. */
const CONNECTION_ERRORS: readonly [string, string, Buffer[], string, number][] = [
  ['§4.2', 'a frame above SETTINGS_MAX_FRAME_SIZE', [frame(FRAME.ping, 0, 0, Buffer.alloc(16_385))], 'FRAME_TOO_LARGE', 6],
  ['§4.2', 'DATA above SETTINGS_MAX_FRAME_SIZE', [headers(1, POST, false), data(1, Buffer.alloc(16_385))], 'FRAME_TOO_LARGE', 6],
  ['§4.3', 'a header block that cannot be decoded', [frame(FRAME.headers, 5, 1, [0x80])], 'BAD_HEADER_BLOCK', 9],
  ['§4.3', 'a truncated header block', [frame(FRAME.headers, 5, 1, [0x40, 0x05, 0x61])], 'BAD_HEADER_BLOCK', 9],
  ['§5.1.1', 'an even stream', [headers(2, GET)], 'BAD_STREAM_ID', 1],
  ['§6.1', 'DATA on stream 0', [data(0, 'x')], 'STREAM_NEEDED', 1],
  ['§6.1', 'DATA with more padding than payload', [headers(1, POST, false), frame(FRAME.data, 8, 1, [3, 1, 0])], 'BAD_PADDING', 1],
  ['§6.1', 'padded DATA without a length of padding', [headers(1, POST, false), frame(FRAME.data, 8, 1)], 'BAD_PADDING', 1],
  ['§6.2', 'HEADERS on stream 0', [headers(0, GET)], 'STREAM_NEEDED', 1],
  ['§6.2', 'HEADERS with more padding than payload', [frame(FRAME.headers, 13, 1, [3, 0x82, 0])], 'BAD_PADDING', 1],
  ['§6.2', 'padded HEADERS without a length of padding', [frame(FRAME.headers, 13, 1)], 'BAD_FRAME_SIZE', 6],
  ['§6.2', 'HEADERS too short for their priority', [frame(FRAME.headers, 0x25, 1, [0, 0, 0, 0])], 'BAD_FRAME_SIZE', 6],
  ['§6.2', 'padding that reaches into the priority', [frame(FRAME.headers, 0x2d, 1, [3, 0, 0, 0, 0, 1, 0, 0])], 'BAD_PADDING', 1],
  ['§6.2', 'another frame within a header block', [frame(FRAME.headers, 1, 1, block(GET)), data(1, 'x')], 'CONTINUATION_EXPECTED', 1],
  [
    '§6.2',
    'an unknown frame within a header block',
    [frame(FRAME.headers, 1, 1, block(GET)), frame(0x77, 0, 1)],
    'CONTINUATION_EXPECTED',
    1,
  ],
  ['§6.3', 'PRIORITY on stream 0', [frame(FRAME.priority, 0, 0, [0, 0, 0, 1, 0])], 'STREAM_NEEDED', 1],
  ['§6.4', 'RST_STREAM on stream 0', [rstStream(0, 8)], 'STREAM_NEEDED', 1],
  ['§6.4', 'RST_STREAM of three bytes', [headers(1, GET), frame(FRAME.rstStream, 0, 1, [0, 0, 8])], 'BAD_FRAME_SIZE', 6],
  ['§6.5', 'SETTINGS on a stream', [frame(FRAME.settings, 0, 1)], 'STREAM_NOT_ALLOWED', 1],
  ['§6.5', 'SETTINGS of seven bytes', [frame(FRAME.settings, 0, 0, [0, 1, 0, 0, 0, 0, 0])], 'BAD_FRAME_SIZE', 6],
  ['§6.5', 'an acknowledgement with content', [frame(FRAME.settings, 1, 0, [0, 1, 0, 0, 0, 0])], 'BAD_FRAME_SIZE', 6],
  ['§6.5', 'an acknowledgement of nothing', [SETTINGS_ACK], 'SETTINGS_ACK_UNEXPECTED', 1],
  ['§6.5.2', 'ENABLE_PUSH 2', [settings([SETTING.enablePush, 2])], 'BAD_SETTING', 1],
  ['§6.5.2', 'INITIAL_WINDOW_SIZE 2^31', [settings([SETTING.initialWindowSize, 0x80000000])], 'BAD_WINDOW_SETTING', 3],
  ['§6.5.2', 'MAX_FRAME_SIZE 16,383', [settings([SETTING.maxFrameSize, 16_383])], 'BAD_SETTING', 1],
  ['§6.5.2', 'MAX_FRAME_SIZE 2^24', [settings([SETTING.maxFrameSize, 0x1000000])], 'BAD_SETTING', 1],
  ['RFC 8441 §3', 'ENABLE_CONNECT_PROTOCOL 2', [settings([SETTING.enableConnectProtocol, 2])], 'BAD_SETTING', 1],
  [
    'RFC 8441 §3',
    'ENABLE_CONNECT_PROTOCOL taken back',
    [settings([SETTING.enableConnectProtocol, 1]), settings([SETTING.enableConnectProtocol, 0])],
    'BAD_SETTING',
    1,
  ],
  ['§6.6', 'PUSH_PROMISE', [headers(1, GET), frame(FRAME.pushPromise, 4, 1, [0, 0, 0, 2])], 'PUSH_NOT_ALLOWED', 1],
  ['§6.7', 'PING on a stream', [frame(FRAME.ping, 0, 1, PING)], 'STREAM_NOT_ALLOWED', 1],
  ['§6.7', 'PING of seven bytes', [frame(FRAME.ping, 0, 0, PING.subarray(1))], 'BAD_FRAME_SIZE', 6],
  ['§6.8', 'GOAWAY on a stream', [frame(FRAME.goaway, 0, 1, Buffer.alloc(8))], 'STREAM_NOT_ALLOWED', 1],
  ['§6.8', 'GOAWAY of seven bytes', [frame(FRAME.goaway, 0, 0, Buffer.alloc(7))], 'BAD_FRAME_SIZE', 6],
  ['§6.9', 'WINDOW_UPDATE of five bytes', [frame(FRAME.windowUpdate, 0, 0, Buffer.alloc(5))], 'BAD_FRAME_SIZE', 6],
  ['§6.9', 'an increment of 0 for the connection', [windowUpdate(0, 0)], 'CONNECTION_WINDOW_ZERO_INCREMENT', 1],
  ['§6.9.1', 'a window of the connection above 2^31-1', [windowUpdate(0, 0x7fffffff)], 'CONNECTION_WINDOW_OVERFLOW', 3],
  [
    '§6.9.2',
    'settings that make a window larger than 2^31-1',
    [headers(1, GET), windowUpdate(1, 0x7fffffff - 65_535), settings([SETTING.initialWindowSize, 65_536])],
    'SETTINGS_WINDOW_OVERFLOW',
    3,
  ],
  ['§6.10', 'CONTINUATION without HEADERS', [frame(FRAME.continuation, 4, 1)], 'CONTINUATION_UNEXPECTED', 1],
  ['§6.10', 'CONTINUATION after END_HEADERS', [headers(1, POST, false), frame(FRAME.continuation, 4, 1)], 'CONTINUATION_UNEXPECTED', 1],
  [
    '§6.10',
    'CONTINUATION of another stream',
    [frame(FRAME.headers, 1, 1, block(GET)), frame(FRAME.continuation, 4, 3)],
    'CONTINUATION_EXPECTED',
    1,
  ],
  ['RFC 7540 §5.3.1', 'PRIORITY of an idle stream on itself', [frame(FRAME.priority, 0, 1, [0, 0, 0, 1, 0])], 'IDLE_SELF_DEPENDENCY', 1],
];

for (const [section, name, frames, code, errorCode] of CONNECTION_ERRORS) {
  test(`${section}: ${name} is a connection error`, () => {
    for (const pieces of [frames, [Buffer.concat(frames)], [...Buffer.concat(frames)].map((byte) => Buffer.from([byte]))]) {
      const bench = serverBench();
      const events = bench.push(...pieces);
      assert.equal(events.at(-1), `error ${code}`);
      const last = framesOf(bench.connection.take()).at(-1)!;
      assert.equal(last.type, FRAME.goaway);
      assert.equal(last.payload.readUInt32BE(4), errorCode);
      assert.equal(bench.connection.state, 'closed');
      assert.equal(bench.connection.streamCount, 0);
      assert.deepEqual(bench.push(headers(9, GET)), []);
      assert.equal(bench.connection.pendingBytes, 0);
    }
  });
}

/** RFC section, name, frames, last event, what is sent. */
const STREAM_ERRORS: readonly [string, string, Buffer[], string, string][] = [
  [
    '§6.9',
    'an increment of 0 for a stream',
    [headers(1, GET), windowUpdate(1, 0)],
    'reset 1 1 STREAM_WINDOW_ZERO_INCREMENT',
    'rstStream 1 error 1',
  ],
  [
    '§6.9.1',
    'a window of a stream above 2^31-1',
    [headers(1, GET), windowUpdate(1, 0x7fffffff)],
    'reset 1 3 STREAM_WINDOW_OVERFLOW',
    'rstStream 1 error 3',
  ],
  [
    '§6.3',
    'PRIORITY of four bytes',
    [headers(1, GET), frame(FRAME.priority, 0, 1, [0, 0, 0, 0])],
    'reset 1 6 BAD_PRIORITY_SIZE',
    'rstStream 1 error 6',
  ],
  [
    'RFC 7540 §5.3.1',
    'PRIORITY of a stream on itself',
    [headers(1, GET), frame(FRAME.priority, 0, 1, [0, 0, 0, 1, 0])],
    'reset 1 1 SELF_DEPENDENCY',
    'rstStream 1 error 1',
  ],
  [
    'RFC 7540 §5.3.1',
    'HEADERS of a stream on itself',
    [frame(FRAME.headers, 0x25, 1, Buffer.concat([uint32(1), Buffer.from([0]), block(GET)]))],
    'refused 1 SELF_DEPENDENCY',
    'rstStream 1 error 1',
  ],
];

for (const [section, name, frames, event, sent] of STREAM_ERRORS) {
  test(`${section}: ${name} is a stream error`, () => {
    const bench = serverBench();
    assert.equal(bench.push(...frames).at(-1), event);
    assert.deepEqual(bench.sent(), [sent]);
    assert.deepEqual(bench.push(headers(3, GET)), ['request 3 GET http|orders.mesh.internal|/ [] end']);
  });
}

test('§3.4: a server wants the preface, then SETTINGS', () => {
  const wrong: [Buffer[], string][] = [
    [[Buffer.from('GET / HTTP/1.1\r\n')], 'BAD_PREFACE'],
    [[Buffer.from('PRI * HTTP/2.0\r\n\r\nXX')], 'BAD_PREFACE'],
    [[CLIENT_PREFACE, headers(1, GET)], 'SETTINGS_NOT_FIRST'],
    [[CLIENT_PREFACE, SETTINGS_ACK], 'SETTINGS_NOT_FIRST'],
    [[CLIENT_PREFACE, data(1, 'x')], 'SETTINGS_NOT_FIRST'],
  ];
  for (const [bytes, code] of wrong) {
    assert.deepEqual(freshServer().push(...bytes), [`error ${code}`]);
    assert.deepEqual(freshServer().push(...[...Buffer.concat(bytes)].map((byte) => Buffer.from([byte]))), [`error ${code}`]);
  }
});

test('both sides begin with their settings and the window of the connection', () => {
  const options: Http2Options = { limits: { concurrentStreamsMax: 7, streamWindowBytes: 100_000, connectionWindowBytes: 70_000 } };
  const server = freshServer(options);
  const [first, window] = framesOf(server.connection.take());
  assert.equal(first!.type, FRAME.settings);
  const values = new Map<number, number>();
  for (let at = 0; at < first!.payload.length; at += 6) values.set(first!.payload.readUInt16BE(at), first!.payload.readUInt32BE(at + 2));
  assert.deepEqual(
    values,
    new Map([
      [1, 4_096],
      [3, 7],
      [4, 100_000],
      [5, 16_384],
      [6, 65_536],
      [8, 1],
    ]),
  );
  assert.deepEqual([window!.type, window!.streamId, window!.payload.readUInt32BE()], [FRAME.windowUpdate, 0, 4_465]);
  assert.equal(server.connection.awaitsSettingsAck, true);
  server.push(CLIENT_PREFACE, settings(), SETTINGS_ACK);
  assert.equal(server.connection.awaitsSettingsAck, false);
  assert.deepEqual(server.sent(true), ['settings 0 ack']);
});

test('§5.5, §6.3, RFC 9218: PRIORITY, PRIORITY_UPDATE, unknown frames and unknown settings and flags are ignored', () => {
  const bench = serverBench();
  const events = bench.push(
    frame(FRAME.priority, 0, 9, [0, 0, 0, 3, 7]),
    frame(0x10, 0, 0, [0, 0, 0, 1, 117, 61, 49]),
    frame(0xfa, 0xff, 1, Buffer.alloc(300)),
    settings([0xf0f0, 5]),
    frame(FRAME.headers, 0x25 | 0x42, 1, Buffer.concat([uint32(3), Buffer.from([200]), block(GET)])),
  );
  assert.deepEqual(events, ['request 1 GET http|orders.mesh.internal|/ [] end']);
  assert.deepEqual(bench.sent(true), ['settings 0 ack']);
});

test('§6.1, §6.2: padding is taken off, and given back to the windows', () => {
  const bench = serverBench({ limits: { streamWindowBytes: 65_535, connectionWindowBytes: 65_535 } });
  const fields = block(POST);
  const padded = Buffer.concat([Buffer.from([4]), fields, Buffer.alloc(4)]);
  assert.deepEqual(bench.push(frame(FRAME.headers, FLAG.endHeaders | FLAG.padded, 1, padded)).length, 1);
  const piece = frame(FRAME.data, FLAG.padded, 1, Buffer.concat([Buffer.from([255]), Buffer.from('ab'), Buffer.alloc(255)]));
  // 130 × 256 bytes of padding and two of content each; the content is consumed as well.
  for (let round = 0; round < 520; round++) {
    assert.deepEqual(bench.push(piece.subarray(0, 9), piece.subarray(9, 10), piece.subarray(10)), ['data 1 ab']);
    bench.connection.consumed(bench.stream(1), 2);
  }
  assert.equal(bench.connection.state, 'open');
  assert.deepEqual(bench.push(frame(FRAME.data, 9, 1, [1, 0])), ['data 1  end']);
});

test('§6.10: a header block may come in pieces of any size', () => {
  const fields = block([...GET, ['x-name', 'value'.repeat(10)]]);
  for (const size of [7, 20, 1_000]) {
    const bench = serverBench();
    const frames: Buffer[] = [];
    for (let at = 0; at < fields.length; at += size) {
      const last = at + size >= fields.length ? FLAG.endHeaders : 0;
      frames.push(
        frame(at === 0 ? FRAME.headers : FRAME.continuation, last | (at === 0 ? FLAG.endStream : 0), 1, fields.subarray(at, at + size)),
      );
    }
    assert.deepEqual(bench.push(...frames), [`request 1 GET http|orders.mesh.internal|/ [x-name ${'value'.repeat(10)}] end`]);
  }
});

test('§4.3: sends a header block that is larger than a frame as HEADERS and CONTINUATION', () => {
  const bench = serverBench();
  bench.push(headers(1, GET));
  bench.connection.respond(bench.stream(1), ownResponse(200, [['x-large', '\xff'.repeat(40_000)]]), true);
  const frames = framesOf(bench.connection.take());
  assert.deepEqual(
    frames.map(({ type, flags, payload }) => [type, flags, payload.length > 16_384]),
    [
      [FRAME.headers, FLAG.endStream, false],
      [FRAME.continuation, 0, false],
      [FRAME.continuation, FLAG.endHeaders, false],
    ],
  );
});

test('§6.7: answers PING with its content and tells of answers', () => {
  const bench = serverBench();
  assert.deepEqual(bench.push(frame(FRAME.ping, 0, 0, PING)), []);
  const [answer] = framesOf(bench.connection.take());
  assert.deepEqual([answer!.type, answer!.flags, answer!.payload.toString()], [FRAME.ping, FLAG.ack, 'pingpong']);
  bench.connection.ping(Buffer.from('12345678'));
  assert.deepEqual(bench.sent(), ['ping 0']);
  assert.deepEqual(bench.push(frame(FRAME.ping, FLAG.ack, 0, Buffer.from('12345678'))), ['pong 12345678']);
});

test('§6.8: a server that drains loses no request', () => {
  const bench = serverBench();
  const { connection } = bench;
  bench.push(headers(1, GET));
  connection.drain();
  assert.deepEqual(bench.sent(), ['goaway 0 last 2147483647 error 0', 'ping 0']);
  assert.equal(connection.state, 'open');
  // Under way when the client read that.
  assert.equal(bench.push(headers(3, POST, false)).length, 1);
  assert.deepEqual(bench.push(frame(FRAME.ping, FLAG.ack, 0, Buffer.from('draining'))), []);
  assert.deepEqual(bench.sent(), ['goaway 0 last 3 error 0']);
  assert.equal(connection.state, 'closing');
  // What comes now is ignored; header tables and windows are followed.
  assert.deepEqual(bench.push(headers(5, POST, false), data(5, 'x'), data(3, 'y', true)), ['data 3 y end']);
  for (const id of [1, 3]) connection.respond(bench.stream(id), ownResponse(204), true);
  assert.equal(connection.streamCount, 0);
  // A later GOAWAY never names a higher stream (§6.8).
  bench.push(rstStream(99, 0));
  assert.deepEqual(bench.sent().at(-1), 'goaway 0 last 3 error 1');
});

test('§6.8, §8.7: a client learns which requests were not processed', () => {
  const bench = clientBench();
  const { connection } = bench;
  const streams = [1, 2, 3].map(() => connection.request(ownRequest('GET'), true)!);
  assert.deepEqual(bench.push(goaway(0x7fffffff, 0, 'later')), ['goaway 2147483647 0 later']);
  assert.deepEqual(bench.push(goaway(3, 0, 'now')), ['reset 5 7', 'goaway 3 0 now']);
  assert.deepEqual([connection.state, connection.capacity, connection.streamCount], ['closing', 0, 2]);
  assert.equal(connection.request(ownRequest('GET'), true), undefined);
  assert.deepEqual(bench.push(headers(3, [[':status', '200']])), ['response 3 200 [] end']);
  assert.equal(streams[2]!.isClosed, true);
  connection.end();
  assert.deepEqual(bench.push(), ['reset 1 8']);
  assert.equal(connection.state, 'closed');
});

test('§8.7: REFUSED_STREAM reaches the client as such', () => {
  const bench = clientBench();
  bench.connection.request(ownRequest('GET'), true);
  assert.deepEqual(bench.push(rstStream(1, 7)), ['reset 1 7']);
});

test('§5.1.2: a client keeps to the number of streams that the server allows', () => {
  const bench = clientBench({}, [SETTING.maxConcurrentStreams, 2]);
  const { connection } = bench;
  // Until the server has said so, a hundred.
  assert.equal(new Http2Client(bench.recorder as unknown as Http2ClientHandler).capacity, 100);
  assert.equal(connection.capacity, 2);
  connection.request(ownRequest('GET'), true);
  connection.request(ownRequest('GET'), true);
  assert.equal(connection.request(ownRequest('GET'), true), undefined);
  bench.push(headers(1, [[':status', '200']]));
  assert.equal(connection.capacity, 1);
  bench.push(settings([SETTING.maxConcurrentStreams, 0]));
  assert.equal(connection.capacity, 0);
});

test('§6.5.3: a smaller HPACK table, and larger frames, hold from the acknowledgement on', () => {
  const bench = serverBench();
  bench.connection.changeSettings({ headerTableSize: 0, maxFrameSize: 20_000, maxConcurrentStreams: 3, initialWindowSize: 1_000 });
  assert.deepEqual(bench.sent(true), ['settings 0']);
  // Not yet acknowledged: a block without a size update is still right.
  assert.equal(bench.push(headers(1, GET)).length, 1);
  assert.deepEqual(bench.push(SETTINGS_ACK, frame(FRAME.ping, 0, 0, Buffer.alloc(20_000))), ['reset 1 6', 'error BAD_FRAME_SIZE']);
  const other = serverBench();
  other.connection.changeSettings({ headerTableSize: 0 });
  assert.deepEqual(other.push(SETTINGS_ACK, headers(1, GET)), ['error BAD_HEADER_BLOCK']);
});

test('§6.5.2: a server cannot enable push', () => {
  assert.deepEqual(clientBench().push(settings([SETTING.enablePush, 1])), ['error BAD_SETTING']);
  assert.deepEqual(clientBench().push(settings([SETTING.enablePush, 0])), []);
});

test('RFC 7540 §3.2: a request that asked for the upgrade is stream 1', () => {
  const bench = freshServer();
  const { connection } = bench;
  const stream = connection.acceptUpgrade(Buffer.from([0, SETTING.initialWindowSize, 0, 0, 0, 3]), false)!;
  connection.respond(stream, ownResponse(200), false);
  assert.equal(connection.sendData(stream, Buffer.from('hello'), 0, 5, true), 3);
  assert.deepEqual(bench.sent(), ['headers 1 [:status 200]', 'data 1 3']);
  assert.deepEqual(bench.push(CLIENT_PREFACE, settings([SETTING.initialWindowSize, 5])), ['window 1']);
  assert.equal(connection.sendData(stream, Buffer.from('hello'), 3, 5, true), 2);
  assert.deepEqual(bench.sent(), ['data 1 end 2']);
  assert.equal(bench.push(SETTINGS_ACK, headers(3, GET)).length, 1);
  assert.equal(freshServer().connection.acceptUpgrade(Buffer.from('abc'), false), undefined);
});

test('a head that is kept stays as it was', () => {
  const bench = serverBench();
  const kept: { path: string; get(name: string): string | undefined }[] = [];
  const { recorder } = bench as unknown as { recorder: { onHeaders(stream: unknown, head: { keep(): (typeof kept)[0] }): void } };
  recorder.onHeaders = (_stream, head) => void kept.push(head.keep());
  for (const id of [1, 3]) bench.push(headers(id, [...GET.slice(0, 3), [':path', `/${id}`], ['x-id', String(id)]]));
  assert.deepEqual(
    kept.map((head) => [head.path, head.get('x-id'), head.get('x-none')]),
    [
      ['/1', '1', undefined],
      ['/3', '3', undefined],
    ],
  );
});
