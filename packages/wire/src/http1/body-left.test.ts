import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RequestParser } from './request-parser.ts';
import { ResponseParser } from './response-parser.ts';

test('tells with every piece how much of a body with a length is still to come', () => {
  fc.assert(
    fc.property(fc.nat(60), fc.array(fc.integer({ min: 1, max: 30 })), (length, cuts) => {
      const message = Buffer.from(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n${'x'.repeat(length)}`);
      let seen = 0;
      let ended = false;
      const parser: RequestParser = new RequestParser({
        onHead: () => assert.equal(parser.bodyLeft, length),
        onBody: (_bytes, start, end) => {
          seen += end - start;
          assert.equal(parser.bodyLeft, length - seen);
        },
        onEnd: () => {
          ended = true;
          assert.equal(parser.bodyLeft, 0);
        },
        onError: (error) => assert.fail(error),
      });
      assert.equal(parser.bodyLeft, 0);
      let at = 0;
      for (const cut of [...cuts, message.length]) {
        const to = Math.min(message.length, at + cut);
        if (to > at) parser.push(message.subarray(at, to));
        at = to;
      }
      assert.deepEqual([seen, ended, parser.bodyLeft], [length, true, 0]);
    }),
  );
});

test('is -1 while nobody knows, and 0 where there is no body', () => {
  const lefts: [string, number][] = [];
  const note = (what: string): void => void lefts.push([what, parser.bodyLeft]);
  const parser: ResponseParser = new ResponseParser({
    onInterim: () => note('interim'),
    onHead: () => note('head'),
    onBody: () => note('body'),
    onEnd: () => note('end'),
    onError: (error) => assert.fail(error),
  });
  const read = (method: string, text: string): [string, number][] => {
    parser.begin(method);
    parser.push(Buffer.from(text));
    return lefts.splice(0);
  };
  assert.deepEqual(read('GET', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-sum: 1\r\n\r\n'), [
    ['head', -1],
    ['body', -1],
    ['end', 0],
  ]);
  assert.deepEqual(read('HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'), [
    ['head', 0],
    ['end', 0],
  ]);
  assert.deepEqual(read('GET', 'HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 None\r\n\r\n'), [
    ['interim', 0],
    ['head', 0],
    ['end', 0],
  ]);
  assert.deepEqual(read('GET', 'HTTP/1.1 200 OK\r\n\r\nabc'), [
    ['head', -1],
    ['body', -1],
  ]);
  parser.end();
  assert.deepEqual(lefts, [['end', 0]]);
});
