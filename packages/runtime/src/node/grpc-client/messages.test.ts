import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GRPC_STATUS, grpcPrefix } from '@heddle/wire/grpc';
import { MessageReader } from './messages.ts';
import { message } from './testing/peer.ts';

test('messages come out as they went in, however their bytes were cut', () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
  fc.assert(
    fc.property(messages, fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), (sent, cuts) => {
      const wire = Buffer.concat(sent.map(message));
      const received: Buffer[] = [];
      const reader = new MessageReader(300, (bytes) => void received.push(bytes));
      for (let at = 0, turn = 0; at < wire.length; turn++) {
        const to = at + cuts[turn % cuts.length]!;
        // What was pushed is the driver's, and may change afterwards.
        const chunk = Buffer.from(wire.subarray(at, to));
        assert.equal(reader.push(chunk), undefined);
        chunk.fill(0xff);
        at = to;
      }
      assert.equal(reader.end(), undefined);
      assert.deepEqual(
        received.map((bytes) => [...bytes]),
        sent.map((bytes) => [...bytes]),
      );
      // No message keeps more memory alive than it has.
      for (const bytes of received) assert.equal(bytes.buffer.byteLength, bytes.length);
    }),
  );
});

test('after a fault nothing more comes out, and the first one counts', () => {
  for (const [bytes, code, words] of [
    [grpcPrefix(301), GRPC_STATUS.RESOURCE_EXHAUSTED, /300 bytes/],
    [Buffer.concat([grpcPrefix(2, true), Buffer.from('zz'), grpcPrefix(301)]), GRPC_STATUS.UNIMPLEMENTED, /compressed/],
    [Buffer.from([7]), GRPC_STATUS.INTERNAL, /0 \(plain\)/],
  ] as const) {
    const received: Buffer[] = [];
    const reader = new MessageReader(300, (taken) => void received.push(taken));
    const error = reader.push(Buffer.concat([message('good'), bytes]));
    assert.equal(error?.code, code);
    assert.match(error?.details ?? '', words);
    assert.equal(reader.push(message('late')), error);
    assert.deepEqual(received.map(String), ['good']);
  }
});

test('an end in the middle of a message is a fault', () => {
  const reader = new MessageReader(300, () => {});
  assert.equal(reader.push(message('whole')), undefined);
  assert.equal(reader.push(message('half').subarray(0, 7)), undefined);
  assert.equal(reader.end()?.code, GRPC_STATUS.INTERNAL);
});
