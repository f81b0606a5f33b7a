import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NEXT_STATE, type StreamEvent, type StreamState } from './stream-state.ts';
import { Http2Stream } from './stream.ts';
import { GET, POST, SETTINGS_ACK, data, headers, rstStream, windowUpdate } from './testing/frames.ts';
import { ownRequest, ownResponse } from './testing/heads.ts';
import { clientBench, serverBench } from './testing/record.ts';

test('a stream goes through the states of RFC 9113 §5.1, and nothing else is possible', () => {
  const paths: [StreamEvent[], StreamState][] = [
    [['receive-headers'], 'open'],
    [['receive-headers', 'receive-end'], 'half-closed-remote'],
    [['receive-headers', 'receive-end', 'send-headers', 'send-end'], 'closed'],
    [['receive-headers', 'send-headers', 'send-end'], 'half-closed-local'],
    [['receive-headers', 'send-headers', 'send-end', 'receive-headers', 'receive-end'], 'closed'],
    [['send-headers', 'send-end', 'receive-headers', 'receive-end'], 'closed'],
    [['send-headers', 'reset'], 'closed'],
    [['send-headers', 'send-end', 'reset'], 'closed'],
    [['receive-headers', 'receive-end', 'reset'], 'closed'],
  ];
  for (const [events, state] of paths) {
    const stream = new Http2Stream(1, 0, 0);
    for (const event of events) stream.advance(event);
    assert.equal(stream.state, state);
  }
  const events: StreamEvent[] = ['send-headers', 'receive-headers', 'send-end', 'receive-end', 'reset'];
  for (const state of Object.keys(NEXT_STATE) as StreamState[]) {
    for (const event of events) {
      const stream = new Http2Stream(1, 0, 0);
      stream.state = state;
      if (NEXT_STATE[state][event] === undefined) assert.throws(() => stream.advance(event), { code: 'WRONG_STATE' });
      else stream.advance(event);
    }
  }
});

/** How a server's stream 1 gets into a state, and what each further frame does there: events, then what is sent. */
const FRAMES = {
  HEADERS: headers(1, [['x-sum', '1']]),
  DATA: data(1, 'x'),
  RST_STREAM: rstStream(1, 8),
  WINDOW_UPDATE: windowUpdate(1, 10),
};
type Frame = keyof typeof FRAMES;

const CASES: readonly [string, () => ReturnType<typeof serverBench>, Readonly<Record<Frame, [string[], string[]]>>][] = [
  [
    'idle',
    () => serverBench(),
    {
      HEADERS: [['refused 1 MISSING_PSEUDO'], ['rstStream 1 error 1']],
      DATA: [['error IDLE_STREAM'], ['goaway 0 last 0 error 1']],
      RST_STREAM: [['error IDLE_STREAM'], ['goaway 0 last 0 error 1']],
      WINDOW_UPDATE: [['error IDLE_STREAM'], ['goaway 0 last 0 error 1']],
    },
  ],
  [
    'open',
    () => opened(false),
    {
      HEADERS: [['trailers 1 [x-sum 1]'], []],
      DATA: [['data 1 x'], []],
      RST_STREAM: [['reset 1 8'], []],
      WINDOW_UPDATE: [[], []],
    },
  ],
  [
    'half-closed (remote)',
    () => opened(true),
    {
      HEADERS: [['reset 1 5 STREAM_HALF_CLOSED'], ['rstStream 1 error 5']],
      DATA: [['reset 1 5 STREAM_HALF_CLOSED'], ['rstStream 1 error 5']],
      RST_STREAM: [['reset 1 8'], []],
      WINDOW_UPDATE: [[], []],
    },
  ],
  [
    'half-closed (local)',
    () => answered(false),
    {
      HEADERS: [['trailers 1 [x-sum 1]'], []],
      DATA: [['data 1 x'], []],
      RST_STREAM: [['reset 1 8'], []],
      WINDOW_UPDATE: [[], []],
    },
  ],
  [
    'closed by both ends',
    () => answered(true),
    {
      HEADERS: [['error CLOSED_STREAM'], ['goaway 0 last 1 error 5']],
      DATA: [['error CLOSED_STREAM'], ['goaway 0 last 1 error 5']],
      RST_STREAM: [[], []],
      WINDOW_UPDATE: [[], []],
    },
  ],
  [
    'closed by the RST_STREAM of the client',
    () => {
      const bench = opened(false);
      bench.push(rstStream(1, 8));
      return bench;
    },
    {
      HEADERS: [[], ['rstStream 1 error 5']],
      DATA: [[], ['rstStream 1 error 5']],
      RST_STREAM: [[], []],
      WINDOW_UPDATE: [[], []],
    },
  ],
  [
    'closed by our RST_STREAM',
    () => {
      const bench = opened(false);
      bench.connection.reset(bench.stream(1));
      bench.sent();
      return bench;
    },
    { HEADERS: [[], []], DATA: [[], []], RST_STREAM: [[], []], WINDOW_UPDATE: [[], []] },
  ],
  [
    'passed over',
    () => {
      const bench = serverBench();
      bench.push(headers(5, GET));
      return bench;
    },
    {
      HEADERS: [['reset 5 1', 'error BAD_STREAM_ID'], ['goaway 0 last 5 error 1']],
      DATA: [[], []],
      RST_STREAM: [[], []],
      WINDOW_UPDATE: [[], []],
    },
  ],
];

function opened(endStream: boolean): ReturnType<typeof serverBench> {
  const bench = serverBench();
  bench.push(headers(1, endStream ? GET : POST, endStream));
  return bench;
}

function answered(endStream: boolean): ReturnType<typeof serverBench> {
  const bench = opened(endStream);
  bench.connection.respond(bench.stream(1), ownResponse(200), true);
  bench.sent();
  return bench;
}

for (const [state, make, frames] of CASES) {
  for (const [name, bytes] of Object.entries(FRAMES)) {
    test(`${name} on a stream that is ${state}`, () => {
      const bench = make();
      const [events, sent] = frames[name as Frame];
      assert.deepEqual(bench.push(bytes), events);
      assert.deepEqual(bench.sent(), sent);
      if (bench.connection.state === 'closed') return;
      // The header tables are still the same on both sides, and the connection goes on.
      assert.deepEqual(bench.push(headers(7, GET)), ['request 7 GET http|orders.mesh.internal|/ [] end']);
    });
  }
}

test('a client takes late frames of streams that it cancelled, however long ago', () => {
  const bench = clientBench();
  const { connection } = bench;
  for (let round = 0; round < 400; round++) connection.reset(connection.request(ownRequest('GET'), true)!);
  bench.sent();
  for (const id of [1, 799]) assert.deepEqual(bench.push(headers(id, [[':status', '200']], false), data(id, 'late', true)), []);
  assert.deepEqual(bench.sent(), []);
  assert.equal(connection.state, 'open');
});

test('a client refuses streams of the server', () => {
  for (const [bytes, code] of [
    [headers(2, [[':status', '200']]), 'BAD_STREAM_ID'],
    [headers(1, [[':status', '200']]), 'IDLE_STREAM'],
    [data(2, 'x'), 'IDLE_STREAM'],
    [windowUpdate(1, 1), 'IDLE_STREAM'],
  ] as const) {
    const bench = clientBench();
    assert.deepEqual(bench.push(bytes), [`error ${code}`]);
    assert.deepEqual(bench.sent(), ['goaway 0 last 0 error 1']);
  }
});

test('what is closed while its frame arrives is not told any more', () => {
  const bench = serverBench();
  bench.push(headers(1, POST, false));
  const frame = data(1, 'abcdef', true);
  const stream = bench.stream(1);
  assert.deepEqual(bench.push(frame.subarray(0, 11)), ['data 1 ab']);
  bench.connection.reset(stream);
  assert.deepEqual(bench.push(frame.subarray(11)), []);
  assert.equal(stream.unconsumed, 2);
  assert.deepEqual(bench.sent(), ['rstStream 1 error 8']);
  // And a header block that is in the middle: decoded, not told.
  bench.push(headers(3, POST, false));
  const trailers = headers(3, [['x-sum', '1']]);
  const [first, rest] = [Buffer.from(trailers), trailers.subarray(9 + 3)];
  first[2] = 3;
  first[4] = 1;
  assert.deepEqual(bench.push(first.subarray(0, 12)), []);
  bench.connection.reset(bench.stream(3));
  const continuation = Buffer.concat([Buffer.from([0, 0, rest.length, 9, 4, 0, 0, 0, 3]), rest]);
  assert.deepEqual(bench.push(continuation, SETTINGS_ACK.subarray(0, 0)), []);
  assert.equal(bench.connection.state, 'open');
});

test('our own faults are told at once', () => {
  const bench = serverBench();
  bench.push(headers(1, GET));
  const stream = bench.stream(1);
  const { connection } = bench;
  const wrong = { name: 'LocalProtocolError', code: 'WRONG_STATE' };
  assert.throws(() => connection.sendData(stream, Buffer.from('x'), 0, 1, false), wrong);
  assert.throws(() => connection.respond(stream, ownResponse(101), false), { code: 'BAD_ARGUMENT' });
  connection.respond(stream, ownResponse(200), false);
  assert.throws(() => connection.respond(stream, ownResponse(200), false), wrong);
  connection.sendData(stream, Buffer.from('x'), 0, 1, true);
  assert.throws(() => connection.sendData(stream, Buffer.from('x'), 0, 1, false), wrong);
  assert.throws(() => connection.consumed(stream, 1), { code: 'BAD_ARGUMENT' });
  assert.throws(() => connection.ping(Buffer.alloc(7)), { code: 'BAD_ARGUMENT' });
  assert.throws(() => ownResponse(200, [['X', '1']]), { code: 'BAD_ARGUMENT' });
  assert.throws(() => ownResponse(200, [['connection', 'close']]), { code: 'BAD_ARGUMENT' });
  assert.throws(() => ownResponse(200, [['a', 'snow \u2603']]), { code: 'BAD_ARGUMENT' });
  assert.throws(() => clientBench().connection.request(ownRequest('GET', '/snow\u2603'), true), { code: 'BAD_ARGUMENT' });
  assert.throws(() => clientBench().connection.request(ownRequest('GET', ''), true), { code: 'BAD_ARGUMENT' });
});
