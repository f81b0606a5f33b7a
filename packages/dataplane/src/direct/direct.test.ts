import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { after, describe, it } from 'node:test';
import { InsideServers, insideNetwork, memoryLink } from '@heddle/runtime/inside';
import { createLogger, createMetrics, nodeClock, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import { AnswerListener, beginDirect, type DirectAnswer, type DirectAsked } from '../testing/direct.ts';
import { DEAD_PORTS } from '../testing/raw-http.ts';
import { endpoint, TestMesh } from '../testing/mesh.ts';
import { createInsideDataPlane, type DirectCalls, type InsideDataPlane } from './index.ts';

const mesh = new TestMesh();
after(() => mesh.close());

const servers = new InsideServers();

function insidePlane(node: string): InsideDataPlane {
  const logger = createLogger({ level: 'silent', format: 'json' });
  const plane = createInsideDataPlane({
    network: insideNetwork(nodeNetwork, servers),
    clock: nodeClock,
    random: nodeRandom,
    metrics: createMetrics(),
    logger,
    node,
  });
  mesh.onClose(() => plane.close());
  return plane;
}

type Call = Partial<DirectAsked>;

const begin = (calls: DirectCalls, call: Call = {}): ReturnType<typeof beginDirect> =>
  beginDirect(calls, { authority: 'orders.mesh.internal', ...call });
const ask = (calls: DirectCalls, call?: Call): Promise<DirectAnswer> => begin(calls, call).listener.answer;

/** An application that no socket leads to, behind a data plane that calls it inside the process. */
async function inside(
  handler: http.RequestListener,
  route: object = {},
): Promise<{ calls: DirectCalls; web: InsideDataPlane; orders: InsideDataPlane }> {
  const server = http.createServer(handler);
  const port = 60_000 + nextPort++;
  servers.add(port, server);
  const orders = insidePlane('orders');
  const inbound = await mesh.inbound(orders, 'orders', 'orders-1', port);
  const web = insidePlane('web');
  const out = await mesh.outbound(web, 'orders', [endpoint(inbound, 'orders-1')], { route });
  return { calls: web.callsThrough({ address: '127.0.0.1', port: out }, 'default/web/web-1'), web, orders };
}
let nextPort = 0;

describe('a call from inside the process', () => {
  it('reaches a server inside another one, with method, path, headers and who calls', async () => {
    let seen: http.IncomingMessage | undefined;
    const { calls } = await inside((request, response) => {
      seen = request;
      response.setHeader('x-answer', 'yes');
      response.end('hello');
    });
    const answer = await ask(calls, { path: '/a?b=c', headers: ['X-Thing', 'one', 'x-thing', 'two', 'connection', 'close'] });
    assert.equal(answer.status, 200);
    assert.equal(answer.body.toString(), 'hello');
    assert.equal(answer.headers['x-answer'], 'yes');
    assert.equal(seen?.url, '/a?b=c');
    assert.equal(seen.headers['x-thing'], 'one, two');
    assert.equal(seen.headers.host, 'orders.mesh.internal');
    assert.equal(seen.headers['x-heddle-peer'], 'spiffe://shop.test/ns/default/svc/web');
  });

  it('carries large bodies in both directions, however slowly they are read', async () => {
    const { calls } = await inside((request, response) => void request.pipe(response));
    const body = randomBytes(3_000_000);
    const { call, listener } = begin(calls, { method: 'POST', body: undefined });
    // Not complete without a body after all: a call of its own.
    call.cancel();
    const slow = new AnswerListener();
    const upload = calls.begin(
      { method: 'POST', authority: 'orders.mesh.internal', path: '/', headers: [] },
      false,
      slow,
      process.nextTick,
    );
    let sent = 0;
    const send = (): void => {
      while (sent < body.length) {
        const end = Math.min(body.length, sent + 40_000);
        const goesOn = upload.write(body.subarray(sent, end), end === body.length);
        sent = end;
        if (!goesOn) return;
      }
    };
    slow.onDrained = send;
    slow.onBytes = () => {
      upload.pause();
      setImmediate(() => upload.resume());
    };
    send();
    const answer = await slow.answer;
    assert.equal(answer.status, 200);
    assert.ok(answer.body.equals(body));
    assert.equal(listener.bodyBytes, 0);
  });

  it('is not answered with more than the application takes', async () => {
    const { calls } = await inside((_request, response) => {
      response.write(Buffer.alloc(2_000_000, 1));
      response.end();
    });
    const listener = new AnswerListener();
    const call = calls.begin(
      { method: 'GET', authority: 'orders.mesh.internal', path: '/', headers: [] },
      true,
      listener,
      process.nextTick,
    );
    listener.onBytes = () => call.pause();
    while (listener.bodyBytes === 0) await new Promise(setImmediate);
    for (let turns = 0; turns < 200; turns++) await new Promise(setImmediate);
    assert.ok(listener.bodyBytes < 300_000, `${listener.bodyBytes} bytes came`);
    listener.onBytes = () => {};
    call.resume();
    assert.equal((await listener.answer).body.length, 2_000_000);
  });

  it('is answered by the data plane where no instance can be reached', async () => {
    const web = insidePlane('web');
    const out = await mesh.outbound(web, 'orders', [endpoint(DEAD_PORTS[0], 'orders-1')], {});
    const calls = web.callsThrough({ address: '127.0.0.1', port: out }, 'default/web/web-1');
    const answer = await ask(calls);
    assert.equal(answer.status, 503);
    assert.equal(answer.headers['x-heddle-error'], 'CONNECT_FAILED');
    assert.match(answer.body.toString(), /^CONNECT_FAILED: /);
    const grpc = await ask(calls, { method: 'POST', headers: ['content-type', 'application/grpc', 'te', 'trailers'], body: 'x' });
    assert.equal(grpc.status, 200);
    assert.equal(grpc.headers['grpc-status'], '14');
    assert.equal(grpc.headers['x-heddle-error'], 'CONNECT_FAILED');
  });

  it('is answered, too, before any configuration has come', async () => {
    const calls = insidePlane('web').callsThrough({ address: '127.0.0.1', port: 1 }, 'default/web/web-1');
    const answer = await ask(calls);
    assert.equal(answer.status, 503);
    assert.equal(answer.headers['x-heddle-error'], 'NO_HEALTHY_INSTANCE');
  });

  it('ends with an error when the answer breaks off', async () => {
    const { calls } = await inside((_request, response) => {
      response.write('begun');
      setImmediate(() => response.destroy());
    });
    await assert.rejects(ask(calls), { name: 'DirectCallError', code: 'UPSTREAM_RESET' });
  });

  it('can be cancelled, which the called side sees, and says nothing more', async () => {
    const gone = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const { calls, web } = await inside((request) => {
      arrived.resolve();
      request.on('close', () => gone.resolve());
    });
    const { call, listener } = begin(calls);
    let isOver = false;
    listener.answer.then(
      () => (isOver = true),
      () => (isOver = true),
    );
    await arrived.promise;
    call.cancel();
    await gone.promise;
    assert.equal(isOver, false);
    assert.equal(web.status().activeRequests, 0);
    call.write(Buffer.from('late'), true);
    call.end();
    call.cancel();
  });

  it('is retried as a proxy would, and ends in time', async () => {
    let tries = 0;
    const { calls } = await inside(
      (request, response) => {
        tries += 1;
        if (request.url === '/late') return;
        if (tries === 1) request.socket.destroy();
        else response.end('again');
      },
      { timeoutMs: 300 },
    );
    assert.equal((await ask(calls)).body.toString(), 'again');
    assert.equal(tries, 2);
    const late = await ask(calls, { path: '/late' });
    assert.equal(late.status, 504);
    assert.equal(late.headers['x-heddle-error'], 'REQUEST_TIMEOUT');
  });

  it('may not say what cannot be sent', async () => {
    const { calls } = await inside((_request, response) => response.end());
    for (const call of [
      { method: 'A B' },
      { path: 'x' },
      { path: '/ä' },
      { headers: ['x', 'a\r\nb: c'] },
      { headers: ['ä', 'b'] },
      { headers: [':path', '/'] },
    ])
      assert.throws(() => begin(calls, call), { name: 'LocalProtocolError' }, JSON.stringify(call));
  });

  it('brings trailers', async () => {
    const { calls } = await inside((_request, response) => {
      response.setHeader('trailer', 'x-sum');
      response.write('a');
      response.addTrailers({ 'x-sum': '42' });
      response.end('b');
    });
    assert.deepEqual((await ask(calls)).trailers, ['x-sum', '42']);
  });
});

describe("a connection from inside the process, made by Node's own client", () => {
  const request = (
    plane: InsideDataPlane,
    port: number,
    options: http.RequestOptions,
    body?: Buffer,
  ): Promise<{ response: http.IncomingMessage; body: Buffer }> =>
    new Promise((resolve, reject) => {
      const { connection, stream } = memoryLink({ remoteAddress: '127.0.0.1', remotePort: port, localAddress: '127.0.0.1', localPort: 0 });
      plane.enter({ address: '127.0.0.1', port }, connection, 'default/web/web-1');
      const ongoing = http.request({ ...options, host: 'orders.mesh.internal', createConnection: () => stream as never }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ response, body: Buffer.concat(chunks) }));
        response.on('error', reject);
      });
      ongoing.on('error', reject);
      ongoing.end(body);
    });

  it('is like one by a socket, with bodies of any size', async () => {
    const server = http.createServer((incoming, response) => void incoming.pipe(response));
    const app = 61_000;
    servers.add(app, server);
    const inbound = await mesh.inbound(insidePlane('orders'), 'orders', 'orders-1', app);
    const web = insidePlane('web');
    const out = await mesh.outbound(web, 'orders', [endpoint(inbound, 'orders-1')], {});
    const sent = randomBytes(2_000_000);
    const { response, body } = await request(web, out, { method: 'POST', path: '/' }, sent);
    assert.equal(response.statusCode, 200);
    assert.ok(body.equals(sent));
    assert.equal((await request(web, out, { path: '/empty' })).body.length, 0);
  });

  it('ends where there is no listener', async () => {
    await assert.rejects(request(insidePlane('web'), 1, { path: '/' }), /EPIPE|ECONNRESET|socket hang up/);
  });

  it('takes part in an upgrade', async () => {
    const server = http.createServer();
    server.on('upgrade', (_request, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n');
      socket.pipe(socket);
    });
    servers.add(61_001, server);
    const inbound = await mesh.inbound(insidePlane('orders'), 'orders', 'orders-1', 61_001);
    const web = insidePlane('web');
    const out = await mesh.outbound(web, 'orders', [endpoint(inbound, 'orders-1')], {});
    const { connection, stream } = memoryLink({ remoteAddress: '127.0.0.1', remotePort: out, localAddress: '127.0.0.1', localPort: 0 });
    web.enter({ address: '127.0.0.1', port: out }, connection, 'default/web/web-1');
    const echoed = await new Promise<string>((resolve, reject) => {
      const ongoing = http.request({
        host: 'orders.mesh.internal',
        headers: { connection: 'upgrade', upgrade: 'echo' },
        createConnection: () => stream as never,
      });
      ongoing.on('error', reject);
      ongoing.on('upgrade', (_response, socket) => {
        socket.on('data', (bytes: Buffer) => {
          resolve(bytes.toString());
          socket.end();
        });
        socket.write('ping');
      });
      ongoing.end();
    });
    assert.equal(echoed, 'ping');
  });
});
