// Requests that two parsers could read differently: each is refused, or passed on so that the application sees exactly one request. A canary
// hidden in each attempt proves that nothing else got through.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { NO_RETRY } from '@heddle/core';
import { connectFrames, data, FRAME, get, headers, post } from './testing/frames.ts';
import type { Fields } from './testing/frames.ts';
import { TestMesh } from './testing/mesh.ts';
import { HOPS, isQuiet, startWay } from './testing/paths.ts';
import type { Way } from './testing/paths.ts';
import { connectRaw, RawServer, until } from './testing/raw-http.ts';

const CANARY = 'GET /canary HTTP/1.1\r\nHost: orders\r\n\r\n';
/** What hides the canary behind `head`, which should be refused. */
const post1 = (lines: string, body = `0\r\n\r\n${CANARY}`): string => `POST / HTTP/1.1\r\nHost: orders\r\n${lines}\r\n${body}`;

/** HTTP/1.1: what must be refused with a status of 400 or above, without reaching the application. */
const REFUSED: Readonly<Record<string, string>> = {
  'CL.TE: a length and chunks': post1('Content-Length: 44\r\nTransfer-Encoding: chunked\r\n'),
  'TE.CL: chunks and a length': post1('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n'),
  'TE.TE: two codings, one of them wrong': post1('Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n'),
  'TE.TE: chunked twice': post1('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'),
  'chunked that is not the last coding': post1('Transfer-Encoding: chunked, identity\r\n'),
  'an unknown coding alone': post1('Transfer-Encoding: xchunked\r\n'),
  'a coding in front of chunked that nobody here knows': post1('Transfer-Encoding: gzip, chunked\r\n'),
  'a vertical tab before chunked': post1('Transfer-Encoding: \vchunked\r\n'),
  'a coding in quotes': post1('Transfer-Encoding: "chunked"\r\n'),
  'Transfer-Encoding in HTTP/1.0': 'POST / HTTP/1.0\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' + CANARY,
  'a space before the colon': post1('Transfer-Encoding : chunked\r\n'),
  'a tab before the colon of the length': post1('Content-Length\t: 5\r\n', CANARY),
  'a folded line (obs-fold)': post1('X-A: b\r\n Transfer-Encoding: chunked\r\n'),
  'a folded coding': post1('Transfer-Encoding:\r\n chunked\r\n'),
  'a line that begins with a space': `POST / HTTP/1.1\r\n Host: orders\r\nContent-Length: 0\r\n\r\n${CANARY}`,
  'two lengths that differ': post1('Content-Length: 0\r\nContent-Length: 38\r\n', CANARY),
  'a list of lengths that differ': post1('Content-Length: 0, 38\r\n', CANARY),
  'a length with a plus sign': post1('Content-Length: +38\r\n', CANARY),
  'a length with a minus sign': post1('Content-Length: -1\r\n', CANARY),
  'a length in hexadecimal': post1('Content-Length: 0x26\r\n', CANARY),
  'a length with a space within': post1('Content-Length: 3 8\r\n', CANARY),
  'a length with a dot': post1('Content-Length: 38.0\r\n', CANARY),
  'a length that overflows': post1('Content-Length: 99999999999999999999999999\r\n', CANARY),
  'a length that is empty': post1('Content-Length: \r\n', CANARY),
  'a length with other digits': post1('Content-Length: \xb2\r\n', CANARY),
  'a bare line feed after the request line': `GET / HTTP/1.1\nHost: orders\r\n\r\n${CANARY}`,
  'a bare line feed after a field': `GET / HTTP/1.1\r\nHost: orders\nX-A: b\r\n\r\n${CANARY}`,
  'bare line feeds at the end of the head': `GET / HTTP/1.1\r\nHost: orders\r\nX-A: b\n\n${CANARY}`,
  'a bare carriage return in a value': `GET / HTTP/1.1\r\nHost: orders\r\nX-A: b\rX-B: c\r\n\r\n${CANARY}`,
  'NUL in a value': `GET / HTTP/1.1\r\nHost: orders\r\nX-A: b\0c\r\n\r\n${CANARY}`,
  'NUL in a name': `GET / HTTP/1.1\r\nHost: orders\r\nX-\0A: b\r\n\r\n${CANARY}`,
  'NUL in the target': `GET /\0 HTTP/1.1\r\nHost: orders\r\n\r\n${CANARY}`,
  'a name in parentheses': `GET / HTTP/1.1\r\nHost: orders\r\n(x): b\r\n\r\n${CANARY}`,
  'an empty name': `GET / HTTP/1.1\r\nHost: orders\r\n: b\r\n\r\n${CANARY}`,
  'two hosts': `GET / HTTP/1.1\r\nHost: orders\r\nHost: other\r\n\r\n${CANARY}`,
  'a host with a path': `GET / HTTP/1.1\r\nHost: orders/x\r\n\r\n${CANARY}`,
  'a host with a user': `GET / HTTP/1.1\r\nHost: a@orders\r\n\r\n${CANARY}`,
  'no host': `GET / HTTP/1.1\r\n\r\n${CANARY}`,
  'two spaces in the request line': `GET  / HTTP/1.1\r\nHost: orders\r\n\r\n${CANARY}`,
  'a tab in the request line': `GET\t/ HTTP/1.1\r\nHost: orders\r\n\r\n${CANARY}`,
  'another version with the same letters': `GET / HTTP/1.10\r\nHost: orders\r\n\r\n${CANARY}`,
  'no version': `GET /\r\nHost: orders\r\n\r\n${CANARY}`,
  'a chunk size with a sign': post1('Transfer-Encoding: chunked\r\n', `+0\r\n\r\n${CANARY}`),
  'a chunk size with 0x': post1('Transfer-Encoding: chunked\r\n', `0x0\r\n\r\n${CANARY}`),
  'a chunk size that overflows': post1('Transfer-Encoding: chunked\r\n', `fffffffffffffffff\r\n${CANARY}`),
  'a chunk size behind a space': post1('Transfer-Encoding: chunked\r\n', ` 0\r\n\r\n${CANARY}`),
  'a chunk line that ends in a bare line feed': post1('Transfer-Encoding: chunked\r\n', `2\nab\r\n0\r\n\r\n${CANARY}`),
  'a bare line feed in a chunk extension': post1('Transfer-Encoding: chunked\r\n', `2;a\nb\r\nab\r\n0\r\n\r\n${CANARY}`),
  'a chunk that is longer than it says': post1('Transfer-Encoding: chunked\r\n', `1\r\nab\r\n0\r\n\r\n${CANARY}`),
  'a chunk without its line end': post1('Transfer-Encoding: chunked\r\n', `2\r\nab0\r\n\r\n${CANARY}`),
  'a framing field in the trailers': post1('Transfer-Encoding: chunked\r\n', `0\r\nContent-Length: 5\r\n\r\n${CANARY}`),
};

/** HTTP/1.1: what is clear enough to be passed on, as exactly one request. */
const PASSED: Readonly<Record<string, readonly [request: string, body: string]>> = {
  'a length said twice the same': [post1('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello'), 'hello'],
  'a length of many zeros': [post1('Content-Length: 0000000005\r\n', 'hello'), 'hello'],
  'chunked in capitals': [post1('Transfer-Encoding: CHUNKED\r\n', '5\r\nhello\r\n0\r\n\r\n'), 'hello'],
  'a chunk with an extension': [post1('Transfer-Encoding: chunked\r\n', '5;a=b\r\nhello\r\n0\r\n\r\n'), 'hello'],
  'a body that looks like a request': [post1(`Content-Length: ${CANARY.length}\r\n`, CANARY), CANARY],
  'empty lines in front': [`\r\n\r\n${post1('Content-Length: 5\r\n', 'hello')}`, 'hello'],
};

const target = (change: Readonly<Record<string, string>>): Fields => post().map(([name, value]) => [name, change[name] ?? value]);

/** HTTP/2: what ends its stream (RFC 9113 §8.1.1), with the DATA sent. */
const REFUSED2: Readonly<Record<string, readonly [fields: Fields, body: string]>> = {
  'a length shorter than the body': [post('/', [['content-length', '3']]), `abc${CANARY}`],
  'a length longer than the body': [post('/', [['content-length', '300']]), 'abc'],
  'two lengths': [
    post('/', [
      ['content-length', '3'],
      ['content-length', '3'],
    ]),
    'abc',
  ],
  'a length with a sign': [post('/', [['content-length', '+3']]), 'abc'],
  'Transfer-Encoding': [post('/', [['transfer-encoding', 'chunked']]), `0\r\n\r\n${CANARY}`],
  Connection: [post('/', [['connection', 'close']]), 'abc'],
  Upgrade: [post('/', [['upgrade', 'websocket']]), 'abc'],
  'te with more than trailers': [post('/', [['te', 'chunked']]), 'abc'],
  'a line break in a value': [post('/', [['x-a', `b\r\ntransfer-encoding: chunked\r\n\r\n${CANARY}`]]), 'abc'],
  'a line feed in a value': [post('/', [['x-a', 'b\nc']]), 'abc'],
  'NUL in a value': [post('/', [['x-a', 'b\0c']]), 'abc'],
  'a space at the end of a value': [post('/', [['x-a', 'b ']]), 'abc'],
  'a line break in a name': [post('/', [['x-a: b\r\nx-b', 'c']]), 'abc'],
  'a colon in a name': [post('/', [['x-a:b', 'c']]), 'abc'],
  'a name in capitals': [post('/', [['X-A', 'c']]), 'abc'],
  'a space in a name': [post('/', [['transfer-encoding ', 'chunked']]), 'abc'],
  'an empty name': [post('/', [['', 'c']]), 'abc'],
  'a path with a space': [target({ ':path': '/ HTTP/1.1' }), 'abc'],
  'a path with a line break': [target({ ':path': `/ HTTP/1.1\r\nHost: orders\r\n\r\n${CANARY}` }), 'abc'],
  'a path that is none': [target({ ':path': 'canary' }), 'abc'],
  'an empty path': [target({ ':path': '' }), 'abc'],
  'a method with a line break': [target({ ':method': 'POST / HTTP/1.1\r\nx: y' }), 'abc'],
  'a method with a space': [target({ ':method': 'POST /canary' }), 'abc'],
  'an empty method': [target({ ':method': '' }), 'abc'],
  'an authority with a user': [target({ ':authority': 'a@orders.mesh.internal' }), 'abc'],
  'an authority with a path': [target({ ':authority': 'orders.mesh.internal/canary' }), 'abc'],
  'an authority with a line break': [target({ ':authority': 'orders\r\nx: y' }), 'abc'],
  'a host that differs from the authority': [post('/', [['host', 'other.mesh.internal']]), 'abc'],
  'a scheme with a line break': [target({ ':scheme': 'http\r\nx: y' }), 'abc'],
  'two paths': [[...post(), [':path', '/canary']], 'abc'],
  'a path behind the fields': [[...post().filter(([name]) => name !== ':path'), ['x-a', 'b'], [':path', '/canary']], 'abc'],
  'an unknown pseudo-header': [[[':canary', '1'], ...post()], 'abc'],
  'a status in a request': [[[':status', '200'], ...post()], 'abc'],
  'no method': [post().filter(([name]) => name !== ':method'), 'abc'],
  'a protocol without CONNECT': [[[':protocol', 'websocket'], ...post()], 'abc'],
};

for (const hops of HOPS) {
  describe(`request smuggling, ${hops === 'pair' ? 'pair' : 'one data plane'}`, () => {
    const mesh = new TestMesh();
    let way: Way;
    let application: RawServer;
    const seen = (): string => application.peers.map(({ text }) => text).join('');

    before(async () => {
      application = await RawServer.listen();
      mesh.onClose(() => application.close());
      // Answers each read: what stands in it is compared by the tests.
      application.onPeer = (peer) =>
        peer.socket.on('data', () => {
          if (/\r\n\r\n/.test(peer.text)) peer.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok').socket.end();
        });
      way = await startWay(mesh, hops, 'http1', application.port, {
        limits: { lingerTimeoutMs: 200 },
        route: { timeoutMs: 2_000, retry: NO_RETRY },
      });
    });
    afterEach(async () => {
      const client = connectRaw(way.port);
      client.send('GET /next HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n');
      await client.expect(/^HTTP\/1\.1 200 [\s\S]*ok$/);
      client.socket.destroy();
      await until(() => isQuiet(way.planes), 'nothing in flight');
      assert.deepEqual(
        way.planes.flatMap(({ faults }) => faults),
        [],
      );
    });
    after(() => mesh.close());

    function requestsSeen(): string[] {
      return application.peers.flatMap(({ text }) => text.match(/^[A-Z]+ \S+ HTTP\/1\.1\r$/gm) ?? []).map((line) => line.slice(0, -10));
    }

    for (const [what, bytes] of Object.entries(REFUSED)) {
      test(`HTTP/1.1: ${what}`, async () => {
        application.peers.length = 0;
        const client = connectRaw(way.port);
        client.send(bytes);
        const text = await client.gone();
        client.socket.destroy();
        assert.match(text, /^HTTP\/1\.1 (4\d\d|5\d\d) /);
        assert.equal(text.match(/^HTTP\/1\.1 /gm)?.length, 1, text);
        assert.doesNotMatch(seen(), /canary/);
        // Chunks can break after the head has gone; then the application never gets the end.
        assert.doesNotMatch(seen(), /\r\n0\r\n\r\n/);
      });
    }

    for (const [what, [bytes, body]] of Object.entries(PASSED)) {
      test(`HTTP/1.1: ${what} is one request`, async () => {
        application.peers.length = 0;
        const client = connectRaw(way.port);
        client.send(bytes);
        await client.expect(/ 200 [\s\S]*ok/);
        client.socket.destroy();
        await until(() => seen().includes(body), 'the body');
        assert.equal(requestsSeen()[0], 'POST /');
        assert.deepEqual(framing(seen()), body);
      });
    }

    for (const [what, [fields, body]] of Object.entries(REFUSED2)) {
      test(`HTTP/2: ${what}`, async () => {
        application.peers.length = 0;
        const peer = connectFrames(way.port);
        peer.send(headers(1, fields, false), data(1, body, true));
        await until(() => peer.isOver(1) || peer.closed || peer.ended, 'the end of the stream');
        const reset = peer.of(FRAME.rstStream, 1)[0];
        const status = peer.of(FRAME.headers, 1)[0]?.fields[':status'];
        assert.ok(reset !== undefined || peer.closed || peer.ended || Number(status) >= 400, `answered ${status}`);
        peer.socket.destroy();
        await until(() => isQuiet(way.planes), 'nothing in flight');
        assert.doesNotMatch(seen(), /canary/);
        for (const { text } of application.peers) assert.ok(framing(text) === undefined, `a whole request got through: ${text}`);
      });
    }

    test('HTTP/2: a body that looks like a request is a body', async () => {
      application.peers.length = 0;
      const peer = connectFrames(way.port);
      peer.send(headers(1, post(), false), data(1, CANARY, true));
      await until(() => peer.isOver(1), 'the answer');
      peer.socket.destroy();
      await until(() => seen().includes(CANARY), 'the body');
      assert.equal(framing(seen()), CANARY);
    });

    test('HTTP/2: what is only odd goes through as one request', async () => {
      application.peers.length = 0;
      const peer = connectFrames(way.port);
      peer.send(headers(1, get('/a?b=c#d', [['x-a', 'b\tc \x80']])));
      await until(() => peer.isOver(1), 'the answer');
      peer.socket.destroy();
      const status = peer.of(FRAME.headers, 1)[0]?.fields[':status'];
      if (status === '200') assert.equal(requestsSeen().length, 1);
      else assert.equal(seen(), '');
    });
  });
}

/** The body of the one request that stands in `text`, read as RFC 9112 §6 says; undefined when it is not complete. Throws when more follows. */
function framing(text: string): string | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const head = text.slice(0, end).toLowerCase();
  let rest = text.slice(end + 4);
  const length = /\r\ncontent-length: (\d+)/.exec(head)?.[1];
  if (length !== undefined) {
    assert.ok(rest.length <= Number(length), `more than one request: ${text}`);
    return rest.length < Number(length) ? undefined : rest;
  }
  if (!head.includes('\r\ntransfer-encoding: chunked')) {
    assert.equal(rest, '', `more than one request: ${text}`);
    return '';
  }
  let body = '';
  for (;;) {
    const line = /^([0-9a-f]+)\r\n/.exec(rest);
    if (line === null) return undefined;
    const size = parseInt(line[1]!, 16);
    rest = rest.slice(line[0].length);
    if (size === 0) {
      if (!rest.startsWith('\r\n')) return undefined;
      assert.equal(rest, '\r\n', `more than one request: ${text}`);
      return body;
    }
    if (rest.length < size + 2) return undefined;
    body += rest.slice(0, size);
    rest = rest.slice(size + 2);
  }
}
