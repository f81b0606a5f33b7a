import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { it } from 'node:test';
import { COLORED, paletteFor, PLAIN } from '../output/palette.ts';
import { Output } from './output.ts';
import { Recorder, until } from './testing.ts';

it('names stand in one column, each in its colour', () => {
  const plain = new Recorder();
  const output = new Output(plain, PLAIN);
  output.expect('inventory-1');
  output.line('web-1', 'hello');
  output.line('inventory-1', 'hello');
  assert.deepEqual(plain.lines, ['web-1       | hello', 'inventory-1 | hello']);
  const colored = new Recorder();
  const other = new Output(colored, COLORED);
  other.line('a', 'x');
  other.line('b', 'x');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control characters.
  assert.equal(new Set(colored.lines.map((line) => /\u001b\[(\d+)m/.exec(line)?.[1])).size, 2);
});

it('colours are for terminals only, and not where NO_COLOR is set', () => {
  assert.equal(paletteFor({ isTTY: true }, {}), COLORED);
  assert.equal(paletteFor({ isTTY: false }, {}), PLAIN);
  assert.equal(paletteFor({ isTTY: true }, { NO_COLOR: '1' }), PLAIN);
  assert.equal(paletteFor({ isTTY: true }, { TERM: 'dumb' }), PLAIN);
});

it('a slow reader makes the processes wait', async () => {
  let release: (() => void) | undefined;
  const slow = new Writable({
    highWaterMark: 64,
    write: (_chunk, _encoding, done) => {
      release = done;
    },
  });
  const output = new Output(slow, PLAIN);
  const source = new PassThrough();
  output.attach(source, 'web-1');
  source.write(`${'x'.repeat(200)}\n`);
  await until('the source to be held', () => source.isPaused());
  release?.();
  await until('the source to go on', () => !source.isPaused());
  source.destroy();
});
