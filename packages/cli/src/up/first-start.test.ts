import assert from 'node:assert/strict';
import { PassThrough, type Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { it } from 'node:test';
import { FirstStart, lastError } from './first-start.ts';

it('the error of a command is found at the end of what it wrote', () => {
  assert.deepEqual(lastError('a warning\nerror: no\nreally\n  mend: do this\n'), {
    before: 'a warning\n',
    message: 'no\nreally',
    mend: 'do this',
  });
  assert.deepEqual(lastError('error: no\n'), { before: '', message: 'no', mend: undefined });
  assert.deepEqual(lastError('an error: no\n'), { before: 'an error: no\n', message: undefined, mend: undefined });
});

it('output is held back until the first start is decided, and then nothing of it is missing', async () => {
  const shown: Promise<string>[] = [];
  const show = (stream: Readable): void => void shown.push(text(stream));
  const served = new FirstStart('it', show);
  const output = new PassThrough();
  served.output(output);
  output.write('early ');
  assert.equal(shown.length, 0);
  served.release();
  output.end('late');
  assert.deepEqual(await Promise.all(shown.splice(0)), ['early late']);

  const failed = new FirstStart('it', show);
  const words = new PassThrough();
  failed.output(words);
  words.end('a warning\nerror: no port\n  mend: free it\n');
  const { message, mend } = await failed.failed();
  assert.deepEqual([message, mend], ['it could not be started: no port', 'free it']);
  assert.deepEqual(await Promise.all(shown), ['a warning\n']);
});
