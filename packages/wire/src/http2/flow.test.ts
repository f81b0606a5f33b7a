import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SETTING } from './frame.ts';
import { GET, POST, SETTINGS_ACK, data, headers, rstStream, settings, windowUpdate } from './testing/frames.ts';
import { ownResponse } from './testing/heads.ts';
import { serverBench } from './testing/record.ts';

const BODY = Buffer.alloc(200_000, 'x');

function answering(options: Parameters<typeof serverBench>[0], ...theirs: [number, number][]): ReturnType<typeof serverBench> {
  const bench = serverBench(options, ...theirs);
  bench.push(headers(1, GET));
  bench.connection.respond(bench.stream(1), ownResponse(200), false);
  bench.sent();
  return bench;
}

test('sends as much as both windows allow, in frames that the peer takes, and ends with the last byte', () => {
  const bench = answering({}, [SETTING.initialWindowSize, 100_000]);
  const { connection } = bench;
  const stream = bench.stream(1);
  assert.equal(connection.sendable(stream), 65_535);
  assert.equal(connection.sendData(stream, BODY, 0, 70_000, true), 65_535);
  assert.deepEqual(bench.sent(), [...Array<string>(3).fill('data 1 16384'), 'data 1 16383']);
  assert.equal(connection.sendData(stream, BODY, 65_535, 70_000, true), 0);
  assert.deepEqual(bench.push(windowUpdate(1, 10)), []);
  assert.deepEqual(bench.push(windowUpdate(0, 10)), ['window 1']);
  assert.equal(connection.sendData(stream, BODY, 65_535, 70_000, true), 10);
  assert.deepEqual(bench.push(windowUpdate(0, 100_000)), ['window 1']);
  assert.equal(connection.sendData(stream, BODY, 65_545, 70_000, true), 4_455);
  assert.deepEqual(bench.sent(), ['data 1 10', 'data 1 end 4455']);
  assert.equal(stream.isClosed, true);
});

test('frames are as large as both sides want', () => {
  const bench = answering({ limits: { sentFrameBytesMax: 20_000 } }, [SETTING.maxFrameSize, 30_000], [SETTING.initialWindowSize, 200_000]);
  bench.connection.sendData(bench.stream(1), BODY, 0, 50_000, false);
  assert.deepEqual(bench.sent(), ['data 1 20000', 'data 1 20000', 'data 1 10000']);
});

test('an empty end needs no window', () => {
  const bench = answering({}, [SETTING.initialWindowSize, 0]);
  const { connection } = bench;
  assert.equal(connection.sendData(bench.stream(1), BODY, 0, 5, false), 0);
  assert.equal(connection.sendData(bench.stream(1), BODY, 5, 5, true), 0);
  assert.deepEqual(bench.sent(), ['data 1 end 0']);
  // Nothing is left to be sent, so nobody is called.
  const half = answering({}, [SETTING.initialWindowSize, 0]);
  half.push(headers(3, POST, false));
  half.connection.respond(half.stream(3), ownResponse(200), false);
  half.connection.sendData(half.stream(3), BODY, 0, 5, false);
  half.connection.sendData(half.stream(3), BODY, 5, 5, true);
  assert.deepEqual(half.push(windowUpdate(3, 10)), []);
});

test('§6.9.2: a change of the initial window moves open windows, also below zero', () => {
  const bench = answering({}, [SETTING.initialWindowSize, 100]);
  const { connection } = bench;
  const stream = bench.stream(1);
  assert.equal(connection.sendData(stream, BODY, 0, 1_000, false), 100);
  bench.push(settings([SETTING.initialWindowSize, 10]));
  assert.deepEqual(bench.push(windowUpdate(1, 90)), []);
  assert.equal(connection.sendData(stream, BODY, 100, 1_000, false), 0);
  assert.deepEqual(bench.push(windowUpdate(1, 5)), ['window 1']);
  assert.equal(connection.sendData(stream, BODY, 100, 1_000, false), 5);
  assert.deepEqual(bench.push(settings([SETTING.initialWindowSize, 100])), ['window 1']);
  assert.equal(connection.sendable(stream), 90);
});

test('streams that wait for the window of the connection take turns', () => {
  const bench = serverBench({}, [SETTING.initialWindowSize, 1_000_000]);
  const { connection } = bench;
  bench.push(headers(1, GET), headers(3, GET), headers(5, GET), headers(7, GET));
  for (const id of [1, 3, 5, 7]) {
    connection.respond(bench.stream(id), ownResponse(200), false);
    connection.sendData(bench.stream(id), BODY, 0, 100_000, false);
  }
  bench.sent();
  const order: number[] = [];
  bench.recorder.onWindow = (stream) => {
    order.push(stream.id);
    connection.sendData(stream, BODY, 0, 100_000, false);
  };
  for (let round = 0; round < 5; round++) bench.push(windowUpdate(0, 10));
  assert.deepEqual(order.splice(0), [1, 3, 5, 7, 1]);
  connection.reset(bench.stream(3));
  bench.recorder.onWindow = (stream) => {
    order.push(stream.id);
    connection.sendData(stream, BODY, 0, 10, false);
  };
  bench.push(rstStream(5, 8), windowUpdate(0, 100));
  assert.deepEqual(order, [7, 1]);
});

test('a large body takes a quantum in its turn, however it is cut, and small ones are not kept waiting', () => {
  const bench = serverBench({}, [SETTING.initialWindowSize, 1_000_000]);
  const { connection } = bench;
  const sizes = new Map([
    [1, 200_000],
    [3, 500],
    [5, 60_000],
    [7, 500],
  ]);
  const left = new Map<number, number>();
  const send = (id: number): void => {
    const stream = bench.stream(id);
    // In pieces, as they would come from another connection.
    for (let bytes = left.get(id)!; bytes > 0; bytes = left.get(id)!) {
      const piece = Math.min(bytes, 3_000);
      const room = connection.sendable(stream);
      const sent = connection.sendData(stream, BODY, 0, piece, piece === bytes);
      assert.equal(sent, Math.min(piece, room));
      left.set(id, bytes - sent);
      if (sent < piece) return;
    }
  };
  bench.push(...[...sizes.keys()].map((id) => headers(id, GET)));
  for (const [id, bytes] of sizes) {
    left.set(id, bytes);
    connection.respond(bench.stream(id), ownResponse(200), false);
    send(id);
  }
  bench.sent();
  assert.deepEqual([...left.values()], [200_000 - 65_535, 500, 60_000, 500]);
  const turns: [number, number][] = [];
  bench.recorder.onWindow = (stream) => {
    const before = left.get(stream.id)!;
    send(stream.id);
    turns.push([stream.id, before - left.get(stream.id)!]);
  };
  bench.push(windowUpdate(0, 50_000));
  assert.deepEqual(turns.splice(0), [
    [1, 16_384],
    [3, 500],
    [5, 16_384],
    [7, 500],
    [1, 16_232],
  ]);
  bench.push(windowUpdate(0, 30_000));
  assert.deepEqual(turns.splice(0), [
    [5, 16_384],
    [1, 13_616],
  ]);
  // Alone, a stream takes what there is.
  connection.reset(bench.stream(5));
  bench.push(windowUpdate(0, 1), windowUpdate(0, 50_000));
  assert.deepEqual(turns, [
    [1, 1],
    [1, 50_000],
  ]);
});

test('a stream that begins to send in the turn of another one waits for its own', () => {
  const bench = serverBench({}, [SETTING.initialWindowSize, 1_000_000]);
  const { connection } = bench;
  bench.push(headers(1, GET), headers(3, GET), headers(5, GET));
  for (const id of [1, 3, 5]) connection.respond(bench.stream(id), ownResponse(200), false);
  for (const id of [1, 3]) connection.sendData(bench.stream(id), BODY, 0, 100_000, false);
  bench.sent();
  const order: string[] = [];
  bench.recorder.onWindow = (stream) => {
    if (order.length === 0) order.push(`early ${connection.sendData(bench.stream(5), BODY, 0, 100, false)}`);
    order.push(`${stream.id} ${connection.sendData(stream, BODY, 0, stream.id === 5 ? 100 : 20_000, false)}`);
  };
  bench.push(windowUpdate(0, 16_384 + 16_384 + 100));
  assert.deepEqual(order, ['early 0', '1 16384', '3 16384', '5 100']);
});

test('turns end with the call, also when a handler fails', () => {
  const bench = serverBench({}, [SETTING.initialWindowSize, 1_000_000]);
  const { connection } = bench;
  bench.push(headers(1, GET), headers(3, GET), headers(5, GET));
  for (const id of [1, 3, 5]) connection.respond(bench.stream(id), ownResponse(200), false);
  for (const id of [1, 3]) connection.sendData(bench.stream(id), BODY, 0, 100_000, false);
  bench.recorder.onWindow = () => {
    throw new Error('from the handler');
  };
  assert.throws(() => bench.push(windowUpdate(0, 50_000)), /from the handler/);
  assert.equal(connection.sendable(bench.stream(5)), 50_000);
});

test('gives windows back in steps of half their size, as far as the caller has consumed', () => {
  const bench = serverBench({ limits: { streamWindowBytes: 80_000, connectionWindowBytes: 100_000 } });
  const { connection } = bench;
  bench.push(headers(1, POST, false), ...Array.from({ length: 8 }, () => data(1, BODY.subarray(0, 10_000))));
  const stream = bench.stream(1);
  assert.equal(stream.unconsumed, 80_000);
  connection.consumed(stream, 39_999);
  assert.deepEqual(bench.sent(true), []);
  connection.consumed(stream, 1);
  assert.deepEqual(bench.sent(true), ['windowUpdate 1 40000']);
  connection.consumed(stream, 10_000);
  assert.deepEqual(bench.sent(true), ['windowUpdate 0 50000']);
  // A stream that the peer has ended needs no window, but the connection does.
  bench.push(data(1, '', true));
  connection.consumed(stream, 30_000);
  assert.equal(stream.unconsumed, 0);
  assert.deepEqual(bench.sent(true), []);
  bench.push(headers(3, POST, false), data(3, BODY.subarray(0, 10_000)), data(3, BODY.subarray(0, 10_000)));
  connection.consumed(bench.stream(3), 20_000);
  assert.deepEqual(bench.sent(true), ['windowUpdate 0 50000']);
});

test('§6.9.1: more DATA than the windows allow is an error of the stream or the connection', () => {
  const stream = serverBench({ limits: { streamWindowBytes: 70_000 } });
  const pieces = Array.from({ length: 5 }, () => data(1, BODY.subarray(0, 14_000)));
  assert.equal(stream.push(headers(1, POST, false), ...pieces).length, 6);
  assert.deepEqual(stream.push(data(1, 'x')), ['reset 1 3 STREAM_WINDOW_EXCEEDED']);
  assert.deepEqual(stream.sent(), ['rstStream 1 error 3']);
  const connection = serverBench({ limits: { streamWindowBytes: 1_000_000, connectionWindowBytes: 70_000 } });
  assert.equal(connection.push(headers(1, POST, false), ...pieces).length, 6);
  assert.deepEqual(connection.push(data(1, 'x')), ['reset 1 3', 'error CONNECTION_WINDOW_EXCEEDED']);
  assert.deepEqual(connection.sent(), ['goaway 0 last 1 error 3']);
});

test('§6.9: DATA that nobody sees count, and are given back to the connection', () => {
  const bench = serverBench({ limits: { connectionWindowBytes: 70_000 } });
  bench.push(headers(1, POST, false));
  bench.connection.reset(bench.stream(1));
  bench.sent();
  let updates = 0;
  for (let round = 0; round < 100; round++) {
    assert.deepEqual(bench.push(data(1, BODY.subarray(0, 10_000))), []);
    updates += bench.sent(true).length;
  }
  assert.equal(updates, 25);
});

test('§6.9.2: a window that we made smaller holds from the acknowledgement on', () => {
  const bench = serverBench({ limits: { streamWindowBytes: 65_535 } });
  bench.connection.changeSettings({ initialWindowSize: 10 });
  bench.push(headers(1, POST, false));
  assert.deepEqual(bench.push(data(1, 'x'.repeat(11))), [`data 1 ${'x'.repeat(11)}`]);
  assert.deepEqual(bench.push(SETTINGS_ACK, data(1, 'x')), ['reset 1 3 STREAM_WINDOW_EXCEEDED']);
});
