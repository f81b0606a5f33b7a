// Calls by HTTP/2 to the process that has the instance: what is sent there, and that whoever calls hears what a data plane of its own would say.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http2, { type ServerHttp2Stream } from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { nextTick } from 'node:process';
import { after, afterEach, describe, it } from 'node:test';
import type { DirectCall } from '@heddle/dataplane/direct';
import { AnswerListener, askDirect, beginDirect } from '../../../dataplane/src/testing/direct.ts';
import { GuestCalls } from './guest-calls.ts';

type Handler = (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void;

const LOOPBACK = '127.0.0.1';
const authority = 'orders.mesh.internal:8080';

/** The other process: a foreign implementation of HTTP/2. */
const owner = http2.createServer();
const sessions = new Set<http2.ServerHttp2Session>();
let connections = 0;
let handler: Handler = (stream) => stream.respond();
owner.on('session', (session) => {
  connections += 1;
  sessions.add(session.on('close', () => sessions.delete(session)));
});
owner.on('stream', (stream: ServerHttp2Stream, headers) => {
  stream.on('error', () => {});
  handler(stream, headers);
});
await new Promise<void>((resolve) => void owner.listen(0, LOOPBACK, resolve));
const { port } = owner.address() as AddressInfo;
const calls = new GuestCalls(() => net.connect(port, LOOPBACK));
after(() => {
  for (const session of sessions) session.destroy();
  owner.close();
});
afterEach(() => calls.close());

/** Its body follows. */
function beginOpen(headers: readonly string[] = []): { readonly call: DirectCall; readonly listener: AnswerListener } {
  const listener = new AnswerListener();
  return { call: calls.begin({ method: 'POST', authority, path: '/', headers }, false, listener, nextTick), listener };
}

describe('calls of a guest', { timeout: 30_000 }, () => {
  it('say what HTTP/2 may carry, and bring all of the answer', async () => {
    let seen: http2.IncomingHttpHeaders = {};
    let text = '';
    let trailers: http2.IncomingHttpHeaders = {};
    handler = (stream, headers) => {
      seen = headers;
      stream.additionalHeaders({ ':status': 103, link: '</a>' });
      stream.respond({ ':status': 201, 'set-cookie': ['a=1', 'b=2'] }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '42' }));
      stream.on('trailers', (received) => (trailers = received));
      stream.setEncoding('utf8').on('data', (part: string) => (text += part));
      stream.on('end', () => stream.end('done'));
    };
    const sent = ['X-One', '1', 'x-one', '2', 'x-one', '3', 'Connection', 'close', 'Host', 'other', 'te', 'gzip'];
    const { call, listener } = beginDirect(calls, { method: 'PUT', authority, path: '/a?b', headers: sent });
    // Complete with its head: nothing can be added to it.
    assert.equal(call.write(Buffer.from('late'), true), true);
    await listener.answer;
    assert.deepEqual([seen[':method'], seen[':authority'], seen[':path'], text], ['PUT', authority, '/a?b', '']);
    assert.deepEqual([seen['x-one'], seen['connection'], seen['host'], seen['te']], ['1, 2, 3', undefined, undefined, undefined]);

    const { call: second, listener: heard } = beginOpen(['te', 'trailers']);
    second.write(Buffer.from('body'), false);
    second.end(['X-Checked', 'yes']);
    second.end(['x-checked', 'no']);
    assert.equal(second.write(Buffer.from('late'), true), true);
    const answer = await heard.answer;
    assert.deepEqual([answer.status, answer.text, answer.trailers], [201, 'done', ['x-sum', '42']]);
    assert.equal(answer.headers['set-cookie'], 'b=2');
    assert.deepEqual(heard.interims, [103]);
    assert.deepEqual([seen['te'], text, trailers['x-checked']], ['trailers', 'body', 'yes']);
  });

  it('carry bodies of any size in both directions, and stop whoever is too quick', async () => {
    handler = (stream) => {
      stream.respond();
      stream.pipe(stream);
    };
    const body = randomBytes(6_000_000);
    const { call, listener } = beginOpen();
    let sent = 0;
    let stops = 0;
    const send = (): void => {
      while (sent < body.length) {
        const end = Math.min(body.length, sent + 100_000);
        const hasRoom = call.write(body.subarray(sent, end), end === body.length);
        sent = end;
        if (hasRoom) continue;
        stops += 1;
        return;
      }
    };
    listener.onDrained = send;
    listener.onBytes = () => {
      call.pause();
      setImmediate(() => call.resume());
    };
    send();
    assert.ok((await listener.answer).body.equals(body));
    assert.ok(stops > 1);
  });

  it('bring no more of an answer than is taken', async () => {
    handler = (stream) => {
      stream.respond();
      stream.end(Buffer.alloc(4_000_000));
    };
    const { call, listener } = beginDirect(calls, { authority });
    listener.onBytes = () => call.pause();
    while (listener.bodyBytes === 0) await new Promise(setImmediate);
    for (let turns = 0; turns < 200; turns++) await new Promise(setImmediate);
    assert.ok(listener.bodyBytes < 500_000, `${listener.bodyBytes} bytes came`);
    listener.onBytes = () => {};
    call.resume();
    assert.equal((await listener.answer).body.length, 4_000_000);
  });

  it('are answered as by a data plane when that process cannot be reached, or breaks off before the head', async () => {
    const nobody = new GuestCalls(() => net.connect(1, LOOPBACK));
    handler = (stream) => stream.session?.destroy();
    for (const by of [nobody, calls]) {
      const { status, headers, text } = await askDirect(by, { authority });
      assert.deepEqual([status, headers['x-heddle-error']], [503, 'CONNECT_FAILED']);
      assert.match(text, /^the process that has the instance broke the call off/);
    }
  });

  it('end with an error when the answer breaks off after its head', async () => {
    for (const broken of [
      (stream: ServerHttp2Stream) => stream.destroy(new Error('broken')),
      (stream: ServerHttp2Stream) => stream.session?.destroy(),
    ]) {
      handler = (stream) => {
        stream.respond();
        stream.write('begun', () => broken(stream));
      };
      await assert.rejects(askDirect(calls, { authority }), { name: 'DirectCallError', code: 'UPSTREAM_RESET' });
    }
  });

  it('are heard of no more once they are cancelled, and the other side sees it', async () => {
    const arrived = Promise.withResolvers<ServerHttp2Stream>();
    handler = (stream) => {
      stream.respond();
      stream.write('begun', () => arrived.resolve(stream));
    };
    const { call, listener } = beginOpen();
    let isOver = false;
    const over = (): void => void (isOver = true);
    listener.answer.then(over, over);
    const stream = await arrived.promise;
    call.cancel();
    await once(stream, 'close');
    assert.equal(stream.rstCode, http2.constants.NGHTTP2_CANCEL);
    const { bodyBytes } = listener;
    call.write(Buffer.from('late'), true);
    call.cancel();
    await new Promise(setImmediate);
    assert.deepEqual([isOver, listener.bodyBytes], [false, bodyBytes]);
  });

  it('share a connection, until that is to be used no more; those under way come to their end', async () => {
    const held: ServerHttp2Stream[] = [];
    handler = (stream, headers) => {
      if (headers[':path'] === '/held') held.push(stream);
      else stream.respond({ ':status': 204 }, { endStream: true });
    };
    const before = connections;
    const first = askDirect(calls, { authority, path: '/held' });
    await Promise.all([1, 2, 3].map(() => askDirect(calls, { authority })));
    assert.equal(connections, before + 1);
    const session = [...sessions].at(-1);
    session!.goaway();
    // Its notice comes before the answer to what is asked then.
    await new Promise<void>((resolve) => session!.ping(() => resolve()));
    assert.equal((await askDirect(calls, { authority })).status, 204);
    assert.equal(connections, before + 2);
    held[0]!.respond();
    held[0]!.end('at last');
    assert.equal((await first).text, 'at last');
  });
});
