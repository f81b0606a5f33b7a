import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GET, headers } from './testing/frames.ts';
import { ownResponse } from './testing/heads.ts';
import { serverBench, type Bench } from './testing/record.ts';
import type { Http2Server } from './server.ts';
import { CollectingSink } from './testing/sink.ts';

const BODY = Buffer.alloc(50_000, 'x');

function answering(dataCopyBytesMax?: number): Bench<Http2Server> {
  const bench = serverBench(dataCopyBytesMax === undefined ? {} : { dataCopyBytesMax });
  bench.push(headers(1, GET));
  bench.connection.respond(bench.stream(1), ownResponse(200), false);
  return bench;
}

test('large DATA are written as they are, small ones beside their frame header', () => {
  const bench = answering();
  const { connection } = bench;
  connection.sendData(bench.stream(1), BODY, 0, 1_024, false);
  connection.sendData(bench.stream(1), BODY, 0, 30_000, true);
  const sink = new CollectingSink();
  const pending = connection.pendingBytes;
  assert.equal(connection.writeTo(sink), true);
  assert.equal(connection.pendingBytes, 0);
  // Head, 1,024 bytes and a frame header; 16,384 bytes; a frame header; the rest.
  assert.deepEqual(
    sink.pieces.slice(1).map(({ length, buffer }) => [length, buffer === BODY.buffer]),
    [
      [16_384, true],
      [9, false],
      [30_000 - 16_384, true],
    ],
  );
  assert.equal(sink.corks, 1);
  assert.equal(sink.bytes().length, pending);
  assert.deepEqual(bench.tap.read(sink.bytes(), false).slice(-3), ['data 1 1024', 'data 1 16384', 'data 1 end 13616']);
});

test('without references everything is one piece', () => {
  const bench = answering(Number.POSITIVE_INFINITY);
  bench.connection.sendData(bench.stream(1), BODY, 0, 50_000, true);
  const sink = new CollectingSink();
  sink.answers.push(false);
  assert.equal(bench.connection.writeTo(sink), false);
  assert.deepEqual([sink.pieces.length, sink.corks], [1, 0]);
  assert.equal(bench.connection.writeTo(sink), true);
  assert.equal(sink.pieces.length, 1);
});

test('take copies what was to be written by reference', () => {
  const bench = answering(0);
  bench.connection.sendData(bench.stream(1), BODY, 0, 40_000, true);
  const { pendingBytes } = bench.connection;
  const taken = bench.connection.take();
  assert.equal(taken.length, pendingBytes);
  assert.notEqual(taken.buffer, BODY.buffer);
  assert.deepEqual(bench.tap.read(taken, false).slice(-3), ['data 1 16384', 'data 1 16384', 'data 1 end 7232']);
});

test('what the peer made us answer counts from the last write on', () => {
  const bench = serverBench({ limits: { replyBytesMax: 40 } });
  const ping = Buffer.from('000008060000000000' + '00'.repeat(8), 'hex');
  for (let round = 0; round < 10; round++) {
    assert.deepEqual(bench.push(ping, ping), []);
    bench.connection.writeTo(new CollectingSink());
  }
  assert.deepEqual(bench.push(ping, ping, ping), ['error TOO_MANY_REPLIES']);
});
