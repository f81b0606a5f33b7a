// What comes in: kinds, sizes, and the place of what is wrong.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { check, parseJson, readText } from './body.ts';
import type { Incoming } from './body.ts';
import { ProblemError } from './problems.ts';
import { Registration } from './schema/instances.ts';

function incoming(chunks: readonly Uint8Array[], headers: Record<string, string> = { 'content-type': 'application/json' }): Incoming {
  return { headers: new Headers(headers), stream: Readable.from(chunks) };
}
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const JSON_ONLY = ['application/json'];

function problem(run: () => unknown): ProblemError {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof ProblemError, String(error));
    return error;
  }
  return assert.fail('nothing was refused');
}

test('a body is read whole, however it is cut', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme' }), fc.array(fc.nat(40)), async (text, cuts) => {
      const all = bytes(text);
      const places = [...new Set(cuts.map((cut) => Math.min(cut, all.length)))].sort((a, b) => a - b);
      const chunks = [0, ...places].map((from, index) => all.slice(from, places[index] ?? all.length)).filter(({ length }) => length > 0);
      assert.equal(await readText(incoming(chunks), JSON_ONLY, 10_000), text.replace(/^\ufeff/, ''));
    }),
    { numRuns: 50 },
  );
});

test('a body of another kind, coded, too large or not UTF-8 is refused', async () => {
  const refusal = async (request: Incoming): Promise<string> =>
    readText(request, JSON_ONLY, 10).then(
      () => 'read',
      (error: unknown) => (error as ProblemError).code,
    );
  assert.equal(await refusal(incoming([], { 'content-type': 'Application/JSON; charset=utf-8' })), 'read');
  assert.equal(await refusal(incoming([], { 'content-type': 'text/plain' })), 'UNSUPPORTED_MEDIA_TYPE');
  assert.equal(await refusal(incoming([], {})), 'UNSUPPORTED_MEDIA_TYPE');
  assert.equal(await refusal(incoming([], { 'content-type': 'application/json', 'content-encoding': 'gzip' })), 'UNSUPPORTED_MEDIA_TYPE');
  assert.equal(await refusal(incoming([bytes('"123456'), bytes('7890"')])), 'TOO_LARGE');
  assert.equal(await refusal(incoming([], { 'content-type': 'application/json', 'content-length': '11' })), 'TOO_LARGE');
  assert.equal(await refusal(incoming([Uint8Array.of(0x22, 0xff, 0x22)])), 'INVALID');
});

test('a fault in JSON is told with its line and column', () => {
  for (const [text, place] of [
    ['{"a":1,\n "b": 01}', 'line 2, column 8'],
    ['{"a":1,\n "b": 2,}', 'line 2, column 9'],
    ['{"a":\n', 'line 2, column 1'],
    ['', 'line 1, column 1'],
    ['{"a":1}\n\nx', 'line 3, column 1'],
  ] as const)
    assert.ok(problem(() => parseJson(text)).message.startsWith(`${place}: `), `${text}: ${problem(() => parseJson(text)).message}`);
});

test('whatever the text, it is JSON or refused with a place in it', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json().map((text) => text.slice(0, -1)),
      ),
      (text) => {
        try {
          parseJson(text);
        } catch (error) {
          const [, line, column] = /^line (\d+), column (\d+): \S/.exec((error as Error).message) ?? [];
          const lines = text.split('\n');
          assert.ok(Number(line) <= lines.length, (error as Error).message);
          assert.ok(Number(column) <= (lines[Number(line) - 1] ?? '').length + 1, (error as Error).message);
        }
      },
    ),
  );
});

test('every field that is wrong is named', () => {
  const { extras, message } = problem(() =>
    check(Registration, { node: 'n', inbound: { address: 'x', port: 0, extra: 1 }, weights: 1, outbounds: [{}] }, 'body'),
  );
  assert.match(message, /^body: /);
  assert.deepEqual(extras.errors?.map(({ path }) => path).sort(), [
    'application',
    'inbound.extra',
    'inbound.port',
    'outbounds[0].listen',
    'outbounds[0].service',
    'weights',
  ]);
});

test('a name that would be lost on the way is refused, however it is written', () => {
  for (const key of ['__proto__', '\\u005f_proto__', '__pr\\u006fto__']) {
    const { code, message } = problem(() => parseJson(`{"labels":{"${key}":"x"}}`));
    assert.equal(code, 'INVALID', key);
    assert.match(message, /__proto__/);
  }
  assert.deepEqual(parseJson('{"a":"\\u0041 of __proto__"}'), { a: 'A of __proto__' });
});
