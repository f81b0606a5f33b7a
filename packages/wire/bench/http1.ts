// Prints what parsing and re-rendering a realistic request costs. Nothing is asserted: run it before and after a change.
//   node --conditions=heddle-source packages/wire/bench/http1.ts [rounds]

import {
  Output,
  RequestParser,
  ResponseParser,
  renderRequestHead,
  renderResponseHead,
  type RequestHandler,
  type ResponseHandler,
} from '../src/index.ts';

const REQUEST = Buffer.from(
  'GET /api/v2/orders/7f3a1c?include=items,customer&limit=50 HTTP/1.1\r\n' +
    'Host: orders.mesh.internal\r\n' +
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n' +
    'Accept: application/json, text/plain, */*\r\n' +
    'Accept-Encoding: gzip, deflate, br, zstd\r\n' +
    'Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n' +
    'Authorization: Bearer eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImF1ZCI6InNob3AifQ.c2lnbmF0dXJl\r\n' +
    'Connection: keep-alive\r\n' +
    'X-Request-Id: 0d6f2b1e-6a55-4d0f-9a5c-2f0f5a0c9b11\r\n' +
    'Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n' +
    'Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark\r\n' +
    '\r\n',
  'latin1',
);

const RESPONSE = Buffer.from(
  'HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 27\r\nDate: Tue, 04 Mar 2025 10:11:12 GMT\r\n' +
    'Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nETag: W/"1b-9mY"\r\n\r\n{"id":"7f3a1c","items":[1]}',
  'latin1',
);

const rounds = Number(process.argv[2] ?? 1_000_000);
const out = new Output();
let bytesOut = 0;
let parsed = 0;

const onRequest: RequestHandler = {
  onHead: () => {
    parsed++;
  },
  onBody: () => {},
  onEnd: () => {},
  onError: (error) => {
    throw error;
  },
};
const onResponse: ResponseHandler = {
  ...onRequest,
  onInterim: () => {},
  onHead: () => {
    parsed++;
  },
};
const requests = new RequestParser(onRequest);
const responses = new ResponseParser(onResponse);
const rendering = { add: 'x-forwarded-proto: http\r\nvia: 1.1 heddle\r\n' };

function report(name: string, run: () => void): void {
  for (let round = 0; round < 50_000; round++) run();
  const best: number[] = [];
  for (let repeat = 0; repeat < 5; repeat++) {
    const before = process.hrtime.bigint();
    for (let round = 0; round < rounds / 5; round++) run();
    best.push(Number(process.hrtime.bigint() - before) / (rounds / 5));
  }
  best.sort((a, b) => a - b);
  process.stdout.write(`${name.padEnd(44)} ${best[0]!.toFixed(0).padStart(6)} ns best, ${best[2]!.toFixed(0).padStart(6)} ns median\n`);
}

function parseRequest(): void {
  requests.push(REQUEST);
  requests.next();
}

function parseAndRenderRequest(): void {
  requests.push(REQUEST);
  out.latin1(renderRequestHead(requests.head, rendering));
  bytesOut += out.take().length;
  requests.next();
}

function parseAndRenderResponse(): void {
  responses.begin('GET');
  responses.push(RESPONSE);
  out.latin1(renderResponseHead(responses.head, rendering));
  bytesOut += out.take().length;
}

const half = REQUEST.length >> 1;
const firstHalf = REQUEST.subarray(0, half);
const secondHalf = REQUEST.subarray(half);
function parseInTwoPieces(): void {
  requests.push(firstHalf);
  requests.push(secondHalf);
  requests.next();
}

process.stdout.write(`request of ${REQUEST.length} bytes, 10 headers; node ${process.version}\n`);
report('parse request', parseRequest);
report('parse + re-render request', parseAndRenderRequest);
report('parse request in two pieces', parseInTwoPieces);
report('parse + re-render response', parseAndRenderResponse);
process.stdout.write(`(${parsed} messages, ${bytesOut} bytes out)\n`);
