// Mutual TLS of listeners and towards clusters: strict, permissive and off, changed while traffic flows, rotated, and denied to some.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import tls from 'node:tls';
import type { Listener, MtlsMode } from '@heddle/core';
import { TestAuthority } from './testing/certificates.ts';
import { createClient, type Version } from './testing/clients.ts';
import { connectFrames, FRAME, headers } from './testing/frames.ts';
import { endpoint, type InboundOptions, meshCluster, mustApply, routeConfig, TestMesh } from './testing/mesh.ts';
import type { Plane } from './testing/mesh.ts';
import { isQuiet, startApplication, VERSIONS } from './testing/paths.ts';
import { connectRaw, RawServer, until } from './testing/raw-http.ts';

const WEB = 'spiffe://shop.test/ns/default/svc/web';
const ORDERS = 'spiffe://shop.test/ns/default/svc/orders';
const INBOUND = 'inbound/default/orders/orders-1';
const GET = 'GET / HTTP/1.1\r\nHost: orders\r\n\r\n';

describe('mutual TLS', () => {
  let mesh = new TestMesh();
  let planes: Plane[] = [];
  afterEach(async () => {
    try {
      await until(() => isQuiet(planes), 'nothing in flight');
    } finally {
      planes = [];
      await mesh.close();
      mesh = new TestMesh();
    }
  });

  function plane(node: string): Plane {
    const made = mesh.plane(node);
    planes.push(made);
    return made;
  }

  async function called(options: InboundOptions & { readonly applicationPort?: number } = {}) {
    const orders = plane('orders');
    const { applicationPort, ...inbound } = options;
    const application = applicationPort ?? (await startApplication(mesh, 'http1', answerPeer)).port;
    return { ...orders, port: await mesh.inbound(orders.plane, 'orders', 'orders-1', application, inbound) };
  }

  const answerPeer = (request: { headers: Record<string, unknown> }, response: { end(text: string): unknown }): void =>
    void response.end(String(request.headers['x-heddle-peer'] ?? 'nobody'));

  async function setMode(of: Plane, mtls: MtlsMode): Promise<void> {
    const dump = of.plane.configDump() as { listeners: (Listener & { status: unknown; load?: unknown })[] };
    const { status: _status, load: _load, tls: _tls, ...plain } = dump.listeners.find(({ name }) => name === INBOUND)!;
    const strict = { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: 'shop.test' };
    const config: Listener = mtls === 'off' ? plain : { ...plain, tls: mtls === 'permissive' ? { ...strict, plaintext: true } : strict };
    await mustApply(of.plane, { kind: 'listener', upserts: [config], removed: [] });
  }

  /** A calling data plane; without TLS where the mesh has none. */
  async function caller(port: number, mtls: MtlsMode = 'strict') {
    const web = plane('web');
    const cluster = mtls === 'off' ? { tls: undefined, plainPeers: true as const } : {};
    return { ...web, port: await mesh.outbound(web.plane, 'orders', [endpoint(port, 'orders-1')], { cluster }) };
  }

  async function answerOf(port: number, version: Version = 'http1'): Promise<string> {
    const client = createClient(version, port);
    mesh.onClose(() => client.close());
    const { status, body } = await client.call();
    return status === 200 ? body.toString() : `${status} ${body.toString()}`;
  }

  const refusals = ({ metrics }: Plane, reason: string): number =>
    Number(new RegExp(`heddle_tls_refused_handshakes_total\\{[^}]*reason="${reason}"\\} (\\d+)`).exec(metrics.expose())?.[1] ?? 0);

  test('strict: a peer without TLS is refused, which is said once, and counted each time', async () => {
    const orders = await called();
    for (let count = 0; count < 3; count++) {
      const client = connectRaw(orders.port);
      client.send(GET);
      await client.gone();
      assert.doesNotMatch(client.text, /HTTP/);
      client.socket.destroy();
    }
    await until(() => refusals(orders, 'no-tls') === 3, 'three refusals');
    const lines = orders.lines.filter(({ msg }) => String(msg).includes('refused in its TLS handshake'));
    assert.equal(lines.length, 1);
    assert.match(String(lines[0]?.peer), /^127\.0\.0\.1:\d+$/);
    assert.deepEqual([lines[0]?.listener, lines[0]?.reason], [INBOUND, 'no-tls']);
    assert.equal(orders.plane.status().listeners[0]?.refusedHandshakes, 3);
  });

  test('permissive: peers with TLS are known, peers without are nobody, by either version and byte by byte', async () => {
    const orders = await called({ mtls: 'permissive' });
    const web = await caller(orders.port);
    for (const version of VERSIONS) {
      assert.equal(await answerOf(web.port, version), WEB);
      assert.equal(await answerOf(orders.port, version), 'nobody');
    }
    const slow = connectRaw(orders.port);
    for (const byte of GET.replace('\r\n\r\n', '\r\nx-heddle-peer: spiffe://shop.test/ns/default/svc/web\r\n\r\n')) {
      slow.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await slow.expect(/200 OK[\s\S]*nobody/);
    slow.socket.destroy();
  });

  test('permissive: a stranger with TLS is refused all the same, and a slow ClientHello is waited for', async () => {
    const orders = await called({ mtls: 'permissive' });
    const { certificatePem, keyPem } = new TestAuthority().service('web');
    const stranger = tls.connect({
      host: '127.0.0.1',
      port: orders.port,
      cert: certificatePem,
      key: keyPem,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
    });
    let error = '';
    stranger.on('error', (reason: NodeJS.ErrnoException) => (error = reason.code ?? ''));
    stranger.resume();
    await until(() => error !== '', 'the alert');
    assert.equal(error, 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA');
    assert.equal(refusals(orders, 'unknown-authority'), 1);
    const own = mesh.authority.service('web');
    const relay = await RawServer.listen();
    mesh.onClose(() => relay.close());
    relay.onPeer = (peer) => {
      const onward = connectRaw(orders.port);
      onward.socket.on('data', (bytes: Buffer) => peer.socket.write(bytes));
      let sent = Promise.resolve();
      peer.socket.on('data', (bytes: Buffer) => {
        for (const byte of bytes) {
          sent = sent.then(() => {
            onward.socket.write(Buffer.from([byte]));
            return new Promise((resolve) => void setImmediate(resolve));
          });
        }
      });
      peer.socket.on('end', () => void sent.then(() => onward.socket.end()));
      onward.socket.on('end', () => peer.socket.end());
    };
    const client = tls.connect({
      host: '127.0.0.1',
      port: relay.port,
      cert: own.certificatePem,
      key: own.keyPem,
      ca: mesh.authority.rootsPem,
      checkServerIdentity: () => undefined,
      ALPNProtocols: ['http/1.1'],
    });
    let text = '';
    client.on('data', (bytes: Buffer) => (text += bytes.toString()));
    client.on('error', () => {});
    client.write(GET);
    await until(() => text.includes(WEB), 'the answer');
    client.end();
    await until(() => orders.plane.status().openConnections === 0, 'all closed, and counted');
  });

  test('permissive: CONNECT without TLS, and servers that speak first', async () => {
    const application = await RawServer.listen();
    mesh.onClose(() => application.close());
    application.onPeer = (peer) => {
      peer.send('220 ready\r\n');
      peer.socket.on('data', (bytes: Buffer) => peer.socket.write(bytes));
      peer.socket.on('end', () => peer.socket.end());
    };
    const orders = await called({ mtls: 'permissive', tcp: true, otherwise: true, applicationPort: application.port });
    const silent = connectRaw(orders.port);
    await silent.expect('220 ready\r\n');
    silent.send('HELO\r\n');
    await silent.expect('HELO\r\n');
    silent.socket.end();
    await silent.gone();
    const peer = connectFrames(orders.port, {});
    peer.send(
      headers(
        1,
        [
          [':method', 'CONNECT'],
          [':authority', 'orders:25'],
        ],
        false,
      ),
    );
    await peer.expect(FRAME.data, 1);
    assert.equal(peer.body(1), '220 ready\r\n');
    peer.socket.destroy();
  });

  test('permissive: bytes of nobody are subject to the rules of who may call', async () => {
    const application = await RawServer.listen();
    mesh.onClose(() => application.close());
    const orders = await called({ mtls: 'permissive', tcp: true, otherwise: true, applicationPort: application.port });
    const route = routeConfig(INBOUND, 'local/default/orders/orders-1', ['*'], { connect: 'terminate' });
    const known = { name: 'mesh', effect: 'allow' as const, subjects: [{ identities: [{ kind: 'any' as const }] }], permissions: [] };
    const access = { default: 'deny' as const, rules: [known] };
    await mustApply(orders.plane, {
      kind: 'route',
      upserts: [{ ...route, virtualHosts: route.virtualHosts.map((host) => ({ ...host, access })) }],
      removed: [],
    });
    const loud = connectRaw(orders.port);
    loud.send('\0\0\0\x08');
    await loud.gone();
    const silent = connectRaw(orders.port);
    await until(() => orders.lines.filter(({ decision }) => decision === 'denied').length === 2, 'both to be refused');
    silent.socket.end();
    loud.socket.end();
    await until(() => orders.plane.status().openConnections === 0, 'both closed, each counted once');
    assert.equal(application.peers.length, 0);
    const web = plane('web');
    const port = await mesh.outbound(web.plane, 'orders', [endpoint(orders.port, 'orders-1')], { tcp: true });
    const peer = connectRaw(port);
    await until(() => application.peers.length === 1, 'a member of the mesh');
    for (const one of [peer, ...application.peers]) one.socket.end();
  });

  test('off: data planes speak HTTP/2 without TLS, and believe one another', async () => {
    const orders = await called({ mtls: 'off' });
    const web = await caller(orders.port, 'off');
    for (const version of VERSIONS) assert.equal(await answerOf(web.port, version), 'nobody');
    await mustApply(orders.plane, { kind: 'cluster', upserts: [], removed: ['local/default/orders/orders-1'] });
    assert.match(await answerOf(web.port), /^503 .*NO_HEALTHY_INSTANCE.*arrived/s);
    await orders.plane.close();
    assert.match(await answerOf(web.port), /CONNECT_FAILED/);
  });

  test('a change of the mode ends no request, and leaves no plaintext connection behind where it is strict', async () => {
    const application = await RawServer.listen();
    mesh.onClose(() => application.close());
    const orders = await called({ mtls: 'off', applicationPort: application.port });
    const web = await caller(orders.port, 'off');
    const answer = (): void => void application.peers.at(-1)!.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    const waits = async (count: number): Promise<void> =>
      until(() => application.peers.length === count && application.peers[count - 1]!.receivedBytes > 0, 'the request at the application');
    const first = connectRaw(orders.port);
    first.send(GET);
    await waits(1);
    const viaMesh = connectRaw(web.port);
    viaMesh.send(GET);
    await waits(2);
    for (const mode of ['permissive', 'strict'] as const) await setMode(orders, mode);
    await mustApply(web.plane, { kind: 'cluster', upserts: [meshCluster('orders')], removed: [] });
    const late = connectRaw(orders.port);
    late.send(GET);
    await late.gone();
    assert.equal(late.text, '');
    answer();
    await viaMesh.expect('ok');
    application.peers[0]!.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    await first.expect(/connection: close[\s\S]*ok$/i);
    await first.gone();
    viaMesh.send(GET);
    application.onPeer = (peer) => peer.socket.on('data', () => peer.send('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntls'));
    for (const peer of application.peers) peer.socket.on('data', () => peer.send('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntls'));
    await viaMesh.expect('tls').catch(() => assert.fail(viaMesh.text));
    await setMode(orders, 'permissive');
    const again = connectRaw(orders.port);
    again.send(GET);
    await again.expect('tls');
    for (const client of [first, viaMesh, late, again]) client.socket.destroy();
  });

  test('TLS 1.2 is spoken where it is asked for, with strong ciphers alone', async () => {
    const { certificatePem, keyPem } = mesh.authority.service('web');
    const connect = (port: number, ciphers?: string): Promise<string> =>
      new Promise((resolve) => {
        const socket = tls.connect({
          host: '127.0.0.1',
          port,
          cert: certificatePem,
          key: keyPem,
          rejectUnauthorized: false,
          maxVersion: 'TLSv1.2',
          ALPNProtocols: ['h2'],
          ...(ciphers && { ciphers }),
        });
        socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
        socket.on('secureConnect', () => {
          resolve(`${socket.getProtocol()} ${socket.getCipher().name}`);
          socket.destroy();
        });
      });
    const strict = await called();
    assert.match(await connect(strict.port), /ALERT_PROTOCOL_VERSION/);
    assert.equal(refusals(strict, 'tls-version'), 1);
    const older = await called({ minVersion: '1.2' });
    assert.match(await connect(older.port), /^TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256$/);
    assert.match(await connect(older.port, 'ECDHE-ECDSA-AES128-SHA256'), /ALERT_HANDSHAKE_FAILURE/);
    assert.equal(refusals(older, 'no-common-cipher'), 1);
  });

  test('new roots are taken up by live listeners and callers, with no request lost', async () => {
    const orders = await called();
    const web = await caller(orders.port);
    const next = new TestAuthority();
    const both = `${mesh.authority.rootsPem}${next.rootsPem}`;
    const trust = async (rootsPem: string): Promise<void> => {
      for (const one of [orders, web])
        await mustApply(one.plane, { kind: 'secret', upserts: [{ name: 'trust-bundle', rootsPem }], removed: [] });
    };
    let stop = false;
    let answers = 0;
    const load = async (version: Version): Promise<void> => {
      while (!stop) {
        assert.equal(await answerOf(web.port, version), WEB);
        answers += 1;
      }
    };
    const loads = [load('http1'), load('http2'), load('http2')];
    const goesOn = async (): Promise<void> => {
      const before = answers;
      await until(() => answers >= before + 10, 'traffic goes on');
    };
    await goesOn();
    await trust(both);
    await goesOn();
    orders.plane.setIdentity('default/orders/orders-1', next.service('orders'));
    await goesOn();
    web.plane.setIdentity('default/web/web-1', next.service('web'));
    await goesOn();
    await trust(next.rootsPem);
    await goesOn();
    stop = true;
    await Promise.all(loads);
    assert.doesNotMatch(orders.metrics.expose(), /heddle_tls_refused_handshakes_total\{/);
  });

  test('a denied caller loses its connections at once, of either version and with tunnels in them, and gets no new ones', async () => {
    const application = await RawServer.listen();
    mesh.onClose(() => application.close());
    const orders = await called({ tcp: true, applicationPort: application.port });
    const web = plane('web');
    const tunnelPort = await mesh.outbound(web.plane, 'orders', [endpoint(orders.port, 'orders-1')], { tcp: true });
    const tunnel = connectRaw(tunnelPort);
    await until(() => application.peers.length === 1, 'the tunnel');
    const { certificatePem, keyPem } = mesh.authority.service('web');
    const direct = tls.connect({
      host: '127.0.0.1',
      port: orders.port,
      cert: certificatePem,
      key: keyPem,
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
    });
    let closed = false;
    direct.on('close', () => (closed = true)).on('error', () => {});
    await until(() => orders.plane.status().openConnections >= 2, 'both connections');
    const deny = (denied: readonly string[]): Promise<void> =>
      mustApply(orders.plane, {
        kind: 'secret',
        upserts: [{ name: 'trust-bundle', rootsPem: mesh.authority.rootsPem, denied }],
        removed: [],
      });
    await deny([WEB]);
    await until(() => closed, 'the connection of HTTP/1.1 to be closed');
    await tunnel.gone();
    await until(() => application.peers[0]!.closed || application.peers[0]!.ended, 'the end of the tunnel at the application');
    await until(() => orders.plane.status().openConnections === 0, 'no connection left');
    const line = orders.lines.find(({ msg }) => String(msg).includes('denied from now on'));
    assert.deepEqual([line?.identity, line?.connections], [WEB, 2]);
    assert.match(orders.metrics.expose(), /heddle_denied_connections_closed_total 2/);
    const again = tls.connect({
      host: '127.0.0.1',
      port: orders.port,
      cert: certificatePem,
      key: keyPem,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
    });
    let error = '';
    again.on('error', (reason: NodeJS.ErrnoException) => (error = reason.code ?? ''));
    again.resume();
    await until(() => error !== '', 'the alert');
    assert.equal(error, 'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED');
    assert.equal(refusals(orders, 'denied'), 1);
    await deny([]);
    const later = connectRaw(tunnelPort);
    await until(() => application.peers.length === 2, 'let in again');
    for (const one of [tunnel, later, ...application.peers]) one.socket.destroy();
  });

  test('a denied instance is not called any more, and what is under way with it breaks off', async () => {
    const application = await RawServer.listen();
    mesh.onClose(() => application.close());
    const orders = await called({ applicationPort: application.port });
    const web = await caller(orders.port);
    const client = connectRaw(web.port);
    client.send(GET);
    await until(() => application.peers.length === 1 && application.peers[0]!.receivedBytes > 0, 'the request at the application');
    await mustApply(web.plane, {
      kind: 'secret',
      upserts: [{ name: 'trust-bundle', rootsPem: mesh.authority.rootsPem, denied: [ORDERS] }],
      removed: [],
    });
    await client.expect(/HTTP\/1.1 50\d/);
    assert.match(await answerOf(web.port), /^503 .*PEER_NOT_TRUSTED.*denied/s);
    assert.match(web.metrics.expose(), /heddle_upstream_tls_failures_total\{[^}]*reason="denied"\} \d/);
    client.socket.destroy();
  });

  test('a list that denies what is no identity is refused', async () => {
    const { plane: one } = plane('orders');
    const reason = await one.apply({
      kind: 'secret',
      upserts: [{ name: 't', rootsPem: mesh.authority.rootsPem, denied: ['web'] }],
      removed: [],
    });
    assert.match(reason ?? '', /the denied identity "web" is not a SPIFFE id/);
  });
});
