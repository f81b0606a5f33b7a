// What becomes of calls when the peer is not who it should be, is not there, falls silent, or leaves.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { GRPC_STATUS } from '@heddle/wire/grpc';
import type { GrpcError } from '../../ports/grpc-client.ts';
import { TestAuthority } from '../../testing/certificates.ts';
import { nodeGrpc } from './index.ts';
import { authority, CONTROL_ID, control, Heard, listen, onMessages, open, reply, SERVER_NAME, startPeer, until } from './testing/peer.ts';

const METHOD = '/shop.Orders/Get';
const REQUEST = Buffer.from('a secret token');
/** A SETTINGS frame without settings: what a server of HTTP/2 says first (RFC 9113 §3.4). */
const SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

async function unavailable(call: Promise<unknown>, why: RegExp): Promise<void> {
  await assert.rejects(call, (error: GrpcError) => {
    assert.equal(error.code, GRPC_STATUS.UNAVAILABLE, error.message);
    assert.match(error.details, why);
    return true;
  });
}

/** Ends TLS, and does with the bytes what the test says. */
async function bareTls(t: TestContext, take: (socket: tls.TLSSocket) => void, options: tls.TlsOptions = {}): Promise<number> {
  const server = tls.createServer({ cert: control.certificatePem, key: control.keyPem, ALPNProtocols: ['h2'], ...options }, (socket) => {
    socket.on('error', () => {});
    t.after(() => socket.destroy());
    take(socket);
  });
  server.on('tlsClientError', () => {});
  return listen(t, server);
}

test('nothing of a call goes to a server that is somebody else', async (t) => {
  let calls = 0;
  const day = 86_400_000;
  for (const [leaf, why] of [
    [authority.service('web'), /svc\/web, not spiffe:\/\/shop\.test\/ns\/heddle-system\/svc\/control/],
    [authority.leaf({ uris: ['spiffe://bank/ns/heddle-system/svc/control'] }), /spiffe:\/\/bank/],
    [authority.leaf({ uris: [], dns: [SERVER_NAME] }), /the peer's certificate/],
    [new TestAuthority('other').leaf({ uris: [CONTROL_ID] }), /not accepted/],
    [authority.leaf({ uris: [CONTROL_ID], notBeforeMs: Date.now() - day, notAfterMs: Date.now() - 1_000 }), /CERT_HAS_EXPIRED/],
    [authority.leaf({ uris: [CONTROL_ID], notBeforeMs: Date.now() + day, notAfterMs: Date.now() + 2 * day }), /CERT_NOT_YET_VALID/],
  ] as const) {
    const { port } = await startPeer(t, () => (calls += 1), leaf);
    const channel = open(t, port);
    const heard = new Heard();
    channel.bidi(METHOD, heard).write(REQUEST);
    await unavailable(channel.unary(METHOD, REQUEST), why);
    assert.equal((await heard.ended).error?.code, GRPC_STATUS.UNAVAILABLE);
    await unavailable(channel.unary(METHOD, REQUEST), why);
  }
  assert.equal(calls, 0);
});

test('older TLS, and a server that speaks no HTTP/2, are not talked to', async (t) => {
  const received: Buffer[] = [];
  const take = (socket: Socket): void => void socket.on('data', (bytes: Buffer) => received.push(bytes));
  await unavailable(open(t, await bareTls(t, take, { maxVersion: 'TLSv1.2' })).unary(METHOD, REQUEST), /protocol version/i);
  await unavailable(open(t, await bareTls(t, take, { ALPNProtocols: ['http/1.1'] })).unary(METHOD, REQUEST), /protocol/);
  await unavailable(open(t, await bareTls(t, take, { ALPNProtocols: undefined })).unary(METHOD, REQUEST), /no common protocol: offered h2/);
  assert.equal(received.length, 0);
});

test('what cannot be reached is told with the reason, at once or when the time for it has passed', async (t) => {
  const server = createServer();
  const port = await listen(t, server);
  const silent = await listen(
    t,
    createServer((socket) => t.after(() => socket.destroy())),
  );
  await new Promise((resolve) => server.close(resolve));
  await unavailable(open(t, port).unary(METHOD, REQUEST), /ECONNREFUSED/);
  await unavailable(open(t, silent, { connectTimeoutMs: 30 }).unary(METHOD, REQUEST), /no connection within 30 ms/);
  const late = open(t, silent).unary(METHOD, REQUEST, { timeoutMs: 20 });
  await assert.rejects(late, { code: GRPC_STATUS.DEADLINE_EXCEEDED, details: 'no answer within 20 ms (there is no connection yet)' });
});

test('an HTTP proxy in the environment has no part in it', async (t) => {
  for (const name of ['http_proxy', 'https_proxy', 'HTTPS_PROXY']) {
    process.env[name] = 'http://127.0.0.1:1';
    t.after(() => delete process.env[name]);
  }
  const { port } = await startPeer(t, (stream) => reply(stream, ['here']));
  assert.equal(String(await open(t, port).unary(METHOD, REQUEST)), 'here');
});

test('PEM that cannot be used is refused before anything is opened', () => {
  const base = { address: '127.0.0.1', port: 1, keepalive: { timeMs: 1, timeoutMs: 1 }, messageBytesMax: 1 };
  const identity = { ...control, keyPem: authority.service('web').keyPem };
  const tlsOptions = { rootsPem: authority.rootsPem, peerId: CONTROL_ID, serverName: SERVER_NAME, identity };
  assert.throws(() => nodeGrpc.open({ ...base, tls: tlsOptions }), { name: 'NetworkError', kind: 'tls' });
});

test('a peer that has died without a word is noticed by a PING, with a call or without; one that only has nothing to say stays', async (t) => {
  const QUICK = { timeMs: 20, timeoutMs: 60 };
  const frozen = await bareTls(t, (socket) => {
    socket.write(SETTINGS);
    socket.pause();
  });
  await unavailable(open(t, frozen, { keepalive: QUICK }).unary(METHOD, REQUEST), /fallen silent and does not answer a PING/);
  let ended = 0;
  const idle = await bareTls(t, (socket) => {
    socket.write(SETTINGS);
    socket.resume().on('close', () => (ended += 1));
  });
  open(t, idle, { keepalive: QUICK });
  await until('the end of the idle connection', () => ended === 1);

  let pings = 0;
  const { port, sessions } = await startPeer(t, (stream) => onMessages(stream, (bytes) => reply(stream, [bytes])));
  const channel = open(t, port, { keepalive: { ...QUICK, timeoutMs: 5_000 } });
  await until('the connection', () => sessions.length === 1);
  sessions[0]?.on('ping', () => (pings += 1));
  await until('signs of life', () => pings >= 3);
  assert.equal(String(await channel.unary(METHOD, REQUEST)), String(REQUEST));
  assert.equal(sessions.length, 1);
});

test('a peer that leaves takes no more calls and finishes those that it has', async (t) => {
  const { promise: finish, resolve: release } = Promise.withResolvers<void>();
  let calls = 0;
  const { port, sessions } = await startPeer(t, (stream) => {
    calls += 1;
    void finish.then(() => reply(stream, ['done']));
  });
  const channel = open(t, port);
  const accepted = channel.unary(METHOD, REQUEST);
  await until('the call', () => calls === 1);
  sessions[0]?.close();
  const refused = async (): Promise<boolean> =>
    channel.unary(METHOD, REQUEST, { timeoutMs: 50 }).then(
      () => false,
      (error: GrpcError) => error.code === GRPC_STATUS.UNAVAILABLE,
    );
  while (!(await refused()));
  release();
  assert.equal(String(await accepted), 'done');
});

test('calls end with the connection: by GOAWAY with an error, or cut off', async (t) => {
  for (const [how, why] of [
    ['goaway', /GOAWAY, ENHANCE_YOUR_CALM/],
    ['cut', /closed|ECONNRESET/],
    ['end', /closed|ended/],
  ] as const) {
    let arrived = 0;
    const { port, sessions, sockets } = await startPeer(t, () => (arrived += 1));
    const channel = open(t, port);
    const call = channel.unary(METHOD, REQUEST);
    const heard = new Heard();
    channel.bidi(METHOD, heard).write(REQUEST);
    await until('the calls', () => arrived === 2);
    if (how === 'goaway') sessions[0]?.goaway(11);
    else if (how === 'cut') sockets[0]?.destroy();
    else sockets[0]?.end();
    await unavailable(call, why);
    assert.equal((await heard.ended).error?.code, GRPC_STATUS.UNAVAILABLE);
    await unavailable(channel.unary(METHOD, REQUEST), why);
  }
});

test('streams that the peer did not get to before it left are refused, so that they can be made elsewhere', async (t) => {
  let arrived = 0;
  const { port, sessions } = await startPeer(t, () => (arrived += 1));
  const channel = open(t, port);
  const first = new Heard();
  channel.bidi(METHOD, first);
  await until('the first', () => arrived === 1);
  const second = new Heard();
  channel.bidi(METHOD, second);
  await until('the second', () => arrived === 2);
  // It says that it has looked at the first only.
  sessions[0]?.goaway(0, 1);
  assert.equal((await second.ended).error?.code, GRPC_STATUS.UNAVAILABLE);
  assert.equal(first.ends, 0);
});

test('a channel that is given up while it connects is gone, though nobody at the other end says a word', async (t) => {
  for (const how of ['close', 'drop'] as const) {
    const silent = createServer();
    const port = await listen(t, silent);
    const channel = open(t, port);
    const call = channel.unary(METHOD, REQUEST);
    const [socket] = (await once(silent, 'connection')) as [Socket];
    socket.on('error', () => {});
    const ended = new Promise((resolve) => socket.resume().once('end', resolve).once('close', resolve));
    channel[how]();
    await assert.rejects(call, { code: GRPC_STATUS.CANCELLED });
    await ended;
    socket.destroy();
  }
});
