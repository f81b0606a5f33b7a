// What happens when instances refuse, die, stall or lie, and when clients do.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { NO_RETRY } from '@heddle/core';
import { endpoint, mustApply, meshCluster, TestMesh } from './testing/mesh.ts';
import type { Plane } from './testing/mesh.ts';
import { connectRaw, DEAD_PORTS, RawServer, until } from './testing/raw-http.ts';

const GET = 'GET / HTTP/1.1\r\nHost: orders\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

function bytesAt(servers: readonly RawServer[]): number {
  return servers.flatMap(({ peers }) => peers).reduce((sum, peer) => sum + peer.receivedBytes, 0);
}

describe('faults', () => {
  let mesh = new TestMesh();
  const planes: Plane[] = [];
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
    const faults = planes.splice(0).flatMap((plane) => plane.faults);
    assert.deepEqual(faults, []);
  });

  function plane(name: string, limits?: Parameters<TestMesh['plane']>[1]): Plane {
    const made = mesh.plane(name, limits);
    planes.push(made);
    return made;
  }

  async function server(): Promise<RawServer> {
    const made = await RawServer.listen();
    mesh.onClose(() => made.close());
    return made;
  }

  /** web → orders, whose application is driven by hand. */
  async function pair(
    options: { route?: object; limits?: Parameters<TestMesh['plane']>[1] } = {},
  ): Promise<{ web: Plane; orders: Plane; port: number; application: RawServer }> {
    const web = plane('web', options.limits);
    const orders = plane('orders', options.limits);
    const application = await server();
    const inbound = await mesh.inbound(orders.plane, 'orders', 'orders-1', application.port);
    const port = await mesh.outbound(web.plane, 'orders', [endpoint(inbound, 'orders-1')], { route: options.route });
    return { web, orders, port, application };
  }

  test('an instance that is gone is passed over, for POST too', async () => {
    const web = plane('web');
    const orders = plane('orders');
    const application = await server();
    application.onPeer = (peer) => peer.socket.on('data', () => peer.send(OK));
    const inbound = await mesh.inbound(orders.plane, 'orders', 'orders-1', application.port);
    const port = await mesh.outbound(web.plane, 'orders', [endpoint(DEAD_PORTS[0], 'orders-2'), endpoint(inbound, 'orders-1')]);
    const client = connectRaw(port);
    for (let i = 1; i <= 4; i++) {
      client.send('POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 2\r\n\r\nhi');
      await until(() => client.text.split('\r\n\r\nok').length === i + 1, `answer ${i}`);
    }
    assert.doesNotMatch(client.text, / 50\d /);
    // The first choice of half of the requests: retries take no turn.
    assert.match(web.metrics.expose(), /heddle_retries_total\{[^}]*reason="CONNECT_FAILED"[^}]*\} 2\n/);
    client.socket.destroy();
  });

  test('an instance with another identity gets no request, and another one does', async () => {
    const web = plane('web');
    const orders = plane('orders');
    const impostor = plane('impostor');
    const application = await server();
    const stolen = await server();
    application.onPeer = (peer) => peer.socket.on('data', () => peer.send(OK));
    const good = await mesh.inbound(orders.plane, 'orders', 'orders-1', application.port);
    const bad = await mesh.inbound(impostor.plane, 'orders', 'orders-2', stolen.port, { identity: 'payments' });
    const port = await mesh.outbound(web.plane, 'orders', [endpoint(good, 'orders-1'), endpoint(bad, 'orders-2')]);
    const client = connectRaw(port);
    for (let i = 1; i <= 4; i++) {
      client.send(GET);
      await until(() => client.text.split('\r\n\r\nok').length === i + 1, `answer ${i}`);
    }
    assert.equal(stolen.peers.length, 0);
    assert.match(web.metrics.expose(), /reason="PEER_NOT_TRUSTED"/);
    client.socket.destroy();
    await mustApply(web.plane, {
      kind: 'endpoints',
      upserts: [{ cluster: 'outbound/default/orders', endpoints: [endpoint(bad, 'orders-2')] }],
      removed: [],
    });
    const only = connectRaw(port);
    only.send(GET);
    assert.match(await only.expect('PEER_NOT_TRUSTED'), /^HTTP\/1\.1 503 /);
    only.socket.destroy();
  });

  test('an application that is not there is passed over, and named when it is the only one', async () => {
    const web = plane('web');
    const orders = plane('orders');
    const application = await server();
    application.onPeer = (peer) => peer.socket.on('data', () => peer.send(OK));
    const good = await mesh.inbound(orders.plane, 'orders', 'orders-1', application.port);
    const down = await mesh.inbound(orders.plane, 'orders', 'orders-2', DEAD_PORTS[0]);
    const port = await mesh.outbound(web.plane, 'orders', [endpoint(good, 'orders-1'), endpoint(down, 'orders-2')]);
    const client = connectRaw(port);
    for (let i = 1; i <= 4; i++) {
      client.send('POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n');
      await until(() => client.text.split('\r\n\r\nok').length === i + 1, `answer ${i}`);
    }
    await mustApply(web.plane, {
      kind: 'endpoints',
      upserts: [{ cluster: 'outbound/default/orders', endpoints: [endpoint(down, 'orders-2')] }],
      removed: [],
    });
    client.send(GET);
    assert.match(await client.expect('APPLICATION_REFUSED: '), /HTTP\/1\.1 503 /);
    client.socket.destroy();
  });

  test('a reset before the response is repeated for GET, and told for POST', async () => {
    const { web, port, application } = await pair();
    let kills = 1;
    application.onPeer = (peer) => peer.socket.on('data', () => (kills-- > 0 ? peer.socket.resetAndDestroy() : peer.send(OK)));
    const client = connectRaw(port);
    client.send(GET);
    await client.expect('\r\n\r\nok');
    kills = 9;
    client.send('POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 2\r\n\r\nhi');
    assert.match(await client.expect('UPSTREAM_RESET: '), /HTTP\/1\.1 502 /);
    assert.equal(kills, 8);
    assert.match(web.metrics.expose(), /heddle_requests_total\{class="5xx"[^}]*error="UPSTREAM_RESET"[^}]*\} 1/);
    client.socket.destroy();
  });

  test('a kept connection that the application closed meanwhile costs no GET', async () => {
    const { port, application } = await pair({ route: { retry: NO_RETRY } });
    let answered = 0;
    // Closes each connection at the second request without a byte: what a keep-alive race looks like.
    application.onPeer = (peer) => {
      let requests = 0;
      peer.socket.on('data', () => {
        requests += 1;
        if (requests > 1) peer.socket.destroy();
        else {
          answered += 1;
          peer.send(OK);
        }
      });
    };
    const client = connectRaw(port);
    for (let i = 1; i <= 5; i++) {
      client.send(GET);
      await until(() => client.text.split('\r\n\r\nok').length === i + 1, `answer ${i}`);
    }
    assert.equal(answered, 5);
    client.socket.destroy();
  });

  test('an instance killed in the middle of its response breaks off the client, never completes it', async () => {
    const { port, application } = await pair();
    application.onPeer = (peer) =>
      peer.socket.on('data', () => peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'));
    const client = connectRaw(port);
    client.send(GET);
    await client.expect('half');
    application.peers[0]!.socket.resetAndDestroy();
    await client.gone();
    assert.doesNotMatch(client.text, /\r\n0\r\n/);
  });

  test('an answer that is not HTTP gives 502', async () => {
    const { port, application } = await pair();
    application.onPeer = (peer) => peer.socket.on('data', () => peer.send('I am a database\r\n'));
    const client = connectRaw(port);
    client.send(GET);
    assert.match(await client.expect('UPSTREAM_PROTOCOL: '), /^HTTP\/1\.1 502 /);
    client.socket.destroy();
  });

  test('bytes beyond a response are never taken for the next one', async () => {
    const { port, application } = await pair();
    application.onPeer = (peer) => peer.socket.on('data', () => peer.send(`${OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged`));
    const client = connectRaw(port);
    client.send(GET);
    await client.expect('\r\n\r\nok');
    client.send(GET);
    await until(() => client.text.split('\r\n\r\nok').length === 3, 'second answer');
    assert.doesNotMatch(client.text, /forged/);
    assert.equal(application.peers.length, 2);
    client.socket.destroy();
  });

  test("a route's time limit gives 504 and frees the application", async () => {
    const { port, application } = await pair({ route: { timeoutMs: 60 } });
    const client = connectRaw(port);
    client.send(GET);
    assert.match(await client.expect('REQUEST_TIMEOUT: '), /^HTTP\/1\.1 504 /);
    await until(() => application.peers[0]!.closed || application.peers[0]!.ended, 'the upstream request is cancelled');
    client.send(GET);
    await until(() => client.text.split('REQUEST_TIMEOUT: ').length === 3, 'the connection is still good');
    client.socket.destroy();
  });

  test('a client that goes away cancels its request at the application', async () => {
    const { web, port, application } = await pair();
    const client = connectRaw(port);
    client.send(GET);
    await until(() => application.peers.length === 1 && application.peers[0]!.receivedBytes > 0, 'the request arrived');
    client.socket.destroy();
    await until(() => application.peers[0]!.closed || application.peers[0]!.ended, 'cancelled');
    await until(() => web.plane.status().activeRequests === 0, 'nothing in flight');
    assert.match(web.metrics.expose(), /error="CLIENT_GONE"/);
  });

  test('a client that drips its head gets 408', async () => {
    const { port } = await pair({ limits: { requestHeadTimeoutMs: 60 } });
    const client = connectRaw(port);
    client.send('GET / HT');
    assert.match(await client.expect('CLIENT_TIMEOUT: '), /^HTTP\/1\.1 408 [\s\S]*connection: close/);
    await client.gone();
  });

  test('a second head that does not come is no failure of the service that the first one was for', async () => {
    const { web, port, application } = await pair({ limits: { requestHeadTimeoutMs: 60 } });
    application.onPeer = (peer) => peer.socket.once('data', () => peer.send(OK));
    const client = connectRaw(port);
    client.send(GET);
    await client.expect('ok');
    client.send('GET / HT');
    await client.expect('CLIENT_TIMEOUT: ');
    const counted = [...web.metrics.expose().matchAll(/^heddle_requests_total\{(.*error="CLIENT_TIMEOUT".*)\} (\d+)$/gm)];
    assert.deepEqual(
      counted.map(([, labels = '', count]) => [/destination="(.*?)"/.exec(labels)?.[1], /route="(.*?)"/.exec(labels)?.[1], count]),
      [['unknown', 'none', '1']],
    );
    client.socket.destroy();
  });

  test('an idle client connection is closed', async () => {
    const { port } = await pair({ limits: { downstreamIdleTimeoutMs: 60 } });
    const client = connectRaw(port);
    await client.gone();
    assert.equal(client.text, '');
  });

  test('an early answer reaches the client while it still sends', async () => {
    const { port, application } = await pair();
    application.onPeer = (peer) =>
      peer.socket.once('data', () => peer.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig'));
    const client = connectRaw(port);
    client.send('POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 100000\r\n\r\nstart');
    await client.expect('\r\n\r\nbig');
    client.send('x'.repeat(100_000 - 5));
    application.onPeer = (peer) => peer.socket.on('data', () => peer.send(OK));
    client.send(GET);
    await client.expect('\r\n\r\nok');
    client.socket.destroy();
  });

  test('100 (Continue) goes through, and the body follows it', async () => {
    const { port, application } = await pair();
    application.onPeer = (peer) =>
      peer.socket.on('data', (bytes: Buffer) => {
        const text = bytes.toString('latin1');
        if (/expect: 100-continue/i.test(text)) peer.send('HTTP/1.1 100 Continue\r\n\r\n');
        if (text.includes('the body')) peer.send(OK);
      });
    const client = connectRaw(port);
    client.send('POST / HTTP/1.1\r\nHost: orders\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n');
    await client.expect('HTTP/1.1 100 Continue\r\n\r\n');
    client.send('the body');
    await client.expect('\r\n\r\nok');
    client.socket.destroy();
  });

  test('a response that ends with the connection is chunked for 1.1 and the client connection stays', async () => {
    const { port, application } = await pair();
    application.onPeer = (peer) => peer.socket.on('data', () => peer.socket.end('HTTP/1.0 200 OK\r\n\r\nuntil the end'));
    const client = connectRaw(port);
    client.send(GET);
    assert.match(await client.expect('\r\n0\r\n\r\n'), /transfer-encoding: chunked/i);
    client.send(GET);
    await until(() => client.text.split('\r\n0\r\n\r\n').length === 3, 'second answer');
    client.socket.destroy();
  });

  test('an upgrade becomes opaque bytes both ways, and ends cleanly', async () => {
    const { web, port, application } = await pair();
    application.onPeer = (peer) =>
      peer.socket.on('data', (bytes: Buffer) => {
        const text = bytes.toString('latin1');
        if (text.startsWith('GET')) {
          assert.match(text, /connection: upgrade/i);
          assert.match(text, /upgrade: echo/i);
          peer.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst');
        } else peer.send(`echo:${text}`);
      });
    const client = connectRaw(port);
    client.send('GET /ws HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    assert.match(await client.expect('first'), /^HTTP\/1\.1 101 [\s\S]*upgrade: echo/i);
    client.send('\x00\xff no http');
    await client.expect('echo:\x00\xff no http');
    client.socket.end();
    await until(() => application.peers[0]!.ended, 'the end arrived');
    application.peers[0]!.socket.end();
    await client.gone();
    await until(() => web.plane.status().activeRequests === 0, 'nothing in flight');
  });

  test('a slow client holds the application back, and memory with it', async () => {
    const { port, application } = await pair();
    const block = Buffer.alloc(64 * 1024, 97);
    let written = 0;
    let stuck = false;
    application.onPeer = (peer) =>
      peer.socket.once('data', () => {
        peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
        const more = (): void => {
          while (written < 200 * 1024 * 1024) {
            written += block.length;
            peer.socket.write(`${block.length.toString(16)}\r\n`);
            peer.socket.write(block);
            if (!peer.socket.write('\r\n')) {
              stuck = true;
              peer.socket.once('drain', () => {
                stuck = false;
                more();
              });
              return;
            }
          }
          peer.send('0\r\n\r\n');
        };
        more();
      });
    const client = connectRaw(port);
    client.socket.pause();
    client.send(GET);
    let before = -1;
    let still = 0;
    await until(
      () => {
        still = stuck && written === before ? still + 1 : 0;
        before = written;
        return still > 50;
      },
      'the application is held back',
      10_000,
    );
    assert.ok(written < 64 * 1024 * 1024, `${written} bytes in flight`);
    client.socket.resume();
    const seen = client.receivedBytes;
    await until(() => client.receivedBytes > seen + 8 * 1024 * 1024, 'it flows again');
    client.socket.destroy();
  });

  test('a slow application holds the client back', async () => {
    const { port, application } = await pair();
    application.onPeer = (peer) => peer.socket.pause();
    const client = connectRaw(port);
    const block = 'x'.repeat(64 * 1024);
    client.send(`POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: ${block.length * 3200}\r\n\r\n`);
    let written = 0;
    const more = (): void => {
      while (written++ < 3200) if (!client.socket.write(block)) return;
    };
    client.socket.on('drain', more);
    more();
    let still = 0;
    let before = -1;
    await until(
      () => {
        still = written === before ? still + 1 : 0;
        before = written;
        return still > 50;
      },
      'the client is held back',
      10_000,
    );
    assert.ok(written * block.length < 64 * 1024 * 1024, `${written} blocks in flight`);
    application.peers[0]!.socket.resume();
    await until(() => written > 2 * before, 'it flows again');
    client.socket.destroy();
  });

  test('a full line of waiting requests is refused at once', async () => {
    const { port, application } = await pair({
      route: { retry: NO_RETRY },
      limits: { connectionsPerEndpointMax: 1, pendingRequestsPerClusterMax: 1 },
    });
    const clients = [connectRaw(port), connectRaw(port), connectRaw(port)];
    clients[0]!.send(GET);
    await until(() => application.peers.length === 1 && application.peers[0]!.receivedBytes > 0, 'the first is on its way');
    clients[1]!.send(GET);
    clients[2]!.send(GET);
    await until(() => clients[1]!.text !== '' || clients[2]!.text !== '', 'one is refused');
    const [refused, waiting] = clients[1]!.text === '' ? [clients[2]!, clients[1]!] : [clients[1]!, clients[2]!];
    assert.match(refused.text, /^HTTP\/1\.1 503 [\s\S]*x-heddle-error: OVERLOADED/);
    application.peers[0]!.socket.on('data', () => application.peers[0]!.send(OK));
    application.peers[0]!.send(OK);
    await clients[0]!.expect('\r\n\r\nok');
    await waiting.expect('\r\n\r\nok');
    for (const client of clients) client.socket.destroy();
  });

  test('the line of waiting requests is one for all instances of a service, and a full one is not tried again', async () => {
    const web = plane('web', { connectionsPerEndpointMax: 1, pendingRequestsPerClusterMax: 1 });
    const ports: number[] = [];
    const applications: RawServer[] = [];
    for (const instance of ['orders-1', 'orders-2']) {
      const application = await server();
      applications.push(application);
      ports.push(await mesh.inbound(plane(instance).plane, 'orders', instance, application.port));
    }
    const port = await mesh.outbound(web.plane, 'orders', [endpoint(ports[0]!, 'orders-1'), endpoint(ports[1]!, 'orders-2')], {
      cluster: { http: 'http1', tls: { ...meshCluster('orders').tls!, alpn: ['http/1.1'] } },
    });
    const clients = [connectRaw(port), connectRaw(port), connectRaw(port), connectRaw(port)];
    for (const client of clients.slice(0, 2)) {
      const before = bytesAt(applications);
      client.send(GET);
      await until(() => bytesAt(applications) > before, 'it is on its way');
    }
    for (const client of clients.slice(2)) client.send(GET);
    await until(() => clients[2]!.text !== '' || clients[3]!.text !== '', 'one is refused');
    const [refused, waiting] = clients[2]!.text === '' ? [clients[3]!, clients[2]!] : [clients[2]!, clients[3]!];
    assert.match(await refused.expect('default/orders already'), /^HTTP\/1\.1 503 [\s\S]*x-heddle-error: OVERLOADED/);
    assert.doesNotMatch(web.metrics.expose(), /heddle_retries_total/);
    for (const application of applications) {
      for (const peer of application.peers) {
        peer.socket.on('data', () => peer.send(OK));
        peer.send(OK);
      }
    }
    await waiting.expect('\r\n\r\nok');
    for (const client of clients) client.socket.destroy();
  });

  test('no more retries run at once than the limit allows, and room is made when they end', async () => {
    const { web, port, application } = await pair({ limits: { retriesPerClusterMax: 1 } });
    const tries = { held: 0, dying: 0 };
    let held: { send(text: string): unknown } | undefined;
    application.onPeer = (peer) =>
      peer.socket.on('data', (bytes: Buffer) => {
        const kind = bytes.toString('latin1').startsWith('GET /held') ? 'held' : 'dying';
        tries[kind] += 1;
        if (kind === 'held' && tries.held === 2) held = peer;
        else peer.socket.resetAndDestroy();
      });
    const [first, second] = [connectRaw(port), connectRaw(port)];
    first.send('GET /held HTTP/1.1\r\nHost: orders\r\n\r\n');
    await until(() => held !== undefined, 'the first request is at its second try');
    second.send('GET /dying HTTP/1.1\r\nHost: orders\r\n\r\n');
    assert.match(await second.expect('UPSTREAM_RESET: '), /^HTTP\/1\.1 502 /);
    assert.equal(tries.dying, 1);
    // No connection stays over on which a stale try could be made.
    held!.send(OK.replace('OK\r\n', 'OK\r\nConnection: close\r\n'));
    await first.expect('\r\n\r\nok');
    second.send('GET /dying HTTP/1.1\r\nHost: orders\r\n\r\n');
    await until(() => second.text.split('UPSTREAM_RESET: ').length === 3, 'the second answer');
    assert.equal(tries.dying, 4);
    assert.match(web.metrics.expose(), /heddle_retries_total\{[^}]*reason="UPSTREAM_RESET"[^}]*\} 3\n/);
    for (const client of [first, second]) client.socket.destroy();
  });

  test('no certificate, no cluster, no endpoint: each says so', async () => {
    const { web, port } = await pair();
    const said = async (text: string): Promise<void> => {
      const client = connectRaw(port);
      client.send(GET);
      await client.expect(text);
      client.socket.destroy();
    };
    web.plane.removeIdentity('default/web/web-1');
    await said('workload default/web/web-1 has no certificate');
    web.plane.setIdentity('default/web/web-1', mesh.authority.service('web'));
    await mustApply(web.plane, {
      kind: 'endpoints',
      upserts: [{ cluster: 'outbound/default/orders', endpoints: [endpoint(1, 'orders-9', 'unhealthy')] }],
      removed: [],
    });
    await said('none of the 1 instances of default/orders is healthy');
    await mustApply(web.plane, { kind: 'endpoints', upserts: [], removed: ['outbound/default/orders'] });
    await said('default/orders has no instances');
    await mustApply(web.plane, { kind: 'cluster', upserts: [], removed: ['outbound/default/orders'] });
    await said('the cluster "outbound/default/orders" has not arrived yet');
    await mustApply(web.plane, { kind: 'route', upserts: [], removed: ['outbound/default/orders'] });
    await said('the route configuration "outbound/default/orders" has not arrived yet');
  });
});
