// node:http2 (nghttp2) as an independent party on real sockets, in both roles.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { Http2Client } from './client.ts';
import type { Http2ClientHandler } from './handler.ts';
import { Http2Trailers } from './head.ts';
import type { Http2Stream } from './stream.ts';
import { startEchoServer, type EchoServer } from './testing/echo.ts';
import { ownRequest } from './testing/heads.ts';
import type { Fields } from './testing/frames.ts';

const DEADLINE_MS = 10_000;

function within<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing happened within ${DEADLINE_MS} ms`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

interface Answer {
  status: number | undefined;
  interim: number[];
  headers: Record<string, unknown>;
  body: Buffer;
  trailers: Record<string, unknown>;
}

/** One request of node's client. */
function ask(session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body?: Buffer, trailers?: http2.OutgoingHttpHeaders) {
  return within(
    new Promise<Answer>((resolve, reject) => {
      const stream = session.request(headers, { endStream: body === undefined, waitForTrailers: trailers !== undefined });
      const answer: Answer = { status: undefined, interim: [], headers: {}, body: Buffer.alloc(0), trailers: {} };
      const pieces: Buffer[] = [];
      stream
        .on('headers', (interim) => void answer.interim.push(interim[':status'] as number))
        .on('response', (received) => {
          answer.headers = received;
          answer.status = received[':status'];
        })
        .on('data', (piece: Buffer) => void pieces.push(piece))
        .on('trailers', (received) => void (answer.trailers = received))
        .on('wantTrailers', () => stream.sendTrailers(trailers!))
        .on('error', reject)
        .on('close', () => resolve({ ...answer, body: Buffer.concat(pieces) }));
      if (body !== undefined) stream.end(body);
    }),
  );
}

let server: EchoServer;
let session: http2.ClientHttp2Session;

before(async () => {
  server = await startEchoServer();
  session = http2.connect(`http://127.0.0.1:${server.port}`);
  await within(once(session, 'connect'));
});

after(async () => {
  session.destroy();
  await server.close();
});

test("node's client: GET, HEAD, 204, 1xx, trailers", async () => {
  const get = await ask(session, { ':path': '/' });
  assert.deepEqual([get.status, get.body.length, get.headers['content-length']], [200, 45, '45']);
  const head = await ask(session, { ':path': '/', ':method': 'HEAD' });
  assert.deepEqual([head.status, head.body.length, head.headers['content-length']], [200, 0, '45']);
  assert.equal((await ask(session, { ':path': '/empty' })).status, 204);
  const early = await ask(session, { ':path': '/early' });
  assert.deepEqual([early.interim, early.status, early.body.length], [[103], 200, 45]);
  const withTrailers = await ask(session, { ':path': '/', te: 'trailers' });
  assert.equal(withTrailers.trailers['x-sum'], '45');
});

test("node's client: large bodies in both directions, with trailers", async () => {
  const large = await ask(session, { ':path': '/bytes/5000000' });
  assert.equal(large.body.length, 5_000_000);
  const body = Buffer.alloc(3_000_000, Buffer.from(Array.from({ length: 997 }, (_, at) => (at * 31) % 251)));
  const echoed = await ask(session, { ':path': '/', ':method': 'POST' }, body, { 'x-sum': 'abc' });
  assert.equal(echoed.body.equals(body), true);
  assert.equal(echoed.trailers['x-sum'], 'abc');
});

test("node's client: many streams at once", async () => {
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, index) =>
      ask(session, { ':path': '/', ':method': 'POST', 'x-index': index }, Buffer.alloc(index * 100, index)),
    ),
  );
  for (const [index, { status, body }] of answers.entries()) {
    assert.deepEqual([status, body.length, body.every((byte) => byte === index % 256)], [200, index * 100, true]);
  }
});

test("node's client: streams that are reset by either side", async () => {
  await assert.rejects(ask(session, { ':path': '/reset' }), { code: 'ERR_HTTP2_STREAM_ERROR' });
  // Nobody reads the answer, so it stands at the window when the client gives up.
  const stream = session.request({ ':path': '/bytes/5000000' });
  await within(once(stream, 'response'));
  stream.close(http2.constants.NGHTTP2_CANCEL);
  await within(once(stream, 'close'));
  assert.equal((await ask(session, { ':path': '/' })).status, 200);
  assert.deepEqual(server.connections[0]!.resets, [8]);
});

test("node's client: a PING is answered, and a server that drains lets the client finish", async () => {
  const own = await startEchoServer();
  const other = http2.connect(`http://127.0.0.1:${own.port}`);
  try {
    await within(once(other, 'connect'));
    await within(new Promise<void>((resolve, reject) => other.ping((error) => (error === null ? resolve() : reject(error)))));
    const stream = other.request({ ':path': '/', ':method': 'POST' }, { endStream: false });
    await within(once(stream, 'response'));
    const goaways: number[] = [];
    other.on('goaway', (_code: number, last: number) => void goaways.push(last));
    const { http2: connection } = own.connections[0]!;
    connection.drain();
    // Anything that is read makes the server write.
    stream.write('a');
    await within(once(other, 'goaway'));
    const closed = once(stream, 'close');
    stream.resume().end('b');
    await within(closed);
    assert.equal(connection.streamCount, 0);
    assert.deepEqual(goaways[0], 0x7fffffff);
  } finally {
    other.destroy();
    await own.close();
  }
});

/** Our client on a socket; what it was told, per stream. */
class Caller implements Http2ClientHandler {
  readonly http2: Http2Client = new Http2Client(this);
  readonly told = new Map<Http2Stream, { events: string[]; length: number; done: () => void }>();
  readonly other: string[] = [];
  private readonly socket: net.Socket;

  constructor(port: number) {
    this.socket = net
      .connect(port, '127.0.0.1')
      .on('data', (bytes: Buffer) => {
        this.http2.push(bytes, Date.now());
        this.flush();
      })
      .on('close', () => this.http2.end())
      .on('error', () => {});
    this.flush();
  }

  flush(): void {
    if (this.http2.pendingBytes > 0) this.socket.write(this.http2.take());
  }

  close(): void {
    this.socket.destroy();
  }

  /** Resolves with what was told about the stream, and how much content came. */
  call(
    method: string,
    path: string,
    fields: Fields = [],
    body?: Buffer,
    trailers?: Http2Trailers,
  ): Promise<{ events: string[]; length: number }> {
    return within(
      new Promise((resolve) => {
        const stream = this.http2.request(ownRequest(method, path, fields), body === undefined)!;
        const told = { events: [], length: 0, done: () => resolve({ events: told.events, length: told.length }) };
        this.told.set(stream, told);
        stream.context = { body, at: 0, trailers };
        this.onWindow(stream);
        this.flush();
      }),
    );
  }

  onWindow(stream: Http2Stream): void {
    const outgoing = stream.context as { body: Buffer | undefined; at: number; trailers: Http2Trailers | undefined };
    const { body, trailers } = outgoing;
    if (body === undefined) return;
    outgoing.at += this.http2.sendData(stream, body, outgoing.at, body.length, trailers === undefined);
    if (outgoing.at === body.length && trailers !== undefined) this.http2.sendTrailers(stream, trailers);
  }
  onInterim: Http2ClientHandler['onInterim'] = (stream, head) => this.tell(stream, `interim ${head.status}`, false);
  onHeaders: Http2ClientHandler['onHeaders'] = (stream, head, endStream) =>
    this.tell(stream, `response ${head.status} ${head.get('x-echo') ?? ''}`, endStream);
  onData: Http2ClientHandler['onData'] = (stream, _bytes, start, end, endStream) => {
    this.told.get(stream)!.length += end - start;
    this.http2.consumed(stream, end - start);
    this.tell(stream, '', endStream);
  };
  onTrailers: Http2ClientHandler['onTrailers'] = (stream, trailers) => this.tell(stream, `trailers ${[...trailers].join()}`, true);
  onReset: Http2ClientHandler['onReset'] = (stream, errorCode) => this.tell(stream, `reset ${errorCode}`, true);
  onGoaway: Http2ClientHandler['onGoaway'] = (last, code) => void this.other.push(`goaway ${last} ${code}`);
  onRefused: Http2ClientHandler['onRefused'] = () => {};
  onSettings: Http2ClientHandler['onSettings'] = () => {};
  onPingAck: Http2ClientHandler['onPingAck'] = (bytes, start) => void this.other.push(`pong ${bytes.toString('latin1', start, start + 8)}`);
  onLoadQuestion: Http2ClientHandler['onLoadQuestion'] = () => {};
  onLoadAnswer: Http2ClientHandler['onLoadAnswer'] = () => {};
  onError: Http2ClientHandler['onError'] = (error) => void this.other.push(error.code);

  private tell(stream: Http2Stream, event: string, isLast: boolean): void {
    const told = this.told.get(stream)!;
    if (event !== '') told.events.push(event);
    if (isLast) told.done();
  }
}

/** What node's server answers, by path. */
function nodeServer(): http2.Http2Server {
  return http2.createServer().on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    stream.on('error', () => {});
    const path = String(headers[':path']);
    if (path === '/early') stream.additionalHeaders({ ':status': 103, link: '</a>; rel=preload' });
    if (path === '/reset') return stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
    if (path === '/goaway') {
      stream.session!.goaway(http2.constants.NGHTTP2_NO_ERROR, stream.id! - 2);
      return undefined;
    }
    if (path === '/empty') return stream.respond({ ':status': 204 }, { endStream: true });
    let length = 0;
    let sum = '';
    stream.on('trailers', (trailers: http2.IncomingHttpHeaders) => (sum = String(trailers['x-sum'])));
    stream.on('data', (piece: Buffer) => (length += piece.length));
    stream.on('end', () => {
      stream.respond(
        { ':status': 200, 'x-echo': `${headers[':method']} ${headers.cookie ?? '-'} ${length}${sum}` },
        { waitForTrailers: true },
      );
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }));
      stream.end(headers[':method'] === 'HEAD' ? undefined : Buffer.alloc(Number(path.slice(1)) || 0));
    });
    return undefined;
  });
}

test("node's server: GET, POST with trailers, HEAD, 204, 1xx, large bodies, many streams, RST_STREAM, PING, GOAWAY", async () => {
  const node = nodeServer();
  await new Promise<void>((resolve) => node.listen(0, '127.0.0.1', resolve));
  const { port } = node.address() as AddressInfo;
  const caller = new Caller(port);
  try {
    assert.deepEqual(await caller.call('GET', '/10', [['cookie', 'a=1']]), told(['response 200 GET a=1 0', 'trailers x-end,yes'], 10));
    const body = Buffer.alloc(2_000_000, 'y');
    const posted = await caller.call('POST', '/3000000', [], body, new Http2Trailers().add('x-sum', 'abc'));
    assert.deepEqual(posted, told(['response 200 POST - 2000000abc', 'trailers x-end,yes'], 3_000_000));
    assert.deepEqual((await caller.call('HEAD', '/10')).length, 0);
    assert.deepEqual((await caller.call('GET', '/empty')).events, ['response 204 ']);
    assert.deepEqual((await caller.call('GET', '/early')).events, ['interim 103', 'response 200 GET - 0', 'trailers x-end,yes']);
    const many = await Promise.all(
      Array.from({ length: 90 }, (_, index) => caller.call('POST', `/${index}`, [], Buffer.alloc(index * 500))),
    );
    for (const [index, { events, length }] of many.entries()) {
      assert.deepEqual([events[0], length], [`response 200 POST - ${index * 500}`, index]);
    }
    assert.deepEqual((await caller.call('GET', '/reset')).events, ['reset 7']);
    caller.http2.ping(Buffer.from('12345678'));
    // GOAWAY below the stream that asked for it: it may be tried again.
    assert.deepEqual((await caller.call('GET', '/goaway')).events, ['reset 7']);
    assert.equal(caller.other[0], 'pong 12345678');
    assert.match(caller.other[1]!, /^goaway \d+ 0$/);
    assert.equal(caller.http2.capacity, 0);
  } finally {
    caller.close();
    await new Promise((resolve) => node.close(resolve));
  }
});

function told(events: string[], length: number): { events: string[]; length: number } {
  return { events, length };
}
