// Calls over a real connection with a server of HTTP/2 that does as it is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { GRPC_STATUS, grpcPrefix } from '@heddle/wire/grpc';
import { GrpcError } from '../../ports/grpc-client.ts';
import { authority, Heard, message, onMessages, open, reply, SERVER_NAME, startPeer, until } from './testing/peer.ts';

const METHOD = '/shop.Orders/Get';

async function failure(call: Promise<unknown>): Promise<GrpcError> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof GrpcError, String(error));
  return error;
}

test('a call says what it asks for, with the certificate and the headers that it was given', async (t) => {
  let heard: IncomingHttpHeaders = {};
  let shown = '';
  let name: unknown;
  const { port } = await startPeer(t, (stream, headers) => {
    heard = headers;
    const socket = stream.session?.socket as unknown as TLSSocket;
    shown = socket.getPeerCertificate().subjectaltname ?? '';
    name = socket.servername;
    onMessages(stream, (bytes) => reply(stream, [`${bytes.toString()}!`]));
  });
  const identity = authority.service('web');
  const { rootsPem } = authority;
  const channel = open(t, port, {
    tls: { rootsPem, identity, peerId: 'spiffe://shop.test/ns/heddle-system/svc/control', serverName: SERVER_NAME },
  });
  const answer = await channel.unary(METHOD, Buffer.from('tea'), {
    timeoutMs: 60_000,
    headers: { authorization: 'Bearer x', many: ['a', 'b'] },
  });
  assert.equal(answer.toString(), 'tea!');
  const { ':path': path, ':method': method, ':authority': place, te, authorization, many } = heard;
  assert.deepEqual([path, method, place, te, authorization, many], [METHOD, 'POST', SERVER_NAME, 'trailers', 'Bearer x', 'a, b']);
  assert.match(String(heard['grpc-timeout']), /^\d+m$/);
  assert.equal(heard['content-type'], 'application/grpc');
  assert.equal(shown, 'URI:spiffe://shop.test/ns/default/svc/web');
  assert.equal(name, SERVER_NAME);
});

test('a status and its text come from trailers, also where these are the whole answer', async (t) => {
  const { port } = await startPeer(t, (stream, headers) => {
    const trailers = { 'grpc-status': '5', 'grpc-message': 'kein Tee %E2%98%95', 'x-why': 'sold out' };
    if (headers['alone'] === 'yes')
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...trailers }, { endStream: true });
    else reply(stream, [], trailers);
  });
  const channel = open(t, port);
  for (const alone of ['yes', 'no']) {
    const { code, details } = await failure(channel.unary(METHOD, Buffer.alloc(0), { headers: { alone } }));
    assert.deepEqual([code, details], [GRPC_STATUS.NOT_FOUND, 'kein Tee ☕'], alone);
    const heard = new Heard();
    channel.bidi(METHOD, heard, { alone });
    const { error, trailers } = await heard.ended;
    assert.deepEqual([error?.code, trailers['x-why']], [GRPC_STATUS.NOT_FOUND, 'sold out']);
    assert.equal(heard.headers === undefined, alone === 'yes');
  }
});

test('answers that are no answers to such a call are refused', async (t) => {
  const answers: Record<string, (stream: ServerHttp2Stream) => void> = {
    '/two': (stream) => reply(stream, ['a', 'b']),
    '/none': (stream) => reply(stream, []),
    '/large': (stream) => reply(stream, [Buffer.alloc(2_000_000)]),
    '/announced': (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      stream.write(grpcPrefix(0xffff_fff0));
    },
    '/packed': (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-encoding': 'gzip' });
      stream.write(Buffer.concat([grpcPrefix(2, true), Buffer.from('zz')]));
    },
    '/cut': (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(message('half').subarray(0, 7));
    },
    '/web': (stream) => {
      stream.respond({ ':status': 503, 'content-type': 'text/html' });
      stream.end('<h1>later</h1>');
    },
    '/silent': (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      stream.end(message('x'));
    },
    '/refused': (stream) => stream.close(7),
    '/calm': (stream) => stream.close(11),
  };
  const { port } = await startPeer(t, (stream, headers) => answers[String(headers[':path'])]?.(stream));
  const channel = open(t, port);
  for (const [path, code] of [
    ['/two', GRPC_STATUS.INTERNAL],
    ['/none', GRPC_STATUS.INTERNAL],
    ['/large', GRPC_STATUS.RESOURCE_EXHAUSTED],
    ['/announced', GRPC_STATUS.RESOURCE_EXHAUSTED],
    ['/packed', GRPC_STATUS.UNIMPLEMENTED],
    ['/cut', GRPC_STATUS.INTERNAL],
    ['/web', GRPC_STATUS.UNAVAILABLE],
    ['/silent', GRPC_STATUS.UNKNOWN],
    ['/refused', GRPC_STATUS.UNAVAILABLE],
    ['/calm', GRPC_STATUS.RESOURCE_EXHAUSTED],
  ] as const)
    assert.equal((await failure(channel.unary(path, Buffer.from('q')))).code, code, path);
});

test('a call that is late or given up ends here and there, and the connection goes on', async (t) => {
  const resets: number[] = [];
  let arrived = 0;
  const { port, sessions } = await startPeer(t, (stream, headers) => {
    if (headers[':path'] === '/well') return reply(stream, ['fine']);
    arrived += 1;
    stream.on('close', () => resets.push(stream.rstCode));
  });
  const channel = open(t, port);
  const late = await failure(channel.unary(METHOD, Buffer.from('q'), { timeoutMs: 20 }));
  assert.deepEqual([late.code, late.details.startsWith('no answer within 20 ms')], [GRPC_STATUS.DEADLINE_EXCEEDED, true]);
  const abort = new AbortController();
  const given = failure(channel.unary(METHOD, Buffer.from('q'), { signal: abort.signal }));
  const heard = new Heard();
  const stream = channel.bidi(METHOD, heard);
  stream.write(Buffer.from('q'));
  await until('the calls', () => arrived >= 2);
  abort.abort();
  assert.equal((await given).code, GRPC_STATUS.CANCELLED);
  stream.cancel();
  await until('the peer to know', () => resets.length === arrived);
  assert.deepEqual(new Set(resets), new Set([8]));
  assert.equal((await failure(channel.unary(METHOD, Buffer.from('q'), { signal: abort.signal }))).code, GRPC_STATUS.CANCELLED);
  assert.equal((await channel.unary('/well', Buffer.from('q'))).toString(), 'fine');
  assert.equal(heard.ends, 0, 'who gives a call up hears nothing more');
  assert.equal(sessions.length, 1);
});

test('a stream carries messages both ways until each side has ended', async (t) => {
  const { port } = await startPeer(t, (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'x-hello': 'yes' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-bye': 'yes' }));
    onMessages(stream, (bytes) => stream.write(message(bytes)));
    // Its answers may come when our direction has ended.
    stream.on('end', () => stream.end(message('last')));
  });
  const channel = open(t, port);
  const heard = new Heard();
  const stream = channel.bidi(METHOD, heard);
  for (const text of ['a', '', 'c']) stream.write(Buffer.from(text));
  stream.end();
  assert.equal(stream.write(Buffer.from('too late')), false);
  const { error, trailers } = await heard.ended;
  assert.equal(error, undefined);
  assert.deepEqual(heard.messages.map(String), ['a', '', 'c', 'last']);
  assert.deepEqual([heard.headers?.['x-hello'], trailers['x-bye'], heard.ends], ['yes', 'yes', 1]);
});

test('a peer that ends a stream while ours is open is heard to the end', async (t) => {
  const { port } = await startPeer(t, (stream) => reply(stream, ['all that there is'], { 'grpc-status': '10', 'grpc-message': 'taken' }));
  const heard = new Heard();
  const stream = open(t, port).bidi(METHOD, heard);
  stream.write(Buffer.from('q'));
  const { error } = await heard.ended;
  assert.deepEqual([error?.code, error?.details], [GRPC_STATUS.ABORTED, 'taken']);
  assert.deepEqual(heard.messages.map(String), ['all that there is']);
  assert.equal(stream.write(Buffer.from('more')), false);
});

test('large messages go both ways, and a peer that does not read makes the writer wait and then fail', async (t) => {
  const size = 20_000_000;
  let held: ServerHttp2Stream | undefined;
  const { port } = await startPeer(t, (stream, headers) => {
    if (headers[':path'] === '/held') held = stream;
    else onMessages(stream, (bytes) => reply(stream, [bytes]));
  });
  const channel = open(t, port, { messageBytesMax: size });
  const sent = Buffer.alloc(size, 'heddle');
  assert.ok((await channel.unary(METHOD, sent)).equals(sent));

  const narrow = open(t, port, { messageBytesMax: 300_000 });
  const heard = new Heard();
  const stream = narrow.bidi('/held', heard);
  const part = Buffer.alloc(100_000);
  assert.equal(stream.write(part), false, 'before there is a connection, too');
  assert.ok(stream.isBlocked);
  await until('the call', () => held !== undefined);
  stream.write(part);
  stream.write(part);
  await until('what the peer takes in', () => (held?.readableLength ?? 0) > 0);
  assert.ok(stream.isBlocked);
  assert.equal(heard.drained, 0);
  held?.resume();
  await until('room', () => heard.drained === 1);
  assert.equal(stream.isBlocked, false);
  held?.pause();
  const failed = heard.ended;
  while (heard.ends === 0) {
    stream.write(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal((await failed).error?.code, GRPC_STATUS.RESOURCE_EXHAUSTED);
});

test('a channel that is closed says goodbye; one that is dropped is just gone', async (t) => {
  const goodbyes: number[] = [];
  let arrived = 0;
  const { port, sessions } = await startPeer(t, (stream) => {
    arrived += 1;
    stream.resume();
  });
  for (const how of ['close', 'drop'] as const) {
    const channel = open(t, port);
    const call = failure(channel.unary(METHOD, Buffer.from('q')));
    const heard = new Heard();
    channel.bidi(METHOD, heard);
    await until('both calls', () => arrived === 2);
    arrived = 0;
    const session = sessions.at(-1)!;
    session.on('goaway', (code) => goodbyes.push(code));
    const gone = new Promise<void>((resolve) => void session.once('close', resolve));
    channel[how]();
    assert.equal((await call).code, GRPC_STATUS.CANCELLED);
    assert.equal((await heard.ended).error?.code, GRPC_STATUS.CANCELLED);
    await gone;
    assert.equal((await failure(channel.unary(METHOD, Buffer.from('q')))).code, GRPC_STATUS.CANCELLED);
  }
  assert.deepEqual(goodbyes, [0]);
});
