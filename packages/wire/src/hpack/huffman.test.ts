import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EOS, HUFFMAN_BITS, HUFFMAN_CODES } from './huffman-code.ts';
import { decodedBytesMax, huffmanDecode } from './huffman-decode.ts';
import { CODED_BYTES_PER_BYTE_MAX, huffmanEncode, huffmanLength } from './huffman-encode.ts';

function encode(bytes: Uint8Array): Buffer {
  const out = Buffer.alloc(bytes.length * CODED_BYTES_PER_BYTE_MAX + 1);
  const to = huffmanEncode(bytes, bytes.length, out, 1);
  assert.equal(to - 1, huffmanLength(bytes, bytes.length));
  return out.subarray(1, to);
}

function decode(coded: Uint8Array): Buffer | undefined {
  const out = Buffer.alloc(decodedBytesMax(coded.length));
  const length = huffmanDecode(coded, 0, coded.length, out);
  return length < 0 ? undefined : out.subarray(0, length);
}

/** Bit by bit, from the table of codes alone. */
function decodeSlowly(coded: Uint8Array): number[] | undefined {
  const symbols = new Map(Array.from(HUFFMAN_CODES, (code, symbol) => [code.toString(2).padStart(HUFFMAN_BITS[symbol]!, '0'), symbol]));
  const decoded: number[] = [];
  let bits = '';
  for (const bit of Array.from(coded, (byte) => byte.toString(2).padStart(8, '0')).join('')) {
    bits += bit;
    const symbol = symbols.get(bits);
    if (symbol === undefined) continue;
    if (symbol === EOS) return undefined;
    decoded.push(symbol);
    bits = '';
  }
  return bits.length < 8 && !bits.includes('0') ? decoded : undefined;
}

test('the code uses every sequence of bits, and some codes are as in Appendix B', () => {
  assert.equal(
    HUFFMAN_BITS.reduce((sum, bits) => sum + 2 ** -bits, 0),
    1,
  );
  const known = {
    0: 0x1ff8,
    10: 0x3ffffffc,
    32: 0x14,
    48: 0x0,
    97: 0x3,
    122: 0x7b,
    127: 0xffffffc,
    153: 0x1fffdc,
    208: 0x7fff2,
    249: 0xffffffe,
  };
  for (const [symbol, code] of Object.entries(known)) assert.equal(HUFFMAN_CODES[Number(symbol)], code, symbol);
  assert.deepEqual([HUFFMAN_CODES[255], HUFFMAN_CODES[EOS]], [0x3ffffee, 0x3fffffff]);
});

test('what is coded is decoded again', () => {
  for (let byte = 0; byte < 256; byte++) {
    for (const bytes of [[byte], [byte, byte], [0x61, byte, 0x61], [byte, 0x0a, byte]]) {
      assert.deepEqual([...decode(encode(Uint8Array.from(bytes)))!], bytes);
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      assert.deepEqual([...decode(encode(bytes))!], [...bytes]);
    }),
  );
});

test('any bytes are decoded or refused as bit by bit', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 12 }),
    // Mostly ones: long codes, EOS and padding.
    fc.array(fc.constantFrom(0xff, 0xff, 0xff, 0xfe, 0xfc, 0x7f, 0x00), { maxLength: 8 }).map((list) => Uint8Array.from(list)),
  );
  fc.assert(
    fc.property(bytes, (coded) => {
      const decoded = decode(coded);
      assert.deepEqual(decoded === undefined ? undefined : [...decoded], decodeSlowly(coded));
    }),
    { numRuns: 2_000 },
  );
});

for (const [what, coded, expected] of [
  ['nothing', [], ''],
  ['five bits and three of padding', [0x1f], 'a'],
  ['padding that is not all set', [0x18], undefined],
  ['eight bits of padding', [0x1f, 0xff], undefined],
  ['padding without a symbol', [0xff], undefined],
  ['EOS', [0xff, 0xff, 0xff, 0xff], undefined],
  ['a code that is cut off', [0xff, 0xfe], undefined],
] as [string, number[], string | undefined][]) {
  test(`decoding ${what} gives ${JSON.stringify(expected) ?? 'an error'}`, () => {
    assert.equal(decode(Uint8Array.from(coded))?.toString('latin1'), expected);
  });
}
