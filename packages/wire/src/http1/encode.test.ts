// Messages of our own: what they look like, and that nothing put into them can make two messages of one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  chunkHeader,
  headerLine,
  headerLines,
  httpDate,
  lastChunk,
  renderRequest,
  renderResponse,
  type OwnRequest,
  type OwnResponse,
} from './encode.ts';
import { LocalProtocolError } from './errors.ts';
import { reasonPhrase } from './reason.ts';
import { runRequests, runResponses } from './test-support.ts';

test('renders a response with date, length and reason', () => {
  assert.equal(
    renderResponse({
      status: 503,
      headers: [['x-heddle-error', 'DRAINING']],
      body: 'wäit\n',
      date: httpDate(784_111_777_000),
      close: true,
    }).toString(),
    'HTTP/1.1 503 Service Unavailable\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nx-heddle-error: DRAINING\r\nconnection: close\r\ncontent-length: 6\r\n\r\nwäit\n',
  );
});

test('renders responses without body as their status and method ask', () => {
  assert.equal(renderResponse({ status: 200 }).toString(), 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  assert.equal(renderResponse({ status: 200, body: 'abc', toHead: true }).toString(), 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n');
  assert.equal(renderResponse({ status: 204 }).toString(), 'HTTP/1.1 204 No Content\r\n\r\n');
  assert.equal(renderResponse({ status: 100 }).toString(), 'HTTP/1.1 100 Continue\r\n\r\n');
  assert.equal(renderResponse({ status: 299 }).toString(), 'HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n');
});

test('renders requests with and without body', () => {
  const base = { method: 'POST', target: '/h?x', host: 'a:80', headers: [['user-agent', 'heddle']] as const };
  assert.equal(renderRequest(base).toString(), 'POST /h?x HTTP/1.1\r\nhost: a:80\r\nuser-agent: heddle\r\n\r\n');
  assert.equal(
    renderRequest({ ...base, body: '' }).toString(),
    'POST /h?x HTTP/1.1\r\nhost: a:80\r\nuser-agent: heddle\r\ncontent-length: 0\r\n\r\n',
  );
  assert.equal(
    renderRequest({ ...base, body: Buffer.from('hi'), close: true }).toString(),
    'POST /h?x HTTP/1.1\r\nhost: a:80\r\nuser-agent: heddle\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi',
  );
  assert.equal(
    renderRequest({ ...base, bodyLength: 2 }).toString(),
    'POST /h?x HTTP/1.1\r\nhost: a:80\r\nuser-agent: heddle\r\ncontent-length: 2\r\n\r\n',
  );
  assert.equal(
    renderRequest({ ...base, chunked: true }).toString(),
    'POST /h?x HTTP/1.1\r\nhost: a:80\r\nuser-agent: heddle\r\ntransfer-encoding: chunked\r\n\r\n',
  );
});

test('renders chunk framing', () => {
  assert.equal(chunkHeader(255), 'ff\r\n');
  assert.equal(lastChunk(), '0\r\n\r\n');
  assert.equal(
    lastChunk(
      headerLines([
        ['a', 'b'],
        ['c', ''],
      ]),
    ),
    '0\r\na: b\r\nc: \r\n\r\n',
  );
});

const badArgument = (error: unknown): boolean => error instanceof LocalProtocolError && error.code === 'BAD_ARGUMENT';

test('refuses what cannot be sent, as our own mistake', () => {
  const request = { method: 'GET', target: '/', host: 'a' };
  const calls: (() => unknown)[] = [
    () => chunkHeader(0),
    () => chunkHeader(-1),
    () => chunkHeader(1.5),
    () => chunkHeader(Number.NaN),
    () => headerLine('', 'x'),
    () => headerLine('a b', 'x'),
    () => headerLine('a:', 'x'),
    () => headerLine('a', 'x\r\ny: z'),
    () => headerLine('a', 'x\0'),
    () => headerLine('a', ' x'),
    () => headerLine('a', 'x\t'),
    () => headerLine('a', '€'),
    () => headerLine('ā', 'x'),
    () => renderRequest({ ...request, method: 'G T' }),
    () => renderRequest({ ...request, method: '' }),
    () => renderRequest({ ...request, target: '' }),
    () => renderRequest({ ...request, target: '/ HTTP/1.1\r\nx: y' }),
    () => renderRequest({ ...request, target: '/ä' }),
    () => renderRequest({ ...request, host: 'a\r\nb: c' }),
    () => renderRequest({ ...request, headers: [['Content-Length', '3']] }),
    () => renderRequest({ ...request, headers: [['host', 'b']] }),
    () => renderRequest({ ...request, chunked: true, body: 'x' }),
    () => renderRequest({ ...request, bodyLength: 1, body: 'x' }),
    () => renderRequest({ ...request, bodyLength: 1, chunked: true }),
    () => renderRequest({ ...request, bodyLength: -1 }),
    () => renderRequest({ ...request, bodyLength: 0.5 }),
    () => renderResponse({ status: 99 }),
    () => renderResponse({ status: 1000 }),
    () => renderResponse({ status: 200.5 }),
    () => renderResponse({ status: 200, reason: 'a\r\nb' }),
    () => renderResponse({ status: 200, headers: [['transfer-encoding', 'chunked']] }),
    () => renderResponse({ status: 200, date: 'x\ny' }),
  ];
  for (const [index, call] of calls.entries()) assert.throws(call, badArgument, `call ${index}`);
});

test('whatever a program puts in, either one valid message comes out or our own error', () => {
  const text = fc.oneof(
    fc.string({ unit: fc.constantFrom('a', ' ', '\r', '\n', ':', '\0', 'ä', '€', '\t'), maxLength: 6 }),
    fc.constantFrom('x', 'GET', '/'),
  );
  const list = fc.array(fc.tuple(text, text), { maxLength: 3 });
  const own = fc.record({
    method: text,
    target: text.map((rest) => `/${rest}`),
    host: fc.constant('h'),
    headers: list,
    body: fc.option(text, { nil: undefined }),
  }) satisfies fc.Arbitrary<OwnRequest>;
  const answer = fc.record({
    status: fc.integer({ min: 190, max: 600 }),
    reason: text,
    headers: list,
    body: text,
  }) satisfies fc.Arbitrary<OwnResponse>;
  const bytesOrOurError = (render: () => Buffer): Buffer | undefined => {
    try {
      return render();
    } catch (error) {
      assert.ok(badArgument(error), String(error));
      return undefined;
    }
  };
  fc.assert(
    fc.property(own, answer, (request, response) => {
      const requestBytes = bytesOrOurError(() => renderRequest(request));
      if (requestBytes !== undefined)
        assert.deepEqual(
          runRequests([requestBytes])
            .events.filter((event) => event.kind !== 'body')
            .map((event) => event.kind),
          ['request', 'end'],
        );
      const responseBytes = bytesOrOurError(() => renderResponse({ ...response, status: Math.max(200, response.status) }));
      if (responseBytes !== undefined)
        assert.deepEqual(
          runResponses(['GET'], [responseBytes])
            .events.filter((event) => event.kind !== 'body')
            .map((event) => event.kind),
          ['response', 'end'],
        );
    }),
    { numRuns: 500 },
  );
});

test('knows the standard reason phrases', () => {
  assert.equal(reasonPhrase(431), 'Request Header Fields Too Large');
  assert.equal(reasonPhrase(299), '');
});
