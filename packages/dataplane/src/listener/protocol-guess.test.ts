// What the first bytes say, however they are cut.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CLIENT_PREFACE } from '@heddle/wire';
import { clientHello } from '../testing/client-hello.ts';
import { guessProtocol } from './protocol-guess.ts';

const HELLO = await clientHello('db.example');
const HELLO_WITHOUT_NAME = await clientHello(undefined);

const SAMPLES: readonly (readonly [bytes: Buffer, guess: ReturnType<typeof guessProtocol>])[] = [
  [Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), 'http1'],
  [Buffer.from('POST http://a/ HTTP/1.1\r\n'), 'http1'],
  [Buffer.from('OPTIONS * HTTP/1.1\r\n'), 'http1'],
  [Buffer.from('CONNECT a:1 HTTP/1.1\r\n'), 'http1'],
  [Buffer.from('PROPPATCH /dav HTTP/1.1\r\n'), 'http1'],
  [CLIENT_PREFACE, 'http2'],
  [HELLO, { serverName: 'db.example' }],
  [HELLO_WITHOUT_NAME, { serverName: '' }],
  [Buffer.from('*1\r\n$4\r\nPING\r\n'), 'other'],
  [Buffer.from('GET key\r\n'), 'other'],
  [Buffer.from('get /key\r\n'), 'other'],
  [Buffer.from('EHLO mail.example\r\n'), 'other'],
  [Buffer.from('SSH-2.0-OpenSSH_9.9\r\n'), 'other'],
  // PostgreSQL: length, then 80877103 for "may I use TLS?".
  [Buffer.from([0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]), 'other'],
  [Buffer.from([0x16, 0x03, 0x01, 0, 4, 2, 0, 0, 0]), 'other'],
  [Buffer.from([0]), 'other'],
  [Buffer.from(' GET / HTTP/1.1\r\n'), 'other'],
  [Buffer.from('\r\nGET / HTTP/1.1\r\n'), 'other'],
];

test('each protocol is known by its first bytes', () => {
  for (const [bytes, guess] of SAMPLES)
    assert.deepEqual(guessProtocol(bytes), guess, JSON.stringify(bytes.toString('latin1').slice(0, 40)));
});

test('as bytes come one by one, the answer is "more" until it is the right one, and stays', () => {
  for (const [bytes, guess] of SAMPLES) {
    let isKnown = false;
    for (let length = 1; length <= bytes.length; length++) {
      const now = guessProtocol(bytes.subarray(0, length));
      if (now === 'more') assert.equal(isKnown, false, 'an answer was taken back');
      else {
        assert.deepEqual(now, guess, `after ${length} bytes of ${JSON.stringify(bytes.toString('latin1').slice(0, 40))}`);
        isKnown = true;
      }
    }
  }
});

test('a request is known before its line has ended, and no more than the longest method is waited for', () => {
  assert.equal(guessProtocol(Buffer.from('GET')), 'more');
  assert.equal(guessProtocol(Buffer.from('GET /')), 'http1');
  assert.equal(guessProtocol(Buffer.from('PROPPATCHX')), 'other');
});

test('any bytes give an answer, the same for the same bytes, and never one that more bytes take back', () => {
  const start = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    fc
      .tuple(fc.constantFrom(...SAMPLES), fc.nat(80), fc.uint8Array({ maxLength: 16 }))
      .map(([[bytes], at, more]) => Buffer.concat([bytes.subarray(0, at), more])),
  );
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 64 }), (bytes, more) => {
      fc.pre(bytes.length > 0);
      const first = guessProtocol(bytes);
      assert.deepEqual(guessProtocol(Buffer.from(bytes)), first);
      if (first !== 'more') assert.deepEqual(guessProtocol(Buffer.concat([bytes, more])), first);
      // RFC 8446 §5.1: a record, and RFC 7540 §3.5: the preface.
      else assert.ok(bytes.length < CLIENT_PREFACE.length || bytes[0] === 0x16);
    }),
    { numRuns: 2_000 },
  );
});
