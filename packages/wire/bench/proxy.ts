// Prints what the codec costs a proxy per exchange: request in, request out, response in, response out, with the DATA of both. Only the proxy's
// own two connections are timed, not its peers. Nothing is asserted: run it before and after a change.
//   node --conditions=heddle-source --expose-gc packages/wire/bench/proxy.ts [exchanges] [part of a name]

import {
  BlockWriter,
  HeaderNames,
  HpackEncoder,
  Http2Client,
  Http2ResponseHead,
  Http2Server,
  Http2Trailers,
  RequestHead,
  ResponseParser,
  http2Field,
  renderRequestHead,
  toHttp1Request,
  type Http2RequestHead,
  type Http2Stream,
} from '../src/index.ts';
import { CLIENT_PREFACE, FLAG, FRAME, SETTING } from '../src/http2/frame.ts';

const exchanges = Number(process.argv[2] ?? 400_000);
const only = process.argv[3] ?? '';
const WINDOW_MAX = 0x7fffffff;

const KILOBYTE = Buffer.alloc(1_024, 'x');
const MESSAGE = Buffer.alloc(64, 'm');
const DROPPED = new HeaderNames(['x-internal-debug']);
const VIA = http2Field('via', '2 heddle');
const NOTHING = Buffer.alloc(0);

function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

type Fields = readonly (readonly [name: string, value: string])[];

interface Shape {
  readonly name: string;
  /** Fields that come again, and the path, which nghttp2 never puts into its table. */
  readonly fields: Fields;
  readonly path: (exchange: number) => string;
  readonly indexPath: boolean;
  /** Empty: none. */
  readonly body: Buffer;
  readonly answer: Http2ResponseHead;
  readonly answerBody: Buffer;
  readonly trailers: Http2Trailers | undefined;
  readonly withRequestId: boolean;
  /** Huffman coding in what the proxy sends. */
  readonly huffman: boolean;
  readonly batch: number;
}

const H2LOAD: Fields = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':authority', 'orders.mesh.internal:8080'],
  ['user-agent', 'h2load nghttp2/1.52.0'],
];
const BROWSER: Fields = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'orders.mesh.internal'],
  ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'],
  ['accept', 'application/json, text/plain, */*'],
  ['accept-encoding', 'gzip, deflate, br, zstd'],
  ['accept-language', 'en-GB,en;q=0.7,de;q=0.3'],
  ['cookie', 'session=8f14e45fceea167a5a36dedd4bea2543; theme=dark'],
];
const GRPC: Fields = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':authority', 'orders.mesh.internal:50051'],
  ['content-type', 'application/grpc'],
  ['user-agent', 'grpc-go/1.73.0'],
  ['te', 'trailers'],
];

function answer(...fields: Fields): Http2ResponseHead {
  const head = new Http2ResponseHead();
  head.status = 200;
  for (const [name, value] of fields) head.add(name, value);
  return head;
}

const JSON_ANSWER = answer(
  ['content-type', 'application/json; charset=utf-8'],
  ['content-length', '1024'],
  ['date', 'Tue, 04 Mar 2025 10:11:12 GMT'],
  ['server', 'orders'],
);
const HTTP1_ANSWER = Buffer.from(
  'HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 1024\r\n' +
    'Date: Tue, 04 Mar 2025 10:11:12 GMT\r\nServer: orders\r\nConnection: keep-alive\r\n\r\n',
);
const GRPC_ANSWER = answer(['content-type', 'application/grpc']);
const GRPC_STATUS = new Http2Trailers().add('grpc-status', '0').add('grpc-message', '');

const LOAD: Shape = {
  name: 'h2load GET, 1 kB',
  fields: H2LOAD,
  path: () => '/1k',
  indexPath: false,
  body: NOTHING,
  answer: JSON_ANSWER,
  answerBody: KILOBYTE,
  trailers: undefined,
  withRequestId: false,
  huffman: true,
  batch: 32,
};
const CALL: Shape = {
  ...LOAD,
  name: 'gRPC unary, 64 bytes each way',
  fields: GRPC,
  path: () => '/orders.Orders/Get',
  indexPath: true,
  body: MESSAGE,
  answer: GRPC_ANSWER,
  answerBody: MESSAGE,
  trailers: GRPC_STATUS,
};
const BROWSE: Shape = {
  ...LOAD,
  name: 'browser GET, paths differ, 1 kB',
  fields: BROWSER,
  path: (exchange) => `/api/v2/orders/${((exchange * 0x9e3779b1) >>> 0).toString(16)}?include=items`,
  withRequestId: true,
};
const SHAPES: readonly Shape[] = [
  LOAD,
  { ...LOAD, name: 'h2load GET, 1 kB, request ids', withRequestId: true },
  { ...LOAD, name: 'h2load GET, 1 kB, 64 a turn', batch: 64 },
  CALL,
  { ...CALL, name: 'gRPC unary, request ids', withRequestId: true },
  BROWSE,
  { ...BROWSE, name: 'the same without Huffman coding', huffman: false },
];

const ignore = (): void => {};
const shared = {
  onReset: () => {
    throw new Error('A stream was reset.');
  },
  onWindow: ignore,
  onRefused: ignore,
  onSettings: ignore,
  onGoaway: ignore,
  onPingAck: ignore,
  onLoadQuestion: ignore,
  onLoadAnswer: ignore,
  onError: (error: Error) => {
    throw error;
  },
};

/** Requests as nghttp2 or grpc-go write them. */
class Caller {
  private readonly encoder = new HpackEncoder({ indexing: 'always' });
  private readonly plain = new HpackEncoder({ indexing: 'never' });
  private readonly writer = new BlockWriter();
  private streamId = 1;
  private readonly shape: Shape;

  constructor(shape: Shape) {
    this.shape = shape;
  }

  greeting(): Buffer {
    const setting = Buffer.alloc(6);
    setting.writeUInt16BE(SETTING.initialWindowSize);
    setting.writeUInt32BE(WINDOW_MAX, 2);
    const increment = Buffer.alloc(4);
    increment.writeUInt32BE(WINDOW_MAX - 65_535);
    return Buffer.concat([
      CLIENT_PREFACE,
      frame(FRAME.settings, 0, 0, setting),
      frame(FRAME.windowUpdate, 0, 0, increment),
      frame(FRAME.settings, FLAG.ack, 0, NOTHING),
    ]);
  }

  requests(first: number): Buffer {
    const { shape, writer } = this;
    const parts: Buffer[] = [];
    for (let at = 0; at < shape.batch; at++) {
      writer.reset();
      this.encoder.begin(writer);
      for (const [name, value] of shape.fields) {
        this.encoder.field(name, value);
        if (name !== ':scheme') continue;
        if (shape.indexPath) this.encoder.field(':path', shape.path(first + at));
        else {
          this.plain.begin(writer);
          this.plain.field(':path', shape.path(first + at));
        }
      }
      const { body } = shape;
      parts.push(frame(FRAME.headers, FLAG.endHeaders | (body.length === 0 ? FLAG.endStream : 0), this.streamId, writer.copy()));
      if (body.length > 0) parts.push(frame(FRAME.data, FLAG.endStream, this.streamId, body));
      this.streamId += 2;
    }
    return Buffer.concat(parts);
  }
}

/** What a proxy keeps of an exchange. */
class Exchange {
  down: Http2Stream | undefined;
  up: Http2Stream | undefined;
  head: Http2RequestHead | undefined;
}

class Proxy {
  readonly server: Http2Server;
  readonly client: Http2Client;
  done = 0;
  private requestId = 0;
  private readonly add = [VIA, VIA];

  constructor(withRequestId: boolean, huffman: boolean) {
    const addFixed = [VIA, http2Field('x-forwarded-proto', 'http')];
    const fixed = { drop: DROPPED, add: addFixed };
    const own = { drop: DROPPED, add: this.add };
    const answers = { drop: DROPPED, add: [VIA] };
    this.server = new Http2Server(
      {
        ...shared,
        onHeaders: (stream, head, endStream) => {
          const exchange = new Exchange();
          exchange.down = stream;
          exchange.head = head.keep();
          stream.context = exchange;
          if (withRequestId) {
            this.add[1] = http2Field('x-request-id', `0d6f2b1e-6a55-4d0f-9a5c-${(++this.requestId).toString(16).padStart(12, '0')}`);
          }
          exchange.up = this.client.request(head, endStream, withRequestId ? own : fixed)!;
          exchange.up.context = exchange;
        },
        onData: (stream, bytes, start, end, endStream) => {
          this.client.sendData((stream.context as Exchange).up!, bytes, start, end, endStream);
          this.server.consumed(stream, end - start);
        },
        onTrailers: ignore,
      },
      { huffman },
    );
    this.client = new Http2Client(
      {
        ...shared,
        onInterim: ignore,
        onHeaders: (stream, head, endStream) => {
          const exchange = stream.context as Exchange;
          exchange.head!.release();
          this.server.respond(exchange.down!, head, endStream, answers);
        },
        onData: (stream, bytes, start, end, endStream) => {
          this.server.sendData((stream.context as Exchange).down!, bytes, start, end, endStream);
          this.client.consumed(stream, end - start);
          if (endStream) this.done++;
        },
        onTrailers: (stream, trailers) => {
          this.server.sendTrailers((stream.context as Exchange).down!, trailers);
          this.done++;
        },
      },
      { huffman },
    );
  }
}

class Answerer {
  readonly server: Http2Server;

  constructor(shape: Shape) {
    const respond = (stream: Http2Stream): void => {
      this.server.respond(stream, shape.answer, false);
      this.server.sendData(stream, shape.answerBody, 0, shape.answerBody.length, shape.trailers === undefined);
      if (shape.trailers !== undefined) this.server.sendTrailers(stream, shape.trailers);
    };
    this.server = new Http2Server({
      ...shared,
      onHeaders: (stream, _head, endStream) => {
        if (endStream) respond(stream);
      },
      onData: (stream, _bytes, start, end, endStream) => {
        this.server.consumed(stream, end - start);
        if (endStream) respond(stream);
      },
      onTrailers: ignore,
    });
  }
}

let nanoseconds = 0;
function timed(run: () => void): void {
  const before = process.hrtime.bigint();
  run();
  nanoseconds += Number(process.hrtime.bigint() - before);
}

function print(name: string, best: number, median: number, bytesEach: number): void {
  process.stdout.write(
    `${name.padEnd(44)} ${best.toFixed(2).padStart(6)} µs best, ${median.toFixed(2).padStart(6)} µs median, ${bytesEach.toFixed(0)} B heap each\n`,
  );
}

/** `run`: one batch of so many exchanges. */
function measure(name: string, batch: number, run: () => void): void {
  if (!name.includes(only)) return;
  for (let at = 0; at < 30_000 / batch; at++) run();
  const results: number[] = [];
  for (let repeat = 0; repeat < 5; repeat++) {
    nanoseconds = 0;
    const runs = Math.ceil(exchanges / 5 / batch);
    for (let at = 0; at < runs; at++) run();
    results.push(nanoseconds / (runs * batch) / 1_000);
  }
  results.sort((a, b) => a - b);
  print(name, results[0]!, results[2]!, heapEach(batch, run));
}

/** What the timed parts of a few batches allocate, when nothing is collected in between. */
let allocated = 0;
let countHeap = false;
function heapEach(batch: number, run: () => void): number {
  globalThis.gc?.();
  allocated = 0;
  countHeap = true;
  for (let at = 0; at < 4; at++) run();
  countHeap = false;
  return allocated / (4 * batch);
}

function proxied(run: () => void): void {
  const before = countHeap ? process.memoryUsage().heapUsed : 0;
  timed(run);
  if (countHeap) allocated += process.memoryUsage().heapUsed - before;
}

for (const shape of SHAPES) {
  const caller = new Caller(shape);
  const proxy = new Proxy(shape.withRequestId, shape.huffman);
  const answerer = new Answerer(shape);
  proxy.server.push(caller.greeting(), 1_000);
  proxy.server.take();
  let toAnswerer = proxy.client.take();
  let toProxy = NOTHING;
  let exchange = 0;
  const turn = (): void => {
    if (toAnswerer.length > 0) answerer.server.push(toAnswerer, 1_000);
    if (answerer.server.pendingBytes === 0) return;
    toProxy = answerer.server.take();
    proxied(() => {
      proxy.client.push(toProxy, 1_000);
      proxy.server.take();
    });
    toAnswerer = proxy.client.take();
  };
  turn();
  turn();
  measure(shape.name, shape.batch, () => {
    const bytes = caller.requests(exchange);
    exchange += shape.batch;
    proxied(() => {
      proxy.server.push(bytes, 1_000);
      toAnswerer = proxy.client.take();
    });
    turn();
    if (toAnswerer.length > 0) turn();
  });
  if (proxy.done !== exchange) throw new Error(`${exchange} requests, ${proxy.done} responses.`);
}

// Between HTTP/2 callers and an HTTP/1.1 server.
{
  const caller = new Caller(LOAD);
  const request = new RequestHead();
  const waiting: Http2Stream[] = [];
  let text = '';
  const server = new Http2Server({
    ...shared,
    onHeaders: (stream, head, endStream) => {
      toHttp1Request(head, endStream, request);
      text = renderRequestHead(request, { drop: DROPPED, add: 'via: 2 heddle\r\nx-forwarded-proto: http\r\n' });
      waiting.push(stream);
    },
    onData: ignore,
    onTrailers: ignore,
  });
  let current: Http2Stream | undefined;
  const parser = new ResponseParser({
    onInterim: ignore,
    onHead: (head) => server.respond(current!, head, false, { drop: DROPPED, add: [VIA] }),
    onBody: (bytes, start, end) => void server.sendData(current!, bytes, start, end, parser.bodyLeft === 0),
    onEnd: ignore,
    onError: shared.onError,
  });
  server.push(caller.greeting(), 1_000);
  server.take();
  let exchange = 0;
  const response = Buffer.concat([HTTP1_ANSWER, KILOBYTE]);
  measure('h2load GET, 1 kB, from HTTP/1.1', LOAD.batch, () => {
    const bytes = caller.requests(exchange);
    exchange += LOAD.batch;
    proxied(() => {
      server.push(bytes, 1_000);
      for (let at = 0; at < waiting.length; at++) {
        current = waiting[at];
        parser.begin('GET');
        parser.push(response);
      }
      waiting.length = 0;
      server.take();
    });
  });
  if (exchange > 0 && text === '') throw new Error('Nothing was sent.');
}
