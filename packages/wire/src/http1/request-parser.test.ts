// Each case is run whole, byte by byte, and followed by another request: the events must be the same.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LocalProtocolError, RemoteProtocolError, type ViolationCode } from './errors.ts';
import { HeaderNames } from './header-block.ts';
import { RequestParser } from './request-parser.ts';
import { byteByByte, latin1, runRequests, type Recorded, type RequestRecord } from './test-support.ts';

const FOLLOWER = 'GET /follower HTTP/1.1\r\nHost: f\r\n\r\n';

interface Accepted {
  name: string;
  text: string;
  head: Partial<RequestRecord>;
  body?: string;
  trailers?: [string, string][];
}

const accepted: Accepted[] = [
  {
    name: 'a plain GET',
    text: 'GET /a?b=c HTTP/1.1\r\nHost: orders:8080\r\nAccept: */*\r\n\r\n',
    head: {
      method: 'GET',
      target: '/a?b=c',
      form: 'origin',
      scheme: '',
      authority: 'orders:8080',
      path: '/a?b=c',
      minorVersion: 1,
      framing: 'none',
      contentLength: -1,
      keepAlive: true,
      upgrade: '',
      expectContinue: false,
      acceptsTrailers: false,
      headers: [
        ['Host', 'orders:8080'],
        ['Accept', '*/*'],
      ],
    },
  },
  {
    name: 'white space around values',
    text: 'GET / HTTP/1.1\r\nhost:\t a \t\r\nx:\r\ny: \t \r\nz:a  b\r\n\r\n',
    head: {
      headers: [
        ['host', 'a'],
        ['x', ''],
        ['y', ''],
        ['z', 'a  b'],
      ],
    },
  },
  {
    name: 'obs-text in a value',
    text: 'GET / HTTP/1.1\r\nHost: a\r\nx: caf\xe9\r\n\r\n',
    head: {
      headers: [
        ['Host', 'a'],
        ['x', 'caf\xe9'],
      ],
    },
  },
  {
    name: 'every token character in method and name',
    text: "!#$%&'*+-.^_`|~aZ09 / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~aZ09: 1\r\n\r\n",
    head: { method: "!#$%&'*+-.^_`|~aZ09" },
  },
  { name: 'an empty Host', text: 'GET / HTTP/1.1\r\nHost:\r\n\r\n', head: { authority: '' } },
  { name: 'a Host with an IPv6 literal', text: 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', head: { authority: '[::1]:80' } },
  { name: 'leading empty lines', text: '\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', head: { method: 'GET' } },
  { name: 'HTTP/1.0 without Host', text: 'GET / HTTP/1.0\r\n\r\n', head: { minorVersion: 0, keepAlive: false, authority: '' } },
  { name: 'HTTP/1.0 kept alive', text: 'GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n', head: { minorVersion: 0, keepAlive: true } },
  { name: 'a later minor version', text: 'GET / HTTP/1.7\r\nHost: a\r\n\r\n', head: { minorVersion: 1, keepAlive: true } },
  { name: 'close', text: 'GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, CLOSE\r\n\r\n', head: { keepAlive: false } },
  {
    name: 'close against keep-alive',
    text: 'GET / HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n',
    head: { keepAlive: false },
  },
  {
    name: 'a length',
    text: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    head: { framing: 'length', contentLength: 5 },
    body: 'hello',
  },
  {
    name: 'a length of zero',
    text: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    head: { framing: 'length', contentLength: 0 },
  },
  {
    name: 'equal lengths',
    text: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\nContent-Length: 02\r\n\r\nhi',
    head: { contentLength: 2 },
    body: 'hi',
  },
  {
    name: 'a body that looks like a request',
    text: `PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${FOLLOWER.length}\r\n\r\n${FOLLOWER}`,
    head: {},
    body: FOLLOWER,
  },
  {
    name: 'chunks with extensions and trailers',
    head: { framing: 'chunked', contentLength: -1 },
    body: 'hello world, 16 bytes and more: 0123456789',
    text: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b;c="d e"\r\n world\r\n1F ; x\r\n, 16 bytes and more: 0123456789\r\n000;last\r\nX-Sum: 1\r\nX-Sum:2\r\n\r\n',
    trailers: [
      ['X-Sum', '1'],
      ['X-Sum', '2'],
    ],
  },
  {
    name: 'many chunks',
    text: `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(20)}0\r\n\r\n`,
    head: { framing: 'chunked' },
    body: 'x'.repeat(20),
  },
  {
    name: 'many extension bytes',
    text: `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0;${'x'.repeat(4_000)}\r\n\r\n`,
    head: { framing: 'chunked' },
  },
  {
    name: 'an empty chunked body',
    text: 'POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:\tChunked , \r\n\r\n0\r\n\r\n',
    head: { framing: 'chunked' },
  },
  {
    name: 'the absolute form, whose authority goes before Host',
    text: 'GET HTTP://u.example:81/p?q HTTP/1.1\r\nHost: other\r\n\r\n',
    head: { form: 'absolute', scheme: 'http', authority: 'u.example:81', path: '/p?q', target: 'HTTP://u.example:81/p?q' },
  },
  {
    name: 'the absolute form with https',
    text: 'GET https://u/ HTTP/1.1\r\nHost: u\r\n\r\n',
    head: { scheme: 'https', authority: 'u', path: '/' },
  },
  { name: 'the absolute form without path', text: 'GET http://u HTTP/1.1\r\nHost: u\r\n\r\n', head: { authority: 'u', path: '/' } },
  {
    name: 'the absolute form with a query only',
    text: 'GET http://u?x=/y HTTP/1.1\r\nHost: u\r\n\r\n',
    head: { authority: 'u', path: '/?x=/y' },
  },
  {
    name: 'OPTIONS for the server behind an authority',
    text: 'OPTIONS http://u HTTP/1.1\r\nHost: u\r\n\r\n',
    head: { form: 'absolute', path: '*' },
  },
  { name: 'the asterisk form', text: 'OPTIONS * HTTP/1.1\r\nHost: u\r\n\r\n', head: { form: 'asterisk', path: '*', authority: 'u' } },
  {
    name: 'CONNECT',
    text: 'CONNECT db.internal:5432 HTTP/1.1\r\nHost: x\r\n\r\n',
    head: { form: 'authority', authority: 'db.internal:5432', path: '', framing: 'none' },
  },
  {
    name: 'CONNECT with a length of zero',
    text: 'CONNECT [::1]:1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n',
    head: { authority: '[::1]:1', framing: 'none' },
  },
  {
    name: 'an upgrade',
    text: 'GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n',
    head: { upgrade: 'websocket', keepAlive: true },
  },
  { name: 'Upgrade that Connection does not name', text: 'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n', head: { upgrade: '' } },
  { name: 'an upgrade in HTTP/1.0', text: 'GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n', head: { upgrade: '' } },
  {
    name: 'an expectation',
    text: 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx',
    head: { expectContinue: true },
    body: 'x',
  },
  {
    name: 'an expectation without body',
    text: 'GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n',
    head: { expectContinue: false },
  },
  {
    name: 'an expectation in HTTP/1.0',
    text: 'POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx',
    head: { expectContinue: false },
    body: 'x',
  },
  {
    name: 'TE: trailers',
    text: 'GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=0.5, trailers\r\nConnection: te\r\n\r\n',
    head: { acceptsTrailers: true },
  },
];

function expectedEvents({ head, body, trailers }: Accepted, first: Recorded): Recorded[] {
  const events: Recorded[] = [{ ...(first as RequestRecord), ...head }];
  if (body !== undefined) events.push({ kind: 'body', text: body });
  events.push({ kind: 'end', trailers });
  return events;
}

for (const entry of accepted) {
  test(`takes ${entry.name}`, () => {
    const bytes = latin1(entry.text);
    const whole = runRequests([bytes], undefined, true);
    assert.ok(whole.events[0], 'a head was reported');
    assert.equal(whole.events[0].kind, 'request', JSON.stringify(whole.events[0]));
    assert.deepEqual(whole.events, expectedEvents(entry, whole.events[0]));
    assert.equal(whole.state, 'awaiting');
    assert.deepEqual(runRequests(byteByByte(bytes)), whole, 'byte by byte');
    const follower = runRequests([latin1(FOLLOWER)]);
    const both = latin1(entry.text + FOLLOWER);
    const expected = [...whole.events, ...follower.events];
    assert.deepEqual(runRequests([both]).events, expected, 'pipelined');
    assert.deepEqual(runRequests(byteByByte(both)).events, expected, 'pipelined, byte by byte');
  });
}

test('takes all of them in a row on one connection, each as if it were alone', () => {
  const alone = accepted.flatMap(({ text }) => runRequests([latin1(text)]).events);
  const bytes = latin1(accepted.map(({ text }) => text).join(''));
  assert.deepEqual(runRequests([bytes]), { events: alone, state: 'awaiting' });
  assert.deepEqual(runRequests(byteByByte(bytes)).events, alone);
  assert.deepEqual(runRequests([Buffer.concat([bytes, bytes])]).events, [...alone, ...alone]);
});

const H = 'Host: a\r\n';
const CHUNKED = `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n`;

const refused: [name: string, text: string, code: ViolationCode, httpStatus: number][] = [
  ['a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00', 'TLS_ON_PLAINTEXT', 400],
  ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'HTTP2_PREFACE', 505],
  ['HTTP/2 in a request line', 'GET / HTTP/2.0\r\n\r\n', 'UNSUPPORTED_VERSION', 505],
  ['HTTP/0.9', 'GET /\r\n', 'BAD_VERSION', 400],
  ['HTTP/0.9 with a version', 'GET / HTTP/0.9\r\n\r\n', 'UNSUPPORTED_VERSION', 505],
  ['a version in lower case', 'GET / http/1.1\r\n\r\n', 'BAD_VERSION', 400],
  ['a version of two digits', 'GET / HTTP/1.10\r\n\r\n', 'BAD_VERSION', 400],
  ['a version without minor', 'GET / HTTP/1\r\n\r\n', 'BAD_VERSION', 400],
  ['white space after the version', 'GET / HTTP/1.1 \r\n\r\n', 'BAD_VERSION', 400],
  ['an invalid method', 'G(T / HTTP/1.1\r\n\r\n', 'BAD_METHOD', 400],
  ['a line without target', 'GET\r\n\r\n', 'BAD_METHOD', 400],
  ['leading white space', ' GET / HTTP/1.1\r\n\r\n', 'BAD_METHOD', 400],
  ['two spaces before the target', 'GET  / HTTP/1.1\r\n\r\n', 'BAD_TARGET', 400],
  ['a tab instead of a space', 'GET\t/ HTTP/1.1\r\n\r\n', 'BAD_METHOD', 400],
  ['a space inside the target', 'GET /a b HTTP/1.1\r\n\r\n', 'BAD_VERSION', 400],
  ['a fragment', 'GET /a#b HTTP/1.1\r\n\r\n', 'BAD_TARGET', 400],
  ['a control byte in the target', 'GET /\x01 HTTP/1.1\r\n\r\n', 'BAD_TARGET', 400],
  ['a byte above ASCII in the target', 'GET /\xe9 HTTP/1.1\r\n\r\n', 'BAD_TARGET', 400],
  ['a relative target', `GET a/b HTTP/1.1\r\n${H}\r\n`, 'BAD_TARGET_FORM', 400],
  ['an unknown scheme', `GET ftp://a/ HTTP/1.1\r\n${H}\r\n`, 'BAD_TARGET_FORM', 400],
  ['an absolute target without authority', `GET http:///x HTTP/1.1\r\n${H}\r\n`, 'BAD_AUTHORITY', 400],
  ['user information', `GET http://u:p@a/ HTTP/1.1\r\n${H}\r\n`, 'BAD_AUTHORITY', 400],
  ['the asterisk with GET', `GET * HTTP/1.1\r\n${H}\r\n`, 'BAD_TARGET_FORM', 400],
  ['CONNECT without port', `CONNECT a HTTP/1.1\r\n${H}\r\n`, 'BAD_TARGET_FORM', 400],
  ['CONNECT with an empty port', `CONNECT a: HTTP/1.1\r\n${H}\r\n`, 'BAD_TARGET_FORM', 400],
  ['CONNECT with a path', `CONNECT /x HTTP/1.1\r\n${H}\r\n`, 'BAD_TARGET_FORM', 400],
  ['CONNECT with a port that is too large', `CONNECT a:65536 HTTP/1.1\r\n${H}\r\n`, 'BAD_TARGET_FORM', 400],
  ['CONNECT with a body', `CONNECT a:1 HTTP/1.1\r\n${H}Content-Length: 3\r\n\r\nabc`, 'CONNECT_WITH_BODY', 400],
  ['CONNECT with chunks', `CONNECT a:1 HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n`, 'CONNECT_WITH_BODY', 400],
  ['a bare LF after the request line', `GET / HTTP/1.1\n${H}\r\n`, 'BARE_LF', 400],
  ['a bare LF before the request line', `\nGET / HTTP/1.1\r\n${H}\r\n`, 'BARE_LF', 400],
  ['a bare LF after a header', 'GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n', 'BARE_LF', 400],
  ['a bare LF at the end of the head', `GET / HTTP/1.1\r\n${H}\n`, 'BARE_LF', 400],
  ['a bare LF inside a name', 'GET / HTTP/1.1\r\nHo\nst: a\r\n\r\n', 'BARE_LF', 400],
  ['a bare CR inside a value', 'GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n', 'BARE_CR', 400],
  ['a bare CR before the request line', `\rGET / HTTP/1.1\r\n${H}\r\n`, 'BARE_CR', 400],
  ['a bare CR after the version', `GET / HTTP/1.1\r${H}\r\n`, 'BARE_CR', 400],
  ['a bare CR at the end of the head', `GET / HTTP/1.1\r\n${H}\rX`, 'BARE_CR', 400],
  ['too many empty lines', `${'\r\n'.repeat(5)}GET / HTTP/1.1\r\n${H}\r\n`, 'TOO_MANY_EMPTY_LINES', 400],
  ['a folded header', 'GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n', 'OBSOLETE_FOLD', 400],
  ['a folded header with a tab', 'GET / HTTP/1.1\r\nHost: a\r\n\tb: c\r\n\r\n', 'OBSOLETE_FOLD', 400],
  ['white space before the first header', `GET / HTTP/1.1\r\n ${H}\r\n`, 'OBSOLETE_FOLD', 400],
  ['white space before the colon', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n', 'SPACE_BEFORE_COLON', 400],
  ['a tab before the colon of a framing header', `GET / HTTP/1.1\r\n${H}Transfer-Encoding\t: chunked\r\n\r\n`, 'SPACE_BEFORE_COLON', 400],
  ['a header without colon', 'GET / HTTP/1.1\r\nHost\r\n\r\n', 'HEADER_WITHOUT_COLON', 400],
  ['a header of several words without colon', 'GET / HTTP/1.1\r\nHost is a\r\n\r\n', 'HEADER_WITHOUT_COLON', 400],
  ['an empty header name', 'GET / HTTP/1.1\r\n: a\r\n\r\n', 'BAD_HEADER_NAME', 400],
  ['a bad header name', 'GET / HTTP/1.1\r\nHo[st: a\r\n\r\n', 'BAD_HEADER_NAME', 400],
  ['a header name above ASCII', 'GET / HTTP/1.1\r\nH\xf6st: a\r\n\r\n', 'BAD_HEADER_NAME', 400],
  ['NUL in a value', 'GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n', 'BAD_HEADER_VALUE', 400],
  ['DEL in a value', 'GET / HTTP/1.1\r\nHost: a\x7fb\r\n\r\n', 'BAD_HEADER_VALUE', 400],
  ['a vertical tab around a framing value', `POST / HTTP/1.1\r\n${H}Transfer-Encoding: \x0bchunked\r\n\r\n`, 'BAD_HEADER_VALUE', 400],
  ['no Host', 'GET / HTTP/1.1\r\nX: y\r\n\r\n', 'MISSING_HOST', 400],
  ['no Host with an absolute target', 'GET http://a/ HTTP/1.1\r\n\r\n', 'MISSING_HOST', 400],
  ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n', 'REPEATED_HOST', 400],
  ['two Hosts in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n', 'REPEATED_HOST', 400],
  ['a Host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 'BAD_HOST', 400],
  ['a Host with user information', 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n', 'BAD_HOST', 400],
  ['a Host of two words', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 'BAD_HOST', 400],
  ['a Host with a bad port', 'GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n', 'BAD_HOST', 400],
  ['a Host with an open bracket', 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n', 'BAD_HOST', 400],
  ['a Host of a port alone', 'GET / HTTP/1.1\r\nHost: :80\r\n\r\n', 'BAD_HOST', 400],
  ['a bad Host beside an absolute target', 'GET http://a/ HTTP/1.1\r\nHost: a/b\r\n\r\n', 'BAD_HOST', 400],
  [
    'length and chunked',
    `POST / HTTP/1.1\r\n${H}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'LENGTH_AND_CHUNKED',
    400,
  ],
  [
    'chunked and length',
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n`,
    'LENGTH_AND_CHUNKED',
    400,
  ],
  [
    'an empty Transfer-Encoding and a length',
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding:\r\nContent-Length: 0\r\n\r\n`,
    'LENGTH_AND_CHUNKED',
    400,
  ],
  [
    'differing lengths in two lines',
    `POST / HTTP/1.1\r\n${H}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`,
    'DIFFERING_CONTENT_LENGTHS',
    400,
  ],
  [
    'differing lengths, the smaller one last',
    `POST / HTTP/1.1\r\n${H}Content-Length: 6\r\nContent-Length: 5\r\n\r\nhello!`,
    'DIFFERING_CONTENT_LENGTHS',
    400,
  ],
  ['differing lengths in a list', `POST / HTTP/1.1\r\n${H}Content-Length: 5, 6\r\n\r\nhello!`, 'DIFFERING_CONTENT_LENGTHS', 400],
  ['a signed length', `POST / HTTP/1.1\r\n${H}Content-Length: +5\r\n\r\nhello`, 'BAD_CONTENT_LENGTH', 400],
  ['a negative length', `POST / HTTP/1.1\r\n${H}Content-Length: -1\r\n\r\n`, 'BAD_CONTENT_LENGTH', 400],
  ['a hexadecimal length', `POST / HTTP/1.1\r\n${H}Content-Length: 0x5\r\n\r\nhello`, 'BAD_CONTENT_LENGTH', 400],
  ['a length of two numbers', `POST / HTTP/1.1\r\n${H}Content-Length: 5 5\r\n\r\nhello`, 'BAD_CONTENT_LENGTH', 400],
  ['an empty length', `POST / HTTP/1.1\r\n${H}Content-Length:\r\n\r\n`, 'BAD_CONTENT_LENGTH', 400],
  ['a length list with an empty member', `POST / HTTP/1.1\r\n${H}Content-Length: 5,\r\n\r\nhello`, 'BAD_CONTENT_LENGTH', 400],
  ['a length beyond exact numbers', `POST / HTTP/1.1\r\n${H}Content-Length: 1000000000000000\r\n\r\n`, 'BAD_CONTENT_LENGTH', 400],
  ['chunked in HTTP/1.0', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'TRANSFER_ENCODING_IN_1_0', 400],
  ['an unknown coding', `POST / HTTP/1.1\r\n${H}Transfer-Encoding: gzip\r\n\r\n`, 'UNKNOWN_TRANSFER_CODING', 501],
  [
    'an unknown coding before chunked',
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    'UNKNOWN_TRANSFER_CODING',
    501,
  ],
  [
    'an unknown coding after chunked',
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n`,
    'UNKNOWN_TRANSFER_CODING',
    501,
  ],
  ['nearly chunked', `POST / HTTP/1.1\r\n${H}Transfer-Encoding: xchunked\r\n\r\n`, 'UNKNOWN_TRANSFER_CODING', 501],
  ['quoted chunked', `POST / HTTP/1.1\r\n${H}Transfer-Encoding: "chunked"\r\n\r\n`, 'UNKNOWN_TRANSFER_CODING', 501],
  ['chunked with a parameter', `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked;q=1\r\n\r\n`, 'BAD_TRANSFER_ENCODING', 400],
  ['chunked twice', `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked, chunked\r\n\r\n`, 'BAD_TRANSFER_ENCODING', 400],
  [
    'chunked in two lines',
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
    'BAD_TRANSFER_ENCODING',
    400,
  ],
  ['an empty Transfer-Encoding', `POST / HTTP/1.1\r\n${H}Transfer-Encoding: ,\r\n\r\n`, 'BAD_TRANSFER_ENCODING', 400],
  ['an empty chunk size', `${CHUNKED}\r\n`, 'BAD_CHUNK_SIZE', 400],
  ['a chunk size that is no number', `${CHUNKED}xyz\r\n`, 'BAD_CHUNK_SIZE', 400],
  ['a chunk size with prefix', `${CHUNKED}0x5\r\nhello\r\n0\r\n\r\n`, 'BAD_CHUNK_SIZE', 400],
  ['a signed chunk size', `${CHUNKED}+5\r\nhello\r\n0\r\n\r\n`, 'BAD_CHUNK_SIZE', 400],
  ['a chunk size with white space before it', `${CHUNKED} 5\r\nhello\r\n0\r\n\r\n`, 'BAD_CHUNK_SIZE', 400],
  ['a chunk size with white space after it', `${CHUNKED}5 \r\nhello\r\n0\r\n\r\n`, 'BAD_CHUNK_SIZE', 400],
  ['a chunk size of too many digits', `${CHUNKED}00000000000005\r\nhello\r\n0\r\n\r\n`, 'BAD_CHUNK_SIZE', 400],
  ['a bare LF after a chunk size', `${CHUNKED}5\nhello\r\n0\r\n\r\n`, 'BARE_LF', 400],
  ['a bare CR after a chunk size', `${CHUNKED}5\rhello\r\n0\r\n\r\n`, 'BARE_CR', 400],
  ['a bare LF in a chunk extension', `${CHUNKED}5;a\nhello\r\n0\r\n\r\n`, 'BARE_LF', 400],
  ['a control byte in a chunk extension', `${CHUNKED}5;a\0\r\nhello\r\n0\r\n\r\n`, 'BAD_CHUNK_EXTENSION', 400],
  ['chunk data that is too long', `${CHUNKED}4\r\nhello\r\n0\r\n\r\n`, 'BAD_CHUNK_END', 400],
  ['a bare LF after chunk data', `${CHUNKED}5\r\nhello\n0\r\n\r\n`, 'BAD_CHUNK_END', 400],
  ['a bare CR after chunk data', `${CHUNKED}5\r\nhello\rX0\r\n\r\n`, 'BAD_CHUNK_END', 400],
  ['a framing header as trailer', `${CHUNKED}0\r\nContent-Length: 5\r\n\r\n`, 'FORBIDDEN_TRAILER', 400],
  ['Host as trailer', `${CHUNKED}0\r\nHost: b\r\n\r\n`, 'FORBIDDEN_TRAILER', 400],
  ['a folded trailer', `${CHUNKED}0\r\nA: b\r\n c\r\n\r\n`, 'OBSOLETE_FOLD', 400],
  ['a trailer without colon', `${CHUNKED}0\r\nGET / HTTP/1.1\r\n\r\n`, 'HEADER_WITHOUT_COLON', 400],
];

for (const [name, text, code, httpStatus] of refused) {
  test(`refuses ${name}`, () => {
    const bytes = latin1(text);
    const whole = runRequests([bytes]);
    assert.deepEqual(whole.events.at(-1), { kind: 'error', code, httpStatus });
    assert.equal(whole.state, 'failed');
    assert.deepEqual(runRequests(byteByByte(bytes)), whole, 'byte by byte');
    assert.deepEqual(runRequests([latin1(text + FOLLOWER)]), whole, 'nothing after the error is taken');
    const after = runRequests([latin1(FOLLOWER + text)]);
    assert.deepEqual(after.events.at(-1), { kind: 'error', code, httpStatus }, 'as the second request, too');
  });
}

const unfinished: [name: string, text: string][] = [
  ['inside the request line', 'GET / HT'],
  ['inside the headers', 'GET / HTTP/1.1\r\nHost: a\r\n'],
  ['inside a body', `POST / HTTP/1.1\r\n${H}Content-Length: 5\r\n\r\nhell`],
  ['inside a chunk', `${CHUNKED}5\r\nhel`],
  ['before the last chunk', `${CHUNKED}5\r\nhello\r\n`],
  ['inside the trailers', `${CHUNKED}0\r\nA: b\r\n`],
];

for (const [name, text] of unfinished) {
  test(`reports an end of the connection ${name}`, () => {
    for (const pieces of [[latin1(text)], byteByByte(latin1(text))]) {
      assert.deepEqual(runRequests(pieces, undefined, true).events.at(-1), { kind: 'error', code: 'INCOMPLETE_MESSAGE', httpStatus: 400 });
    }
  });
}

test('takes an end between requests as the end', () => {
  assert.deepEqual(runRequests([], undefined, true).events, []);
  assert.deepEqual(runRequests([latin1('\r\n')], undefined, true).events, []);
});

class Events {
  readonly seen: string[] = [];
  error: RemoteProtocolError | undefined;
  onHead(): void {
    this.seen.push('head');
  }
  onBody(bytes: Buffer, start: number, end: number): void {
    this.seen.push(bytes.toString('latin1', start, end));
  }
  onEnd(): void {
    this.seen.push('end');
  }
  onError(error: RemoteProtocolError): void {
    this.error = error;
  }
}

test('stops after a request until next(), and says how far it came', () => {
  const events = new Events();
  const parser = new RequestParser(events);
  const one = latin1(FOLLOWER);
  const bytes = latin1(FOLLOWER + FOLLOWER);
  assert.equal(parser.push(bytes), one.length);
  assert.equal(parser.state, 'complete');
  assert.throws(
    () => parser.push(bytes, one.length),
    (error) => error instanceof LocalProtocolError && error.code === 'WRONG_STATE',
  );
  parser.next();
  assert.equal(parser.state, 'awaiting');
  assert.equal(parser.push(bytes, one.length), bytes.length);
  assert.deepEqual(events.seen, ['head', 'end', 'head', 'end']);
});

test('passes body slices on without copying', () => {
  const bytes = latin1(`POST / HTTP/1.1\r\n${H}Content-Length: 5\r\n\r\nhello`);
  const got: [Buffer, number, number][] = [];
  const parser = new RequestParser({ onHead() {}, onEnd() {}, onError() {}, onBody: (...slice) => got.push(slice) });
  parser.push(bytes);
  assert.equal(got[0]?.[0], bytes);
  assert.deepEqual(got[0]?.slice(1), [bytes.length - 5, bytes.length]);
});

test('hands on raw bytes after tunnel(), in onHead or once complete', () => {
  const connect = 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n';
  const inHead = new Events();
  const first: RequestParser = new RequestParser({
    onHead: () => first.tunnel(),
    onBody: (bytes, start, end) => inHead.onBody(bytes, start, end),
    onEnd: () => inHead.onEnd(),
    onError() {},
  });
  assert.equal(first.push(latin1(`${connect}\0\x01raw`)), connect.length + 5);
  first.push(latin1('more\r\n'));
  first.end();
  assert.deepEqual(inHead.seen, ['\0\x01raw', 'more\r\n']);

  const later = new Events();
  const second = new RequestParser(later);
  const bytes = latin1(`${connect}raw`);
  const at = second.push(bytes);
  second.tunnel();
  second.push(bytes, at);
  assert.deepEqual(later.seen, ['head', 'end', 'raw']);
  assert.equal(second.state, 'tunnel');
});

test('says what was misused', () => {
  const events = new Events();
  const parser = new RequestParser(events);
  const misuse = (call: () => void): void =>
    assert.throws(call, (error) => error instanceof LocalProtocolError && error.code === 'WRONG_STATE');
  misuse(() => parser.next());
  misuse(() => parser.tunnel());
  parser.push(latin1(`POST / HTTP/1.1\r\n${H}Content-Length: 5\r\n\r\n`));
  misuse(() => parser.next());
  misuse(() => parser.tunnel());
});

test('is silent after abort(), also inside a handler', () => {
  const events = new Events();
  const parser: RequestParser = new RequestParser({
    onHead: () => parser.abort(),
    onBody: () => events.onHead(),
    onEnd: () => events.onEnd(),
    onError: (error) => events.onError(error),
  });
  const bytes = latin1(`POST / HTTP/1.1\r\n${H}Content-Length: 5\r\n\r\nhello`);
  assert.equal(parser.push(bytes), bytes.length);
  parser.push(latin1('\0'));
  parser.end();
  assert.deepEqual(events.seen, []);
  assert.equal(events.error, undefined);
  assert.equal(parser.state, 'aborted');
});

test('an error names the rule and where it stands', () => {
  const events = new Events();
  new RequestParser(events).push(latin1('GET / HTTP/1.1\r\nHost : a\r\n\r\n'));
  assert.ok(events.error instanceof RemoteProtocolError);
  assert.equal(events.error.code, 'SPACE_BEFORE_COLON');
  assert.match(events.error.message, /white space between a header name and its colon\. \(RFC 9112 §5\.1\)$/);
});

test('looks headers up in any letter case', () => {
  const parser = new RequestParser(new Events());
  parser.push(latin1('GET / HTTP/1.1\r\nHOST: a\r\nX-One: 1\r\nx-one: 2\r\nProxy-Authorization: Basic eDo=\r\n\r\n'));
  const { head } = parser;
  assert.equal(head.get('host'), 'a');
  assert.equal(head.get('x-one'), '1');
  assert.equal(head.list('x-one'), '1, 2');
  assert.equal(head.get('x-two'), undefined);
  assert.equal(head.list('x-two'), undefined);
  assert.equal(head.has('x-one'), true);
  assert.equal(head.find('x-one', 2), 2);
  assert.equal(head.proxyAuthorization, 'Basic eDo=');
  assert.equal(head.count, 4);
  assert.equal(head.name(1), 'X-One');
});

test('keeps every line of a head with more lines than fit into the first table', () => {
  const lines = Array.from({ length: 127 }, (_, index) => [`x-${index}`, `${index}`] as [string, string]);
  const parser = new RequestParser(new Events());
  parser.push(latin1(`GET / HTTP/1.1\r\nHost: a\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`));
  assert.deepEqual([...parser.head], [['Host', 'a'], ...lines]);
});

test('ignores the case of letters only', () => {
  const parser = new RequestParser(new Events());
  parser.push(latin1('GET / HTTP/1.1\r\nHost: a\r\nx^: 1\r\n\r\n'));
  assert.equal(parser.head.has('x^'), true);
  assert.equal(parser.head.has('x~'), false);
  assert.equal(new HeaderNames(['x~']).matches('X^', 0, 2), false);
});
