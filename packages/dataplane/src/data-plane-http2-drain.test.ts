// Leaving without losing a request: GOAWAY to clients and callers, what runs is finished, what comes too late goes elsewhere.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { NO_RETRY } from '@heddle/core';
import { connectFrames, FLAG, FRAME, frame, get, headers } from './testing/frames.ts';
import { endpoint, mustApply, routeConfig, TestMesh } from './testing/mesh.ts';
import { createClient } from './testing/clients.ts';
import { isQuiet, single, startApplication } from './testing/paths.ts';
import { connectRaw, until } from './testing/raw-http.ts';

const LAST_OF_ALL = 0x7fff_ffff;

describe('draining with HTTP/2', () => {
  let mesh = new TestMesh();
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });

  test('a client is warned, asked whether it has heard, told the last stream, and served until then', async () => {
    const waiting: (() => void)[] = [];
    const { port } = await startApplication(mesh, 'http1', (_request, response) => void waiting.push(() => response.end('done')));
    const way = await single(mesh, 'http1', [port]);
    const peer = connectFrames(way.port);
    peer.send(headers(1, get()));
    await until(() => waiting.length === 1, 'the first request');
    const drained = way.planes[0]!.plane.drain(5_000, 'all', 50);
    const warning = await peer.expect(FRAME.goaway);
    assert.equal(warning.payload.readUInt32BE(), LAST_OF_ALL);
    const asked = await peer.expect(FRAME.ping);
    // Was on its way when the warning came.
    peer.send(headers(3, get()));
    await until(() => waiting.length === 2, 'the second request');
    peer.send(frame(FRAME.ping, FLAG.ack, 0, asked.payload));
    await until(() => peer.of(FRAME.goaway).length === 2, 'the last stream');
    assert.deepEqual([peer.of(FRAME.goaway)[1]!.payload.readUInt32BE(), peer.of(FRAME.goaway)[1]!.payload.readUInt32BE(4)], [3, 0]);
    peer.send(headers(5, get()));
    for (const finish of waiting) finish();
    await until(() => peer.isOver(1) && peer.isOver(3), 'both answers');
    assert.deepEqual([peer.body(1), peer.body(3)], ['done', 'done']);
    await peer.gone();
    await drained;
    assert.equal(waiting.length, 2, 'the third one came after the last stream');
    assert.deepEqual(way.planes[0]!.faults, []);
  });

  test('an idle client is let go at once', async () => {
    const { port } = await startApplication(mesh, 'http1', (_request, response) => response.end('ok'));
    const way = await single(mesh, 'http1', [port]);
    const peer = connectFrames(way.port);
    peer.onFrame = ({ type, flags, payload }) => {
      if (type === FRAME.settings && flags === 0) peer.send(frame(FRAME.settings, FLAG.ack, 0));
      if (type === FRAME.ping && flags === 0) peer.send(frame(FRAME.ping, FLAG.ack, 0, payload));
    };
    peer.send(headers(1, get()));
    await until(() => peer.isOver(1), 'the answer');
    const drained = way.planes[0]!.plane.drain(5_000, 'all', 2_000);
    assert.equal(await peer.gone(), 0);
    await drained;
  });

  test('what still runs after the grace is cut', async () => {
    const { port } = await startApplication(mesh, 'http1', () => {});
    const way = await single(mesh, 'http1', [port]);
    const peer = connectFrames(way.port);
    peer.send(headers(1, get()));
    await until(() => way.planes[0]!.plane.status().activeRequests === 1, 'the request');
    await way.planes[0]!.plane.drain(100, 'all', 50);
    await peer.gone();
  });

  test('calls out of the applications go on while the way in is drained, over HTTP/2 too', async () => {
    const { port } = await startApplication(mesh, 'http1', (_request, response) => response.end('out'));
    const hanging = await startApplication(mesh, 'http1', () => {});
    const web = mesh.plane('web');
    const out = await mesh.outbound(web.plane, 'orders', [endpoint(port, 'orders-1')], { cluster: { http: 'http1', tls: undefined } });
    const slow = await mesh.outbound(web.plane, 'slow', [endpoint(hanging.port, 'slow-1')], { cluster: { http: 'http1', tls: undefined } });
    // Keeps the drain going.
    const held = connectRaw(slow);
    held.send('GET / HTTP/1.1\r\nHost: slow\r\n\r\n');
    await until(() => web.plane.status().activeRequests === 1, 'the request that holds the drain');
    const before = createClient('http2', out);
    mesh.onClose(() => before.close());
    assert.equal((await before.call()).body.toString(), 'out');
    const drained = web.plane.drain(3_000, 'inbound', 50);
    await until(() => web.plane.status().draining, 'the drain');
    for (const version of ['http1', 'http2', 'http2'] as const) {
      const client = createClient(version, out);
      mesh.onClose(() => client.close());
      assert.equal((await client.call()).body.toString(), 'out', `a new ${version} connection`);
      client.close();
    }
    held.socket.destroy();
    await drained;
  });

  test('callers lose no request when one of two instances leaves, whatever the method', async () => {
    let served = 0;
    const first = await startApplication(mesh, 'http1', (request, response) => {
      served++;
      request.resume();
      request.on('end', () => response.end('first'));
    });
    const second = await startApplication(mesh, 'http1', (request, response) => {
      request.resume();
      request.on('end', () => response.end('second'));
    });
    const web = mesh.plane('web');
    const one = mesh.plane('orders-1');
    const two = mesh.plane('orders-2');
    const endpoints = [
      endpoint(await mesh.inbound(one.plane, 'orders', 'orders-1', first.port), 'orders-1'),
      endpoint(await mesh.inbound(two.plane, 'orders', 'orders-2', second.port), 'orders-2'),
    ];
    const port = await mesh.outbound(web.plane, 'orders', endpoints);
    const clients = [createClient('http1', port), createClient('http2', port)];
    for (const client of clients) mesh.onClose(() => client.close());
    let isDone = false;
    let afterDrain = 0;
    const statuses = new Map<string, number>();
    const callers = Array.from({ length: 16 }, async (_, index) => {
      const client = clients[index % 2]!;
      while (!isDone || afterDrain < 200) {
        const answer = await client.call(index % 4 < 2 ? {} : { method: 'POST', body: ['x'.repeat(100)] });
        const what = answer.status === 200 ? '200' : `${answer.status} ${answer.body.toString()}`;
        statuses.set(what, (statuses.get(what) ?? 0) + 1);
        if (isDone) afterDrain++;
      }
    });
    await until(() => served > 100, 'some load');
    await one.plane.drain(5_000, 'inbound', 300);
    isDone = true;
    await Promise.all(callers);
    assert.deepEqual([...statuses.keys()], ['200']);
    assert.deepEqual([...web.faults, ...one.faults, ...two.faults], []);
    await until(() => isQuiet([web, two]), 'nothing in flight');
  });

  test('a listener that goes warns its HTTP/2 clients and finishes what runs', async () => {
    const waiting: (() => void)[] = [];
    const { port } = await startApplication(mesh, 'http1', (_request, response) => void waiting.push(() => response.end('done')));
    const way = await single(mesh, 'http1', [port]);
    const client = way.client('http2');
    const call = client.call();
    await until(() => waiting.length === 1, 'the request');
    const { plane } = way.planes[0]!;
    const dump = plane.configDump() as { listeners: { name: string }[] };
    await mustApply(plane, { kind: 'listener', upserts: [], removed: [dump.listeners[0]!.name] });
    waiting[0]!();
    assert.equal((await call).body.toString(), 'done');
    await until(() => plane.status().openConnections === 0, 'the connection to end');
  });
});

describe('gRPC between two data planes', () => {
  const mesh = new TestMesh();

  test('is sent to another instance when the application of the first one is not there', async () => {
    const application = await startApplication(mesh, 'http2', (request, response) => {
      request.resume();
      request.on('end', () => {
        response.writeHead(200, { 'content-type': 'application/grpc', trailer: 'grpc-status' });
        response.write('answer');
        response.addTrailers({ 'grpc-status': '0' });
        response.end();
      });
    });
    const gone = await startApplication(mesh, 'http2', undefined);
    await new Promise<void>((resolve) => void gone.server.close(() => resolve()));
    const web = mesh.plane('web');
    const orders = mesh.plane('orders');
    const endpoints = [
      endpoint(await mesh.inbound(orders.plane, 'orders', 'orders-1', gone.port, { local: { http: 'http2' } }), 'orders-1'),
      endpoint(await mesh.inbound(orders.plane, 'orders', 'orders-2', application.port, { local: { http: 'http2' } }), 'orders-2'),
    ];
    const port = await mesh.outbound(web.plane, 'orders', endpoints);
    const client = createClient('http2', port);
    const call = () => client.call({ method: 'POST', headers: { 'content-type': 'application/grpc', te: 'trailers' }, body: ['ask'] });
    for (let count = 0; count < 6; count++) {
      const answer = await call();
      assert.deepEqual([answer.headers['grpc-status'], answer.trailers['grpc-status'], answer.body.toString()], [undefined, '0', 'answer']);
    }
    // The only one that is left says why, in the way of gRPC, through both data planes.
    await mustApply(web.plane, {
      kind: 'endpoints',
      upserts: [{ cluster: 'outbound/default/orders', endpoints: [endpoints[0]!] }],
      removed: [],
    });
    await mustApply(web.plane, {
      kind: 'route',
      upserts: [routeConfig('outbound/default/orders', 'outbound/default/orders', ['*'], { retry: NO_RETRY })],
      removed: [],
    });
    const refused = await call();
    assert.deepEqual(
      [refused.status, refused.headers['grpc-status'], refused.headers['x-heddle-error']],
      [200, '14', 'APPLICATION_REFUSED'],
    );
    assert.match(web.metrics.expose(), /error="APPLICATION_REFUSED"/);
    client.close();
    await until(() => isQuiet([web, orders]), 'nothing in flight');
    await mesh.close();
  });
});
