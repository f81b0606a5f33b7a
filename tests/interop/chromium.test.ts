// Chromium, headless: a page that it gets through the data planes calls back by fetch, server-sent events and WebSocket, and reports.
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { WebSocketServer } from 'ws';
import { Cleanup, temporaryDirectory } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { type Pair, skipDirect, startPair } from './support/pair.ts';
import { skipWithout, start } from './support/programs.ts';
import { BIG } from './support/web.ts';

const cleanup = new Cleanup();
const skip = skipWithout('chromium');
const PAGE_TIMEOUT_MS = 40_000;
let pair: Pair;
/** What pages found, by the name in their URL. */
const reports = new Map<string, unknown>();

/** Runs in the browser. Steps that need the one before are only taken when it has come back, so that nothing can be held back on the way. */
const SCRIPT = `
const size = async (response) => (await response.arrayBuffer()).byteLength;

async function get() {
  const response = await fetch('/big');
  return [response.status, (await response.arrayBuffer()).byteLength];
}

async function post() {
  const body = new Uint8Array(1000000).map((_, index) => index % 251);
  const back = new Uint8Array(await (await fetch('/echo', { method: 'POST', body })).arrayBuffer());
  return back.length === body.length && back.every((byte, index) => byte === body[index]);
}

async function manyAtOnce() {
  const sizes = await Promise.all(Array.from({ length: 20 }, (_, index) => fetch('/small?' + index).then(size)));
  return sizes.every((bytes) => bytes === 5);
}

function events() {
  return new Promise((resolve, reject) => {
    const seen = [];
    const source = new EventSource('/events');
    source.onerror = () => reject(new Error('the stream of events broke after ' + seen));
    source.onmessage = ({ data }) => {
      seen.push(data);
      if (seen.length === 3) {
        source.close();
        resolve(seen);
      } else fetch('/tick', { method: 'POST' });
    };
  });
}

function socket() {
  return new Promise((resolve, reject) => {
    const seen = [];
    const socket = new WebSocket(location.origin.replace('http', 'ws') + '/socket');
    socket.binaryType = 'arraybuffer';
    socket.onerror = () => reject(new Error('the socket broke after ' + seen));
    socket.onopen = () => socket.send('hello');
    socket.onclose = ({ code, reason }) => resolve([...seen, code, reason]);
    socket.onmessage = ({ data }) => {
      seen.push(typeof data === 'string' ? data : data.byteLength);
      if (seen.length === 1) socket.send(new Uint8Array(1000000));
      else socket.close(4001, 'enough');
    };
  });
}

const said = {};
for (const step of [get, post, manyAtOnce, events, socket]) said[step.name] = await step().catch(String);
await fetch('/report' + location.search, { method: 'POST', body: JSON.stringify(said) });
`;
const EXPECTED = {
  get: [200, BIG.length],
  post: true,
  manyAtOnce: true,
  events: ['1', '2', '3'],
  socket: ['hello', 1_000_000, 4001, 'enough'],
};

/** Server-sent events: the next one only when the browser has asked for it. */
class Ticker {
  readonly #listeners = new Map<ServerResponse, number>();

  listen(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    this.#listeners.set(response, 0);
    response.on('close', () => this.#listeners.delete(response));
    this.tick();
  }

  tick(): void {
    for (const [response, count] of this.#listeners) {
      response.write(`data: ${count + 1}\n\n`);
      this.#listeners.set(response, count + 1);
    }
  }
}

const ticker = new Ticker();

function respond(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
  const { pathname, search } = new URL(request.url ?? '/', 'http://page');
  if (pathname === '/page') response.setHeader('content-type', 'text/html').end(`<script type="module">${SCRIPT}</script>`);
  else if (pathname === '/big') response.end(BIG);
  else if (pathname === '/small') response.end('small');
  else if (pathname === '/echo') response.end(body);
  else if (pathname === '/events') ticker.listen(response);
  else if (pathname === '/tick') response.end(ticker.tick());
  else if (pathname === '/report') {
    reports.set(search, JSON.parse(body.toString()));
    response.end();
  } else response.writeHead(404).end();
}

async function server(): Promise<number> {
  const pages = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => respond(request, response, Buffer.concat(chunks)));
  });
  const sockets = new WebSocketServer({ server: pages, path: '/socket', perMessageDeflate: true });
  sockets.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })));
  await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve));
  cleanup.add(() => {
    pages.close();
    pages.closeAllConnections();
    for (const socket of sockets.clients) socket.terminate();
  });
  return (pages.address() as AddressInfo).port;
}

before(async () => {
  if (skip === false) pair = await startPair(cleanup, { pages: { protocol: 'http', ports: [await server()] } });
});
after(() => cleanup.run());

/** What the page reports. */
async function visit(base: string, name: string, ...args: readonly string[]): Promise<unknown> {
  const browsing = new Cleanup();
  try {
    const profile = await temporaryDirectory(browsing);
    const quiet = ['--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking', '--disable-sync'];
    const { output } = start(browsing, 'chromium', [
      '--headless=new',
      // The sandbox needs what root and containers often lack; the only page is ours.
      '--no-sandbox',
      ...quiet,
      '--enable-logging=stderr',
      `--user-data-dir=${profile}`,
      ...args,
      `${base}/page?${name}`,
    ]);
    await waitFor('the report of the page', () => reports.has(`?${name}`), PAGE_TIMEOUT_MS).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${output().slice(-2_000)}`);
    });
    return reports.get(`?${name}`);
  } finally {
    await browsing.run();
  }
}

describe('Chromium', { skip }, () => {
  test('fetches, listens and opens a socket by a local port', async () => {
    assert.deepEqual(await visit(pair.url('pages', ''), 'port'), EXPECTED);
  });

  test('does the same by way of the shared proxy, where a socket goes through a tunnel', { skip: skipDirect }, async () => {
    const { host, port } = pair.proxy;
    assert.deepEqual(await visit(`http://${pair.authority('pages')}`, 'proxy', `--proxy-server=http://${host}:${port}`), EXPECTED);
  });
});
