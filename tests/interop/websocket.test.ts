// The `ws` package as client and as server, over HTTP/1.1 and over HTTP/2 (RFC 8441).
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type ClientHttp2Stream, connect as connect2, createServer as createServer2, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { Cleanup } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { type Pair, skipDirect, startPair } from './support/pair.ts';

const cleanup = new Cleanup();
const PATIENCE_MS = 5_000;
const BYTES = randomBytes(1_000_000);
let pair: Pair;
/** What happened at the servers. */
const closes: string[] = [];

/** Repeats messages; on `close` closes with a code of its own, on `drop` drops the connection, on `ping` pings. */
function serve(socket: WebSocket): void {
  socket.on('error', () => {});
  socket.on('close', (code, why) => closes.push(`${code} ${why.toString()}`));
  socket.on('pong', (data) => socket.send(`pong ${data.toString()}`));
  socket.on('message', (data: Buffer, binary) => {
    const text = binary ? '' : data.toString();
    if (text === 'close') socket.close(4321, 'as you wish');
    else if (text === 'drop') socket.terminate();
    else if (text === 'ping') socket.ping('to you');
    else socket.send(data, { binary });
  });
}

/** What `ws` does with a connection once it is upgraded. It has no public door for connections that it did not upgrade itself. */
function overStream(stream: Duplex, isServer: boolean): WebSocket {
  const socket = new (WebSocket as unknown as new (address: null, protocols: undefined, options: object) => WebSocket)(null, undefined, {
    autoPong: true,
    closeTimeout: PATIENCE_MS,
  });
  const inner = socket as unknown as { _isServer: boolean; setSocket(stream: Duplex, head: Buffer, options: object): void };
  inner._isServer = isServer;
  inner.setSocket(stream, Buffer.alloc(0), { allowSynchronousEvents: true, maxPayload: 0, skipUTF8Validation: false });
  return socket;
}

async function server1(): Promise<number> {
  const server = createServer((_request, response) => response.end('no socket'));
  const sockets = new WebSocketServer({
    server,
    perMessageDeflate: { threshold: 0 },
    handleProtocols: (offered) => (offered.has('chat') ? 'chat' : false),
    verifyClient: ({ req }: { req: IncomingMessage }) => req.url !== '/closed',
  });
  sockets.on('connection', (socket, request) => {
    socket.on('message', (data: Buffer) => {
      if (data.toString() === 'headers') socket.send(JSON.stringify({ url: request.url, ...request.headers }));
    });
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup.add(() => {
    for (const socket of sockets.clients) socket.terminate();
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

async function server2(): Promise<number> {
  const server = createServer2({ settings: { enableConnectProtocol: true } });
  const streams = new Set<ServerHttp2Stream>();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    streams.add(stream);
    stream.on('error', () => {}).on('close', () => streams.delete(stream));
    if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket') {
      stream.respond({ ':status': 400 }, { endStream: true });
      return;
    }
    const offered = headers['sec-websocket-protocol'];
    stream.respond({ ':status': 200, ...(offered === undefined ? {} : { 'sec-websocket-protocol': offered }) });
    serve(overStream(stream, true));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup.add(() => {
    server.close();
    for (const stream of streams) stream.session?.destroy();
  });
  return (server.address() as AddressInfo).port;
}

before(async () => {
  pair = await startPair(cleanup, {
    sockets: { protocol: 'http', ports: [await server1()] },
    sockets2: { protocol: 'http2', ports: [await server2()] },
  });
});
after(() => cleanup.run());

type Open = (service: string, options?: { readonly perMessageDeflate?: boolean }) => Promise<WebSocket>;

const overHttp1: Open = async (service, options = {}) => {
  const socket = new WebSocket(`ws://127.0.0.1:${pair.port(service)}/room?a=1`, ['chat'], { perMessageDeflate: false, ...options });
  cleanup.add(() => socket.terminate());
  await once(socket, 'open', { signal: AbortSignal.timeout(PATIENCE_MS) });
  return socket;
};

const overHttp2: Open = async (service) => {
  const session = connect2(`http://127.0.0.1:${pair.port(service)}`);
  cleanup.add(() => session.destroy());
  session.on('error', () => {});
  await once(session, 'remoteSettings', { signal: AbortSignal.timeout(PATIENCE_MS) });
  assert.equal(session.remoteSettings.enableConnectProtocol, true, 'extended CONNECT is offered');
  const stream: ClientHttp2Stream = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'http',
      ':path': '/room?a=1',
      'sec-websocket-version': '13',
      'sec-websocket-protocol': 'chat',
    },
    { endStream: false },
  );
  stream.on('error', () => {});
  const [headers] = (await once(stream, 'response', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Record<string, unknown>];
  assert.equal(headers[':status'], 200);
  return overStream(stream, false);
};

async function answer(socket: WebSocket, message: string | Buffer): Promise<{ readonly data: Buffer; readonly binary: boolean }> {
  const answered = once(socket, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) });
  socket.send(message);
  const [data, binary] = (await answered) as [Buffer, boolean];
  return { data, binary };
}

for (const { client, open } of [
  { client: 'HTTP/1.1', open: overHttp1 },
  { client: 'HTTP/2', open: overHttp2 },
]) {
  for (const { server, service } of [
    { server: 'HTTP/1.1', service: 'sockets' },
    { server: 'HTTP/2', service: 'sockets2' },
  ]) {
    describe(`WebSocket, client over ${client}, server over ${server}`, { skip: client !== server && skipDirect }, () => {
      test('text and binary messages, small and large', async () => {
        const socket = await open(service);
        for (const text of ['Grüße', '', 'x'.repeat(70_000)]) {
          const { data, binary } = await answer(socket, text);
          assert.equal(binary, false);
          assert.equal(data.toString(), text);
        }
        const { data, binary } = await answer(socket, BYTES);
        assert.equal(binary, true);
        assert.ok(data.equals(BYTES));
      });

      test('a message in fragments', async () => {
        const socket = await open(service);
        const answered = once(socket, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) });
        for (let at = 0; at < 10; at++) socket.send(BYTES.subarray(at * 100_000, (at + 1) * 100_000), { fin: at === 9 });
        assert.ok(((await answered)[0] as Buffer).equals(BYTES));
      });

      test('ping and pong, from either side', async () => {
        const socket = await open(service);
        const pong = once(socket, 'pong', { signal: AbortSignal.timeout(PATIENCE_MS) });
        socket.ping('to them');
        assert.equal(String((await pong)[0]), 'to them');
        assert.equal((await answer(socket, 'ping')).data.toString(), 'pong to you');
      });

      test('close codes and reasons, from either side', async () => {
        const first = await open(service);
        const closed = once(first, 'close', { signal: AbortSignal.timeout(PATIENCE_MS) });
        first.send('close');
        assert.deepEqual((await closed).map(String), ['4321', 'as you wish']);
        const second = await open(service);
        const code = 4000 + closes.length;
        second.close(code, `bye ${client}`);
        await waitFor('the server to know', () => closes.includes(`${code} bye ${client}`), PATIENCE_MS);
      });

      test('an end without a goodbye, from either side', async () => {
        const dropped = await open(service);
        const closed = once(dropped, 'close', { signal: AbortSignal.timeout(PATIENCE_MS) });
        dropped.send('drop');
        assert.equal((await closed)[0], 1006);
        const before = closes.length;
        (await open(service)).terminate();
        await waitFor('the server to know', () => closes.length > before && closes.at(-1) === '1006 ', PATIENCE_MS);
      });
    });
  }
}

describe('WebSocket over HTTP/1.1', () => {
  test('messages are compressed by client and server (RFC 7692)', async () => {
    const socket = await overHttp1('sockets', { perMessageDeflate: true });
    assert.match(socket.extensions, /permessage-deflate/);
    const text = 'again and again '.repeat(50_000);
    assert.equal((await answer(socket, text)).data.toString(), text);
  });

  test('sub-protocol, path and headers reach the server', async () => {
    const socket = await overHttp1('sockets');
    assert.equal(socket.protocol, 'chat');
    const seen = JSON.parse((await answer(socket, 'headers')).data.toString()) as Record<string, string>;
    assert.equal(seen['url'], '/room?a=1');
    assert.equal(seen['sec-websocket-protocol'], 'chat');
  });

  test('a server that refuses is heard', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${pair.port('sockets')}/closed`);
    socket.on('error', () => {});
    cleanup.add(() => socket.terminate());
    const refused = once(socket, 'unexpected-response', { signal: AbortSignal.timeout(PATIENCE_MS) });
    const [, response] = (await refused) as [unknown, IncomingMessage];
    assert.equal(response.statusCode, 401);
    response.destroy();
  });

  test('fifty sockets at once', async () => {
    const sockets = await Promise.all(Array.from({ length: 50 }, () => overHttp1('sockets')));
    const answers = await Promise.all(sockets.map((socket, index) => answer(socket, `${index} `.repeat(10_000))));
    answers.forEach(({ data }, index) => assert.equal(data.toString(), `${index} `.repeat(10_000)));
  });
});

test('WebSocket through a tunnel of the shared proxy, as browsers do it', { skip: skipDirect }, async () => {
  const tunnel = connect(pair.proxy.port, pair.proxy.host);
  cleanup.add(() => tunnel.destroy());
  const authority = pair.authority('sockets');
  const credential = Buffer.from(`${pair.credential}:`).toString('base64');
  tunnel.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nProxy-Authorization: Basic ${credential}\r\n\r\n`);
  const [head] = (await once(tunnel, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Buffer];
  assert.match(head.toString(), /^HTTP\/1\.1 200 /);
  const socket = new WebSocket(`ws://${authority}/`, { createConnection: () => tunnel });
  await once(socket, 'open', { signal: AbortSignal.timeout(PATIENCE_MS) });
  assert.ok((await answer(socket, BYTES)).data.equals(BYTES));
});
