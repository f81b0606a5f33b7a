import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FAULT, INTEGER_BYTES_MAX, IntegerReader, NEED_MORE, writeInteger } from './integer.ts';

const MASKS = [0x0f, 0x1f, 0x3f, 0x7f];

function roundTrip(value: number, mask: number): void {
  const bytes = Buffer.alloc(INTEGER_BYTES_MAX + 2, 0xff);
  const first = ~mask & 0xff;
  const to = writeInteger(bytes, 1, first, mask, value);
  assert.ok(to - 1 <= INTEGER_BYTES_MAX);
  assert.equal(bytes[1]! & first, first);
  assert.equal(bytes[to], 0xff);
  const reader = new IntegerReader();
  const isReadable = value < 2 ** 28;
  for (let end = 1; end < to && isReadable; end++) assert.equal(reader.read(bytes, 1, end, mask), NEED_MORE);
  const read = reader.read(bytes, 1, to, mask);
  if (isReadable || read !== FAULT) assert.deepEqual([read, reader.at], [value, to]);
}

test('what was written is read, and not before its last byte', () => {
  for (const mask of MASKS) for (let value = 0; value < 600; value++) roundTrip(value, mask);
  const near = [7, 14, 21, 28, 31]
    .flatMap((power) => [-2, -1, 0, 1, 129].map((more) => 2 ** power + more))
    .filter((value) => value < 2 ** 31);
  for (const mask of MASKS) for (const value of near) roundTrip(value, mask);
  fc.assert(fc.property(fc.nat(), fc.constantFrom(...MASKS), roundTrip));
});

test('zeros at the end are taken up to four bytes, and nothing is taken beyond', () => {
  const reader = new IntegerReader();
  assert.equal(reader.read(Buffer.of(0x1f, 0x80, 0x80, 0x80, 0x00), 0, 5, 0x1f), 31);
  assert.equal(reader.read(Buffer.of(0x1f, 0xff, 0xff, 0xff, 0x7f), 0, 5, 0x1f), 31 + 2 ** 28 - 1);
  assert.equal(reader.read(Buffer.of(0x1f, 0x80, 0x80, 0x80, 0x80), 0, 5, 0x1f), FAULT);
  assert.equal(reader.read(Buffer.of(0x1f, 0x80, 0x80, 0x80, 0x80, 0x00), 0, 6, 0x1f), FAULT);
});
