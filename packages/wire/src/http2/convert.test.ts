import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestHead, ResponseHead, Trailers } from '../http1/head.ts';
import { HeaderNames } from '../http1/header-block.ts';
import { renderRequestHead, renderResponseHead, renderTrailers } from '../http1/render.ts';
import { RequestParser } from '../http1/request-parser.ts';
import { ResponseParser } from '../http1/response-parser.ts';
import { HpackDecoder, type FieldList } from '../hpack/index.ts';
import type { Http2RequestRendering, Http2ResponseRendering } from './encode-head.ts';
import { Http2RequestHead, Http2ResponseHead, Http2Trailers, http2Field } from './head.ts';
import { readRequestHead, readResponseHead, readTrailers } from './message.ts';
import { GET, framesOf, headers, block, type Fields } from './testing/frames.ts';
import { clientBench, serverBench } from './testing/record.ts';
import { ownRequest } from './testing/heads.ts';
import { toHttp1Request, toHttp1Response, toHttp1Trailers } from './to-http1.ts';

function decode(fields: Fields, into: { list: FieldList }): void {
  const bytes = block(fields);
  assert.equal(new HpackDecoder().decode(bytes, 0, bytes.length, into.list), undefined);
}

function http1Request(text: string): RequestHead {
  const ignore = (): void => {};
  const parser = new RequestParser({ onHead: ignore, onBody: ignore, onEnd: ignore, onError: (error) => assert.fail(error.message) });
  parser.push(Buffer.from(text, 'latin1'));
  return parser.head;
}

function http1Response(method: string, text: string): ResponseHead {
  const ignore = (): void => {};
  const parser = new ResponseParser({
    onInterim: ignore,
    onHead: ignore,
    onBody: ignore,
    onEnd: ignore,
    onError: (error) => assert.fail(error.message),
  });
  parser.begin(method);
  parser.push(Buffer.from(text, 'latin1'));
  return parser.head;
}

/** What a client sends for a head: its fields as text. */
function sentRequest(head: RequestHead | Http2RequestHead, rendering?: Http2RequestRendering): string {
  const bench = clientBench();
  bench.connection.request(head, true, rendering);
  return bench.sent()[0]!.replace('headers 1 end ', '');
}

function sentResponse(head: ResponseHead | Http2ResponseHead, rendering?: Http2ResponseRendering): string {
  const bench = serverBench();
  bench.push(headers(1, GET));
  bench.connection.respond(bench.stream(1), head, true, rendering);
  return bench.sent()[0]!.replace('headers 1 end ', '');
}

const REQUESTS: readonly [string, string, Http2RequestRendering | undefined, string][] = [
  [
    'names in lower case, without what belongs to the hop',
    'GET /a?b=1 HTTP/1.1\r\nHost: Orders:80\r\nUser-Agent: x\r\nConnection: keep-alive, x-hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n' +
      'Proxy-Authorization: Basic eA==\r\nProxy-Connection: close\r\nUpgrade: h2c\r\nX-Empty:\r\n\r\n',
    undefined,
    '[:method GET, :scheme http, :authority Orders:80, :path /a?b=1, user-agent x, x-empty ]',
  ],
  [
    'content-length, te and expect',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTE: trailers, gzip\r\nConnection: te\r\nExpect: 100-continue\r\n\r\n',
    undefined,
    '[:method POST, :scheme http, :authority a, :path /, content-length 5, expect 100-continue, te trailers]',
  ],
  [
    'one length where there were two',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n',
    undefined,
    '[:method POST, :scheme http, :authority a, :path /, content-length 5]',
  ],
  [
    'no transfer-encoding',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
    undefined,
    '[:method POST, :scheme http, :authority a, :path /]',
  ],
  [
    'the authority of an absolute target',
    'GET https://b/x HTTP/1.1\r\nHost: a\r\n\r\n',
    undefined,
    '[:method GET, :scheme https, :authority b, :path /x]',
  ],
  ['OPTIONS *', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', undefined, '[:method OPTIONS, :scheme http, :authority a, :path *]'],
  ['CONNECT', 'CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n', undefined, '[:method CONNECT, :authority db:5432]'],
  [
    'an upgrade as extended CONNECT',
    'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n',
    { protocol: 'websocket', drop: new HeaderNames(['Sec-WebSocket-Key']) },
    '[:method CONNECT, :scheme http, :authority a, :path /chat, :protocol websocket, sec-websocket-version 13]',
  ],
  [
    'what a route changes',
    'GET /a HTTP/1.1\r\nHost: a\r\nX-Secret: 1\r\nContent-Length: 3\r\n\r\n',
    {
      method: 'PUT',
      scheme: 'https',
      authority: 'b',
      path: '/c',
      drop: new HeaderNames(['x-secret']),
      add: [http2Field('via', '2 heddle')],
      contentLength: 7,
    },
    '[:method PUT, :scheme https, :authority b, :path /c, content-length 7, via 2 heddle]',
  ],
];

for (const [name, text, rendering, fields] of REQUESTS) {
  test(`an HTTP/1.1 request goes on over HTTP/2: ${name}`, () => assert.equal(sentRequest(http1Request(text), rendering), fields));
}

const RESPONSES: readonly [string, string, string, string][] = [
  [
    'a plain one',
    'GET',
    'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\n',
    '[:status 200, content-type text/plain, content-length 3]',
  ],
  ['chunked', 'GET', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=1; x\r\n\r\n', '[:status 200, set-cookie a=1; x]'],
  ['until the connection ends', 'GET', 'HTTP/1.0 200 OK\r\nA: 1\r\n\r\n', '[:status 200, a 1]'],
  ['to HEAD', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n', '[:status 200, content-length 3]'],
  ['304', 'GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\nETag: "x"\r\n\r\n', '[:status 304, content-length 3, etag "x"]'],
  ['204', 'GET', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', '[:status 204]'],
];

for (const [name, method, text, fields] of RESPONSES) {
  test(`an HTTP/1.1 response goes on over HTTP/2: ${name}`, () => assert.equal(sentResponse(http1Response(method, text)), fields));
}

test('a head of many kilobytes goes on as it is', () => {
  const long = 'z'.repeat(5_000);
  assert.equal(
    sentRequest(http1Request(`GET /long HTTP/1.1\r\nHost: a\r\nX-Long: ${long}\r\nUser-Agent: caf\xe9\r\n\r\n`)),
    `[:method GET, :scheme http, :authority a, :path /long, x-long ${long}, user-agent caf\xe9]`,
  );
});

test('an accepted upgrade goes on as 200', () => {
  const ignore = (): void => {};
  const parser = new ResponseParser({ onInterim: ignore, onHead: ignore, onBody: ignore, onEnd: ignore, onError: ignore });
  parser.begin('GET', true);
  parser.push(
    Buffer.from('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n'),
  );
  const rendering = { status: 200, drop: new HeaderNames(['sec-websocket-accept']) };
  assert.equal(sentResponse(parser.head, rendering), '[:status 200]');
});

/** Fields, END_STREAM, the head that an HTTP/1.1 server gets. */
const TO_REQUESTS: readonly [Fields, boolean, string][] = [
  [
    [...GET, ['accept', '*/*'], ['te', 'trailers']],
    true,
    'GET / HTTP/1.1\r\nhost: orders.mesh.internal\r\naccept: */*\r\nconnection: te\r\nte: trailers\r\n\r\n',
  ],
  [
    [[':method', 'POST'], ...GET.slice(1), ['content-length', '5'], ['cookie', 'a=1'], ['cookie', 'b=2']],
    false,
    'POST / HTTP/1.1\r\nhost: orders.mesh.internal\r\ncontent-length: 5\r\ncookie: a=1; b=2\r\n\r\n',
  ],
  [[[':method', 'POST'], ...GET.slice(1)], false, 'POST / HTTP/1.1\r\nhost: orders.mesh.internal\r\ntransfer-encoding: chunked\r\n\r\n'],
  [
    [[':method', 'POST'], ...GET.slice(1), ['content-length', '0']],
    true,
    'POST / HTTP/1.1\r\nhost: orders.mesh.internal\r\ncontent-length: 0\r\n\r\n',
  ],
  [
    [
      [':method', 'CONNECT'],
      [':authority', 'db:1'],
    ],
    false,
    'CONNECT db:1 HTTP/1.1\r\nhost: db:1\r\n\r\n',
  ],
  [
    [
      [':method', 'OPTIONS'],
      [':scheme', 'http'],
      [':authority', 'a'],
      [':path', '*'],
    ],
    true,
    'OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n',
  ],
  [
    [
      [':method', 'CONNECT'],
      [':protocol', 'websocket'],
      [':scheme', 'http'],
      [':authority', 'a'],
      [':path', '/chat'],
      ['origin', 'http://a'],
    ],
    false,
    'GET /chat HTTP/1.1\r\nhost: a\r\norigin: http://a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
  ],
];

test('an HTTP/2 request goes on over HTTP/1.1, and a parser reads there what was filled in', () => {
  const head = new Http2RequestHead();
  const filled = new RequestHead();
  for (const [fields, endStream, text] of TO_REQUESTS) {
    decode(fields, head);
    assert.equal(readRequestHead(head, true), undefined);
    toHttp1Request(head, endStream, filled);
    assert.equal(renderRequestHead(filled, { forwardUpgrade: true }), text);
    const parsed = http1Request(text);
    for (const key of [
      'method',
      'form',
      'authority',
      'path',
      'framing',
      'contentLength',
      'upgrade',
      'acceptsTrailers',
      'keepAlive',
    ] as const) {
      assert.equal(filled[key], parsed[key], `${key} of ${text}`);
    }
    assert.equal(filled.has('host'), true);
    assert.deepEqual(
      [...filled].filter(([name]) => name !== 'te'),
      [...parsed].filter(([name]) => !['te', 'connection', 'upgrade', 'transfer-encoding'].includes(name)),
    );
  }
});

test('expect: 100-continue is seen in requests with a body', () => {
  const head = new Http2RequestHead();
  const filled = new RequestHead();
  decode([...GET, ['expect', '100-continue']], head);
  assert.equal(readRequestHead(head, true), undefined);
  for (const endStream of [true, false]) {
    toHttp1Request(head, endStream, filled);
    assert.equal(filled.expectContinue, !endStream);
  }
});

/** Fields, END_STREAM, to HEAD, the head that an HTTP/1.1 client gets. */
const TO_RESPONSES: readonly [Fields, boolean, boolean, string][] = [
  [
    [
      [':status', '200'],
      ['a', '1'],
    ],
    false,
    false,
    'HTTP/1.1 200 OK\r\na: 1\r\ntransfer-encoding: chunked\r\n\r\n',
  ],
  [
    [
      [':status', '200'],
      ['content-length', '3'],
    ],
    false,
    false,
    'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n',
  ],
  [[[':status', '404']], true, false, 'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n'],
  [
    [
      [':status', '200'],
      ['content-length', '0'],
    ],
    true,
    false,
    'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
  ],
  [
    [
      [':status', '200'],
      ['content-length', '9'],
    ],
    true,
    true,
    'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n',
  ],
  [[[':status', '200']], true, true, 'HTTP/1.1 200 OK\r\n\r\n'],
  [[[':status', '204']], true, false, 'HTTP/1.1 204 No Content\r\n\r\n'],
  [
    [
      [':status', '304'],
      ['etag', '"x"'],
    ],
    true,
    false,
    'HTTP/1.1 304 Not Modified\r\netag: "x"\r\n\r\n',
  ],
  [
    [
      [':status', '103'],
      ['link', '</a>'],
    ],
    false,
    false,
    'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n',
  ],
  [[[':status', '599']], true, false, 'HTTP/1.1 599 \r\ncontent-length: 0\r\n\r\n'],
];

test('an HTTP/2 response goes on over HTTP/1.1', () => {
  const head = new Http2ResponseHead();
  const filled = new ResponseHead();
  for (const [fields, endStream, toHead, text] of TO_RESPONSES) {
    decode(fields, head);
    assert.equal(readResponseHead(head), undefined);
    toHttp1Response(head, endStream, toHead, filled);
    assert.equal(renderResponseHead(filled), text);
  }
});

test('trailers go on in both directions', () => {
  const trailers = new Http2Trailers();
  decode(
    [
      ['grpc-status', '0'],
      ['x-sum', 'a b'],
    ],
    trailers,
  );
  assert.equal(readTrailers(trailers), undefined);
  const filled = new Trailers();
  toHttp1Trailers(trailers, filled);
  assert.equal(renderTrailers(filled), 'grpc-status: 0\r\nx-sum: a b\r\n');
  const bench = clientBench();
  const stream = bench.connection.request(ownRequest('POST'), false)!;
  bench.sent();
  bench.connection.sendTrailers(stream, filled, { add: [http2Field('x-more', '1')] });
  assert.deepEqual(bench.sent(), ['headers 1 end [grpc-status 0, x-sum a b, x-more 1]']);
});

test('an HTTP/2 head goes on over HTTP/2 with what a route changes; what must not be indexed stays so', () => {
  const head = new Http2RequestHead();
  const bytes = Buffer.concat([
    block([...GET, ['x-drop', '1'], ['content-length', '3']]),
    // A never-indexed literal (RFC 7541 §6.2.3).
    Buffer.from([0x10, 3]),
    Buffer.from('key'),
    Buffer.from([1]),
    Buffer.from('v'),
  ]);
  assert.equal(new HpackDecoder().decode(bytes, 0, bytes.length, head.list), undefined);
  assert.equal(readRequestHead(head, false), undefined);
  const rendering = { authority: 'b', drop: new HeaderNames(['X-Drop']), add: [http2Field('via', '2 heddle')], contentLength: -1 };
  assert.equal(sentRequest(head, rendering), '[:method GET, :scheme http, :authority b, :path /, key v, via 2 heddle]');
  const bench = clientBench();
  bench.connection.request(head, true);
  const [frame] = framesOf(bench.connection.take());
  assert.equal(frame!.payload.includes(Buffer.from([0x10])), true);
});

test('crumbs of a cookie of which one must not be indexed make a cookie that must not be', () => {
  const head = new Http2RequestHead();
  const crumb = (first: number, value: string): Buffer => Buffer.from([first, 0x11, value.length, ...Buffer.from(value)]);
  // Index 32 of the static table is `cookie`: without indexing (0x0f, 32 - 15), never indexed (0x1f, 32 - 15).
  for (const [first, wanted] of [
    [0x0f, false],
    [0x1f, true],
  ] as const) {
    const bytes = Buffer.concat([block(GET), crumb(0x0f, 'a=1'), crumb(first, 'b=2')]);
    assert.equal(new HpackDecoder().decode(bytes, 0, bytes.length, head.list), undefined);
    assert.equal(readRequestHead(head, false), undefined);
    assert.deepEqual([head.field(0).value, head.field(0).neverIndexed], ['a=1; b=2', wanted]);
  }
});
