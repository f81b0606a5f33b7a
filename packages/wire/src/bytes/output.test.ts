import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Output } from './output.ts';

test('gives what was appended, in order, whatever the slab size', () => {
  const part = fc.oneof(
    fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)), maxLength: 30 }),
    fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
    fc.constant('take' as const),
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), fc.array(part), (slabBytes, parts) => {
      const output = new Output(slabBytes);
      const taken: Buffer[] = [];
      const expected: Buffer[] = [];
      for (const part of parts) {
        if (part === 'take') {
          const { length } = output;
          taken.push(output.take());
          assert.equal(taken.at(-1)?.length, length);
        } else if (typeof part === 'string') {
          output.latin1(part);
          expected.push(Buffer.from(part, 'latin1'));
        } else {
          output.bytes(part);
          expected.push(part);
        }
      }
      // Compared only now: what was taken early must not have been overwritten since.
      assert.deepEqual(Buffer.concat([...taken, output.take()]), Buffer.concat(expected));
    }),
  );
});

test('appends a part of a buffer', () => {
  const output = new Output();
  output.bytes(Buffer.from('abcdef'), 2, 4);
  assert.equal(output.length, 2);
  assert.equal(output.take().toString(), 'cd');
  assert.equal(output.take().length, 0);
});
