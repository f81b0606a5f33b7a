// Instances that speak HTTP/2 and refuse, reset, leave, stall or die: nothing is lost that may be sent again, and the rest is told.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { afterEach, describe, test } from 'node:test';
import { NO_RETRY } from '@heddle/core';
import type { Client } from './testing/clients.ts';
import { connectFrames, data, FRAME, FrameServer, goaway, headers, rstStream, SETTING, settings, FLAG, uint32 } from './testing/frames.ts';
import type { FramePeer } from './testing/frames.ts';
import { endpoint, meshCluster, mustApply, TestMesh } from './testing/mesh.ts';
import { isQuiet, pair, single, startApplication, VERSIONS } from './testing/paths.ts';
import type { Way } from './testing/paths.ts';
import { connectRaw, RawServer, until } from './testing/raw-http.ts';

const OK = [[':status', '200']] as const;
const REFUSED = http2.constants.NGHTTP2_REFUSED_STREAM;
const INTERNAL = http2.constants.NGHTTP2_INTERNAL_ERROR;

describe('HTTP/2 towards instances', () => {
  let mesh = new TestMesh();
  const ways: Way[] = [];
  afterEach(async () => {
    try {
      await until(() => ways.every(({ planes }) => isQuiet(planes)), 'nothing in flight');
      assert.deepEqual(
        ways.splice(0).flatMap(({ planes }) => planes.flatMap(({ faults }) => faults)),
        [],
      );
    } finally {
      ways.length = 0;
      await mesh.close();
      mesh = new TestMesh();
    }
  });

  async function server(greeting?: Buffer): Promise<FrameServer> {
    const made = await FrameServer.listen(greeting);
    mesh.onClose(() => made.close());
    return made;
  }

  async function way(ports: readonly number[], options: Parameters<typeof single>[3] = {}): Promise<Way> {
    const made = await single(mesh, 'http2', ports, options);
    ways.push(made);
    return made;
  }

  /** Answers every request that has ended with 200. */
  function answering(peer: FramePeer, body = 'ok'): void {
    peer.onFrame = ({ type, flags, streamId }) => {
      if ((type === FRAME.headers || type === FRAME.data) && (flags & FLAG.endStream) !== 0)
        peer.send(headers(streamId, OK, false), data(streamId, body, true));
    };
  }

  test('the last bytes of a tunnel wait for an instance that never takes them, but not for ever', async () => {
    const instance = await server(settings([SETTING.initialWindowSize, 0], [SETTING.enableConnectProtocol, 1]));
    instance.onPeer = (peer) => {
      peer.onFrame = ({ type, streamId }) => void (type === FRAME.headers && peer.send(headers(streamId, OK, true)));
    };
    const { port } = await way([instance.port], { limits: { streamIdleTimeoutMs: 100 } });
    const client = connectFrames(port);
    const asked = [
      [':method', 'CONNECT'],
      [':protocol', 'telegram'],
      [':scheme', 'http'],
      [':authority', 'orders'],
      [':path', '/'],
    ] as const;
    client.send(headers(1, asked, false), data(1, 'last words', true));
    await until(() => instance.peers.length === 1, 'the call');
    await instance.peers[0]!.expect(FRAME.rstStream, 1);
    client.socket.destroy();
  });

  test('a refused stream is sent again, POST too, also when the body was sent already', async () => {
    const application = await server();
    let refusals = 2;
    application.onPeer = (peer) => {
      peer.onFrame = ({ type, flags, streamId }) => {
        if ((type !== FRAME.headers && type !== FRAME.data) || (flags & FLAG.endStream) === 0) return;
        if (refusals-- > 0) peer.send(rstStream(streamId, REFUSED));
        else peer.send(headers(streamId, OK, false), data(streamId, peer.body(streamId), true));
      };
    };
    const { client, planes } = await way([application.port]);
    for (const version of VERSIONS) {
      refusals = 2;
      const answer = await client(version).call({ method: 'POST', body: ['hello ', 'there'] });
      assert.deepEqual([answer.status, answer.body.toString()], [200, 'hello there']);
    }
    // The first refusal of each says nothing about the instance, and does not count.
    for (const protocol of ['http1', 'http2'])
      assert.match(
        planes[0]!.metrics.expose(),
        new RegExp(`heddle_retries_total\\{[^}]*protocol="${protocol}",reason="STREAM_REFUSED"[^}]*\\} 1\n`),
      );
  });

  test('a reset before the head is repeated for GET and told for POST', async () => {
    const application = await server();
    let resets = 0;
    application.onPeer = (peer) => {
      peer.onFrame = ({ type, flags, streamId }) => {
        if ((type !== FRAME.headers && type !== FRAME.data) || (flags & FLAG.endStream) === 0) return;
        if (resets-- > 0) peer.send(rstStream(streamId, INTERNAL));
        else peer.send(headers(streamId, OK, false), data(streamId, 'ok', true));
      };
    };
    const { client } = await way([application.port]);
    for (const version of VERSIONS) {
      const caller = client(version);
      resets = 1;
      assert.equal((await caller.call()).body.toString(), 'ok');
      resets = 1;
      const told = await caller.call({ method: 'POST', body: ['x'] });
      assert.deepEqual([told.status, told.headers['x-heddle-error']], [502, 'UPSTREAM_RESET']);
      assert.equal((await caller.call()).body.toString(), 'ok');
    }
  });

  test('a reset within the body breaks the answer off', async () => {
    const application = await server();
    application.onPeer = (peer) => {
      peer.onFrame = ({ type, streamId, fields }) => {
        if (type !== FRAME.headers) return;
        if (fields[':path'] === '/whole') peer.send(headers(streamId, OK, false), data(streamId, 'ok', true));
        else {
          peer.send(headers(streamId, OK, false), data(streamId, 'half'));
          breakOff = () => peer.send(rstStream(streamId, INTERNAL));
        }
      };
    };
    let breakOff = (): unknown => assert.fail();
    const { client } = await way([application.port]);
    for (const version of VERSIONS) {
      const caller = client(version);
      const call = caller.begin({});
      await until(() => call.text === 'half', 'half of the body');
      breakOff();
      await assert.rejects(call.answer);
      assert.deepEqual([call.status, call.ended], [200, false]);
      assert.equal((await caller.call({ path: '/whole' })).body.toString(), 'ok');
    }
  });

  test('what a leaving instance has not processed goes to a new connection, POST too; what it has is answered', async () => {
    const application = await server();
    application.onPeer = (peer) => {
      const isFirst = application.peers.length === 1;
      if (!isFirst) return answering(peer, 'second');
      const seen: number[] = [];
      peer.onFrame = ({ type, flags, streamId }) => {
        if ((type !== FRAME.headers && type !== FRAME.data) || (flags & FLAG.endStream) === 0) return;
        seen.push(streamId);
        if (seen.length < 4) return;
        peer.send(goaway(seen[0]!, 0), headers(seen[0]!, OK, false), data(seen[0]!, 'first', true));
      };
    };
    const { client } = await way([application.port]);
    const caller = client('http2');
    const answers = await Promise.all(Array.from({ length: 4 }, () => caller.call({ method: 'POST', body: ['x'] })));
    assert.deepEqual(answers.map(({ body }) => body.toString()).sort(), ['first', 'second', 'second', 'second']);
    assert.equal(application.peers.length, 2);
    await until(() => application.peers[0]!.closed, 'the first connection to be closed');
  });

  test('a connection killed with 50 streams: GET is answered by another connection, POST is told, nothing hangs', async () => {
    const application = await server();
    application.onPeer = (peer) => {
      if (application.peers.length > 1) return answering(peer);
      let count = 0;
      peer.onFrame = ({ type, flags }) => {
        if (type === FRAME.headers || (type === FRAME.data && flags !== 0)) count += (flags & FLAG.endStream) !== 0 ? 1 : 0;
        if (count === 50) peer.socket.resetAndDestroy();
      };
    };
    const { client } = await way([application.port]);
    const caller = client('http2');
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => caller.call(index % 2 === 0 ? {} : { method: 'POST', body: ['x'] })),
    );
    assert.deepEqual(
      answers.map(({ status }) => status),
      Array.from({ length: 50 }, (_, index) => (index % 2 === 0 ? 200 : 502)),
    );
  });

  test('more requests than one connection takes open further ones; what was sent before the limit was known is sent again', async () => {
    const application = await server(settings([SETTING.maxConcurrentStreams, 20]));
    const open = new Map<FramePeer, number[]>();
    application.onPeer = (peer) => {
      const streams: number[] = [];
      open.set(peer, streams);
      peer.onFrame = ({ type, streamId }) => {
        if (type !== FRAME.headers) return;
        if (streams.length === 20) peer.send(rstStream(streamId, REFUSED));
        else streams.push(streamId);
      };
    };
    const { client } = await way([application.port]);
    const caller = client('http2');
    const calls = Array.from({ length: 50 }, () => caller.call({ method: 'POST' }));
    await until(() => [...open.values()].reduce((sum, streams) => sum + streams.length, 0) === 50, 'all requests');
    assert.ok(open.size >= 3 && open.size <= 5, `${open.size} connections`);
    for (const [peer, streams] of open) for (const id of streams) peer.send(headers(id, OK, true));
    for (const { status } of await Promise.all(calls)) assert.equal(status, 200);
  });

  test('between two data planes more than 256 requests at once take a second connection', async () => {
    let isHolding = false;
    const waiting: (() => void)[] = [];
    const application = await startApplication(mesh, 'http1', (_request, response) => {
      if (isHolding) waiting.push(() => response.end('ok'));
      else response.end('ok');
    });
    const made = await pair(mesh, 'http1', application.port);
    ways.push(made);
    const callers = [made.client('http2'), made.client('http2')];
    // The limit of the other data plane is known once it has answered.
    for (const { status } of await Promise.all(callers.map((caller) => caller.call()))) assert.equal(status, 200);
    isHolding = true;
    const calls = callers.flatMap((caller) => Array.from({ length: 200 }, () => caller.call()));
    await until(() => waiting.length === 400, '400 requests at the application');
    for (const finish of waiting.splice(0)) finish();
    for (const { status } of await Promise.all(calls)) assert.equal(status, 200);
    assert.equal(made.planes[1]!.plane.status().openConnections, 2);
  });

  test('a timeout takes the stream back', async () => {
    const application = await server();
    const { client } = await way([application.port], { route: { timeoutMs: 100 } });
    for (const version of VERSIONS) {
      const answer = await client(version).call();
      assert.deepEqual([answer.status, answer.headers['x-heddle-error']], [504, 'REQUEST_TIMEOUT']);
    }
    const [peer] = application.peers;
    await until(() => peer!.of(FRAME.rstStream).length === 2, 'RST_STREAM');
    assert.deepEqual(
      peer!.of(FRAME.rstStream).map(({ payload }) => payload.readUInt32BE()),
      [8, 8],
    );
  });

  test('a dead instance is found out by PING, and its requests go elsewhere', async () => {
    const relay = await RawServer.listen();
    mesh.onClose(() => relay.close());
    const application = await startApplication(mesh, 'http1', (_request, response) => response.end('alive'));
    const web = mesh.plane('web', { pingAfterMs: 150, pingTimeoutMs: 150 });
    const orders = mesh.plane('orders');
    const inbound = await mesh.inbound(orders.plane, 'orders', 'orders-1', application.port);
    let isDead = false;
    relay.onPeer = (peer) => {
      const onward = connectRaw(inbound);
      peer.socket.on('data', (bytes: Buffer) => void (isDead || onward.socket.write(bytes)));
      onward.socket.on('data', (bytes: Buffer) => void (isDead || peer.socket.write(bytes)));
      peer.socket.on('close', () => onward.socket.destroy());
    };
    const port = await mesh.outbound(web.plane, 'orders', [endpoint(relay.port, 'orders-1')], { route: { timeoutMs: 0 } });
    ways.push({ port, planes: [web, orders], client: () => assert.fail() });
    const client = connectRaw(port);
    client.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n');
    await client.expect('alive');
    isDead = true;
    client.send('POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 0\r\n\r\n');
    await client.expect(/ 502 [\s\S]*UPSTREAM_RESET.*not even the answer to a PING/);
    isDead = false;
    client.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n');
    await client.expect(/alive[\s\S]*alive/);
    client.socket.destroy();
  });

  test('a slow but living instance is not taken for a dead one', async () => {
    const application = await startApplication(mesh, 'http1', (_request, response) => void finish.push(() => response.end('late')));
    const finish: (() => void)[] = [];
    const made = await pair(mesh, 'http1', application.port, { limits: { pingAfterMs: 60, pingTimeoutMs: 60 }, route: { timeoutMs: 0 } });
    ways.push(made);
    const call = made.client('http2').call();
    await until(() => finish.length === 1, 'the request');
    await new Promise((resolve) => setTimeout(resolve, 400));
    finish[0]!();
    assert.equal((await call).body.toString(), 'late');
  });

  test('an identity that is renewed breaks no stream, and new requests show the new one', async () => {
    const finish: (() => void)[] = [];
    const application = await startApplication(mesh, 'http1', (request, response) => {
      if (request.url === '/wait') finish.push(() => response.end('waited'));
      else response.end('ok');
    });
    const made = await pair(mesh, 'http1', application.port, { route: { timeoutMs: 0 } });
    ways.push(made);
    const caller = made.client('http2');
    const call = caller.call({ path: '/wait' });
    await until(() => finish.length === 1, 'the request');
    const { plane } = made.planes[0]!;
    plane.setIdentity('default/web/web-1', mesh.authority.service('web'));
    assert.equal((await caller.call()).body.toString(), 'ok');
    await until(() => made.planes[1]!.plane.status().openConnections === 2, 'a second connection');
    finish[0]!();
    assert.equal((await call).body.toString(), 'waited');
    await until(() => made.planes[1]!.plane.status().openConnections === 1, 'the first connection to end');
  });

  test('instances may change their version while requests run', async () => {
    const finish: (() => void)[] = [];
    const old = await startApplication(mesh, 'http1', (request, response) => {
      if (request.url === '/wait') finish.push(() => response.end('waited'));
      else response.end('one');
    });
    const now = await startApplication(mesh, 'http2', (_request, response) => response.end('two'));
    const made = await single(mesh, 'http1', [old.port]);
    ways.push(made);
    const { plane } = made.planes[0]!;
    const caller: Client = made.client('http2');
    assert.equal((await caller.call()).body.toString(), 'one');
    const waiting = caller.call({ path: '/wait' });
    await until(() => finish.length === 1, 'the request');
    await mustApply(plane, { kind: 'cluster', upserts: [meshCluster('orders', { http: 'http2', tls: undefined })], removed: [] });
    await mustApply(plane, {
      kind: 'endpoints',
      upserts: [{ cluster: 'outbound/default/orders', endpoints: [endpoint(now.port, 'orders-2')] }],
      removed: [],
    });
    assert.equal((await caller.call()).body.toString(), 'two');
    finish[0]!();
    assert.equal((await waiting).body.toString(), 'waited');
  });

  test('an instance that breaks HTTP/2 fails its requests, not the data plane', async () => {
    const faults: readonly (readonly [string, (peer: FramePeer, streamId: number) => void])[] = [
      ['DATA before a head', (peer, id) => peer.send(data(id, 'x'))],
      ['a head without status', (peer, id) => peer.send(headers(id, [['content-type', 'text/plain']], true))],
      ['a head with a connection header', (peer, id) => peer.send(headers(id, [...OK, ['connection', 'close']], true))],
      ['a length that is too long', (peer, id) => peer.send(headers(id, [...OK, ['content-length', '5']], false), data(id, 'x', true))],
      ['a pushed stream', (peer, id) => peer.send(frameOfPush(id))],
      ['frames on streams that nobody opened', (peer) => peer.send(headers(99, OK, true))],
      ['no HTTP/2 at all', (peer) => peer.send(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))],
      ['a half-open end', (peer) => void peer.socket.end()],
    ];
    for (const [what, act] of faults) {
      const application = await server();
      application.onPeer = (peer) => {
        peer.onFrame = ({ type, streamId }) => void (type === FRAME.headers && act(peer, streamId));
      };
      const { client } = await way([application.port], { route: { timeoutMs: 2_000, retry: NO_RETRY } });
      for (const version of VERSIONS) {
        const call = client(version).begin({ method: 'POST', body: [] });
        call.end();
        if (what === 'a length that is too long') await assert.rejects(call.answer, what);
        else assert.equal((await call.answer).status, 502, what);
      }
    }
  });
});

function frameOfPush(streamId: number): Buffer {
  const push = headers(streamId, OK, false);
  push[3] = FRAME.pushPromise;
  return Buffer.concat([push.subarray(0, 9), uint32(2), push.subarray(9)]);
}
