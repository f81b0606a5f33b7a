// What `serve` takes, and what it says about everything else; what the liveness endpoint answers.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { InsideServers } from '@heddle/runtime/inside';
import { type CurrentMesh, setCurrentMesh } from '../plane/current.ts';
import type { Mesh } from '../plane/mesh.ts';
import { answerLiveness } from './liveness.ts';
import { serve } from './serve.ts';

interface Held {
  readonly mesh: CurrentMesh;
  held: number;
}

function fakeMesh(port: number | undefined, ready: () => Promise<void> = () => Promise.resolve()): Held {
  const held: Held = {
    held: 0,
    mesh: {
      workload: 'default/web/web-1',
      port,
      servers: new InsideServers(),
      isReady: true,
      serves: () => false,
      ready,
      hold: () => void (held.held += 1),
      release: () => void (held.held -= 1),
      connect: () => assert.fail(),
      get calls(): Mesh['calls'] {
        return assert.fail();
      },
    },
  };
  return held;
}

function applicationAt({ mesh }: Held): net.Server | undefined {
  return mesh.servers.at('127.0.0.1', 80)?.server;
}

describe('serve', () => {
  test('takes servers, listeners, apps with fetch, ready or callback, and keeps the process until it is closed', async () => {
    const held = fakeMesh(80);
    const own = http.createServer();
    const fastify = { ready: () => Promise.resolve(), server: http.createServer() };
    for (const [application, server] of [
      [own, own],
      [http2.createServer(), undefined],
      [net.createServer(), undefined],
      [() => {}, undefined],
      [{ fetch: () => new Response() }, undefined],
      [{ callback: () => () => {} }, undefined],
      [fastify, fastify.server],
    ] as const) {
      const { close, mesh } = await serve(application, { mesh: held.mesh, port: 80 });
      assert.equal(mesh, held.mesh);
      assert.ok(applicationAt(held) instanceof net.Server);
      if (server !== undefined) assert.equal(applicationAt(held), server);
      assert.equal(held.held, 1);
      await Promise.all([close(), close()]);
      assert.equal(applicationAt(held), undefined);
      assert.equal(held.held, 0);
    }
  });

  test('uses the mesh of this process where there is one', async (t) => {
    const held = fakeMesh(80);
    setCurrentMesh(held.mesh);
    t.after(() => setCurrentMesh(undefined));
    const { close, mesh } = await serve(() => {});
    assert.equal(mesh, held.mesh);
    assert.ok(applicationAt(held));
    await close();
    setCurrentMesh(fakeMesh(undefined).mesh);
    await assert.rejects(
      serve(() => {}),
      { code: 'BAD_OPTIONS', message: /HEDDLE_PORT/ },
    );
  });

  test('says what it cannot take, and how to mend it', async () => {
    const { mesh } = fakeMesh(80);
    const refused = (application: unknown, message: RegExp): Promise<void> =>
      assert.rejects(serve(application as http.Server, { mesh, port: 80 }), { name: 'MeshError', code: 'BAD_OPTIONS', message });
    await refused({}, /takes no requests; give it a server/);
    await refused(https.createServer(), /speaks TLS/);
    await refused({ createConnectionInjector() {} }, /ServerCredentials\.createInsecure\(\)/);
  });

  test('closes everything again when it cannot join', async () => {
    const held = fakeMesh(80, () => Promise.reject(new Error('away')));
    await assert.rejects(
      serve(() => {}, { mesh: held.mesh, port: 80 }),
      { message: 'away' },
    );
    assert.equal(held.held, 0);
    assert.equal(applicationAt(held), undefined);
  });
});

describe('the liveness endpoint', () => {
  async function statuses(t: TestContext, server: http.Server, paths: readonly string[]): Promise<number[]> {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    return Promise.all(paths.map(async (path) => (await fetch(`http://127.0.0.1:${port}${path}`)).status));
  }

  test('answers its own path and nothing else, also before listeners that come later', async (t) => {
    const server = http.createServer();
    const undo = answerLiveness(server, { path: '/live' });
    server.on('request', (_request, response: http.ServerResponse) => response.writeHead(202).end());
    assert.deepEqual(await statuses(t, server, ['/live', '/live?now', '/lively', '/']), [200, 200, 202, 202]);
    undo();
    const { port } = server.address() as AddressInfo;
    assert.equal((await fetch(`http://127.0.0.1:${port}/live`)).status, 202);
  });

  test('says 503 while the event loop is held up', async (t) => {
    const server = http.createServer();
    t.after(answerLiveness(server, { path: '/live', delayMsMax: -1 }));
    assert.deepEqual(await statuses(t, server, ['/live']), [503]);
  });

  test('is refused where no requests are', () => {
    assert.throws(() => answerLiveness(net.createServer()), { code: 'BAD_OPTIONS', message: /gRPC has its health service/ });
    assert.throws(() => answerLiveness(http.createServer(), { path: 'live' }), { code: 'BAD_OPTIONS', message: /begins with/ });
  });
});
