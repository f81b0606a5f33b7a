// node:http as an independent party on real sockets: we parse what it emits, and it parses what we render.

import assert from 'node:assert/strict';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { CHUNK_END, chunkHeader, headerLines, lastChunk, renderRequest, renderResponse } from './encode.ts';
import { renderRequestHead } from './render.ts';
import { RequestParser } from './request-parser.ts';
import { latin1, runRequests, runResponses, type ResponseRecord, type RequestRecord } from './test-support.ts';

const DEADLINE_MS = 5_000;

async function listen(server: net.Server): Promise<number> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

function within<T>(promise: Promise<T>): Promise<T> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`nothing happened within ${DEADLINE_MS} ms`)), DEADLINE_MS).unref();
  });
  return Promise.race([promise, late]);
}

/** Everything that a connection of this port answers to `bytes` until it is closed. */
function exchange(port: number, bytes: Buffer): Promise<Buffer> {
  return within(
    new Promise((resolve, reject) => {
      const pieces: Buffer[] = [];
      const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes));
      socket
        .on('data', (piece: Buffer) => pieces.push(piece))
        .on('error', reject)
        .on('close', () => resolve(Buffer.concat(pieces)));
    }),
  );
}

test("parses what node's client sends", async () => {
  const received: Buffer[] = [];
  const server = net.createServer((socket) => {
    let text = '';
    socket.on('data', (piece: Buffer) => {
      received.push(piece);
      text += piece.toString('latin1');
      if (text.endsWith('0\r\nX-Sum: 1\r\n\r\n')) socket.end(renderResponse({ status: 200, body: 'done', close: true }));
    });
  });
  const port = await listen(server);
  try {
    const answer = within(
      new Promise<string>((resolve, reject) => {
        const request = http.request(
          {
            port,
            host: '127.0.0.1',
            method: 'POST',
            path: '/a?b=%20c',
            headers: { 'X-Name': 'caf\xe9', cookie: ['a=1', 'b=2'], trailer: 'X-Sum', te: 'trailers', connection: 'close, te' },
          },
          (response) => {
            let text = '';
            response
              .setEncoding('utf8')
              .on('data', (piece: string) => (text += piece))
              .on('end', () => resolve(`${response.statusCode} ${response.statusMessage} ${text}`));
          },
        );
        request.on('error', reject);
        request.write('hello ');
        request.addTrailers({ 'X-Sum': '1' });
        request.end('world');
      }),
    );
    assert.equal(await answer, '200 OK done');
    const { events, state } = runRequests([Buffer.concat(received)]);
    const head = events[0] as RequestRecord;
    assert.deepEqual(
      [head.method, head.path, head.authority, head.framing, head.keepAlive, head.acceptsTrailers],
      ['POST', '/a?b=%20c', `127.0.0.1:${port}`, 'chunked', false, true],
    );
    assert.deepEqual(
      head.headers.filter(([name]) => name === 'X-Name'),
      [['X-Name', 'caf\xe9']],
    );
    assert.deepEqual(events.slice(1), [
      { kind: 'body', text: 'hello world' },
      { kind: 'end', trailers: [['X-Sum', '1']] },
    ]);
    assert.equal(state, 'awaiting');
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test("parses what node's client sends with a known length, through HTTP_PROXY form and with an expectation", async () => {
  const received: Buffer[] = [];
  const server = net.createServer((socket) => {
    socket.on('data', (piece: Buffer) => {
      received.push(piece);
      const text = Buffer.concat(received).toString('latin1');
      if (text.endsWith('\r\n\r\n')) socket.write(renderResponse({ status: 100 }));
      else socket.end(renderResponse({ status: 200, close: true }));
    });
  });
  const port = await listen(server);
  try {
    const status = await within(
      new Promise((resolve, reject) => {
        const request = http.request(
          {
            port,
            host: '127.0.0.1',
            method: 'PUT',
            path: 'http://orders.mesh.internal/x',
            headers: { host: 'orders.mesh.internal', expect: '100-continue', 'content-length': 4 },
          },
          (response) => response.resume().on('end', () => resolve(response.statusCode)),
        );
        request.on('continue', () => request.end('data')).on('error', reject);
        request.flushHeaders();
      }),
    );
    assert.equal(status, 200);
    const { events } = runRequests([Buffer.concat(received)]);
    const head = events[0] as RequestRecord;
    assert.deepEqual(
      [head.form, head.authority, head.path, head.framing, head.contentLength, head.expectContinue],
      ['absolute', 'orders.mesh.internal', '/x', 'length', 4, true],
    );
    assert.deepEqual(events.slice(1), [
      { kind: 'body', text: 'data' },
      { kind: 'end', trailers: undefined },
    ]);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

interface Heard {
  method: string | undefined;
  url: string | undefined;
  headers: string[];
  body: string;
  trailers: string[];
}

/** A node:http server that notes what it heard and answers in a way that the path asks for. */
function nodeServer(heard: Heard[]): http.Server {
  return http.createServer((request, response) => {
    let text = '';
    request
      .setEncoding('latin1')
      .on('data', (piece: string) => (text += piece))
      .on('end', () => {
        heard.push({ method: request.method, url: request.url, headers: request.rawHeaders, body: text, trailers: request.rawTrailers });
        if (request.url === '/chunked') {
          response.writeHead(200, { Trailer: 'X-Sum' });
          response.write('one ');
          response.addTrailers({ 'X-Sum': '2' });
          response.end('two');
        } else if (request.url === '/hints') {
          response.writeEarlyHints({ link: '</a.css>; rel=preload' });
          response.writeHead(200, { 'content-length': 2 }).end('ok');
        } else if (request.url === '/none') {
          response.writeHead(204).end();
        } else {
          response.writeHead(201, 'Made it', { 'content-length': 5, 'set-cookie': ['a=1', 'b=2'] }).end('hello');
        }
      });
  });
}

test("node's server understands what we render, and we understand its answers", async () => {
  const heard: Heard[] = [];
  const server = nodeServer(heard);
  const port = await listen(server);
  try {
    const bytes = Buffer.concat([
      renderRequest({
        method: 'GET',
        target: '/plain?x=1',
        host: 'a',
        headers: [
          ['x-name', 'caf\xe9'],
          ['x-empty', ''],
        ],
      }),
      renderRequest({ method: 'POST', target: '/chunked', host: 'a', chunked: true }),
      latin1(chunkHeader(17)),
      latin1('x'.repeat(17)),
      latin1(CHUNK_END),
      latin1(lastChunk(headerLines([['X-In', 'y']]))),
      renderRequest({ method: 'PUT', target: '/hints', host: 'a', body: 'body' }),
      renderRequest({ method: 'GET', target: '/none', host: 'a' }),
      renderRequest({ method: 'HEAD', target: '/head', host: 'a', close: true }),
    ]);
    const answer = await exchange(port, bytes);
    assert.deepEqual(
      heard.map(({ method, url, body, trailers }) => [method, url, body, trailers]),
      [
        ['GET', '/plain?x=1', '', []],
        ['POST', '/chunked', 'x'.repeat(17), ['X-In', 'y']],
        ['PUT', '/hints', 'body', []],
        ['GET', '/none', '', []],
        ['HEAD', '/head', '', []],
      ],
    );
    assert.deepEqual(heard[0]?.headers, ['host', 'a', 'x-name', 'caf\xe9', 'x-empty', '']);
    const { events, state } = runResponses(['GET', 'POST', 'PUT', 'GET', 'HEAD'], [answer], { ended: true });
    assert.equal(state, 'complete');
    const heads = events.filter((event): event is ResponseRecord => event.kind === 'response' || event.kind === 'interim');
    assert.deepEqual(
      heads.map(({ kind, status, reason, framing }) => [kind, status, reason, framing]),
      [
        ['response', 201, 'Made it', 'length'],
        ['response', 200, 'OK', 'chunked'],
        ['interim', 103, 'Early Hints', 'none'],
        ['response', 200, 'OK', 'length'],
        ['response', 204, 'No Content', 'none'],
        ['response', 201, 'Made it', 'none'],
      ],
    );
    assert.equal(heads.at(-1)?.keepAlive, false);
    assert.deepEqual(
      events.filter((event) => event.kind === 'body').map((event) => event.text),
      ['hello', 'one two', 'ok'],
    );
    assert.deepEqual(
      events.filter((event) => event.kind === 'end').map((event) => event.trailers),
      [undefined, [['X-Sum', '2']], undefined, undefined, undefined],
    );
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test("node's server understands a request of node's client that we passed on", async () => {
  const heard: Heard[] = [];
  const origin = nodeServer(heard);
  const originPort = await listen(origin);
  const proxy = net.createServer((downstream) => {
    const upstream = net.connect(originPort, '127.0.0.1');
    const parser = new RequestParser({
      onHead: (head) => upstream.write(renderRequestHead(head, { connection: 'close', add: 'via: 1.1 test\r\n' }), 'latin1'),
      onBody: (bytes, start, end) => {
        upstream.write(chunkHeader(end - start));
        upstream.write(bytes.subarray(start, end));
        upstream.write(CHUNK_END);
      },
      onEnd: () => upstream.write(lastChunk()),
      onError: (error) => downstream.end(renderResponse({ status: error.httpStatus, body: error.message, close: true })),
    });
    downstream.on('data', (piece: Buffer) => parser.push(piece));
    upstream.pipe(downstream);
  });
  const port = await listen(proxy);
  try {
    const text = await within(
      new Promise<string>((resolve, reject) => {
        const request = http.request(
          {
            port,
            host: '127.0.0.1',
            method: 'POST',
            path: '/x',
            headers: { 'Keep-Alive': '5', Connection: 'close, X-Mine', 'X-Mine': '1', 'X-Else': '2' },
          },
          (response) => {
            let all = '';
            response
              .setEncoding('utf8')
              .on('data', (piece: string) => (all += piece))
              .on('end', () => resolve(all));
          },
        );
        request.on('error', reject);
        request.write('a');
        request.end('b');
      }),
    );
    assert.equal(text, 'hello');
    assert.equal(heard[0]?.body, 'ab');
    const names = heard[0].headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
    assert.deepEqual(names.sort(), ['connection', 'host', 'transfer-encoding', 'via', 'x-else']);
  } finally {
    await Promise.all([origin, proxy].map((server) => new Promise((resolve) => server.close(resolve))));
  }
});
