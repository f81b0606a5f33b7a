// For tests: generated parts of messages, and messages written out by the plainest code possible.

import fc from 'fast-check';

const TOKEN = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const TARGET = Array.from({ length: 0x7f - 0x21 }, (_, index) => String.fromCharCode(0x21 + index))
  .filter((char) => char !== '#')
  .join('');
const VALUE = Array.from({ length: 256 }, (_, byte) => byte)
  .filter((byte) => byte === 9 || (byte >= 0x20 && byte !== 0x7f))
  .map((byte) => String.fromCharCode(byte))
  .join('');

function textOf(alphabet: string, minLength: number, maxLength: number): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...alphabet), minLength, maxLength });
}

/** Names that mean something to the codec are kept out; tests put those in themselves. */
const SPECIAL = new Set([
  'host',
  'date',
  'connection',
  'content-length',
  'transfer-encoding',
  'expect',
  'upgrade',
  'te',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'proxy-authenticate',
]);

export const token = textOf(TOKEN, 1, 12);
export const headers: fc.Arbitrary<[string, string][]> = fc.array(
  fc.tuple(
    token.filter((name) => !SPECIAL.has(name.toLowerCase())),
    textOf(VALUE, 0, 20).map((value) => value.replace(/^[ \t]+|[ \t]+$/g, '')),
  ),
  { maxLength: 12 },
);
export const path = textOf(TARGET, 0, 30).map((rest) => `/${rest}`);
export const host = fc.constantFrom('a', 'orders.mesh.internal', 'a:80', '[::1]', '[::1]:8080', '10.0.0.1:65535');

/** `none`, a length, or chunks. */
export type Body =
  | { framing: 'none' }
  | { framing: 'length'; data: Buffer }
  | { framing: 'chunked'; chunks: Buffer[]; trailers: [string, string][] };

const data = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
export const body: fc.Arbitrary<Body> = fc.oneof(
  fc.constant<Body>({ framing: 'none' }),
  data.map<Body>((bytes) => ({ framing: 'length', data: bytes })),
  fc
    .record({
      chunks: fc.array(
        data.filter((bytes) => bytes.length > 0),
        { maxLength: 4 },
      ),
      trailers: headers,
    })
    .map<Body>((rest) => ({ framing: 'chunked', ...rest })),
);

export interface GeneratedRequest {
  method: string;
  path: string;
  host: string;
  headers: [string, string][];
  body: Body;
}

export const request: fc.Arbitrary<GeneratedRequest> = fc.record({
  method: token.filter((method) => method !== 'CONNECT'),
  path,
  host,
  headers,
  body,
});

/** Content of a body, as one latin1 text. */
export function contentOf(of: Body): string {
  if (of.framing === 'none') return '';
  return of.framing === 'length' ? of.data.toString('latin1') : Buffer.concat(of.chunks).toString('latin1');
}

/** Well-formed and ill-formed pieces of HTTP: joined at random they reach deeper into a parser than random bytes do. */
export const fragments = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'GET ',
        '/ ',
        'HTTP/1.1\r\n',
        'HTTP/1.0\r\n',
        'HTTP/1.1 200 OK\r\n',
        'HTTP/1.1 100 Continue\r\n\r\n',
        'GET / HTTP/1.1\r\n',
        'Host: a\r\n',
        'host:b\r\n',
        '\r\n',
        '\r',
        '\n',
        ' ',
        '\t',
        ':',
        'Content-Length: 3\r\n',
        'content-length: 4\r\n',
        'Transfer-Encoding: chunked\r\n',
        'Transfer-Encoding: gzip\r\n',
        'Connection: close\r\n',
        'Connection: keep-alive, x\r\n',
        'x: y\r\n',
        '3\r\nabc\r\n',
        '0\r\n\r\n',
        '0\r\nA: b\r\n\r\n',
        'f;x=y\r\n',
        'abc',
        'PRI * HTTP/2.0\r\n\r\n',
        'CONNECT a:1 HTTP/1.1\r\n',
        'POST http://u@h/ HTTP/1.1\r\n',
        'OPTIONS * HTTP/1.1\r\n',
        '\0',
        '\x7f',
        '\xff',
        '\x16\x03\x01',
      ),
      fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)), maxLength: 3 }),
    ),
    { maxLength: 14 },
  )
  .map((parts) => Buffer.from(parts.join(''), 'latin1'));
