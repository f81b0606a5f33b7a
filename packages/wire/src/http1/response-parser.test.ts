// Each case is run whole and byte by byte, and followed by another response where the connection persists.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LocalProtocolError, type ViolationCode } from './errors.ts';
import { ResponseParser } from './response-parser.ts';
import { byteByByte, latin1, runResponses, type ResponseRecord } from './test-support.ts';

const FOLLOWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

interface Accepted {
  name: string;
  text: string;
  method?: string;
  upgradeAsked?: boolean;
  head: Partial<ResponseRecord>;
  body?: string;
  trailers?: [string, string][];
}

const accepted: Accepted[] = [
  {
    name: 'a length',
    text: 'HTTP/1.1 200 All right\r\nContent-Length: 5\r\n\r\nhello',
    head: { status: 200, reason: 'All right', framing: 'length', contentLength: 5, keepAlive: true },
    body: 'hello',
  },
  { name: 'an empty reason', text: 'HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n', head: { status: 404, reason: '' } },
  { name: 'a missing reason', text: 'HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n', head: { status: 404, reason: '' } },
  { name: 'a status without class', text: 'HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n', head: { status: 799 } },
  {
    name: 'chunks',
    text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n',
    head: { framing: 'chunked' },
    body: 'hi',
    trailers: [['A', 'b']],
  },
  {
    name: 'an answer to HEAD with a length',
    method: 'HEAD',
    text: 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n',
    head: { framing: 'none', contentLength: 500 },
  },
  {
    name: 'an answer to HEAD with chunks',
    method: 'HEAD',
    text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    head: { framing: 'none', keepAlive: true },
  },
  { name: '204', text: 'HTTP/1.1 204 No Content\r\n\r\n', head: { framing: 'none', keepAlive: true } },
  {
    name: '304 with a length',
    text: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n',
    head: { framing: 'none', contentLength: 10 },
  },
  {
    name: 'a persistent HTTP/1.0 answer',
    text: 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx',
    head: { minorVersion: 0, keepAlive: true },
    body: 'x',
  },
  {
    name: 'a 2xx answer to CONNECT, whose framing headers say nothing',
    method: 'CONNECT',
    text: 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n',
    head: { framing: 'none', contentLength: -1 },
  },
  {
    name: 'a refusal of CONNECT',
    method: 'CONNECT',
    text: 'HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\nx',
    head: { framing: 'length' },
    body: 'x',
  },
  {
    name: 'an upgrade that was asked for',
    upgradeAsked: true,
    text: 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
    head: { status: 101, upgrade: 'websocket', framing: 'none' },
  },
];

for (const entry of accepted) {
  test(`takes ${entry.name}`, () => {
    const bytes = latin1(entry.text);
    const { upgradeAsked } = entry;
    const methods = [entry.method ?? 'GET'];
    const whole = runResponses(methods, [bytes], { upgradeAsked, ended: true });
    const first = whole.events[0];
    assert.equal(first?.kind, 'response', JSON.stringify(first));
    assert.deepEqual(whole.events, [
      { ...(first as ResponseRecord), ...entry.head },
      ...(entry.body === undefined ? [] : [{ kind: 'body', text: entry.body }]),
      { kind: 'end', trailers: entry.trailers },
    ]);
    assert.deepEqual(runResponses(methods, byteByByte(bytes), { upgradeAsked, ended: true }), whole, 'byte by byte');
    const both = latin1(entry.text + FOLLOWER);
    const expected = [...whole.events, ...runResponses(['GET'], [latin1(FOLLOWER)]).events];
    for (const pieces of [[both], byteByByte(both)])
      assert.deepEqual(runResponses([...methods, 'GET'], pieces, { upgradeAsked }).events, expected);
  });
}

test('takes all of them in a row on one connection, each as if it were alone', () => {
  const alone = accepted.flatMap(({ text, method = 'GET' }) => runResponses([method], [latin1(text)], { upgradeAsked: true }).events);
  const bytes = latin1(accepted.map(({ text }) => text).join(''));
  const methods = accepted.map(({ method = 'GET' }) => method);
  for (const pieces of [[bytes], byteByByte(bytes)])
    assert.deepEqual(runResponses(methods, pieces, { upgradeAsked: true }), { events: alone, state: 'complete' });
});

test('counts interim responses per request', () => {
  const bytes = latin1(`${'HTTP/1.1 100 Continue\r\n\r\n'.repeat(20)}${FOLLOWER}`.repeat(3));
  assert.equal(runResponses(['GET', 'GET', 'GET'], [bytes]).state, 'complete');
});

test('reads a body until the connection ends', () => {
  const bytes = latin1('HTTP/1.1 200 OK\r\nX: y\r\n\r\nall of this\r\n\r\n');
  for (const pieces of [[bytes], byteByByte(bytes)]) {
    const { events, state } = runResponses(['GET'], pieces, { ended: true });
    assert.equal((events[0] as ResponseRecord).framing, 'until-close');
    assert.equal((events[0] as ResponseRecord).keepAlive, false);
    assert.deepEqual(events.slice(1), [
      { kind: 'body', text: 'all of this\r\n\r\n' },
      { kind: 'end', trailers: undefined },
    ]);
    assert.equal(state, 'complete');
  }
});

test('delivers interim responses before the final one', () => {
  const bytes = latin1(
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 7\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  );
  for (const pieces of [[bytes], byteByByte(bytes)]) {
    const { events } = runResponses(['POST'], pieces, { ended: true });
    assert.deepEqual(
      events.map((event) => [event.kind, 'status' in event ? event.status : undefined]),
      [
        ['interim', 100],
        ['interim', 103],
        ['response', 200],
        ['body', undefined],
        ['end', undefined],
      ],
    );
    assert.deepEqual((events[1] as ResponseRecord).headers, [
      ['Link', '</a>'],
      ['Content-Length', '7'],
    ]);
  }
});

const refused: [name: string, text: string, code: ViolationCode][] = [
  ['what is no status line', 'hello\r\n', 'BAD_STATUS_LINE'],
  ['an empty line before the status line', '\r\nHTTP/1.1 200 OK\r\n\r\n', 'BAD_STATUS_LINE'],
  ['another major version', 'HTTP/2.0 200 OK\r\n\r\n', 'UNSUPPORTED_VERSION'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n', 'BAD_STATUS_LINE'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n', 'BAD_STATUS_LINE'],
  ['a status below 100', 'HTTP/1.1 099 OK\r\n\r\n', 'BAD_STATUS_LINE'],
  ['two spaces before the status', 'HTTP/1.1  200 OK\r\n\r\n', 'BAD_STATUS_LINE'],
  ['a control byte in the reason', 'HTTP/1.1 200 O\0K\r\n\r\n', 'BAD_STATUS_LINE'],
  ['a bare LF after the status line', 'HTTP/1.1 200 OK\n\n', 'BARE_LF'],
  ['a bare LF after the status', 'HTTP/1.1 200\n\n', 'BARE_LF'],
  ['a bare CR in the status line', 'HTTP/1.1 200 O\rK\r\n\r\n', 'BARE_CR'],
  ['a folded header', 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n', 'OBSOLETE_FOLD'],
  ['length and chunked', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', 'LENGTH_AND_CHUNKED'],
  ['differing lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n', 'DIFFERING_CONTENT_LENGTHS'],
  ['an unknown transfer coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 'UNKNOWN_TRANSFER_CODING'],
  ['a bad length in an answer without body', 'HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n', 'BAD_CONTENT_LENGTH'],
  ['a bad chunk size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello', 'BAD_CHUNK_SIZE'],
  ['an upgrade nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n', 'UNEXPECTED_SWITCH'],
  ['an endless row of interim responses', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(33), 'TOO_MANY_INTERIM_RESPONSES'],
];

for (const [name, text, code] of refused) {
  test(`refuses ${name}, which is answered with 502`, () => {
    const bytes = latin1(text);
    const whole = runResponses(['GET'], [bytes]);
    assert.deepEqual(whole.events.at(-1), { kind: 'error', code, httpStatus: 502 });
    assert.equal(whole.state, 'failed');
    assert.deepEqual(runResponses(['GET'], byteByByte(bytes)), whole, 'byte by byte');
    assert.deepEqual(runResponses(['GET'], [latin1(text + FOLLOWER)]), whole, 'nothing after the error is taken');
  });
}

test('bytes that answer no request are refused, before the first request and after the last', () => {
  const error = { kind: 'error', code: 'UNSOLICITED_RESPONSE', httpStatus: 502 };
  assert.deepEqual(runResponses([], [latin1(FOLLOWER)]).events, [error]);
  for (const pieces of [[latin1(FOLLOWER + FOLLOWER)], byteByByte(latin1(FOLLOWER + FOLLOWER))]) {
    const { events } = runResponses(['GET'], pieces);
    assert.deepEqual(
      events.map((event) => event.kind),
      ['response', 'body', 'end', 'error'],
    );
    assert.deepEqual(events.at(-1), error);
  }
});

test('an end before the answer is complete is an error, and the state tells whether any byte had come', () => {
  const error = { kind: 'error', code: 'INCOMPLETE_MESSAGE', httpStatus: 502 };
  for (const text of [
    '',
    'HTTP/1.1 20',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell',
    'HTTP/1.1 100 Continue\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n',
  ]) {
    assert.deepEqual(runResponses(['GET'], [latin1(text)], { ended: true }).events.at(-1), error, JSON.stringify(text));
  }
  assert.equal(runResponses(['GET'], []).state, 'awaiting');
  assert.equal(runResponses(['GET'], [latin1('H')]).state, 'head');
  assert.deepEqual(runResponses([], [], { ended: true }), { events: [], state: 'idle' });
});

test('begin() is refused while a response is outstanding', () => {
  const parser = new ResponseParser({ onInterim() {}, onHead() {}, onBody() {}, onEnd() {}, onError() {} });
  parser.begin('GET');
  assert.throws(
    () => parser.begin('GET'),
    (error) => error instanceof LocalProtocolError && error.code === 'WRONG_STATE',
  );
});

test('an interim response cannot become a tunnel', () => {
  const parser: ResponseParser = new ResponseParser({
    onInterim: () => parser.tunnel(),
    onHead() {},
    onBody() {},
    onEnd() {},
    onError() {},
  });
  parser.begin('GET', true);
  assert.throws(
    () => parser.push(latin1('HTTP/1.1 100 Continue\r\n\r\n')),
    (error) => error instanceof LocalProtocolError && error.code === 'WRONG_STATE',
  );
});

test('hands on raw bytes after an accepted upgrade', () => {
  const seen: string[] = [];
  const parser: ResponseParser = new ResponseParser({
    onInterim() {},
    onHead: () => parser.tunnel(),
    onEnd: () => seen.push('end'),
    onError: (error) => seen.push(error.code),
    onBody: (bytes, start, end) => seen.push(bytes.toString('latin1', start, end)),
  });
  parser.begin('GET', true);
  parser.push(latin1('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00'));
  parser.push(latin1('\x88\x00'));
  assert.deepEqual(seen, ['\x81\x00', '\x88\x00']);
});
