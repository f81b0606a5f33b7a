// Each limit of `limits.ts`, with its default, from the peer's side: up to it everything goes, beyond it the named error.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FLAG, FRAME, SETTING } from './frame.ts';
import { DEFAULT_HTTP2_LIMITS, type Http2Budget } from './limits.ts';
import { GET, POST, block, data, frame, headers, rstStream, settings, windowUpdate, type Fields } from './testing/frames.ts';
import { ownRequest, ownResponse } from './testing/heads.ts';
import { clientBench, serverBench } from './testing/record.ts';

const D = DEFAULT_HTTP2_LIMITS;
type Server = ReturnType<typeof serverBench>;

/** Streams in ascending order, for frames that need new ones. */
function counter(): () => number {
  let id = -1;
  return () => (id += 2);
}

/** Each budget: the frame that takes from it, after what has been set up. */
const FLOODS: readonly [string, Http2Budget, string, (bench: Server) => () => void][] = [
  [
    'rapid reset (CVE-2023-44487)',
    D.resets,
    'TOO_MANY_RESETS',
    (bench) => {
      const next = counter();
      return () => {
        const id = next();
        bench.push(headers(id, GET), rstStream(id, 8));
      };
    },
  ],
  [
    'streams that we have to reset (CVE-2025-8671)',
    D.resets,
    'TOO_MANY_RESETS',
    (bench) => {
      const next = counter();
      return () => {
        const id = next();
        bench.push(headers(id, GET), windowUpdate(id, 0));
      };
    },
  ],
  [
    'malformed requests',
    D.resets,
    'TOO_MANY_RESETS',
    (bench) => {
      const next = counter();
      return () => bench.push(headers(next(), [['X', '1']]));
    },
  ],
  ['SETTINGS', D.settings, 'TOO_MANY_SETTINGS', (bench) => () => bench.push(settings())],
  ['PING', D.pings, 'TOO_MANY_PINGS', (bench) => () => bench.push(frame(FRAME.ping, 0, 0, Buffer.alloc(8)))],
  [
    'empty DATA (CVE-2019-9518)',
    D.emptyFrames,
    'TOO_MANY_EMPTY_FRAMES',
    (bench) => {
      bench.push(headers(1, POST, false));
      return () => bench.push(data(1, ''));
    },
  ],
  [
    'DATA of nothing but padding',
    D.emptyFrames,
    'TOO_MANY_EMPTY_FRAMES',
    (bench) => {
      bench.push(headers(1, POST, false));
      return () => bench.push(frame(FRAME.data, FLAG.padded, 1, [1, 0]));
    },
  ],
  ['WINDOW_UPDATE', D.windowUpdates, 'TOO_MANY_WINDOW_UPDATES', (bench) => () => bench.push(windowUpdate(0, 1))],
  ['PRIORITY (CVE-2019-9513)', D.ignoredFrames, 'TOO_MANY_IGNORED_FRAMES', (bench) => () => bench.push(frame(2, 0, 1, [0, 0, 0, 0, 1]))],
  ['PRIORITY_UPDATE', D.ignoredFrames, 'TOO_MANY_IGNORED_FRAMES', (bench) => () => bench.push(frame(0x10, 0, 0, [0, 0, 0, 1]))],
  [
    'frames on closed streams',
    D.lateFrames,
    'TOO_MANY_LATE_FRAMES',
    (bench) => {
      bench.push(headers(1, POST, false));
      bench.connection.reset(bench.stream(1));
      return () => bench.push(data(1, 'x'));
    },
  ],
];

for (const [name, budget, code, setUp] of FLOODS) {
  test(`a flood of ${name} ends the connection, a burst and a steady trickle do not`, () => {
    const bench = serverBench();
    const once = setUp(bench);
    // SETTINGS of the greeting count.
    const spent = code === 'TOO_MANY_SETTINGS' ? 1 : 0;
    for (let round = spent; round < budget.burst; round++) {
      once();
      bench.connection.take();
    }
    assert.equal(bench.connection.state, 'open');
    for (let round = 0; round < 200; round++) {
      bench.nowMs += Math.ceil(1_000 / budget.perSecond);
      once();
      bench.connection.take();
    }
    assert.equal(bench.connection.state, 'open');
    // The trickle was rounded in the peer's favour: at most some tens are left.
    for (let round = 0; round < 100 && bench.connection.state === 'open'; round++) once();
    assert.equal(bench.connection.state, 'closed');
    assert.equal(
      bench
        .sent()
        .at(-1)
        ?.replace(/last \d+/, 'last'),
      'goaway 0 last error 11',
    );
    const other = serverBench();
    const again = setUp(other);
    const events: string[] = [];
    (other as { push: Server['push'] }).push = (...pieces) => {
      for (const piece of pieces) other.connection.push(piece, 1_000);
      events.push(...other.recorder.events.splice(0));
      return events;
    };
    for (let round = 0; round <= budget.burst && other.connection.state === 'open'; round++) {
      again();
      other.connection.take();
    }
    assert.equal(events.at(-1), `error ${code}`);
  });
}

test('cancelling every second request is fine for ever, for peers that let the others finish', () => {
  const bench = serverBench({ limits: { resets: { ...D.resets, burst: 10, perSecond: 0 } } });
  const next = counter();
  for (let round = 0; round < 100; round++) {
    const [cancelled, finished] = [next(), next()];
    bench.push(headers(cancelled, GET), rstStream(cancelled, 8), headers(finished, GET));
    bench.connection.respond(bench.stream(finished), ownResponse(204), true);
  }
  assert.equal(bench.connection.state, 'open');
});

test('a client that reads byte by byte runs out of WINDOW_UPDATE, one that reads frame by frame does not', () => {
  for (const [increment, survives] of [
    [1, false],
    [1_000, true],
  ] as const) {
    const bench = serverBench({ limits: { windowUpdates: { burst: 50, perSecond: 0, perExchange: 4, perData: 4 } } }, [
      SETTING.initialWindowSize,
      0,
    ]);
    bench.push(headers(1, GET));
    const stream = bench.stream(1);
    bench.connection.respond(stream, ownResponse(200), false);
    const body = Buffer.alloc(1_000_000);
    bench.connection.sendData(stream, body, 0, body.length, true);
    for (let round = 0, at = 0; round < 60 && bench.connection.state === 'open'; round++) {
      if (!bench.push(windowUpdate(1, increment)).includes('window 1')) continue;
      at += bench.connection.sendData(stream, body, at, body.length, true);
    }
    assert.equal(bench.connection.state, survives ? 'open' : 'closed');
  }
});

test('streams beyond the limit are refused, so that they may be tried again', () => {
  const bench = serverBench();
  const next = counter();
  for (let open = 0; open < D.concurrentStreamsMax; open++) assert.equal(bench.push(headers(next(), GET)).length, 1);
  const id = next();
  assert.deepEqual(bench.push(headers(id, GET)), [`refused ${id} TOO_MANY_STREAMS`]);
  assert.deepEqual(bench.sent(), [`rstStream ${id} error 7`]);
  bench.connection.respond(bench.stream(1), ownResponse(204), true);
  assert.equal(bench.push(headers(next(), GET)).length, 1);
});

test('CONTINUATION without end (CVE-2024-27316) ends the connection, by number and by size', () => {
  const many = serverBench();
  many.push(frame(FRAME.headers, 0, 1, block(GET)));
  for (let frames = 0; frames < D.continuationsMax; frames++) assert.deepEqual(many.push(frame(FRAME.continuation, 0, 1)), []);
  assert.deepEqual(many.push(frame(FRAME.continuation, 0, 1)), ['error TOO_MANY_CONTINUATIONS']);
  assert.deepEqual(many.sent(), ['goaway 0 last 1 error 11']);
  const large = serverBench();
  large.push(frame(FRAME.headers, 0, 1, block(GET)));
  const piece = block([['x-filling', '\xff'.repeat(16_000)]]);
  const pieces = Math.floor(D.headerBlockBytesMax / piece.length);
  for (let frames = 0; frames < pieces; frames++) assert.deepEqual(large.push(frame(FRAME.continuation, 0, 1, piece)), []);
  assert.deepEqual(large.push(frame(FRAME.continuation, 0, 1, piece)), ['error HEADER_BLOCK_TOO_LARGE']);
  assert.deepEqual(large.sent(), ['goaway 0 last 1 error 11']);
});

test('a header list above the limit is answered with 431, and the connection goes on', () => {
  const filling = (count: number, size: number): Fields => [
    ...POST,
    ...Array.from({ length: count }, (_, index) => [`x-${index}`, 'a'.repeat(size)] as const),
  ];
  for (const fields of [filling(D.fieldsMax - 3, 1), filling(5, 14_000)]) {
    const bench = serverBench();
    const whole = block(fields);
    const frames: Buffer[] = [];
    for (let at = 0; at < whole.length; at += 16_384) {
      const last = at + 16_384 >= whole.length ? FLAG.endHeaders : 0;
      frames.push(frame(at === 0 ? FRAME.headers : FRAME.continuation, last, 1, whole.subarray(at, at + 16_384)));
    }
    assert.deepEqual(bench.push(...frames), ['refused 1 HEADERS_TOO_LARGE']);
    assert.deepEqual(bench.sent(), ['headers 1 end [:status 431]', 'rstStream 1 error 0']);
    // What the client had under way.
    assert.deepEqual(bench.push(data(1, 'x', true)), []);
    assert.equal(bench.push(headers(3, filling(D.fieldsMax - 4, 1))).length, 1);
    // Trailers, too.
    bench.push(headers(5, POST, false));
    assert.deepEqual(bench.push(headers(5, filling(D.fieldsMax, 1))), ['reset 5 11 HEADERS_TOO_LARGE']);
  }
});

test('interim responses have a limit', () => {
  const bench = clientBench();
  bench.connection.request(ownRequest('GET'), true);
  const interim = headers(1, [[':status', '103']], false);
  for (let count = 0; count < D.interimResponsesMax; count++) assert.equal(bench.push(interim).length, 1);
  assert.deepEqual(bench.push(interim), ['reset 1 11 TOO_MANY_INTERIM_RESPONSES']);
});

test('a peer that makes us answer without reading ends its connection', () => {
  const bench = serverBench({ limits: { replyBytesMax: 1_000 } });
  const ping = frame(FRAME.ping, 0, 0, Buffer.alloc(8));
  for (let count = 0; count < 58; count++) assert.deepEqual(bench.push(ping), []);
  assert.deepEqual(bench.push(ping), ['error TOO_MANY_REPLIES']);
  const reading = serverBench({ limits: { replyBytesMax: 1_000 } });
  for (let count = 0; count < 200; count++) {
    assert.deepEqual(reading.push(ping), []);
    reading.connection.take();
  }
});

test('nothing a peer sends makes the codec hold more than a frame and a block', () => {
  const bench = serverBench();
  bench.push(headers(1, POST, false));
  // A body passes as slices of what was pushed.
  const bytes = data(1, Buffer.alloc(10_000, 'x'));
  const seen: [ArrayBufferLike, number][] = [];
  bench.recorder.onData = (_stream, piece, start, end) => void seen.push([piece.buffer, end - start]);
  for (let at = 0; at < bytes.length; at += 1_000) bench.push(bytes.subarray(at, at + 1_000));
  assert.equal(
    seen.reduce((sum, [, length]) => sum + length, 0),
    10_000,
  );
  assert.ok(seen.every(([buffer]) => buffer === bytes.buffer));
});
