// What one version of HTTP can say and the other says differently, or not at all.
import assert from 'node:assert/strict';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { NO_RETRY } from '@heddle/core';
import { TestAuthority as NamedAuthority } from '../../runtime/src/testing/certificates.ts';
import { connectFrames, data, FRAME, FrameServer, get, goaway, headers, SETTING, settings } from './testing/frames.ts';
import { createClient } from './testing/clients.ts';
import { endpoint, mustApply, TestMesh } from './testing/mesh.ts';
import { isQuiet, pair, single, startApplication, VERSIONS } from './testing/paths.ts';
import type { Way } from './testing/paths.ts';
import { connectRaw, RawServer, until } from './testing/raw-http.ts';
import type { RawPeer } from './testing/raw-http.ts';
import { ask } from './testing/upgrades.ts';

const SECONDS_OF_A_TEST = { lingerTimeoutMs: 100, streamIdleTimeoutMs: 500 };

describe('translation between the versions', () => {
  const mesh = new TestMesh();
  /** HTTP/1.1 → HTTP/2 → HTTP/1.1, the application driven by hand. */
  let way: Way;
  let application: RawServer;
  let answer = '';

  before(async () => {
    application = await RawServer.listen();
    mesh.onClose(() => application.close());
    application.onPeer = (peer) => peer.socket.on('data', () => void (peer.text.includes('\r\n\r\n') && peer.send(answer).socket.end()));
    way = await pair(mesh, 'http1', application.port, {
      limits: SECONDS_OF_A_TEST,
      route: { timeoutMs: 2_000, retry: NO_RETRY },
    });
  });
  afterEach(async () => {
    await until(() => isQuiet(way.planes), 'nothing in flight');
    assert.deepEqual(
      way.planes.flatMap(({ faults }) => faults),
      [],
    );
    application.peers.length = 0;
  });
  after(() => mesh.close());

  const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok';

  async function exchange(request: string, response = OK): Promise<{ seen: string; told: string }> {
    answer = response;
    const client = connectRaw(way.port);
    client.send(request);
    await client.gone();
    client.socket.destroy();
    return { seen: application.peers[0]?.text ?? '', told: client.text };
  }

  test('an absolute target becomes a path, and its authority the host', async () => {
    const { seen, told } = await exchange('GET http://orders.mesh.internal:8080/a?b HTTP/1.1\r\nHost: wrong\r\nConnection: close\r\n\r\n');
    assert.match(told, /^HTTP\/1\.1 200 /);
    assert.match(seen, /^GET \/a\?b HTTP\/1\.1\r\n/);
    assert.match(seen, /\r\nhost: orders\.mesh\.internal:8080\r\n/i);
    assert.doesNotMatch(seen, /wrong/);
  });

  test('an absolute target without a path becomes one', async () => {
    const { seen } = await exchange('GET http://orders HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n');
    assert.match(seen, /^GET \/ HTTP\/1\.1\r\n/);
  });

  test('OPTIONS of the server as a whole stays one', async () => {
    const { seen, told } = await exchange('OPTIONS * HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n');
    if (told.startsWith('HTTP/1.1 200')) assert.match(seen, /^OPTIONS \* HTTP\/1\.1\r\n/);
    else assert.match(told, /^HTTP\/1\.1 404 /);
  });

  test('a method that nobody knows is passed on', async () => {
    const { seen } = await exchange('M-SEARCH! /x HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n');
    assert.match(seen, /^(M-SEARCH! \/x HTTP\/1\.1\r\n|$)/);
  });

  for (const target of ['/\x80\xff', '/a#b', '/"<>\\^`{|}', '//double', '/%zz', '/?', `/${'a'.repeat(8_000)}`]) {
    test(`the target ${JSON.stringify(target.slice(0, 20))} goes through as it is, or is refused`, async () => {
      const { seen, told } = await exchange(`GET ${target} HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n`);
      if (told.startsWith('HTTP/1.1 200')) assert.equal(seen.slice(0, seen.indexOf('\r\n')), `GET ${target} HTTP/1.1`);
      else assert.match(told, /^HTTP\/1\.1 4\d\d /);
    });
  }

  test('a client of HTTP/1.0 gets a body that ends with the connection', async () => {
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n';
    const { told } = await exchange('GET / HTTP/1.0\r\nHost: orders\r\n\r\n', chunked);
    assert.match(told, /^HTTP\/1\.1 200 /);
    assert.doesNotMatch(told, /transfer-encoding/i);
    assert.match(told, /\r\n\r\nabc$/);
  });

  test('a body that ends with the connection of the application gets an end of its own', async () => {
    const { told } = await exchange('GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\nuntil the end');
    assert.match(told, /transfer-encoding: chunked\r\n/i);
    assert.match(told, /until the end\r\n0\r\n\r\n$/);
  });

  test('what the application says about its own connection stays there, and what it forges is taken out', async () => {
    const { told } = await exchange(
      'GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n',
      'HTTP/1.1 503 Busy\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nX-Heddle-Error: NO_HEALTHY_INSTANCE\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nServer: App\r\nContent-Length: 2\r\n\r\nok',
    );
    assert.match(told, /^HTTP\/1\.1 503 /);
    for (const name of ['x-mine', 'keep-alive', 'x-heddle-error']) assert.doesNotMatch(told, new RegExp(`\r\n${name}:`, 'i'));
    assert.match(told, /\r\nset-cookie: a=1\r\n[\s\S]*set-cookie: b=2\r\n/i);
    assert.match(told, /\r\nserver: App\r\n/i);
  });

  test('a value of other letters than ASCII stays as it is', async () => {
    const { seen, told } = await exchange(
      'GET / HTTP/1.1\r\nHost: orders\r\nX-A: \xe4\xf6\x80\tx\r\nConnection: close\r\n\r\n',
      'HTTP/1.1 200 OK\r\nX-B: \xfc\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
    );
    assert.match(seen, /x-a: \xe4\xf6\x80\tx\r\n/i);
    assert.match(told, /x-b: \xfc\r\n/i);
  });

  test('empty values and repeated fields stay', async () => {
    const { seen } = await exchange('GET / HTTP/1.1\r\nHost: orders\r\nX-Empty:\r\nX-A: 1\r\nX-A: 2\r\nConnection: close\r\n\r\n');
    assert.match(seen, /\r\nx-empty: ?\r\n/i);
    assert.match(seen, /\r\nx-a: 1\r\n(.*\r\n)*x-a: 2\r\n/i);
  });

  test('a cookie of HTTP/1.1 arrives in one line', async () => {
    const { seen } = await exchange('GET / HTTP/1.1\r\nHost: orders\r\nCookie: a=1; b=2\r\nConnection: close\r\n\r\n');
    assert.match(seen, /\r\ncookie: a=1; b=2\r\n/i);
  });

  test('as many fields as the limit allows are passed on or refused, and no fault of ours', async () => {
    for (const count of [100, 120, 125, 126, 127, 128, 129]) {
      application.peers.length = 0;
      const lines = Array.from({ length: count - 2 }, (_, index) => `X-${index}: a\r\n`).join('');
      const { told } = await exchange(`GET / HTTP/1.1\r\nHost: orders\r\n${lines}Connection: close\r\n\r\n`);
      assert.match(told, count <= 120 ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 (200|431) /, `${count} fields`);
    }
  });

  test('heads of almost the limit are passed on or refused, and no fault of ours', async () => {
    for (const size of [30_000, 60_000, 65_000, 65_400, 66_000]) {
      application.peers.length = 0;
      const { told } = await exchange(`GET / HTTP/1.1\r\nHost: orders\r\nX-Large: ${'a'.repeat(size)}\r\nConnection: close\r\n\r\n`);
      assert.match(told, size <= 60_000 ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 (200|431) /, `${size} bytes`);
    }
  });

  test('an answer with too large a head is an error of the instance', async () => {
    const { told } = await exchange(
      'GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n',
      `HTTP/1.1 200 OK\r\nX-Large: ${'a'.repeat(70_000)}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    );
    assert.match(told, /^HTTP\/1\.1 502 [\s\S]*UPSTREAM_PROTOCOL/);
  });

  test('answers that HTTP/2 cannot say are errors of the instance', async () => {
    for (const response of [
      'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
      'HTTP/1.1 099 Low\r\n\r\n',
      'HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ]) {
      application.peers.length = 0;
      const { told } = await exchange('GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n', response);
      assert.match(told, /^HTTP\/1\.1 (502|204) /, response);
    }
  });

  test('an upgrade to several protocols, or to one with a version, is passed on', async () => {
    for (const protocol of ['websocket, telegram', 'telegram/2', 'TLS/1.0']) {
      application.peers.length = 0;
      answer = 'HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno';
      const client = connectRaw(way.port);
      client.send(`GET / HTTP/1.1\r\nHost: orders\r\nConnection: upgrade\r\nUpgrade: ${protocol}\r\n\r\n`);
      const told = await client.expect(/^HTTP\/1\.1 \d/);
      client.socket.destroy();
      assert.match(told, /^HTTP\/1\.1 403 /, protocol);
      // A choice of protocols is for the first hop: the first one is asked for.
      assert.match(application.peers.at(-1)?.text ?? '', new RegExp(`\r\nupgrade: ${protocol.split(',')[0]}\r\n`, 'i'));
    }
  });

  test('a client of HTTP/2 that says goodbye is answered first', async () => {
    answer = OK;
    const peer = connectFrames(way.port);
    peer.send(headers(1, get()), goaway(0, 0));
    await until(() => peer.isOver(1), 'the answer');
    assert.equal(peer.body(1), 'ok');
    assert.equal(await peer.gone(), 0);
    peer.socket.destroy();
  });

  test('an answer that the client has no window for is not kept for ever, however small', async () => {
    answer = OK;
    const peer = connectFrames(way.port, { settings: settings([SETTING.initialWindowSize, 0]) });
    peer.send(headers(1, get()));
    await peer.expect(FRAME.headers, 1);
    await peer.expect(FRAME.rstStream, 1);
    peer.socket.destroy();
  });

  test('an answer that waits for a window comes when it opens', async () => {
    answer = OK;
    const peer = connectFrames(way.port, { settings: settings([SETTING.initialWindowSize, 0]) });
    peer.send(headers(1, get()));
    await peer.expect(FRAME.headers, 1);
    peer.send(settings([SETTING.initialWindowSize, 1]));
    await until(() => peer.body(1) === 'o', 'the first byte');
    peer.send(settings([SETTING.initialWindowSize, 100]));
    await until(() => peer.isOver(1), 'the rest');
    assert.equal(peer.body(1), 'ok');
    peer.socket.destroy();
  });
});

describe('connections to instances that speak HTTP/2', () => {
  const mesh = new TestMesh();
  after(() => mesh.close());

  test('are renewed after so many requests, and none is lost', async () => {
    const application = await startApplication(mesh, 'http2', (request, response) => {
      request.resume();
      request.on('end', () => response.end('ok'));
    });
    let opened = 0;
    application.server.on('connection', () => opened++);
    const way = await single(mesh, 'http2', [application.port], { limits: { requestsPerConnectionMax: 10 } });
    for (const version of VERSIONS) {
      const client = way.client(version);
      for (let round = 0; round < 5; round++) {
        const answers = await Promise.all(Array.from({ length: 20 }, () => client.call({ method: 'POST', body: ['x'] })));
        for (const { status } of answers) assert.equal(status, 200);
      }
    }
    assert.ok(opened >= 5, `${opened} connections`);
    await until(() => isQuiet(way.planes), 'nothing in flight');
  });

  test('that take no upgrades are named', async () => {
    const application = await startApplication(mesh, 'http2', (_request, response) => response.end('ok'));
    const way = await single(mesh, 'http2', [application.port]);
    for (const version of VERSIONS) {
      const near = ask(mesh, version, way.port);
      await until(() => near.status !== 0, 'an answer');
      assert.deepEqual([near.status, near.headers['x-heddle-error']], [502, 'UPSTREAM_PROTOCOL']);
    }
    await until(() => isQuiet(way.planes), 'nothing in flight');
  });

  test('that never answer are given up by requests that wait, and by clients that go', async () => {
    const silent: RawPeer[] = [];
    const server = await RawServer.listen();
    server.onPeer = (peer) => void silent.push(peer);
    mesh.onClose(() => server.close());
    const way = await single(mesh, 'http2', [server.port], { route: { timeoutMs: 300 } });
    const near = ask(mesh, 'http1', way.port);
    const client = way.client('http2');
    const gone = client.begin({ path: '/gone' });
    await until(() => silent.length === 1 && way.planes[0]!.plane.status().activeRequests === 2, 'both requests');
    gone.cancel();
    await until(() => near.status !== 0, 'an answer');
    assert.deepEqual([near.status, near.headers['x-heddle-error']], [504, 'REQUEST_TIMEOUT']);
    await until(() => isQuiet(way.planes), 'nothing in flight');
    assert.deepEqual(way.planes[0]!.faults, []);
  });

  test('over TLS that proves no identity of the mesh do not speak with the voice of a data plane', async () => {
    const authority = new NamedAuthority();
    const { certificatePem, keyPem } = authority.leaf({ uris: [], dns: ['site.example'] });
    let calls = 0;
    const site = https.createServer({ cert: certificatePem, key: keyPem }, (_request, response) => {
      calls++;
      response.writeHead(503, { 'x-heddle-error': 'NO_HEALTHY_INSTANCE' }).end('my own');
    });
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    mesh.onClose(() => {
      site.closeAllConnections();
      site.close();
    });
    const web = mesh.plane('web');
    const tls = { trustBundleName: 'trust-bundle', peerIds: [], serverName: 'site.example', alpn: ['http/1.1'] };
    const port = await mesh.outbound(web.plane, 'site', [endpoint((site.address() as AddressInfo).port, 'site-1')], {
      cluster: { http: 'http1', tls },
    });
    await mustApply(web.plane, { kind: 'secret', upserts: [{ name: 'trust-bundle', rootsPem: authority.rootsPem }], removed: [] });
    for (const version of VERSIONS) {
      const client = createClient(version, port);
      const answer = await client.call();
      assert.deepEqual([answer.status, answer.headers['x-heddle-error'], answer.body.toString()], [503, undefined, 'my own']);
      client.close();
    }
    assert.equal(calls, 2, 'it was believed, and asked again');
  });

  test('interim answers before the final one are passed on, and too many are an error', async () => {
    const server = await FrameServer.listen();
    mesh.onClose(() => server.close());
    let count = 3;
    server.onPeer = (peer) => {
      peer.onFrame = ({ type, streamId }) => {
        if (type !== FRAME.headers) return;
        for (let sent = 0; sent < count; sent++)
          peer.send(
            headers(
              streamId,
              [
                [':status', '103'],
                ['link', `</${sent}>`],
              ],
              false,
            ),
          );
        peer.send(headers(streamId, [[':status', '200']], false), data(streamId, 'ok', true));
      };
    };
    const way = await single(mesh, 'http2', [server.port], { route: { retry: NO_RETRY } });
    for (const version of VERSIONS) {
      const client = way.client(version);
      count = 3;
      const { status, interim } = await client.call();
      assert.deepEqual([status, interim.map(({ headers: { link } }) => link)], [200, ['</0>', '</1>', '</2>']]);
      count = 1_000;
      assert.equal((await client.call({ method: 'POST' })).status, 502);
    }
    await until(() => isQuiet(way.planes), 'nothing in flight');
  });
});
