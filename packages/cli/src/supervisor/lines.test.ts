import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { LineSplitter } from './lines.ts';

function split(chunks: readonly Uint8Array[], lengthMax?: number): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line), lengthMax);
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return lines;
}

it('gives the same lines however the bytes are split', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' })), fc.infiniteStream(fc.integer({ min: 1, max: 7 })), (texts, sizes) => {
      const lines = texts.map((text) => text.replaceAll(/[\r\n]/g, ''));
      const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
      const chunks: Buffer[] = [];
      for (let at = 0; at < bytes.length; ) {
        const size = sizes.next().value as number;
        chunks.push(bytes.subarray(at, at + size));
        at += size;
      }
      assert.deepEqual(split(chunks), lines);
    }),
  );
});

it('ends a line at CR LF as well', () => {
  assert.deepEqual(split([Buffer.from('one\r\n\r\ntwo\n')]), ['one', '', 'two']);
});

it('cuts lines at the bound, never through a character', () => {
  assert.deepEqual(split([Buffer.from('abcdefgh\nxy')], 3), ['abc', 'def', 'gh', 'xy']);
  assert.deepEqual(split([Buffer.from('ab🙂c')], 3), ['ab', '🙂c']);
});

it('holds no more than the bound of a line that never ends', () => {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line), 10);
  for (let i = 0; i < 1_000; i++) splitter.push(Buffer.from('x'));
  assert.equal(lines.length, 99);
});

it('shows what has no line end yet when it is flushed', () => {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  splitter.push(Buffer.from('Password: '));
  assert.equal(splitter.pending, true);
  splitter.flush();
  assert.deepEqual(lines, ['Password: ']);
  splitter.push(Buffer.from('\n'));
  assert.equal(splitter.pending, false);
});
