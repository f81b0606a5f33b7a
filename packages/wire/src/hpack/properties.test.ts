// What holds for every input: what is encoded is decoded again whatever happens to the table sizes, cutting changes nothing, and no bytes
// whatever raise anything but the peer's faults.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HpackDecoder } from './decoder.ts';
import { DynamicTable } from './dynamic-table.ts';
import { EncoderTable } from './encoder-table.ts';
import { HpackEncoder, type HpackEncoderOptions } from './encoder.ts';
import { FieldList, HeaderField } from './field.ts';
import { STATIC_COUNT, STATIC_FIELDS } from './static-table.ts';
import { cut } from '../http1/test-support.ts';
import { decodeBlock, decodePieces, encodeBlock, type Triple } from './test-support.ts';

const byteText = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)), maxLength: 40 });
/** Few different ones, so that they come again. */
const name = fc.oneof(fc.constantFrom(':path', ':method', 'accept', 'cookie', 'x-a', 'x-b', 'authorization', ''), byteText);
const value = fc.oneof(fc.constantFrom('', '/', 'GET', 'one', 'two', 'a'.repeat(130), 'session=0123456789abcdef'), byteText);
const field: fc.Arbitrary<Triple> = fc.tuple(
  name,
  value,
  fc.integer({ max: 9, min: 0 }).map((dice) => dice === 0),
);
const fields = fc.array(field, { maxLength: 12 });
const tableBytes = fc.constantFrom(0, 31, 33, 40, 100, 300, 4_096, 10_000);
const options: fc.Arbitrary<HpackEncoderOptions> = fc.record({
  tableBytesMax: tableBytes,
  huffman: fc.boolean(),
  indexing: fc.constantFrom('adaptive', 'always', 'never'),
});
const cuts = fc.array(fc.nat(300), { maxLength: 8 });
/** Lists of fields, and changes of the peer's table limit between them. */
const steps = fc.array(fc.oneof({ weight: 4, arbitrary: fields }, tableBytes), { maxLength: 14 });

function withoutMarks(triples: readonly Triple[]): unknown[] {
  return triples.map(([one, other]) => [one, other]);
}

test('what was encoded is decoded, in any pieces, through any changes of the table', () => {
  fc.assert(
    fc.property(options, steps, cuts, (chosen, sequence, at) => {
      const encoder = new HpackEncoder(chosen);
      const whole = new HpackDecoder();
      const pieces = new HpackDecoder();
      const list = new FieldList();
      for (const step of sequence) {
        if (typeof step === 'number') {
          for (const side of [encoder, whole, pieces]) side.setTableLimit(step);
          continue;
        }
        const block = encodeBlock(encoder, step);
        const decoded = decodeBlock(whole, block, list);
        assert.deepEqual([withoutMarks(decoded.fields), decoded.fault], [withoutMarks(step), undefined]);
        for (const [index, [, , never]] of decoded.fields.entries()) if (step[index]![2]) assert.equal(never, true);
        assert.deepEqual(decodePieces(pieces, cut(block, at)), decoded);
        assert.deepEqual([whole.tableSize, pieces.tableSize], [encoder.tableSize, encoder.tableSize]);
      }
    }),
    { numRuns: 1_000 },
  );
});

/** Well-formed and ill-formed pieces of blocks: joined at random they reach deeper than random bytes do. */
const fragments = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '82',
        '84',
        'be',
        'bf',
        'c0',
        'ff',
        '00',
        '40',
        '10',
        '20',
        '3f',
        'e11f',
        '0161',
        '0262',
        '81',
        '831f',
        '1c',
        '7f',
        '8cf1e3c2e5f23a6ba0ab90f4ff',
      ),
      fc.nat(255).map((byte) => byte.toString(16).padStart(2, '0')),
    ),
    { maxLength: 24 },
  )
  .map((parts) => Buffer.from(parts.join(''), 'hex'));

test('any bytes give fields or one fault, the same in any pieces', () => {
  fc.assert(
    fc.property(fc.array(fragments, { maxLength: 4 }), cuts, fc.boolean(), (blocks, at, limited) => {
      const limits = limited ? { listBytesMax: 200, fieldsMax: 4, stringBytesMax: 20, blockBytesMax: 24 } : undefined;
      const whole = new HpackDecoder(limits);
      const pieces = new HpackDecoder(limits);
      const list = new FieldList();
      for (const block of blocks) {
        const decoded = decodeBlock(whole, block, list);
        const again = decodePieces(pieces, cut(block, at));
        if (decoded.fault === undefined) assert.deepEqual(again, decoded);
        else assert.ok(again.fault === decoded.fault || decoded.fault === 'BLOCK_TOO_LARGE' || again.fault === 'BLOCK_TOO_LARGE');
        assert.ok(whole.tableSize <= 4_096);
        assert.ok(list.count <= (limits?.fieldsMax ?? 132));
        if (decoded.fault !== undefined) break;
      }
    }),
    { numRuns: 5_000 },
  );
});

/** What is done to a table: an insertion, or a new size. */
const operations = fc.array(fc.oneof({ weight: 6, arbitrary: fc.tuple(name, value) }, tableBytes), { maxLength: 120 });

function sizeOf(entries: readonly (readonly [string, string])[]): number {
  return entries.reduce((sum, [one, other]) => sum + one.length + other.length + 32, 0);
}

test('both rings do what a simple list does', () => {
  fc.assert(
    fc.property(operations, fc.tuple(name, value), (sequence, wanted) => {
      const ring = new DynamicTable();
      const encoding = new EncoderTable();
      /** Newest first. */
      const model: (readonly [string, string])[] = [];
      let sizeMax = 4_096;
      for (const operation of sequence) {
        if (typeof operation === 'number') {
          sizeMax = operation;
          ring.resize(sizeMax);
          encoding.resize(sizeMax);
        } else {
          model.unshift(operation);
          ring.insert(new HeaderField(operation[0], operation[1], false));
          encoding.insert(operation[0], operation[1]);
        }
        while (sizeOf(model) > sizeMax) model.pop();
        assert.deepEqual(
          [ring.size, encoding.size, ring.count, encoding.count],
          [sizeOf(model), sizeOf(model), model.length, model.length],
        );
      }
      const held = Array.from(model.keys(), (index) => [ring.at(index)!.name, ring.at(index)!.value]);
      assert.deepEqual(
        held,
        model.map((entry) => [...entry]),
      );
      assert.equal(ring.at(model.length), undefined);
      for (const [one, other] of [wanted, ...model.slice(0, 30)]) {
        const all = [...STATIC_FIELDS.slice(1).map((entry) => [entry!.name, entry!.value]), ...model];
        const at = (index: number): string[] => [...all[index - 1]!];
        const index = encoding.find(one, other);
        if (index > 0) assert.deepEqual(at(index), [one, other]);
        else assert.ok(!all.slice(0, STATIC_COUNT + 30).some(([first, second]) => first === one && second === other));
        if (index > 0) assert.equal(encoding.indexOf(encoding.place), index);
        for (const nameIndex of [encoding.findName(one), ...(index === 0 ? [encoding.nameIndex] : [])]) {
          if (nameIndex > 0) assert.equal(at(nameIndex)[0], one);
          else assert.ok(!all.some(([first]) => first === one));
        }
      }
    }),
    { numRuns: 500 },
  );
});
