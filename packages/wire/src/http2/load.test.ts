// LOAD frames: asked and answered where both sides agree, an unknown frame to everybody else.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Http2Client } from './client.ts';
import { FLAG, FRAME, SETTING } from './frame.ts';
import { DEFAULT_HTTP2_LIMITS } from './limits.ts';
import { Http2Server } from './server.ts';
import { ConnectionPair } from './testing/pair.ts';
import { frame, settings, uint32 } from './testing/frames.ts';
import { clientBench, serverBench } from './testing/record.ts';

const ANSWERS = { answersLoad: true } as const;

function question(number: number): Buffer {
  return frame(FRAME.load, 0, 0, uint32(number));
}

function answer(...values: readonly number[]): Buffer {
  return frame(FRAME.load, FLAG.ack, 0, Buffer.concat(values.map(uint32)));
}

describe('the load of a server', () => {
  test('is told with the number of the question, whatever the pieces in which bytes arrive', () => {
    const uint = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(
      fc.property(fc.array(fc.tuple(uint, uint, uint), { maxLength: 5 }), fc.integer({ min: 1, max: 30 }), (loads, pieceBytes) => {
        const told: number[][] = [];
        const [nothing, questions] = [() => {}, [] as number[]];
        const handler = {
          onData: nothing,
          onTrailers: nothing,
          onReset: nothing,
          onWindow: nothing,
          onRefused: nothing,
          onSettings: nothing,
          onGoaway: nothing,
          onPingAck: nothing,
          onInterim: nothing,
          onHeaders: nothing,
          onError: (error: Error) => assert.fail(error),
          onLoadQuestion: (number: number) => void questions.push(number),
          onLoadAnswer: (got: { number: number; inFlight: number; latencyMicros: number }) =>
            void told.push([got.number, got.inFlight, got.latencyMicros]),
        };
        const pair = new ConnectionPair(handler, handler, {}, ANSWERS);
        pair.settle();
        for (const [number] of loads) assert.ok(pair.client.askLoad(number));
        while (pair.underWay > 0) {
          pair.deliver('server', pieceBytes);
          for (const number of questions.splice(0)) {
            const [, inFlight = 0, latencyMicros = 0] = loads.find(([asked]) => asked === number) ?? [];
            pair.server.answerLoad(number, inFlight, latencyMicros);
          }
          pair.deliver('client', pieceBytes);
        }
        const expected = loads.map(([number]) => loads.find(([asked]) => asked === number));
        assert.deepEqual(told, expected);
      }),
    );
  });

  test('is not asked of a server that has not said that it answers', () => {
    const bench = clientBench();
    assert.equal(bench.connection.askLoad(1), false);
    bench.push(settings([SETTING.answersLoad, 1]));
    assert.equal(bench.connection.askLoad(2), true);
    const other = clientBench();
    other.push(settings([SETTING.answersLoad, 2]));
    assert.equal(other.connection.askLoad(1), false);
  });

  test('is an unknown frame to a server or client that has not agreed to it', () => {
    assert.deepEqual(serverBench().push(question(1), frame(FRAME.load, 7, 3, Buffer.alloc(100))), []);
    assert.deepEqual(clientBench().push(answer(1, 2, 3), frame(FRAME.load, 7, 3)), []);
  });

  test('is what fits where a number is too large for its field', () => {
    const client = clientBench();
    const server = new Http2Server(serverBench().recorder as never, ANSWERS);
    client.push(settings([SETTING.answersLoad, 1]));
    server.take();
    server.answerLoad(9, 1e12, 0.4);
    assert.deepEqual(client.push(server.take()), ['load 9 4294967295 0']);
  });

  test('breaks the connection when question or answer have another form, or come from the wrong side', () => {
    for (const [wrong, code] of [
      [frame(FRAME.load, 0, 1, uint32(1)), 'STREAM_NOT_ALLOWED'],
      [frame(FRAME.load, 0, 0), 'BAD_FRAME_SIZE'],
      [frame(FRAME.load, 0, 0, Buffer.alloc(8)), 'BAD_FRAME_SIZE'],
      [answer(1, 2, 3), 'BAD_FRAME_SIZE'],
    ] as const)
      assert.deepEqual(serverBench(ANSWERS).push(wrong), [`error ${code}`]);
    const client = clientBench();
    client.push(settings([SETTING.answersLoad, 1]));
    assert.deepEqual(client.push(question(1)), ['error BAD_FRAME_SIZE']);
  });

  test('may be asked as often as a balancer asks, and no more', () => {
    const bench = serverBench(ANSWERS);
    for (let count = 0; count < DEFAULT_HTTP2_LIMITS.loadQuestions.burst; count += 1)
      assert.deepEqual(bench.push(question(count)), [`load? ${count}`]);
    assert.deepEqual(bench.push(question(0)), ['error TOO_MANY_LOAD_QUESTIONS']);
  });

  test('is not answered after the end of the connection', () => {
    const server = new Http2Server(serverBench().recorder as never, ANSWERS);
    server.take();
    server.end();
    server.answerLoad(1, 1, 1);
    assert.equal(server.pendingBytes, 0);
    const client = new Http2Client(clientBench().recorder as never);
    client.end();
    assert.equal(client.askLoad(1), false);
  });
});
