import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HpackDecoder } from './decoder.ts';
import { HpackEncoder } from './encoder.ts';
import { FieldList, type HeaderField } from './field.ts';
import type { HpackLimits } from './limits.ts';
import { decodeBlock, decodePieces, encodeBlock, hex, triples, type Triple } from './test-support.ts';
import { HPACK_VIOLATIONS, type HpackViolationCode } from './violations.ts';

/** Faulty blocks for a new decoder. */
const FAULTY: [what: string, wire: string, fault: HpackViolationCode][] = [
  ['index 0', '80', 'BAD_INDEX'],
  ['an index above both tables', 'be', 'BAD_INDEX'],
  ['a large index', 'ff8001', 'BAD_INDEX'],
  ['a name index above both tables', '7e0161', 'BAD_INDEX'],
  ['an integer of too many bytes', 'ff8080808000', 'BAD_INTEGER'],
  ['an integer that does not end', `ff${'ff'.repeat(40)}`, 'BAD_INTEGER'],
  ['a name length of too many bytes', '007f8080808000', 'BAD_INTEGER'],
  ['a value length of too many bytes', `000161ff${'80'.repeat(9)}`, 'BAD_INTEGER'],
  ['a string longer than any block', '007fffffff7f', 'BLOCK_TOO_LARGE'],
  ['an index that is cut off', 'ff', 'TRUNCATED_BLOCK'],
  ['a literal without name', '40', 'TRUNCATED_BLOCK'],
  ['a literal whose name is cut off', '400261', 'TRUNCATED_BLOCK'],
  ['a literal without value', '400161', 'TRUNCATED_BLOCK'],
  ['a literal whose value is cut off', '4001610261', 'TRUNCATED_BLOCK'],
  ['EOS in a value', '40016184ffffffff', 'BAD_HUFFMAN'],
  ['EOS in a name', '4084ffffffff0161', 'BAD_HUFFMAN'],
  ['wrong padding', '4001618118', 'BAD_HUFFMAN'],
  ['a size update above the limit', '3fe21f', 'BAD_SIZE_UPDATE'],
  ['a size update after a field', '8220', 'LATE_SIZE_UPDATE'],
];

for (const [what, wire, fault] of FAULTY) {
  test(`refuses ${what}, and everything after it`, () => {
    const decoder = new HpackDecoder();
    const block = hex(wire);
    assert.equal(decodeBlock(decoder, block).fault, fault);
    assert.deepEqual(decodeBlock(decoder, hex('82')), { fields: [], fault, tooLarge: false, size: 0 });
    const pieces = Array.from(block, (byte) => Buffer.of(byte));
    assert.equal(decodePieces(new HpackDecoder(), pieces).fault, fault);
    assert.match(HPACK_VIOLATIONS[fault].section, /RFC/);
  });
}

test('takes an empty block, empty names and empty values', () => {
  const decoder = new HpackDecoder();
  assert.deepEqual(decodeBlock(decoder, hex('')), { fields: [], fault: undefined, tooLarge: false, size: 0 });
  assert.deepEqual(decodePieces(decoder, []), { fields: [], fault: undefined, tooLarge: false, size: 0 });
  assert.deepEqual(decodeBlock(decoder, hex('000000')).fields, [['', '', false]]);
  assert.deepEqual(decodeBlock(decoder, hex('008080')).fields, [['', '', false]]);
});

test('takes integers with superfluous zeros', () => {
  assert.deepEqual(decodeBlock(new HpackDecoder(), hex(`0001617f808000${'62'.repeat(127)}`)).fields, [['a', 'b'.repeat(127), false]]);
});

test('one byte after another is decoded as the whole', () => {
  const fields: Triple[] = [
    [':method', 'GET', false],
    ['x-long', 'y'.repeat(700), false],
    ['x-secret', 'z', true],
    ['cache-control', 'no-store', false],
  ];
  const encoder = new HpackEncoder();
  const whole = new HpackDecoder();
  const pieces = new HpackDecoder();
  for (let round = 0; round < 3; round++) {
    const block = encodeBlock(encoder, fields);
    const expected = decodeBlock(whole, block);
    assert.deepEqual(expected.fields, fields);
    const bytes = Array.from(block, (byte) => Buffer.of(byte));
    assert.deepEqual(decodePieces(pieces, bytes), expected);
  }
  assert.ok(whole.tableSize > 0);
  assert.equal(pieces.tableSize, whole.tableSize);
});

const GET: Triple = [':method', 'GET', false];

for (const [what, limits, allowed, refused] of [
  ['the list', { listBytesMax: 84 }, [GET, GET], [GET, GET, GET]],
  ['the number of fields', { fieldsMax: 2 }, [GET, GET], [GET, GET, GET]],
  ['a name', { stringBytesMax: 7 }, [['x'.repeat(7), 'y', false]], [['x'.repeat(8), 'y', false]]],
  ['a value', { stringBytesMax: 7 }, [['x', 'y'.repeat(7), false]], [['x', 'y'.repeat(8), false]]],
] as [string, Partial<HpackLimits>, Triple[], Triple[]][]) {
  test(`over the limit of ${what} it marks the block, and the table stays right`, () => {
    const decoder = new HpackDecoder(limits);
    const encoder = new HpackEncoder({ indexing: 'always' });
    const last: Triple = ['z', '1', false];
    assert.deepEqual(decodeBlock(decoder, encodeBlock(encoder, allowed)).fields, allowed);
    const over = decodeBlock(decoder, encodeBlock(encoder, [...refused, last]));
    assert.deepEqual([over.tooLarge, over.fault], [true, undefined]);
    assert.deepEqual(over.fields, refused.slice(0, -1));
    // `z: 1` was entered into the table although it was not kept.
    const block = encodeBlock(encoder, [last]);
    assert.equal(block.length, 1);
    assert.deepEqual(decodeBlock(decoder, block), { fields: [last], fault: undefined, tooLarge: false, size: 34 });
  });
}

test('a block of indices that is too large is so each time', () => {
  const decoder = new HpackDecoder({ fieldsMax: 2 });
  for (let round = 0; round < 4; round++) {
    const { tooLarge, fields } = decodeBlock(decoder, hex('828282'));
    assert.deepEqual([tooLarge, fields.length], [true, 2]);
  }
});

test('a name is not decoded again for every byte of its value', (t) => {
  const block = encodeBlock(new HpackEncoder({ huffman: false }), [['n'.repeat(1_000), 'v'.repeat(1_000)]]);
  const toString = t.mock.method(Buffer.prototype, 'toString');
  const { fields } = decodePieces(
    new HpackDecoder(),
    Array.from(block, (byte) => Buffer.of(byte)),
  );
  assert.equal(fields[0]![0].length + fields[0]![1].length, 2_000);
  assert.ok(toString.mock.callCount() < 8, `${toString.mock.callCount()} strings made`);
});

test('the size of a list counts 32 bytes a field', () => {
  const { size } = decodeBlock(new HpackDecoder(), encodeBlock(new HpackEncoder(), [GET, ['a', 'bc']]));
  assert.equal(size, 42 + 35);
});

test('a block above the limit of its bytes ends the connection, in one piece or many', () => {
  const limits = { blockBytesMax: 10 };
  assert.equal(decodeBlock(new HpackDecoder(limits), Buffer.alloc(10, 0x82)).fault, undefined);
  assert.equal(decodeBlock(new HpackDecoder(limits), Buffer.alloc(11, 0x82)).fault, 'BLOCK_TOO_LARGE');
  const ones = (count: number): Buffer[] => Array.from({ length: count }, () => Buffer.of(0x82));
  assert.equal(decodePieces(new HpackDecoder(limits), ones(10)).fault, undefined);
  assert.equal(decodePieces(new HpackDecoder(limits), ones(11)).fault, 'BLOCK_TOO_LARGE');
  // Each block has the limit for itself.
  const decoder = new HpackDecoder(limits);
  for (let block = 0; block < 3; block++) assert.equal(decodePieces(decoder, ones(8)).fault, undefined);
});

test('a bomb of references to one large entry is not kept', () => {
  const decoder = new HpackDecoder();
  const encoder = new HpackEncoder({ indexing: 'always' });
  const large = 'v'.repeat(4_000);
  assert.equal(decodeBlock(decoder, encodeBlock(encoder, [['x', large]])).fault, undefined);
  const list = new FieldList();
  const { fields, tooLarge, size, fault } = decodeBlock(decoder, Buffer.alloc(100_000, 0xbe), list);
  assert.deepEqual([tooLarge, fault, size], [true, undefined, 100_000 * (1 + 4_000 + 32)]);
  const kept = fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  assert.ok(kept <= 65_536, `${kept} bytes kept`);
  assert.ok(list.fields.length <= 132);
});

test('a size update evicts, and one is due after the limit was lowered', () => {
  const entered = (): HpackDecoder => {
    const decoder = new HpackDecoder();
    decodeBlock(
      decoder,
      encodeBlock(new HpackEncoder({ indexing: 'always' }), [
        ['a', '1'],
        ['b', '2'],
      ]),
    );
    assert.equal(decoder.tableSize, 68);
    return decoder;
  };
  const decoder = entered();
  assert.deepEqual(decodeBlock(decoder, hex('3f0f be')).fields, [['b', '2', false]]);
  assert.equal(decoder.tableSize, 34);
  assert.equal(decodeBlock(decoder, hex('20 be')).fault, 'BAD_INDEX');

  const lowered = entered();
  // Known by heart, but not before the size update.
  for (let round = 0; round < 3; round++) assert.equal(decodeBlock(lowered, hex('82')).fault, undefined);
  lowered.setTableLimit(100);
  assert.equal(decodeBlock(lowered, hex('82')).fault, 'MISSING_SIZE_UPDATE');
  const told = entered();
  told.setTableLimit(34);
  told.setTableLimit(4_096);
  assert.equal(decodeBlock(told, hex('3f03 3fe11f be')).fault, undefined);
  assert.equal(told.tableSize, 34);
  const raised = entered();
  raised.setTableLimit(8_192);
  assert.equal(decodeBlock(raised, hex('be')).fault, undefined);
  assert.equal(decodeBlock(raised, hex('3fe13f be')).fault, undefined);
});

test('a block that comes again means the same fields until the table changes', () => {
  const decoder = new HpackDecoder();
  const list = new FieldList();
  const encoder = new HpackEncoder({ indexing: 'always' });
  decodeBlock(decoder, encodeBlock(encoder, [['a', '1']]), list);
  // Indices, and a path without indexing.
  const block = hex('82be 04022f78');
  const fields = triples([
    [':method', 'GET'],
    ['a', '1'],
    [':path', '/x'],
  ]);
  const path = (): HeaderField => list.fields[2]!;
  assert.deepEqual(decodeBlock(decoder, block, list).fields, fields);
  assert.deepEqual(decodeBlock(decoder, block, list).fields, fields);
  const kept = path();
  // Whatever a reader does with its list, the next one gets the fields.
  list.fields[0] = list.fields[1]!;
  for (let round = 0; round < 2; round++) {
    assert.deepEqual(decodeBlock(decoder, block, list), { fields, fault: undefined, tooLarge: false, size: 42 + 34 + 39 });
    assert.equal(path(), kept);
    assert.equal(decodeBlock(decoder, Buffer.alloc(2 + round, 0x82), list).fields.length, 2 + round);
  }
  decodeBlock(decoder, encodeBlock(encoder, [['b', '2']]), list);
  const changed = triples([
    [':method', 'GET'],
    ['b', '2'],
    [':path', '/x'],
  ]);
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(decodeBlock(decoder, block, list).fields, changed);
    assert.notEqual(path(), kept);
  }
  decodeBlock(decoder, hex('20'), list);
  assert.equal(decodeBlock(decoder, block, list).fault, 'BAD_INDEX');
});

test('a block that enters a field is never taken for the one before', () => {
  const decoder = new HpackDecoder();
  for (let round = 1; round < 5; round++) {
    assert.deepEqual(decodeBlock(decoder, hex('4001 61 01 31')).fields, triples([['a', '1']]));
    assert.equal(decoder.tableSize, round * 34);
  }
});

test('blocks are looked for again after many that did not come again', () => {
  const decoder = new HpackDecoder();
  const list = new FieldList();
  for (let round = 0; round < 1_000; round++) {
    const digits = String(round).padStart(4, '0');
    const block = Buffer.concat([hex('0405 2f'), Buffer.from(digits)]);
    assert.deepEqual(decodeBlock(decoder, block, list).fields, triples([[':path', `/${digits}`]]));
  }
  const seen = new Set<HeaderField>();
  for (let round = 0; round < 100; round++) {
    assert.deepEqual(decodeBlock(decoder, hex('0402 2f78'), list).fields, triples([[':path', '/x']]));
    seen.add(list.fields[0]!);
  }
  assert.ok(seen.size < 60, `${seen.size} objects`);
});

test('a list gives back the room of a block with very many fields', () => {
  const decoder = new HpackDecoder();
  const list = new FieldList();
  decodeBlock(decoder, Buffer.alloc(130, 0x82), list);
  assert.equal(list.fields.length, 130);
  decodeBlock(decoder, hex('82'), list);
  assert.equal(list.fields.length, 64);
  assert.deepEqual([...list], [[':method', 'GET']]);
});
