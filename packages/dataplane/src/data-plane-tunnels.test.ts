// TCP through the tunnel between two data planes, and CONNECT of either version in front of it: ends, resets, refusals, back-pressure.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { connectFrames, data, FRAME, headers as headersFrame, SETTING, settings } from './testing/frames.ts';
import type { Plane } from './testing/mesh.ts';
import { endpoint, TestMesh } from './testing/mesh.ts';
import { isQuiet } from './testing/paths.ts';
import { KERNEL_BYTES_MAX, connectRaw, DEAD_PORTS, RawServer, until } from './testing/raw-http.ts';
import type { RawPeer } from './testing/raw-http.ts';
import { ask, untilEachStopsTheOther, upgradedOf } from './testing/upgrades.ts';
import type { Upgraded } from './testing/upgrades.ts';

const AUTHORITY = 'store.default.mesh.internal:5432';

type Kind = 'a local port' | 'CONNECT over http1' | 'CONNECT over http2';

async function world(
  mesh: TestMesh,
  applicationPorts: readonly number[],
  kind: Kind,
): Promise<{ port: number; planes: Plane[]; open: (first?: string) => Upgraded }> {
  const web = mesh.plane('web');
  const store = mesh.plane('store');
  const endpoints = [];
  for (const [index, applicationPort] of applicationPorts.entries()) {
    const name = `store-${index + 1}`;
    endpoints.push(endpoint(await mesh.inbound(store.plane, 'store', name, applicationPort, { tcp: true }), name));
  }
  const options = kind === 'a local port' ? { tcp: true } : { route: { connect: 'forward' as const } };
  const port = await mesh.outbound(web.plane, 'store', endpoints, options);
  const open = (first = ''): Upgraded => {
    if (kind !== 'a local port') return ask(mesh, kind === 'CONNECT over http1' ? 'http1' : 'http2', port, { connect: AUTHORITY, first });
    const peer = connectRaw(port);
    mesh.onClose(() => void peer.socket.destroy());
    if (first !== '') peer.send(first);
    return upgradedOf(peer, true);
  };
  return { port, planes: [web, store], open };
}

async function server(mesh: TestMesh): Promise<RawServer> {
  const made = await RawServer.listen();
  mesh.onClose(() => made.close());
  return made;
}

for (const kind of ['a local port', 'CONNECT over http1', 'CONNECT over http2'] as const) {
  describe(`a tunnel by ${kind}`, () => {
    const mesh = new TestMesh();
    let application: RawServer;
    let planes: Plane[];
    let open: (first?: string) => Upgraded;

    before(async () => {
      application = await server(mesh);
      ({ planes, open } = await world(mesh, [application.port], kind));
    });
    afterEach(() => void (application.onPeer = () => {}));
    after(async () => {
      try {
        await until(() => isQuiet(planes), 'nothing in flight');
        assert.deepEqual(
          planes.flatMap(({ faults }) => faults),
          [],
        );
      } finally {
        await mesh.close();
      }
    });

    async function opened(first?: string): Promise<{ near: Upgraded; far: RawPeer }> {
      const before = application.peers.length;
      const near = open(first);
      await until(() => application.peers.length > before && near.status !== 0, 'the connection at the application');
      return { near, far: application.peers.at(-1)! };
    }

    test('carries bytes both ways, the server speaking first', async () => {
      application.onPeer = (peer) => void peer.send('hello ');
      const { near, far } = await opened();
      await until(() => near.text === 'hello ', 'the greeting');
      near.write('ping');
      await far.expect('ping');
      far.send('pong');
      await until(() => near.text === 'hello pong', 'the pong');
      near.end();
      await until(() => far.ended, 'the end');
      far.socket.end();
      await until(() => near.ended, 'the end back');
    });

    test('keeps what the client sends before the tunnel is there', async () => {
      const { near, far } = await opened('early ');
      near.write('late');
      await far.expect('early late');
      near.end();
      far.socket.end();
      await until(() => near.ended && far.ended, 'the ends');
    });

    test('a client that sends and ends at once is heard whole, and answered', async () => {
      const near = open('question');
      near.end();
      await until(() => application.peers.at(-1)?.text === 'question', 'the question');
      const far = application.peers.at(-1)!;
      await until(() => far.ended, 'the end');
      far.send('answer').socket.end();
      await until(() => near.ended, 'the end back');
      assert.equal(near.text, 'answer');
      assert.equal(near.failed, false);
    });

    test('an application that has ended still hears the rest', async () => {
      const { near, far } = await opened();
      far.send('done').socket.end();
      await until(() => near.ended, 'the end');
      assert.equal(near.text, 'done');
      near.write(Buffer.alloc(3_000_000, 'x'));
      near.end();
      await until(() => far.ended, 'the end back');
      assert.equal(far.receivedBytes, 3_000_000);
    });

    test('a reset is passed on as one, both ways', async () => {
      const first = await opened();
      first.far.send('half');
      await until(() => first.near.text !== '', 'some bytes');
      first.far.socket.resetAndDestroy();
      await until(() => first.near.failed || first.near.ended, 'the client to hear of it');
      assert.equal(first.near.failed, true, 'it looked like an end');
      const second = await opened();
      second.near.write('half');
      await second.far.expect('half');
      second.near.reset();
      await until(() => second.far.closed, 'the application to hear of it');
      assert.notEqual(second.far.error, undefined, 'it looked like an end');
    });

    test('a slow reader stops the other side, in both directions', async () => {
      const { near, far } = await opened();
      await untilEachStopsTheOther(near, far, far.socket);
      near.end();
      far.socket.end();
      await until(() => near.ended && far.ended, 'the ends');
    });
  });

  describe(`refusals of tunnels by ${kind}`, () => {
    let mesh = new TestMesh();
    afterEach(async () => {
      await mesh.close();
      mesh = new TestMesh();
    });

    test('go on to another instance, without losing what was sent early', async () => {
      const application = await server(mesh);
      application.onPeer = (peer) => peer.socket.on('data', (bytes: Buffer) => peer.socket.write(bytes));
      const { planes, open } = await world(mesh, [DEAD_PORTS[0], application.port], kind);
      for (let count = 0; count < 4; count++) {
        const near = open(`early ${count}`);
        await until(() => near.text === `early ${count}`, `the echo of ${count}`);
        near.end();
        application.peers.at(-1)!.socket.end();
        await until(() => near.ended, 'the end');
      }
      await until(() => isQuiet(planes), 'nothing in flight');
    });

    test('by every instance are told', async () => {
      const { planes, open } = await world(mesh, DEAD_PORTS, kind);
      const near = open();
      if (kind === 'a local port') await until(() => near.failed, 'a reset');
      else {
        await until(() => near.status !== 0, 'an answer');
        assert.deepEqual([near.status, near.headers['x-heddle-error']], [503, 'APPLICATION_REFUSED']);
      }
      await until(() => isQuiet(planes), 'nothing in flight');
    });
  });
}

describe('many tunnels', () => {
  const mesh = new TestMesh();
  after(() => mesh.close());

  test('600 share a few connections, and each keeps its own bytes', async () => {
    const application = await server(mesh);
    application.onPeer = (peer) => {
      peer.socket.on('data', (bytes: Buffer) => peer.socket.write(bytes));
      peer.socket.on('end', () => peer.socket.end());
    };
    const { planes, port } = await world(mesh, [application.port], 'a local port');
    const clients = Array.from({ length: 600 }, () => connectRaw(port));
    for (const [index, client] of clients.entries()) client.send(`I am ${index}.`);
    await until(() => clients.every((client, index) => client.text === `I am ${index}.`), 'all echoes', 20_000);
    assert.ok(planes[1]!.plane.status().openConnections <= 3, `${planes[1]!.plane.status().openConnections} connections`);
    assert.equal(planes[1]!.plane.status().activeRequests, 600);
    for (const client of clients) client.socket.destroy();
    await until(() => isQuiet(planes), 'nothing in flight');
  });

  test('one that nobody reads does not stop the others', async () => {
    const application = await server(mesh);
    let stuck: RawPeer | undefined;
    application.onPeer = (peer) => {
      if (stuck !== undefined) return void peer.socket.on('data', (bytes: Buffer) => peer.socket.write(bytes));
      stuck = peer;
      peer.socket.pause();
    };
    const { planes, port } = await world(mesh, [application.port], 'a local port');
    const flooding = connectRaw(port);
    // Up to the first data plane; the rest of the way has a window.
    flooding.socket.write(Buffer.alloc(30_000_000 + KERNEL_BYTES_MAX));
    await until(() => stuck !== undefined, 'the first tunnel');
    const other = connectRaw(port);
    for (let count = 1; count <= 50; count++) {
      other.send('x'.repeat(10_000));
      await until(() => other.receivedBytes === count * 10_000, `echo ${count}`);
    }
    assert.ok(flooding.socket.writableLength > 20_000_000, 'the stuck tunnel took everything');
    flooding.socket.resetAndDestroy();
    // Nothing is read from a client that is stopped, so that its end shows only now.
    stuck!.socket.resetAndDestroy();
    other.socket.resetAndDestroy();
    await until(() => isQuiet(planes), 'nothing in flight');
  });
});

describe('CONNECT by hand over HTTP/2', () => {
  const mesh = new TestMesh();
  let planes: Plane[];
  let port: number;
  let application: RawServer;
  before(async () => {
    application = await server(mesh);
    ({ planes, port } = await world(mesh, [application.port], 'CONNECT over http2'));
  });
  after(() => mesh.close());
  const connect = [
    [':method', 'CONNECT'],
    [':authority', AUTHORITY],
  ] as const;

  test('that ends its direction with the request is answered, and hears the other side out', async () => {
    application.onPeer = (peer) => void peer.send('only me');
    const peer = connectFrames(port);
    peer.send(headersFrame(1, connect, true));
    await peer.expect(FRAME.data, 1);
    assert.equal(peer.of(FRAME.headers, 1)[0]?.fields[':status'], '200');
    assert.equal(peer.body(1), 'only me');
    await until(() => application.peers.at(-1)!.ended, 'the end at the application');
    application.peers.at(-1)!.socket.end();
    await until(() => peer.isOver(1), 'the end');
    await until(() => isQuiet(planes), 'nothing in flight');
    peer.socket.destroy();
    application.onPeer = () => {};
  });

  test('to nobody is answered and closed without an error, whether or not the client ends', async () => {
    const peer = connectFrames(port);
    await mustRefuse(async () => {
      peer.send(headersFrame(1, connect, false), headersFrame(3, connect, true));
      for (const id of [1, 3]) {
        await until(() => peer.isOver(id), 'the end');
        assert.equal(peer.of(FRAME.headers, id)[0]?.fields['x-heddle-error'], 'NO_HEALTHY_INSTANCE');
        for (const { payload } of peer.of(FRAME.rstStream, id)) assert.equal(payload.readUInt32BE(), 0);
      }
    });
    await until(() => isQuiet(planes), 'nothing in flight');
    peer.socket.destroy();
  });

  test('whose window is shut is refused all the same', async () => {
    const peer = connectFrames(port, { settings: settings([SETTING.initialWindowSize, 0]) });
    await mustRefuse(async () => {
      peer.send(headersFrame(1, connect, false));
      await until(() => peer.isOver(1), 'the end');
    });
    peer.socket.destroy();
  });

  test('bytes after a reset of the tunnel hurt nobody', async () => {
    const peer = connectFrames(port);
    peer.send(headersFrame(1, connect, false));
    await peer.expect(FRAME.headers, 1);
    application.peers.at(-1)!.socket.resetAndDestroy();
    await peer.expect(FRAME.rstStream, 1);
    peer.send(data(1, 'too late', true), headersFrame(3, connect, false));
    await peer.expect(FRAME.headers, 3);
    peer.socket.destroy();
    await until(() => isQuiet(planes), 'nothing in flight');
  });

  /** While there is no instance. */
  async function mustRefuse(run: () => Promise<void>): Promise<void> {
    const cluster = 'outbound/default/store';
    const dump = planes[0]!.plane.configDump() as { endpoints: { cluster: string; endpoints: ReturnType<typeof endpoint>[] }[] };
    const { endpoints } = dump.endpoints.find((set) => set.cluster === cluster)!;
    await planes[0]!.plane.apply({ kind: 'endpoints', upserts: [{ cluster, endpoints: [] }], removed: [] });
    try {
      await run();
    } finally {
      await planes[0]!.plane.apply({ kind: 'endpoints', upserts: [{ cluster, endpoints }], removed: [] });
    }
  }
});

test('a TCP connection whose instance is not there is reset, not ended', async () => {
  const mesh = new TestMesh();
  const { port } = await world(mesh, [DEAD_PORTS[0]], 'a local port');
  const socket = net.connect(port, '127.0.0.1');
  const error = await new Promise<Error>((resolve) => void socket.once('error', resolve));
  assert.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET');
  await mesh.close();
});
