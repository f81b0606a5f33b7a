// Prints what one request costs through a client and a server in memory: both heads encoded, framed, read and decoded, on both sides. Nothing is
// asserted: run it before and after a change.
//   node --conditions=heddle-source --expose-gc packages/wire/bench/http2.ts [rounds]

import {
  Http2Client,
  Http2RequestHead,
  Http2ResponseHead,
  Http2Server,
  http2Field,
  type Http2ClientHandler,
  type Http2ServerHandler,
  type Http2Stream,
} from '../src/http2/index.ts';
import { RequestParser } from '../src/http1/index.ts';

const rounds = Number(process.argv[2] ?? 500_000);
const BATCH = 16;
const BODY = Buffer.from('{"id":"7f3a1c","items":[1]}');
const MEGABYTE = Buffer.alloc(1_048_576, 'x');

const ignore = (): void => {};
let responses = 0;
let requestId = 0;

const response = new Http2ResponseHead();
response.status = 200;
response.add('content-type', 'application/json; charset=utf-8').add('content-length', String(BODY.length));
response.add('date', 'Tue, 04 Mar 2025 10:11:12 GMT').add('etag', 'W/"1b-9mY"').add('server', 'orders');

const shared = {
  onTrailers: ignore,
  onReset: ignore,
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

const onServer: Http2ServerHandler = {
  ...shared,
  onHeaders: (stream, _head, endStream) => {
    if (!endStream) return;
    server.respond(stream, response, false);
    server.sendData(stream, BODY, 0, BODY.length, true);
  },
  onData: (stream, _bytes, start, end, endStream) => {
    server.consumed(stream, end - start);
    if (endStream) server.respond(stream, response, true, NO_LENGTH);
  },
};
const NO_LENGTH = { contentLength: -1 };

const onClient: Http2ClientHandler = {
  ...shared,
  onInterim: ignore,
  onHeaders: (_stream, _head, endStream) => {
    if (endStream) responses++;
  },
  onData: (stream, _bytes, start, end, endStream) => {
    client.consumed(stream, end - start);
    if (endStream) responses++;
  },
};

let client = new Http2Client(onClient);
let server = new Http2Server(onServer);

function reconnect(huffman: boolean): void {
  client = new Http2Client(onClient, { huffman, outputSlabBytes: 65_536 });
  server = new Http2Server(onServer, { huffman, outputSlabBytes: 65_536 });
  exchange();
}

function exchange(): void {
  while (client.pendingBytes + server.pendingBytes > 0) {
    if (client.pendingBytes > 0) server.push(client.take(), 1_000);
    if (server.pendingBytes > 0) client.push(server.take(), 1_000);
  }
}

const FIELDS: readonly (readonly [string, string])[] = [
  ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'],
  ['accept', 'application/json, text/plain, */*'],
  ['accept-encoding', 'gzip, deflate, br, zstd'],
  ['accept-language', 'en-GB,en;q=0.7,de;q=0.3'],
  ['cookie', 'session=8f14e45fceea167a5a36dedd4bea2543; theme=dark'],
];

const request = new Http2RequestHead();
request.method = 'GET';
request.scheme = 'http';
request.authority = 'orders.mesh.internal';
request.path = '/api/v2/orders/7f3a1c?include=items,customer&limit=50';
for (const [name, value] of FIELDS) request.add(name, value);

const small = new Http2RequestHead();
small.method = 'GET';
small.scheme = 'http';
small.authority = 'orders.mesh.internal';
small.path = '/';

const parser = new RequestParser({ onHead: ignore, onBody: ignore, onEnd: ignore, onError: shared.onError });
parser.push(
  Buffer.from(
    `GET ${request.path} HTTP/1.1\r\nHost: ${request.authority}\r\n${FIELDS.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
  ),
);

/** `perRun`: requests of one run. `share`: of all rounds, for what takes longer. */
function report(name: string, perRun: number, run: () => void, share: number = 1): void {
  for (let round = 0; round < (30_000 * share) / perRun; round++) run();
  const repeats = 5;
  const runs = Math.max(1, Math.floor((rounds * share) / perRun / repeats));
  const nanoseconds: number[] = [];
  globalThis.gc?.();
  const heapBefore = process.memoryUsage().heapUsed;
  for (let repeat = 0; repeat < repeats; repeat++) {
    const before = process.hrtime.bigint();
    for (let at = 0; at < runs; at++) run();
    nanoseconds.push(Number(process.hrtime.bigint() - before) / (runs * perRun));
  }
  // A few requests without a collection in between tell what one allocates on the heap.
  globalThis.gc?.();
  const start = process.memoryUsage().heapUsed;
  for (let at = 0; at < 64 / perRun; at++) run();
  const allocated = (process.memoryUsage().heapUsed - start) / 64;
  globalThis.gc?.();
  const grown = process.memoryUsage().heapUsed - heapBefore;
  nanoseconds.sort((a, b) => a - b);
  process.stdout.write(
    `${name.padEnd(52)} ${(nanoseconds[0]! / 1_000).toFixed(2).padStart(6)} µs best, ${(nanoseconds[2]! / 1_000).toFixed(2).padStart(6)} µs median` +
      `${globalThis.gc === undefined ? '' : `, ${Math.round(allocated)} B heap each, ${Math.round(grown / 1_024)} kB kept`}\n`,
  );
}

function batch(send: () => void): () => void {
  return () => {
    for (let at = 0; at < BATCH; at++) send();
    exchange();
  };
}

process.stdout.write(`client and server in memory, both together; ${BATCH} requests a turn; node ${process.version}\n`);
reconnect(true);
report(
  'GET / with 27 bytes of answer',
  BATCH,
  batch(() => void client.request(small, true)),
);
report(
  'GET with 5 more fields, the same each time',
  BATCH,
  batch(() => void client.request(request, true)),
);
report(
  'the same out of an HTTP/1.1 head',
  BATCH,
  batch(() => void client.request(parser.head, true)),
);
const withId = (): void => {
  const id = http2Field('x-request-id', `0d6f2b1e-6a55-4d0f-9a5c-${(requestId++).toString(16).padStart(12, '0')}`);
  client.request(request, true, { add: [id] });
};
report('the same, and an x-request-id that differs', BATCH, batch(withId));
reconnect(false);
report('the same without Huffman coding', BATCH, batch(withId));
report('GET / alone in its turn', 1, () => {
  client.request(small, true);
  exchange();
});

let upload: { stream: Http2Stream; at: number } | undefined;
onClient.onWindow = (stream) => {
  if (upload?.stream !== stream) return;
  upload.at += client.sendData(stream, MEGABYTE, upload.at, MEGABYTE.length, true);
};
reconnect(true);
const post = new Http2RequestHead();
Object.assign(post, { method: 'POST', scheme: 'http', authority: 'a', path: '/' });
const postMegabyte = (): void => {
  const stream = client.request(post, false)!;
  upload = { stream, at: 0 };
  onClient.onWindow(stream);
  exchange();
};
report('POST of 1 MiB', 1, postMegabyte, 0.005);
process.stdout.write(`(${responses} responses)\n`);
