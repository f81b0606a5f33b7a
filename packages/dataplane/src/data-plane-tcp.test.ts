// Opaque bytes through two data planes: both ways, half-closed, held back, and to another instance when one is gone.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { endpoint, mustApply, routeOf, TestMesh } from './testing/mesh.ts';
import type { Plane } from './testing/mesh.ts';
import { connectRaw, DEAD_PORTS, RawServer, until } from './testing/raw-http.ts';

describe('tcp services', () => {
  let mesh = new TestMesh();
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });

  async function setUp(): Promise<{ web: Plane; store: Plane; port: number; inbound: number; application: RawServer }> {
    const web = mesh.plane('web');
    const store = mesh.plane('store');
    const application = await RawServer.listen();
    mesh.onClose(() => application.close());
    const inbound = await mesh.inbound(store.plane, 'store', 'store-1', application.port, { tcp: true });
    const port = await mesh.outbound(web.plane, 'store', [endpoint(inbound, 'store-1')], { tcp: true });
    return { web, store, port, inbound, application };
  }

  test('bytes go both ways, and one direction may end before the other', async () => {
    const { web, port, application } = await setUp();
    application.onPeer = (peer) => void peer.send('server speaks first');
    const client = connectRaw(port);
    await client.expect('server speaks first');
    client.send('\x00\x01 not http');
    await until(() => application.peers[0]!.text === '\x00\x01 not http', 'arrived');
    client.socket.end('bye');
    await until(() => application.peers[0]!.ended, 'the end arrived');
    assert.equal(application.peers[0]!.text, '\x00\x01 not httpbye');
    application.peers[0]!.socket.end('answer after the end');
    await client.expect('answer after the end');
    await until(() => client.closed, 'closed');
    await until(() => web.plane.status().openConnections === 0 && web.plane.status().activeRequests === 0, 'nothing left');
  });

  test('a reader that stops holds the writer back', async () => {
    const { port, application } = await setUp();
    application.onPeer = (peer) => peer.socket.pause();
    const client = connectRaw(port);
    const block = Buffer.alloc(64 * 1024);
    let written = 0;
    const more = (): void => {
      while (written++ < 3200) if (!client.socket.write(block)) return;
    };
    client.socket.on('drain', more);
    more();
    let before = -1;
    let still = 0;
    await until(
      () => {
        still = written === before ? still + 1 : 0;
        before = written;
        return still > 50;
      },
      'held back',
      10_000,
    );
    assert.ok(written < 1024, `${written} blocks in flight`);
    application.peers[0]!.socket.resume();
    await until(() => application.peers[0]!.receivedBytes > 32 * 1024 * 1024, 'it flows again');
    client.socket.destroy();
  });

  test('an instance that is gone is passed over before a byte is sent', async () => {
    const { web, port, inbound, application } = await setUp();
    application.onPeer = (peer) => peer.socket.on('data', (bytes: Buffer) => void peer.socket.write(bytes));
    await mustApply(web.plane, {
      kind: 'endpoints',
      upserts: [{ cluster: 'outbound/default/store', endpoints: [endpoint(DEAD_PORTS[0], 'store-2'), endpoint(inbound, 'store-1')] }],
      removed: [],
    });
    for (let i = 0; i < 4; i++) {
      const client = connectRaw(port);
      client.send(`hello ${i}`);
      await client.expect(`hello ${i}`);
      client.socket.destroy();
    }
  });

  test('a connection to a service without healthy instances is dropped', async () => {
    const { web, port } = await setUp();
    await mustApply(web.plane, { kind: 'endpoints', upserts: [{ cluster: 'outbound/default/store', endpoints: [] }], removed: [] });
    const client = connectRaw(port);
    await client.gone();
    assert.equal(client.text, '');
  });

  test('an application that resets is passed on, and nothing stays behind', async () => {
    const { web, store, port, application } = await setUp();
    const client = connectRaw(port);
    client.send('x');
    await until(() => application.peers.length === 1 && application.peers[0]!.receivedBytes === 1, 'arrived');
    application.peers[0]!.socket.resetAndDestroy();
    await client.gone();
    client.socket.destroy();
    await until(() => web.plane.status().activeRequests === 0 && store.plane.status().activeRequests === 0, 'nothing in flight');
  });

  test('CONNECT through the shared proxy reaches tcp services by name, and says why when it cannot', async () => {
    const { web, application } = await setUp();
    application.onPeer = (peer) => {
      peer.socket.on('data', (bytes: Buffer) => void peer.send(`echo:${bytes.toString('latin1')}`));
      peer.socket.on('end', () => peer.socket.end());
    };
    const bind = await web.plane.reserve({ address: '127.0.0.1', port: 0 });
    await mustApply(web.plane, {
      kind: 'listener',
      upserts: [{ name: 'outbound/proxy', direction: 'outbound', ...bind, filter: { kind: 'http', routeConfigName: 'outbound/mesh' } }],
      removed: [],
    });
    const route = routeOf('outbound/default/store', { connect: 'forward' });
    await mustApply(web.plane, {
      kind: 'route',
      upserts: [{ name: 'outbound/mesh', virtualHosts: [{ name: 'store', domains: ['store.mesh.internal:6379'], routes: [route] }] }],
      removed: [],
    });
    web.plane.setAnonymousWorkload('default/web/web-1');
    const client = connectRaw(bind.port);
    client.send('CONNECT store.mesh.internal:6379 HTTP/1.1\r\nHost: store.mesh.internal:6379\r\n\r\nearly');
    await client.expect('HTTP/1.1 200 Connection established\r\n\r\n');
    await client.expect('echo:early');
    client.send('later');
    await client.expect('echo:later');
    client.socket.destroy();
    await until(() => web.plane.status().openConnections === 0, 'nothing left');
    await mustApply(web.plane, { kind: 'endpoints', upserts: [{ cluster: 'outbound/default/store', endpoints: [] }], removed: [] });
    const refused = connectRaw(bind.port);
    const ask = 'CONNECT store.mesh.internal:6379 HTTP/1.1\r\nHost: store.mesh.internal:6379\r\n\r\n';
    refused.send(ask);
    assert.match(await refused.expect('NO_HEALTHY_INSTANCE: '), /^HTTP\/1\.1 503 /);
    refused.send(ask + ask);
    await until(() => refused.text.split('NO_HEALTHY_INSTANCE: ').length === 4, 'the connection is still good');
    refused.socket.destroy();
    const wrongPort = connectRaw(bind.port);
    wrongPort.send('CONNECT store.mesh.internal:80 HTTP/1.1\r\nHost: store.mesh.internal:80\r\n\r\n');
    assert.match(await wrongPort.expect('NO_SUCH_SERVICE: '), /^HTTP\/1\.1 404 /);
    wrongPort.socket.destroy();
  });
});
