import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HTTP2_VIOLATIONS, type Http2ViolationCode } from './errors.ts';
import { CLIENT_PREFACE, FRAME } from './frame.ts';
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
  windowUpdate,
} from './testing/frames.ts';
import { ownRequest, ownResponse } from './testing/heads.ts';
import { clientBench, freshServer, serverBench } from './testing/record.ts';
import type { Http2Connection } from './connection.ts';
import type { Bench } from './testing/record.ts';

const id = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 0x7fffffff }));
const payload = fc.uint8Array({ maxLength: 60 });

/** Frames that are nearly right are what finds faults. */
const anyFrame = fc.oneof(
  fc
    .tuple(fc.integer({ min: 0, max: 12 }), fc.nat(255), id, payload)
    .map(([type, flags, streamId, bytes]) => frame(type, flags, streamId, bytes)),
  fc
    .tuple(id, fc.constantFrom(GET, POST, [[':status', '200']] as const, [['a', 'b']] as const), fc.boolean())
    .map(([streamId, fields, end]) => headers(streamId, fields, end)),
  fc.tuple(id, fc.string({ maxLength: 20 }), fc.boolean()).map(([streamId, text, end]) => data(streamId, text, end)),
  fc.tuple(id, fc.nat(14)).map(([streamId, code]) => rstStream(streamId, code)),
  fc.tuple(id, fc.oneof(fc.nat(100), fc.nat(0x7fffffff))).map(([streamId, increment]) => windowUpdate(streamId, increment)),
  fc
    .tuple(fc.integer({ min: 1, max: 9 }), fc.oneof(fc.nat(100_000), fc.nat(0xffffffff)))
    .map(([setting, value]) => settings([setting, value])),
  fc.tuple(id, fc.nat(14)).map(([last, code]) => goaway(last, code)),
  fc.constant(SETTINGS_ACK),
  fc
    .tuple(fc.constantFrom(...Object.values(FRAME)), fc.nat(255), id, fc.constantFrom(GET, POST))
    .map(([type, flags, streamId, fields]) => frame(type, flags, streamId, block(fields))),
);

/** Cuts bytes into pieces of these sizes, over and over. */
function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? bytes.length;
    pieces.push(Buffer.from(bytes.subarray(at, at + size)));
    at += size;
  }
  return pieces;
}

/** Content is told in the pieces in which it came: what counts is the whole. */
function merged(events: readonly string[]): string[] {
  const whole: string[] = [];
  for (const event of events) {
    const last = whole.at(-1);
    const [, stream, text = ''] = /^data (\d+) ([^]*)$/.exec(event) ?? [];
    if (stream !== undefined && last?.startsWith(`data ${stream} `) === true) whole[whole.length - 1] = `${last}${text}`;
    else whole.push(event);
  }
  return whole;
}

function checkAnswer<C extends Http2Connection>(bench: Bench<C>, events: readonly string[]): void {
  const frames = framesOf(bench.connection.take());
  const fault = events.find((event) => event.startsWith('error '))?.slice(6) as Http2ViolationCode | undefined;
  assert.equal(bench.connection.state === 'closed', fault !== undefined);
  const last = frames.at(-1);
  if (fault === undefined) return;
  // The peer learns what it did, and nothing follows.
  assert.equal(last?.type, FRAME.goaway);
  assert.equal(last.payload.readUInt32BE(4), HTTP2_VIOLATIONS[fault].errorCode);
  assert.equal(events.at(-1), `error ${fault}`);
}

test('random and nearly right frames: only errors of the peer, the same ones however the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(anyFrame, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 }),
      (frames, sizes) => {
        const bytes = Buffer.concat(frames);
        const runs = [[bytes], cut(bytes, sizes), cut(bytes, [1])].map((pieces) => {
          const bench = serverBench();
          const events = merged(bench.push(...pieces));
          checkAnswer(bench, events);
          return events;
        });
        assert.deepEqual(runs[1], runs[0]);
        assert.deepEqual(runs[2], runs[0]);
        const answers = [[bytes], cut(bytes, sizes)].map((pieces) => {
          const bench = clientBench();
          bench.connection.request(ownRequest('GET'), true);
          bench.connection.request(ownRequest('POST'), false);
          bench.connection.take();
          const events = merged(bench.push(...pieces));
          checkAnswer(bench, events);
          return events;
        });
        assert.deepEqual(answers[1], answers[0]);
      },
    ),
    { numRuns: 1_500 },
  );
});

test('a handler that answers, consumes and resets within its calls survives anything', () => {
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 20 }), fc.array(fc.nat(3), { minLength: 1, maxLength: 10 }), (frames, choices) => {
      const bench = serverBench();
      const { connection, recorder } = bench;
      let turn = 0;
      const act = (stream: Parameters<typeof connection.reset>[0]): void => {
        const choice = choices[turn++ % choices.length];
        if (choice === 0) connection.reset(stream, 2);
        else if (choice === 1 && stream.isSending && !stream.headSent) connection.respond(stream, ownResponse(200), false);
        else if (choice === 2 && stream.isSending && stream.headSent) connection.sendData(stream, CLIENT_PREFACE, 0, 24, true);
        else connection.consumed(stream, stream.unconsumed);
      };
      const handler = recorder as unknown as Record<'onHeaders' | 'onData' | 'onTrailers' | 'onReset' | 'onWindow', typeof act>;
      for (const name of ['onHeaders', 'onData', 'onTrailers', 'onReset', 'onWindow'] as const) handler[name] = act;
      checkAnswer(bench, bench.push(headers(1, POST, false), ...frames));
    }),
    { numRuns: 1_000 },
  );
});

test('random bytes raise nothing but errors of the peer', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), fc.boolean(), (pieces, afterPreface) => {
      const bench = afterPreface ? serverBench() : freshServer();
      bench.connection.take();
      checkAnswer(bench, bench.push(...pieces.map((piece) => Buffer.from(piece))));
    }),
    { numRuns: 1_000 },
  );
});
