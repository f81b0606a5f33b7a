// Every limit: what just fits passes, one more is refused, however the bytes are cut. And the work for a head is linear in its size.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ViolationCode } from './errors.ts';
import { FieldScanner } from './field-scanner.ts';
import { FieldTable } from './header-block.ts';
import type { Http1Limits } from './limits.ts';
import { NEED_MORE } from './scan.ts';
import { RequestParser } from './request-parser.ts';
import { byteByByte, latin1, runRequests, runResponses } from './test-support.ts';

const H = 'Host: a\r\n';
const CHUNKED = `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n`;

interface Case {
  name: string;
  limits: Partial<Http1Limits>;
  /** A request whose measured part has this size. */
  request: (size: number) => string;
  fits: number;
  code: ViolationCode;
  httpStatus: number;
}

const cases: Case[] = [
  {
    name: 'request line bytes',
    limits: { requestLineBytesMax: 100 },
    fits: 100,
    code: 'REQUEST_LINE_TOO_LONG',
    httpStatus: 414,
    request: (size) => `GET /${'x'.repeat(size - 16)} HTTP/1.1\r\n${H}\r\n`,
  },
  {
    name: 'head bytes',
    limits: { headBytesMax: 200 },
    fits: 200,
    code: 'HEAD_TOO_LARGE',
    httpStatus: 431,
    request: (size) => `GET / HTTP/1.1\r\n${H}X: ${'y'.repeat(size - 32)}\r\n\r\n`,
  },
  {
    name: 'head bytes, reached by the request line',
    limits: { headBytesMax: 40, requestLineBytesMax: 1000 },
    fits: 40,
    code: 'HEAD_TOO_LARGE',
    httpStatus: 431,
    request: (size) => `GET /${'x'.repeat(size - 27)} HTTP/1.1\r\n${H}\r\n`,
  },
  {
    name: 'header lines',
    limits: { headersMax: 40 },
    fits: 40,
    code: 'TOO_MANY_HEADERS',
    httpStatus: 431,
    request: (size) => `GET / HTTP/1.1\r\n${H}${'X: y\r\n'.repeat(size - 1)}\r\n`,
  },
  {
    name: 'members of Connection',
    limits: { connectionOptionsMax: 3 },
    fits: 3,
    code: 'TOO_MANY_CONNECTION_OPTIONS',
    httpStatus: 431,
    request: (size) => `GET / HTTP/1.1\r\n${H}Connection: a\r\nConnection: b${',c'.repeat(size - 2)}\r\n\r\n`,
  },
  {
    name: 'empty lines',
    limits: { emptyLinesMax: 2 },
    fits: 2,
    code: 'TOO_MANY_EMPTY_LINES',
    httpStatus: 400,
    request: (size) => `${'\r\n'.repeat(size)}GET / HTTP/1.1\r\n${H}\r\n`,
  },
  {
    name: 'chunk extension bytes',
    limits: { chunkExtensionBytesMax: 20 },
    fits: 20,
    code: 'CHUNK_EXTENSIONS_TOO_LARGE',
    httpStatus: 400,
    request: (size) => `${CHUNKED}1;123456789\r\nx\r\n0;${'x'.repeat(size - 11)}\r\n\r\n`,
  },
  {
    name: 'trailer bytes',
    limits: { trailerBytesMax: 50 },
    fits: 50,
    code: 'TRAILERS_TOO_LARGE',
    httpStatus: 431,
    request: (size) => `${CHUNKED}0\r\nX: ${'y'.repeat(size - 7)}\r\n\r\n`,
  },
  {
    name: 'trailer lines',
    limits: { trailersMax: 3 },
    fits: 3,
    code: 'TOO_MANY_TRAILERS',
    httpStatus: 431,
    request: (size) => `${CHUNKED}0\r\n${'X: y\r\n'.repeat(size)}\r\n`,
  },
];

for (const { name, limits, request, fits, code, httpStatus } of cases) {
  test(`limits ${name}`, () => {
    for (const cutUp of [(text: string) => [latin1(text)], (text: string) => byteByByte(latin1(text))]) {
      const fitting = runRequests(cutUp(request(fits)), limits);
      assert.equal(fitting.events.at(-1)?.kind, 'end', JSON.stringify(fitting.events.at(-1)));
      assert.deepEqual(runRequests(cutUp(request(fits + 1)), limits).events.at(-1), { kind: 'error', code, httpStatus });
    }
  });
}

test('refuses as soon as the limit cannot be kept any more, without waiting for the end of the line', () => {
  const line = `GET /${'x'.repeat(16_384 - 5)}`;
  assert.deepEqual(runRequests([latin1(line.slice(1))]).events, []);
  assert.equal(runRequests([latin1(line)]).events.length, 1);
  const head = `GET / HTTP/1.1\r\n${H}X: ${'y'.repeat(65_536 - 28)}`;
  assert.equal(head.length, 65_536);
  assert.deepEqual(runRequests([latin1(head.slice(0, -1))]).events, []);
  assert.equal(runRequests([latin1(head)]).events.length, 1);
  assert.equal(runRequests([latin1(`GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(128)}X`)]).events.length, 1);
  assert.equal(runRequests([latin1(`${CHUNKED}1;${'x'.repeat(4_096)}`)]).events.length, 2);
});

test('has the documented default limits', () => {
  const line = (size: number): string => `GET /${'x'.repeat(size - 16)} HTTP/1.1\r\n${H}\r\n`;
  assert.equal(runRequests([latin1(line(16_384))]).events[0]?.kind, 'request');
  assert.deepEqual(runRequests([latin1(line(16_385))]).events, [{ kind: 'error', code: 'REQUEST_LINE_TOO_LONG', httpStatus: 414 }]);
  const head = (size: number): string => `GET / HTTP/1.1\r\n${H}X: ${'y'.repeat(size - 32)}\r\n\r\n`;
  assert.equal(runRequests([latin1(head(65_536))]).events[0]?.kind, 'request');
  assert.deepEqual(runRequests([latin1(head(65_537))]).events, [{ kind: 'error', code: 'HEAD_TOO_LARGE', httpStatus: 431 }]);
  const lines = (count: number): string => `GET / HTTP/1.1\r\n${H}${'X: y\r\n'.repeat(count - 1)}\r\n`;
  assert.equal(runRequests([latin1(lines(128))]).events[0]?.kind, 'request');
  assert.deepEqual(runRequests([latin1(lines(129))]).events, [{ kind: 'error', code: 'TOO_MANY_HEADERS', httpStatus: 431 }]);
});

test('counts empty lines per request', () => {
  const bytes = latin1(`\r\n\r\n\r\nGET / HTTP/1.1\r\n${H}\r\n`.repeat(3));
  assert.equal(runRequests([bytes]).events.filter((event) => event.kind === 'end').length, 3);
});

test('limits the head of responses, too', () => {
  const response = (size: number): string => `HTTP/1.1 204 ${'x'.repeat(size - 17)}\r\n\r\n`;
  assert.equal(runResponses(['GET'], [latin1(response(65_536))]).events[0]?.kind, 'response');
  assert.deepEqual(runResponses(['GET'], [latin1(response(65_537))]).events, [{ kind: 'error', code: 'HEAD_TOO_LARGE', httpStatus: 502 }]);
});

const MEGABYTE = 1_048_576;

/** A buffer that counts how many of its bytes are read one by one. */
function counting(bytes: Buffer): { view: Buffer; reads: () => number } {
  let reads = 0;
  const view = new Proxy(bytes, {
    get(target, key) {
      if (typeof key === 'string' && key.charCodeAt(0) <= 0x39) reads++;
      return Reflect.get(target, key, target) as unknown;
    },
  });
  return { view, reads: () => reads };
}

for (const [name, section] of [
  ['one long line', `X: ${'y'.repeat(MEGABYTE)}\r\n\r\n`],
  ['a line of white space', `X:${' '.repeat(MEGABYTE)}\r\n\r\n`],
  ['one long name', `${'x'.repeat(MEGABYTE)}: y\r\n\r\n`],
  ['very many lines', `${'X: y\r\n'.repeat(MEGABYTE / 6)}\r\n`],
] as const) {
  test(`reads each byte of ${name} a bounded number of times, when 1 MB comes byte by byte`, () => {
    const { view, reads } = counting(latin1(section));
    const table = new FieldTable();
    const scanner = new FieldScanner();
    scanner.begin(table, MEGABYTE, 'TOO_MANY_HEADERS');
    let to = NEED_MORE;
    for (let at = 0; at < section.length; at++) to = scanner.scan(view, 0, at, at + 1);
    assert.equal(to, section.length);
    assert.ok(reads() < 5 * section.length, `${reads()} reads for ${section.length} bytes`);
  });
}

/** Bytes that Buffer moves, decodes and allocates meanwhile. (Not `mock.method`, which keeps a record of each of the million calls.) */
function countWork(run: () => void): { moved: number; allocated: number } {
  const work = { moved: 0, allocated: 0 };
  const { copy, toString } = Buffer.prototype;
  const { allocUnsafe } = Buffer;
  Buffer.prototype.copy = function counted(this: Buffer, ...args: Parameters<Buffer['copy']>): number {
    const moved = copy.apply(this, args);
    work.moved += moved;
    return moved;
  };
  Buffer.prototype.toString = function counted(this: Buffer, ...args: Parameters<Buffer['toString']>): string {
    const text = toString.apply(this, args);
    work.moved += text.length;
    return text;
  };
  Buffer.allocUnsafe = (size) => {
    work.allocated += size;
    return allocUnsafe(size);
  };
  try {
    run();
  } finally {
    Buffer.prototype.copy = copy;
    Buffer.prototype.toString = toString;
    Buffer.allocUnsafe = allocUnsafe;
  }
  return work;
}

test('copies and decodes each byte of a head a bounded number of times, when 1 MB comes byte by byte', () => {
  const bytes = latin1(`GET / HTTP/1.1\r\n${H}X: ${'y'.repeat(MEGABYTE)}\r\n\r\n`);
  const pieces = Array.from(bytes.keys(), (at) => bytes.subarray(at, at + 1));
  let heads = 0;
  const parser = new RequestParser({ onHead: () => heads++, onBody() {}, onEnd() {}, onError() {} }, { headBytesMax: 2 * MEGABYTE });
  const { moved, allocated } = countWork(() => {
    for (const piece of pieces) parser.push(piece);
  });
  assert.equal(heads, 1);
  // Each byte is copied in once, decoded once, and moved while the copy doubles; it was seen above that each is read a few times only.
  assert.ok(moved >= 2 * bytes.length && moved < 5 * bytes.length, `${moved} bytes moved for ${bytes.length}`);
  assert.ok(allocated < 5 * bytes.length, `${allocated} bytes allocated for ${bytes.length}`);
});
