// The public test cases of other implementations: https://github.com/http2jp/hpack-test-case (MIT), read from an archive beside the
// repository. Everything that other encoders wrote is decoded; all lists are encoded and decoded again.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { HpackDecoder } from './decoder.ts';
import { HpackEncoder, type HpackEncoderOptions } from './encoder.ts';
import { FieldList } from './field.ts';
import { decodeBlock, encodeBlock, hex, triples } from './test-support.ts';

const ARCHIVE = resolve(import.meta.dirname, '../../../../../shared/data/hpack-test-case.tar.gz');
const skip = existsSync(ARCHIVE) ? false : `${ARCHIVE} is not there`;

interface Case {
  readonly header_table_size?: number;
  readonly wire?: string;
  readonly headers: readonly Readonly<Record<string, string>>[];
}

const TAR_BLOCK_BYTES = 512;

/** The regular files of a tar archive: name (bytes 0–99), size (octal, bytes 124–135), type (byte 156), then the content in whole blocks. */
function* filesOf(tar: Buffer): Generator<[name: string, content: Buffer]> {
  const textAt = (from: number, length: number): string => tar.toString('latin1', from, from + length).replace(/\0.*$/s, '');
  for (let at = 0; at + TAR_BLOCK_BYTES <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(textAt(at + 124, 12), 8);
    const from = at + TAR_BLOCK_BYTES;
    if (tar[at + 156] === 0x30) yield [textAt(at, 100), tar.subarray(from, from + size)];
    at = from + Math.ceil(size / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
  }
}

function stories(): Map<string, Case[]> {
  const found = new Map<string, Case[]>();
  for (const [name, content] of filesOf(gunzipSync(readFileSync(ARCHIVE)))) {
    if (name.endsWith('.json')) found.set(name, (JSON.parse(content.toString()) as { cases: Case[] }).cases);
  }
  return found;
}

function pairsOf(one: Case): [string, string][] {
  return one.headers.flatMap((header) => Object.entries(header));
}

test('decodes what other encoders wrote', { skip }, (t) => {
  let blocks = 0;
  const encoders = new Set<string>();
  for (const [name, cases] of stories()) {
    const decoder = new HpackDecoder();
    const list = new FieldList();
    for (const one of cases) {
      if (one.wire === undefined) continue;
      if (one.header_table_size !== undefined) decoder.setTableLimit(one.header_table_size);
      const { fields, fault } = decodeBlock(decoder, hex(one.wire), list);
      assert.deepEqual([fields, fault], [triples(pairsOf(one)), undefined], `${name}, block ${blocks}`);
      encoders.add(name.replace(/\/.*/, ''));
      blocks++;
    }
  }
  t.diagnostic(`${blocks} blocks of ${[...encoders].join(', ')}`);
  assert.ok(blocks > 1_000 && encoders.size >= 3);
});

for (const [name, options] of [
  ['adaptively', {}],
  ['all entered', { indexing: 'always' }],
  ['none entered, without Huffman coding', { indexing: 'never', huffman: false }],
  ['in a small table', { tableBytesMax: 200 }],
] as [string, HpackEncoderOptions][]) {
  test(`decodes what our encoder makes of the same lists: ${name}`, { skip }, (t) => {
    let sent = 0;
    let plain = 0;
    for (const [story, cases] of stories()) {
      if (!story.startsWith('raw-data/')) continue;
      const encoder = new HpackEncoder(options);
      const decoder = new HpackDecoder();
      const list = new FieldList();
      for (const one of cases) {
        const pairs = pairsOf(one);
        const block = encodeBlock(encoder, pairs);
        const { fields, fault } = decodeBlock(decoder, block, list);
        assert.deepEqual([fields.map(([field, value]) => [field, value]), fault], [pairs, undefined], story);
        assert.equal(decoder.tableSize, encoder.tableSize);
        sent += block.length;
        plain += pairs.reduce((sum, [field, value]) => sum + field.length + value.length, 0);
      }
    }
    t.diagnostic(`compressed to ${((100 * sent) / plain).toFixed(1)} %`);
    assert.ok(plain > 100_000);
  });
}
