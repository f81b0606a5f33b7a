// The examples of RFC 7541 Appendix C, in both directions and byte for byte.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HpackDecoder } from './decoder.ts';
import { HpackEncoder, type HpackEncoderOptions } from './encoder.ts';
import { IntegerReader, writeInteger } from './integer.ts';
import { decodeBlock, encodeBlock, hex, triples } from './test-support.ts';

type Pairs = readonly (readonly [string, string])[];
interface Example {
  readonly wire: string;
  readonly fields: Pairs;
  /** Of the dynamic table afterwards. */
  readonly size: number;
}

const REQUEST_1: Pairs = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'www.example.com'],
];
const REQUEST_2: Pairs = [...REQUEST_1, ['cache-control', 'no-cache']];
const REQUEST_3: Pairs = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':path', '/index.html'],
  [':authority', 'www.example.com'],
  ['custom-key', 'custom-value'],
];
const RESPONSE_1: Pairs = [
  [':status', '302'],
  ['cache-control', 'private'],
  ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
  ['location', 'https://www.example.com'],
];
const RESPONSE_2: Pairs = [[':status', '307'], ...RESPONSE_1.slice(1)];
const RESPONSE_3: Pairs = [
  [':status', '200'],
  ['cache-control', 'private'],
  ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
  ['location', 'https://www.example.com'],
  ['content-encoding', 'gzip'],
  ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
];

const C3: Example[] = [
  { wire: '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d', fields: REQUEST_1, size: 57 },
  { wire: '8286 84be 5808 6e6f 2d63 6163 6865', fields: REQUEST_2, size: 110 },
  { wire: '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65', fields: REQUEST_3, size: 164 },
];
const C4: Example[] = [
  { wire: '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff', fields: REQUEST_1, size: 57 },
  { wire: '8286 84be 5886 a8eb 1064 9cbf', fields: REQUEST_2, size: 110 },
  { wire: '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf', fields: REQUEST_3, size: 164 },
];
const C5: Example[] = [
  {
    wire: `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768
      7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
    fields: RESPONSE_1,
    size: 222,
  },
  { wire: '4803 3330 37c1 c0bf', fields: RESPONSE_2, size: 222 },
  {
    wire: `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153
      444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`,
    fields: RESPONSE_3,
    size: 215,
  },
];
const C6: Example[] = [
  {
    wire: `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8
      e9ae 82ae 43d3`,
    fields: RESPONSE_1,
    size: 222,
  },
  { wire: '4883 640e ffc1 c0bf', fields: RESPONSE_2, size: 222 },
  {
    wire: `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b
      3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
    fields: RESPONSE_3,
    size: 215,
  },
];

test('C.1: integers', () => {
  const examples: [value: number, mask: number, bytes: string][] = [
    [10, 0x1f, '0a'],
    [1337, 0x1f, '1f9a0a'],
    [42, 0xff, '2a'],
  ];
  for (const [value, mask, wire] of examples) {
    const bytes = Buffer.alloc(8);
    const to = writeInteger(bytes, 0, 0, mask, value);
    assert.equal(bytes.toString('hex', 0, to), wire);
    const reader = new IntegerReader();
    assert.deepEqual([reader.read(bytes, 0, to, mask), reader.at], [value, to]);
  }
});

test('C.2: every kind of representation', () => {
  const decoder = new HpackDecoder();
  const literal = hex('400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572');
  assert.deepEqual(decodeBlock(decoder, literal).fields, [['custom-key', 'custom-header', false]]);
  assert.equal(decoder.tableSize, 55);
  const notIndexed = hex('040c 2f73 616d 706c 652f 7061 7468');
  assert.deepEqual(decodeBlock(decoder, notIndexed).fields, [[':path', '/sample/path', false]]);
  const neverIndexed = hex('1008 7061 7373 776f 7264 0673 6563 7265 74');
  assert.deepEqual(decodeBlock(decoder, neverIndexed).fields, [['password', 'secret', true]]);
  assert.deepEqual(decodeBlock(decoder, hex('82')).fields, [[':method', 'GET', false]]);
  assert.equal(decoder.tableSize, 55);

  const plain = { huffman: false } as const;
  assert.deepEqual(encodeBlock(new HpackEncoder({ ...plain, indexing: 'always' }), [['custom-key', 'custom-header']]), literal);
  assert.deepEqual(encodeBlock(new HpackEncoder({ ...plain, indexing: 'never' }), [[':path', '/sample/path']]), notIndexed);
  assert.deepEqual(encodeBlock(new HpackEncoder(plain), [['password', 'secret', true]]), neverIndexed);
  assert.deepEqual(encodeBlock(new HpackEncoder(plain), [[':method', 'GET']]), hex('82'));
});

const sections: [name: string, examples: Example[], options: HpackEncoderOptions][] = [
  ['C.3: requests without Huffman coding', C3, { huffman: false }],
  ['C.4: requests with Huffman coding', C4, {}],
  ['C.5: responses without Huffman coding, in a table of 256 bytes', C5, { huffman: false, tableBytesMax: 256 }],
  ['C.6: responses with Huffman coding, in a table of 256 bytes', C6, { tableBytesMax: 256 }],
];

for (const [name, examples, options] of sections) {
  test(name, () => {
    const decoder = new HpackDecoder();
    const encoder = new HpackEncoder({ ...options, indexing: 'always' });
    // The examples leave out how both sides came to the smaller table.
    const sizeUpdate = options.tableBytesMax === undefined ? '' : '3fe101';
    for (const [index, { wire, fields, size }] of examples.entries()) {
      const block = hex((index === 0 ? sizeUpdate : '') + wire);
      assert.deepEqual(decodeBlock(decoder, block).fields, triples(fields));
      assert.equal(decoder.tableSize, size);
      assert.equal(encodeBlock(encoder, fields).toString('hex'), block.toString('hex'));
      assert.equal(encoder.tableSize, size);
    }
  });
}
