import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LocalProtocolError } from '../http1/errors.ts';
import { BlockWriter } from './block-writer.ts';
import { HpackDecoder } from './decoder.ts';
import { HpackEncoder } from './encoder.ts';
import { FIELD_OVERHEAD_BYTES, FieldList } from './field.ts';
import { decodeBlock, encodeBlock, triples, type Triple } from './test-support.ts';

/** Lengths of the blocks when the same fields are sent again and again. */
function lengths(encoder: HpackEncoder, fields: [string, string, boolean?][], rounds: number = 3): number[] {
  return Array.from({ length: rounds }, () => encodeBlock(encoder, fields).length);
}

test('enters steady values at once, varying ones when they come again', () => {
  const encoder = new HpackEncoder();
  const [first, second] = lengths(encoder, [['user-agent', 'curl/8']]);
  assert.ok(first! > 1 && second === 1);
  const path: [string, string][] = [[':path', '/shop.Orders/Get']];
  const [once, twice, then] = lengths(encoder, path);
  assert.equal(once, twice);
  assert.equal(then, 1);
});

test('values that never come again leave the table alone', () => {
  const encoder = new HpackEncoder();
  encodeBlock(encoder, [['user-agent', 'curl/8']]);
  const size = encoder.tableSize;
  for (let id = 0; id < 500; id++) encodeBlock(encoder, [['x-request-id', `id-${id * 7_919}`]]);
  // A rare false memory is allowed.
  assert.ok(encoder.tableSize < size + 400, `${encoder.tableSize}`);
  assert.equal(encodeBlock(encoder, [['user-agent', 'curl/8']]).length, 1);
});

test('of what is another with each request the name alone gets a place, whatever comes again', () => {
  for (const name of ['x-request-id', 'traceparent']) {
    const encoder = new HpackEncoder();
    for (let round = 0; round < 20; round++) encodeBlock(encoder, [[name, `id-${round % 5}`]]);
    assert.equal(encoder.tableSize, name.length + 'id-0'.length + FIELD_OVERHEAD_BYTES);
  }
});

test('a value that would fill the table is not entered', () => {
  const encoder = new HpackEncoder();
  const long = 'x'.repeat(3_100);
  const [first, , third] = lengths(encoder, [['user-agent', long]]);
  assert.equal(first, third);
  assert.equal(encoder.tableSize, 0);
});

test('credentials and short cookies are sent never-indexed, and never-indexed fields stay so', () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  const secrets: Triple[] = [
    ['authorization', 'Bearer abcdefghijklmnopqrstuvwxyz', true],
    ['proxy-authorization', 'Basic YTpi', true],
    ['cookie', 'pin=1234', true],
    ['x-mine', 'secret', true],
    ['user-agent', 'received as secret', true],
  ];
  for (let round = 0; round < 3; round++) {
    const { fields } = decodeBlock(
      decoder,
      encodeBlock(
        encoder,
        secrets.map(([name, value, never]) => [name, value, never && !/auth|cookie/.test(name)]),
      ),
    );
    assert.deepEqual(fields, secrets);
  }
  assert.equal(encoder.tableSize, 0);
  const long: Triple = ['cookie', 'session=0123456789abcdef', false];
  assert.deepEqual(decodeBlock(decoder, encodeBlock(encoder, [long])).fields, [long]);
});

test('tells the smallest and the last table size of several, once', () => {
  const encoder = new HpackEncoder({ indexing: 'always' });
  assert.equal(encodeBlock(encoder, [['a', '1']])[0], 0x40);
  encoder.setTableLimit(4_096);
  assert.equal(encodeBlock(encoder, []).toString('hex'), '');
  encoder.setTableLimit(100);
  encoder.setTableLimit(10);
  encoder.setTableLimit(60);
  assert.equal(encodeBlock(encoder, []).toString('hex'), '2a3f1d');
  assert.equal(encoder.tableSize, 0);
  assert.equal(encodeBlock(encoder, []).toString('hex'), '');
  encoder.setTableLimit(1_000_000);
  assert.equal(encodeBlock(encoder, []).toString('hex'), '3fe11f');
  encoder.setTableLimit(0);
  encoder.setTableLimit(4_096);
  assert.equal(encodeBlock(encoder, []).toString('hex'), '203fe11f');
});

test('tells a bound of its own in the first block', () => {
  const encoder = new HpackEncoder({ tableBytesMax: 0, indexing: 'always' });
  assert.equal(encodeBlock(encoder, [[':method', 'GET']]).toString('hex'), '2082');
  const [first, second] = lengths(encoder, [['a', '1']]);
  assert.equal(first, second);
});

/** Eight bits a character when coded, around the lengths that need a second byte. */
const SAME_LENGTH = Array.from({ length: 40 }, (_, more) => 'X'.repeat(110 + more));

test('uses Huffman coding only where it is no longer', () => {
  const decoder = new HpackDecoder();
  const bytes = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));
  for (const value of [
    '',
    'a',
    'www.example.com',
    '\x00\xff',
    bytes,
    bytes.repeat(20),
    'e'.repeat(126),
    'e'.repeat(127),
    'e'.repeat(5_000),
    ...SAME_LENGTH,
  ]) {
    const coded = encodeBlock(new HpackEncoder({ indexing: 'never' }), [['x-y', value]]);
    const plain = encodeBlock(new HpackEncoder({ indexing: 'never', huffman: false }), [['x-y', value]]);
    assert.ok(coded.length <= plain.length);
    for (const block of [coded, plain]) assert.deepEqual(decodeBlock(decoder, block).fields, [['x-y', value, false]]);
  }
});

test('passes received fields on, the second time from memory, through whatever table', () => {
  const origin = new HpackEncoder();
  const decoder = new HpackDecoder();
  const list = new FieldList();
  const ways = [new HpackEncoder(), new HpackEncoder({ tableBytesMax: 80 })];
  const readers = [new HpackDecoder(), new HpackDecoder()];
  const writer = new BlockWriter();
  for (let round = 0; round < 40; round++) {
    const fields: Triple[] = [
      [':method', 'GET', false],
      ['user-agent', `agent ${round % 7 < 4 ? 'a' : round}`, false],
      ['accept', '*/*', false],
      ['x-secret', 'y', true],
    ];
    decodeBlock(decoder, encodeBlock(origin, fields), list);
    for (const way of round % 3 === 0 ? [0, 1] : [round % 2]) {
      writer.reset();
      ways[way]!.begin(writer);
      for (let at = 0; at < list.count; at++) ways[way]!.pass(list.fields[at]!);
      assert.deepEqual(decodeBlock(readers[way]!, writer.copy()), { fields, fault: undefined, tooLarge: false, size: list.size });
    }
  }
});

test('a never-indexed field that is passed on twice is a literal twice', () => {
  const list = new FieldList();
  decodeBlock(
    new HpackDecoder(),
    encodeBlock(new HpackEncoder(), [
      [':method', 'GET'],
      ['x-secret', 'y', true],
    ]),
    list,
  );
  const writer = new BlockWriter();
  const encoder = new HpackEncoder({ indexing: 'always' });
  encoder.begin(writer);
  for (const at of [0, 1, 0, 1]) encoder.pass(list.fields[at]!);
  const expected = [...list.fields, ...list.fields].map(({ name, value, neverIndexed }): Triple => [name, value, neverIndexed]);
  assert.deepEqual(decodeBlock(new HpackDecoder(), writer.copy()).fields, expected);
});

test('writes behind what is there, and a writer gives back the room of a large block', () => {
  const writer = new BlockWriter();
  writer.reserve(9);
  writer.bytes.fill(7, 0, 9);
  writer.length = 9;
  const encoder = new HpackEncoder();
  encoder.begin(writer);
  encoder.field(':method', 'GET');
  assert.equal(writer.copy().toString('hex'), '07'.repeat(9) + '82');
  encoder.field('x', 'y'.repeat(100_000));
  assert.ok(writer.bytes.length > 65_536);
  writer.reset();
  assert.deepEqual([writer.length, writer.bytes.length], [0, 4_096]);
});

test('fields without a block are our mistake', () => {
  assert.throws(() => new HpackEncoder().field('a', 'b'), LocalProtocolError);
});

test('the name of values that always differ becomes an index', () => {
  const encoder = new HpackEncoder({ huffman: false });
  const decoder = new HpackDecoder();
  const sizes: number[] = [];
  for (let round = 0; round < 4; round++) {
    const block = encodeBlock(encoder, [['x-request-id', `id-${round}`]]);
    assert.deepEqual(decodeBlock(decoder, block).fields, triples([['x-request-id', `id-${round}`]]));
    sizes.push(block.length);
  }
  assert.deepEqual(sizes, [19, 19, 7, 7]);
});
