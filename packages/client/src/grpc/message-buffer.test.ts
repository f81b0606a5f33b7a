import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { grpcPrefix } from '@heddle/wire';
import fc from 'fast-check';
import { MessageBuffer } from './message-buffer.ts';

const framed = (message: Uint8Array, isCompressed = false): Buffer => Buffer.concat([grpcPrefix(message.length, isCompressed), message]);

describe('the messages of a response', () => {
  it('are what was sent, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ message: fc.uint8Array({ maxLength: 300 }), isCompressed: fc.boolean() }, { noNullPrototype: true })),
        fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 }),
        (messages, sizes) => {
          const bytes = Buffer.concat(messages.map(({ message, isCompressed }) => framed(message, isCompressed)));
          const buffer = new MessageBuffer(1_000);
          const taken: { message: Uint8Array; isCompressed: boolean }[] = [];
          let turn = 0;
          for (let at = 0; at < bytes.length; turn++) {
            const end = at + sizes[turn % sizes.length]!;
            buffer.push(bytes.subarray(at, end));
            at = end;
            for (let message = buffer.take(); message !== undefined; message = buffer.take())
              taken.push({ message: new Uint8Array(message), isCompressed: buffer.isCompressed });
          }
          assert.deepEqual(taken, messages);
          assert.equal(buffer.waitingBytes, 0);
          assert.equal(buffer.isTruncated, false);
        },
      ),
    );
  });

  it('end in the middle of one', () => {
    const buffer = new MessageBuffer(1_000);
    buffer.push(framed(Buffer.from('ab')).subarray(0, 6));
    assert.equal(buffer.take(), undefined);
    assert.equal(buffer.isTruncated, true);
    const short = new MessageBuffer(1_000);
    short.push(Buffer.from([0, 0]));
    assert.equal(short.isTruncated, true);
  });

  it('are not taken beyond the limit', () => {
    const buffer = new MessageBuffer(3);
    buffer.push(Buffer.concat([framed(Buffer.from('abc')), grpcPrefix(4)]));
    assert.equal(buffer.take()?.toString(), 'abc');
    assert.equal(buffer.take(), undefined);
    assert.equal(buffer.tooLongBytes, 4);
  });

  it('do not keep more than themselves', () => {
    const buffer = new MessageBuffer(1_000);
    buffer.push(Buffer.concat([framed(Buffer.from('small')), framed(Buffer.alloc(900))]));
    assert.equal(buffer.take()?.toString(), 'small');
    assert.equal(buffer.take()?.length, 900);
  });
});
