// Prints what an idle HTTP/2 connection holds, in bytes, on either side: fresh (SETTINGS exchanged), and after a request with its answer.
//   node --conditions=heddle-source --expose-gc packages/wire/bench/http2-idle.ts [connections]

import { Http2Client, Http2RequestHead, Http2ResponseHead, Http2Server, type Http2Options } from '../src/http2/index.ts';

const connections = Number(process.argv[2] ?? 10_000);

const ignore = (): void => {};
const shared = {
  onData: ignore,
  onTrailers: ignore,
  onReset: ignore,
  onWindow: ignore,
  onRefused: ignore,
  onSettings: ignore,
  onGoaway: ignore,
  onPingAck: ignore,
  onLoadQuestion: ignore,
  onLoadAnswer: ignore,
  onError: ignore,
  onInterim: ignore,
};

const request = new Http2RequestHead();
Object.assign(request, { method: 'GET', scheme: 'http', authority: 'orders.mesh.internal', path: '/api/v2/orders' });
request.add('user-agent', 'grpc-go/1.73.0').add('accept', 'application/json').add('x-tenant', 'blue');
const response = new Http2ResponseHead();
response.status = 200;
response.add('content-type', 'application/json').add('date', 'Tue, 04 Mar 2025 10:11:12 GMT').add('server', 'orders');

function held(): number {
  for (let round = 0; round < 3; round++) globalThis.gc!();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function exchange(client: Http2Client, server: Http2Server): void {
  while (client.pendingBytes + server.pendingBytes > 0) {
    if (client.pendingBytes > 0) server.push(Buffer.from(client.take()), 1_000);
    if (server.pendingBytes > 0) client.push(Buffer.from(server.take()), 1_000);
  }
}

const serverHandler = {
  ...shared,
  current: undefined as Http2Server | undefined,
  onHeaders(stream: Parameters<Http2Server['respond']>[0]): void {
    this.current!.respond(stream, response, true);
  },
};
const clientHandler = { ...shared, onHeaders: ignore };

/** Makes connections, keeps those of one side, and tells what each holds. */
function measure(side: 'server' | 'client', requests: number, options: Http2Options = {}): void {
  const kept: unknown[] = new Array<unknown>(connections).fill(undefined);
  const before = held();
  const rssBefore = process.memoryUsage().rss;
  for (let at = 0; at < connections; at++) {
    const server = new Http2Server(serverHandler, options);
    const client = new Http2Client(clientHandler, options);
    serverHandler.current = server;
    exchange(client, server);
    for (let sent = 0; sent < requests; sent++) {
      client.request(request, true);
      exchange(client, server);
    }
    kept[at] = side === 'server' ? server : client;
  }
  const bytes = (held() - before) / connections;
  const rss = (process.memoryUsage().rss - rssBefore) / connections;
  process.stdout.write(`${side}, ${requests} requests: ${bytes.toFixed(0)} B held, ${rss.toFixed(0)} B resident a connection\n`);
  kept.fill(undefined);
}

for (const requests of [0, 1, 20]) for (const side of ['server', 'client'] as const) measure(side, requests);
