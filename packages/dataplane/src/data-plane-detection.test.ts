// Listeners that find out the protocol: whatever is spoken gets to where it belongs, and nobody waits for the other side for ever.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import tls from 'node:tls';
import { DEFAULT_RETRY_BUDGET, NO_BREAKER, NO_RETRY, SINGLE_BALANCE } from '@heddle/core';
import type { Listener, Limits } from '@heddle/core';
import { clientHello } from './testing/client-hello.ts';
import { createClient } from './testing/clients.ts';
import { connectFrames, FRAME, get, headers } from './testing/frames.ts';
import { endpoint, mustApply, routeOf, TestMesh } from './testing/mesh.ts';
import type { Plane } from './testing/mesh.ts';
import { isQuiet, startApplication } from './testing/paths.ts';
import { connectRaw, DEAD_PORTS, RawServer, until } from './testing/raw-http.ts';
import type { RawPeer } from './testing/raw-http.ts';

describe('a listener that finds out the protocol', () => {
  let mesh = new TestMesh();
  let planes: Plane[] = [];
  afterEach(async () => {
    try {
      await until(() => isQuiet(planes), 'nothing in flight');
      assert.deepEqual(
        planes.flatMap(({ faults }) => faults),
        [],
      );
    } finally {
      planes = [];
      await mesh.close();
      mesh = new TestMesh();
    }
  });

  /** One port for a service of any protocol, as `auto` services get it: HTTP by requests, the rest by CONNECT. */
  async function auto(applicationPort: number, limits: Partial<Limits> = {}): Promise<number> {
    const web = mesh.plane('web', limits);
    const orders = mesh.plane('orders');
    planes.push(web, orders);
    const inbound = await mesh.inbound(orders.plane, 'orders', 'orders-1', applicationPort);
    const local = 'local/default/orders/orders-1';
    await mustApply(orders.plane, {
      kind: 'route',
      upserts: [
        {
          name: 'inbound/default/orders/orders-1',
          virtualHosts: [
            {
              name: 'all',
              domains: ['*'],
              routes: [routeOf(local, { name: 'requests', retry: NO_RETRY }), routeOf(local, { name: 'bytes', connect: 'terminate' })],
            },
          ],
        },
      ],
      removed: [],
    });
    const port = await mesh.outbound(web.plane, 'orders', [endpoint(inbound, 'orders-1')]);
    const dump = web.plane.configDump() as { listeners: (Listener & { status: unknown })[] };
    const { status: _status, ...listener } = dump.listeners[0]!;
    const cluster = 'outbound/default/orders';
    await mustApply(web.plane, {
      kind: 'listener',
      upserts: [
        {
          ...listener,
          filter: {
            kind: 'http',
            routeConfigName: cluster,
            otherwise: { kind: 'tcp', cluster, tunnel: 'orders.default.mesh.internal:80' },
          },
        },
      ],
      removed: [],
    });
    return port;
  }

  async function rawServer(onPeer: (peer: RawPeer) => void = () => {}): Promise<RawServer> {
    const made = await RawServer.listen();
    made.onPeer = onPeer;
    mesh.onClose(() => made.close());
    return made;
  }

  const echo = (peer: RawPeer): void => {
    peer.socket.on('data', (bytes: Buffer) => peer.socket.write(bytes));
    peer.socket.on('end', () => peer.socket.end());
  };

  async function webApplication(): Promise<number> {
    return (await startApplication(mesh, 'http1', (_request, response) => response.end('web'))).port;
  }

  test('takes HTTP of both versions as requests', async () => {
    const port = await auto(await webApplication());
    for (const version of ['http1', 'http2'] as const) {
      const client = createClient(version, port);
      mesh.onClose(() => client.close());
      const answer = await client.call();
      assert.equal(answer.body.toString(), 'web');
    }
    assert.match(planes[0]!.metrics.expose(), /heddle_requests_total\{[^}]*\} [12]\n/);
  });

  test('takes HTTP one byte at a time', async () => {
    const port = await auto(await webApplication());
    const client = connectRaw(port);
    for (const byte of 'GET / HTTP/1.1\r\nHost: orders\r\n\r\n') {
      client.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.expect(/ 200 [\s\S]*web/);
    client.socket.destroy();
    const peer = connectFrames(port, { silent: true });
    const bytes = Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
      headers(1, get()),
    ]);
    for (const byte of bytes) {
      peer.send(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await peer.expect(FRAME.data, 1);
    assert.equal(peer.body(1), 'web');
    peer.socket.destroy();
  });

  test('carries another protocol as it is, from the first byte, however it is cut', async () => {
    const application = await rawServer(echo);
    const port = await auto(application.port);
    for (const text of ['*1\r\n$4\r\nPING\r\n', 'GET key\r\n', 'PROPFINX', '\0\0\0\x08']) {
      const whole = connectRaw(port);
      whole.send(text);
      await until(() => whole.text === text, `${JSON.stringify(text)} back`);
      whole.socket.end();
      await whole.gone();
      const cut = connectRaw(port);
      for (const byte of text) {
        cut.send(byte);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await until(() => cut.text === text, `${JSON.stringify(text)} back, byte by byte`);
      cut.socket.end();
      await cut.gone();
    }
  });

  test('carries TLS as it is', async () => {
    const application = await rawServer(echo);
    const port = await auto(application.port);
    const hello = await clientHello('db.example');
    const client = connectRaw(port);
    client.socket.write(hello);
    await until(() => client.receivedBytes === hello.length, 'the hello back');
    assert.equal(client.text, hello.toString('latin1'));
    client.socket.end();
    await client.gone();
  });

  test('lets a server speak first, and then the client', async () => {
    const application = await rawServer((peer) => {
      peer.send('220 ready\r\n');
      echo(peer);
    });
    const port = await auto(application.port);
    const client = connectRaw(port);
    await client.expect('220 ready\r\n');
    // Would be HTTP if it came first.
    client.send('GET / HTTP/1.1\r\n\r\n');
    await client.expect('220 ready\r\nGET / HTTP/1.1\r\n\r\n');
    client.socket.end();
    await client.gone();
    assert.equal(application.peers.length, 1);
  });

  test('hears a server out that speaks first and ends', async () => {
    const application = await rawServer((peer) => void peer.send('daytime').socket.end());
    const port = await auto(application.port);
    const client = connectRaw(port);
    assert.equal(await client.gone(), 'daytime');
    client.socket.end();
    await until(() => application.peers[0]!.ended, 'the end at the application');
  });

  test('takes a client that is silent for a while for what it then says it is', async () => {
    const application = await startApplication(mesh, 'http1', (_request, response) => response.end('web'));
    const port = await auto(application.port, { protocolDetectionTimeoutMs: 40 });
    const late = connectRaw(port);
    await until(() => application.sockets.size === 1, 'the connection that waits for a greeting');
    await new Promise((resolve) => setTimeout(resolve, 300));
    late.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n');
    await late.expect(/ 200 [\s\S]*web/);
    late.socket.destroy();
    const peer = connectFrames(port, { silent: true });
    await until(() => application.sockets.size >= 2, 'another such connection');
    peer.send(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]), headers(1, get()));
    await peer.expect(FRAME.data, 1);
    assert.equal(peer.body(1), 'web');
    peer.socket.destroy();
  });

  test('uses the connection that waited for a greeting for a late client of another protocol', async () => {
    const application = await rawServer(echo);
    const port = await auto(application.port, { protocolDetectionTimeoutMs: 40 });
    const client = connectRaw(port);
    await until(() => application.peers.length === 1, 'the connection that waits for a greeting');
    client.send('PING\r\n');
    await client.expect('PING\r\n');
    client.socket.end();
    await client.gone();
    assert.equal(application.peers.length, 1);
  });

  test('passes on the start of something that never became it', async () => {
    const application = await rawServer(echo);
    const port = await auto(application.port, { protocolDetectionTimeoutMs: 40, requestHeadTimeoutMs: 200 });
    const stopped = connectRaw(port);
    stopped.send('GE');
    await stopped.expect('GE');
    stopped.socket.end();
    await stopped.gone();
    const ended = connectRaw(port);
    ended.send('GE').socket.end();
    assert.equal(await ended.gone(), 'GE');
    const late = connectRaw(port);
    await until(() => application.peers.length === 3, 'the connection that waits for a greeting');
    late.send('PO');
    await late.expect('PO');
    late.send('NG');
    await late.expect('PONG');
    late.socket.end();
    await late.gone();
    const lateEnded = connectRaw(port);
    await until(() => application.peers.length === 4, 'the connection that waits for a greeting');
    lateEnded.send('PO').socket.end();
    assert.equal(await lateEnded.gone(), 'PO');
    assert.equal(application.peers.length, 4);
  });

  test('lets go of clients that end, reset or stay silent', async () => {
    const application = await rawServer();
    const port = await auto(application.port, { protocolDetectionTimeoutMs: 40, downstreamIdleTimeoutMs: 200, tcpIdleTimeoutMs: 300 });
    const { plane } = planes[0]!;
    const ending = connectRaw(port);
    ending.socket.end();
    await ending.gone();
    const resetting = connectRaw(port);
    await until(() => plane.status().openConnections > 0, 'the connection');
    resetting.socket.resetAndDestroy();
    connectRaw(port);
    await until(() => plane.status().openConnections === 0, 'all to be closed');
  });

  test('an instance that cannot be reached is told to who speaks HTTP; a silent client is let go in time', async () => {
    const port = await auto(DEAD_PORTS[0], { protocolDetectionTimeoutMs: 40, downstreamIdleTimeoutMs: 300 });
    const silent = connectRaw(port);
    const late = connectRaw(port);
    await new Promise((resolve) => setTimeout(resolve, 150));
    late.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n');
    await late.expect(/ 503 [\s\S]*APPLICATION_REFUSED/);
    late.socket.destroy();
    await silent.gone();
    const other = connectRaw(port);
    other.send('PING\r\n');
    await other.gone();
    assert.equal(other.text, '');
  });

  test('sends TLS to where its server name says, and the rest elsewhere', async () => {
    const web = mesh.plane('web');
    planes.push(web);
    const identity = mesh.authority.service('db');
    const answering = (name: string) =>
      new Promise<number>((resolve) => {
        const server = tls.createServer({ cert: identity.certificatePem, key: identity.keyPem }, (socket) => {
          socket.on('error', () => {});
          socket.end(name);
        });
        server.on('tlsClientError', () => {});
        server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
        mesh.onClose(() => void server.close());
      });
    const plain = await rawServer((peer) => void peer.send('plain'));
    const ports = { db: await answering('I am db'), cache: await answering('I am cache'), plain: plain.port };
    const bind = await web.plane.reserve({ address: '127.0.0.1', port: 0 });
    for (const [name, port] of Object.entries(ports)) {
      await mustApply(web.plane, {
        kind: 'cluster',
        upserts: [
          {
            name,
            service: { namespace: 'default', name },
            endpoints: { kind: 'static', endpoints: [endpoint(port, `${name}-1`)] },
            balance: SINGLE_BALANCE,
            connectTimeoutMs: 1_000,
            breaker: NO_BREAKER,
            retryBudget: DEFAULT_RETRY_BUDGET,
            http: 'http1',
          },
        ],
        removed: [],
      });
    }
    await mustApply(web.plane, {
      kind: 'listener',
      upserts: [
        {
          name: 'by-name',
          direction: 'outbound',
          ...bind,
          workload: 'default/web/web-1',
          serverNames: [
            { names: ['db.example'], filter: { kind: 'tcp', cluster: 'db' } },
            { names: ['cache.example', 'cache'], filter: { kind: 'tcp', cluster: 'cache' } },
          ],
          filter: { kind: 'tcp', cluster: 'plain' },
        },
      ],
      removed: [],
    });
    const named = (servername: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = tls.connect({ host: '127.0.0.1', port: bind.port, servername, rejectUnauthorized: false });
        let text = '';
        socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
        socket.on('error', reject);
        socket.on('end', () => resolve(text));
      });
    assert.equal(await named('db.example'), 'I am db');
    assert.equal(await named('DB.Example'), 'I am db');
    assert.equal(await named('cache'), 'I am cache');
    await assert.rejects(named('elsewhere.example'), 'what nobody has goes to the plain service, which speaks no TLS');
    const other = connectRaw(bind.port);
    other.send('hello');
    await other.expect('plain');
    other.socket.resetAndDestroy();
    for (const { socket } of plain.peers) socket.resetAndDestroy();
  });
});
