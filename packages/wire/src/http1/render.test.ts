// What a proxy passes on: checked as text for the cases that matter, and against a slow, obvious model of the hop-by-hop rules.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LocalProtocolError } from './errors.ts';
import type { RequestHead, ResponseHead } from './head.ts';
import { HeaderNames } from './header-block.ts';
import {
  framingFor,
  renderRequestHead,
  renderResponseHead,
  renderTrailers,
  type RequestRendering,
  type ResponseRendering,
} from './render.ts';
import { RequestParser } from './request-parser.ts';
import { ResponseParser } from './response-parser.ts';
import { headers } from './arbitraries.test-support.ts';
import { latin1 } from './test-support.ts';

function requestHead(text: string): RequestHead {
  const parser = new RequestParser({ onHead() {}, onBody() {}, onEnd() {}, onError: (error) => assert.fail(error) });
  parser.push(latin1(text));
  return parser.head;
}

function responseHead(text: string, method: string = 'GET'): ResponseHead {
  const parser = new ResponseParser({ onInterim() {}, onHead() {}, onBody() {}, onEnd() {}, onError: (error) => assert.fail(error) }, {});
  parser.begin(method, true);
  parser.push(latin1(text));
  return parser.head;
}

const requests: [name: string, received: string, sent: string, rendering?: RequestRendering][] = [
  ['what needs no change as it is', 'GET /a?b HTTP/1.1\r\nHost: a\r\nX:  y \r\n\r\n', 'GET /a?b HTTP/1.1\r\nHost: a\r\nX:  y \r\n\r\n'],
  [
    'no hop-by-hop header, nor what Connection names',
    'GET / HTTP/1.1\r\nConnection: close, X-Mine,x-gone\r\nHost: a\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nX-MINE: 1\r\nA: b\r\nProxy-Authorization: c\r\nTE: gzip\r\nUpgrade: h2c\r\nB: c\r\nx-mine: 2\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nB: c\r\n\r\n',
  ],
  [
    'the framing headers, even when Connection names them',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: content-length, host, expect\r\nExpect: 100-continue\r\n\r\nx',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n',
  ],
  [
    'chunked anew',
    'POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nHost: a\r\n\r\n0\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n',
  ],
  [
    'one length instead of several',
    'POST / HTTP/1.1\r\nContent-Length: 2\r\nHost: a\r\nContent-Length: 2,02\r\n\r\nhi',
    'POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 2\r\n\r\n',
  ],
  [
    'a length of zero',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
  ],
  [
    'TE: trailers with the option that it needs',
    'GET / HTTP/1.1\r\nHost: a\r\nTE: trailers, deflate\r\nConnection: TE\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nconnection: te\r\nte: trailers\r\n\r\n',
  ],
  [
    'the authority of an absolute target as Host',
    'GET http://b:81/x HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n',
    'GET /x HTTP/1.1\r\nhost: b:81\r\nA: b\r\n\r\n',
  ],
  ['an empty Host for HTTP/1.0', 'GET / HTTP/1.0\r\nA: b\r\n\r\n', 'GET / HTTP/1.1\r\nhost: \r\nA: b\r\n\r\n'],
  ['the authority of CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: b\r\n\r\n', 'CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n'],
  ['OPTIONS for a whole server', 'OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n'],
  [
    'no upgrade unless told so',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  ],
  [
    'an upgrade when told so',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, te\r\nTE: trailers\r\nUpgrade: websocket\r\nUpgrade: x/2\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nconnection: upgrade, te\r\nupgrade: websocket, x/2\r\nte: trailers\r\n\r\n',
    { forwardUpgrade: true },
  ],
  [
    'what the route changes',
    'GET /a HTTP/1.1\r\nHost: a\r\nX-Drop: 1\r\nX-Keep: 2\r\nX-DROP: 3\r\nCookie: d\r\n\r\n',
    'PUT /b HTTP/1.1\r\nhost: c\r\nX-Keep: 2\r\nconnection: close\r\nvia: 1.1 x\r\n\r\n',
    { method: 'PUT', target: '/b', host: 'c', drop: new HeaderNames(['x-drop', 'Cookie']), connection: 'close', add: 'via: 1.1 x\r\n' },
  ],
  [
    'a chunked body of known length',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 7\r\n\r\n',
    { framing: 'length', contentLength: 7 },
  ],
  [
    'a body that was removed',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    'POST / HTTP/1.1\r\nHost: a\r\n\r\n',
    { framing: 'none' },
  ],
  [
    'a body whose length changed',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    'POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 6\r\n\r\n',
    { contentLength: 6 },
  ],
];

for (const [name, received, sent, rendering] of requests) {
  test(`passes a request on with ${name}`, () => assert.equal(renderRequestHead(requestHead(received), rendering), sent));
}

const responses: [name: string, received: string, sent: string, rendering?: ResponseRendering, method?: string][] = [
  [
    'what needs no change as it is',
    'HTTP/1.1 200 Fine\r\nContent-Length: 1\r\nA: b\r\n\r\nx',
    'HTTP/1.1 200 Fine\r\nContent-Length: 1\r\nA: b\r\n\r\n',
  ],
  [
    'no hop-by-hop header',
    'HTTP/1.1 200 OK\r\nConnection: x-a\r\nX-A: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  ],
  ['our own version', 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['no length in 204', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 204 No Content\r\n\r\n'],
  ['the length in 304', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n'],
  [
    'the length in an answer to HEAD',
    'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n',
    undefined,
    'HEAD',
  ],
  [
    'no chunked in an answer to HEAD',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    'HTTP/1.1 200 OK\r\n\r\n',
    undefined,
    'HEAD',
  ],
  [
    'chunks instead of the end of the connection',
    'HTTP/1.1 200 OK\r\nA: b\r\n\r\n',
    'HTTP/1.1 200 OK\r\nA: b\r\ntransfer-encoding: chunked\r\n\r\n',
    { framing: 'chunked' },
  ],
  [
    'the end of the connection instead of chunks',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n',
    { framing: 'until-close', connection: 'close' },
  ],
  [
    'keep-alive for HTTP/1.0',
    'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nconnection: keep-alive\r\n\r\n',
    { connection: 'keep-alive' },
  ],
  [
    'another status',
    'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n',
    { status: 503 },
  ],
  [
    'an upgrade when told so',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
    { forwardUpgrade: true },
  ],
];

for (const [name, received, sent, rendering, method] of responses) {
  test(`passes a response on with ${name}`, () => assert.equal(renderResponseHead(responseHead(received, method), rendering), sent));
}

test('what one request needed does not linger in the reused head', () => {
  const parser: RequestParser = new RequestParser({ onHead() {}, onBody() {}, onEnd() {}, onError: (error) => assert.fail(error) });
  parser.push(latin1('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n'));
  assert.equal(renderRequestHead(parser.head), 'POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 0\r\n\r\n');
  parser.next();
  const plain = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n';
  parser.push(latin1(plain));
  assert.equal(renderRequestHead(parser.head), plain);
  parser.next();
  parser.push(latin1('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'));
  assert.equal(renderRequestHead(parser.head), 'GET / HTTP/1.1\r\nhost: \r\n\r\n');
});

test('framing by length without a length is our own mistake', () => {
  const head = requestHead('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n');
  assert.throws(
    () => renderRequestHead(head, { framing: 'length' }),
    (error) => error instanceof LocalProtocolError && error.code === 'BAD_ARGUMENT',
  );
});

test('chooses a framing that the client can take', () => {
  const chunked = responseHead('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n');
  assert.deepEqual([framingFor(chunked, 1), framingFor(chunked, 0)], ['chunked', 'until-close']);
  const untilClose = responseHead('HTTP/1.1 200 OK\r\n\r\n');
  assert.deepEqual([framingFor(untilClose, 1), framingFor(untilClose, 0)], ['chunked', 'until-close']);
  const length = responseHead('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
  assert.deepEqual([framingFor(length, 1), framingFor(length, 0)], ['length', 'length']);
});

test('passes trailers on without hop-by-hop fields', () => {
  let rendered = '';
  const parser = new RequestParser({
    onHead() {},
    onBody() {},
    onError: (error) => assert.fail(error),
    onEnd: (trailers) => {
      rendered = renderTrailers(trailers ?? assert.fail('no trailers'), new HeaderNames(['x-drop']));
    },
  });
  parser.push(
    latin1('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nConnection: x\r\nX-Drop: y\r\nC: d\r\n\r\n'),
  );
  assert.equal(rendered, 'A: b\r\nC: d\r\n');
});

const HOP = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'proxy-authenticate',
  'te',
  'transfer-encoding',
  'upgrade',
];

test('drops exactly the hop-by-hop headers, those that Connection names, and those that the route drops', () => {
  const hopHeader = fc.constantFrom<[string, string][]>(
    ['Connection', 'x-a, X-B'],
    ['connection', 'close'],
    ['Keep-Alive', '1'],
    ['TE', 'gzip'],
    ['Proxy-Connection', 'x'],
    ['UPGRADE', 'x'],
    ['Proxy-Authorization', 'y'],
    ['X-A', '1'],
    ['x-b', '2'],
    ['X-C', '3'],
  );
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          hopHeader,
          headers.map((list) => list[0] ?? (['x', 'y'] as [string, string])),
        ),
      ),
      fc.subarray(['x-c', 'x-a', 'cookie']),
      (lines, dropped) => {
        const head = requestHead(`GET / HTTP/1.1\r\nHost: h\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
        const named = lines
          .filter(([name]) => name.toLowerCase() === 'connection')
          .flatMap(([, value]) => value.toLowerCase().split(/, */));
        const gone = new Set([...HOP, ...named, ...dropped]);
        const expected = lines.filter(([name]) => !gone.has(name.toLowerCase()));
        const sent = renderRequestHead(head, { drop: new HeaderNames(dropped) });
        assert.deepEqual([...requestHead(sent)], [['Host', 'h'], ...expected]);
      },
    ),
  );
});
