// Every way to listen on the instance's port makes a server part of the mesh, and nothing else does.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { Logger } from '@heddle/runtime';
import { InsideServers } from '@heddle/runtime/inside';
import { joinServers, type ServingMesh } from './join-servers.ts';

const LOOPBACK = '127.0.0.1';

interface Watched {
  readonly mesh: ServingMesh;
  readonly lines: string[];
  readonly starts: () => number;
}

function watched(ready: () => Promise<void> = () => Promise.resolve()): Watched {
  const lines: string[] = [];
  let starts = 0;
  const line =
    (level: string) =>
    (_fields: object, message: string): void =>
      void lines.push(`${level} ${message}`);
  const logger: Logger = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error'), child: () => logger };
  return {
    mesh: {
      servers: new InsideServers(),
      ready() {
        starts += 1;
        return ready();
      },
      logger,
    },
    lines,
    starts: () => starts,
  };
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, LOOPBACK);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await closed(server);
  return port;
}

function closed(server: net.Server): Promise<void> {
  return new Promise((resolve) => void server.close(() => resolve()));
}

async function joined(t: TestContext, watching = watched()): Promise<Watched & { readonly port: number }> {
  const port = await freePort();
  t.after(joinServers(watching.mesh, { port }));
  return { ...watching, port };
}

describe('servers that listen', () => {
  test('on the port, in every form, of every kind without TLS', async (t) => {
    const { mesh, port } = await joined(t);
    const ways: [net.Server, (server: net.Server) => unknown][] = [
      [http.createServer(), (server) => server.listen(port)],
      [http.createServer(), (server) => server.listen(port, LOOPBACK)],
      [http2.createServer(), (server) => server.listen({ port, host: 'localhost' })],
      [net.createServer(), (server) => server.listen({ port, host: LOOPBACK, exclusive: true, backlog: 5 })],
    ];
    for (const [server, listen] of ways) {
      listen(server);
      await once(server, 'listening');
      assert.equal(mesh.servers.at(LOOPBACK, port)?.server, server);
      await closed(server);
      assert.equal(mesh.servers.at(LOOPBACK, port), undefined);
    }
  });

  test('elsewhere are left alone, and start nothing', async (t) => {
    const { mesh, port, starts } = await joined(t);
    const other = http.createServer().listen(0, LOOPBACK);
    const local = http.createServer().listen(join(tmpdir(), `heddle-test-${process.pid}.sock`));
    await Promise.all([once(other, 'listening'), once(local, 'listening')]);
    assert.equal(mesh.servers.at(LOOPBACK, port), undefined);
    assert.equal(starts(), 0);
    await Promise.all([closed(other), closed(local)]);
  });

  test('start the data plane, and that it cannot start is said once', async (t) => {
    const watching = watched(() => Promise.reject(new Error('no control plane')));
    const { port, lines, starts } = await joined(t, watching);
    for (let at = 0; at < 2; at++) {
      const server = http.createServer().listen(port, LOOPBACK);
      await once(server, 'listening');
      await closed(server);
    }
    assert.equal(starts(), 2);
    assert.deepEqual(lines, ['error the application listens, and nobody of the mesh can call it yet: no control plane']);
  });

  test('with TLS are reached by their sockets, which is said once', async (t) => {
    const { mesh, port, lines } = await joined(t);
    for (const server of [https.createServer(), http2.createSecureServer()]) {
      server.listen(port, LOOPBACK);
      await once(server, 'listening');
      assert.equal(mesh.servers.at(LOOPBACK, port), undefined);
      await closed(server);
    }
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /^info .*TLS/);
  });

  test('for everybody can be called past the mesh, which is said', async (t) => {
    const { port, lines } = await joined(t);
    const server = http.createServer().listen(port, '0.0.0.0');
    await once(server, 'listening');
    await closed(server);
    assert.match(lines.join(), /^info the application listens on 0\.0\.0\.0:\d+, where it can be called past the mesh/);
  });

  test('beside one another on several addresses: the first one, and the next when it closes', async (t) => {
    const { mesh, port } = await joined(t);
    const first = http.createServer().listen(port, LOOPBACK);
    await once(first, 'listening');
    const second = http.createServer().listen(port, '127.0.0.2');
    await once(second, 'listening');
    assert.equal(mesh.servers.at(LOOPBACK, port)?.server, first);
    await closed(first);
    assert.equal(mesh.servers.at(LOOPBACK, port)?.server, second);
    await closed(second);
  });

  test('after another one has closed its port and waits for its last requests take its place', async (t) => {
    const { mesh, port } = await joined(t);
    const first = http.createServer(() => {}).listen(port, LOOPBACK);
    await once(first, 'listening');
    const request = http.get({ port, host: LOOPBACK, agent: false }).on('error', () => {});
    await once(first, 'request');
    const end = closed(first);
    assert.equal(mesh.servers.at(LOOPBACK, port), undefined);
    const second = http.createServer().listen(port, LOOPBACK);
    await once(second, 'listening');
    assert.equal(mesh.servers.at(LOOPBACK, port)?.server, second);
    request.destroy();
    await end;
    assert.equal(mesh.servers.at(LOOPBACK, port)?.server, second);
    await closed(second);
  });

  test('are joined once for a port, and no more when it is undone', async () => {
    const { mesh, starts } = watched();
    const port = await freePort();
    const undo = joinServers(mesh, { port });
    assert.equal(joinServers(mesh, { port }), undo);
    const server = http.createServer().listen(port, LOOPBACK);
    await once(server, 'listening');
    assert.equal(starts(), 1);
    undo();
    undo();
    assert.equal(mesh.servers.at(LOOPBACK, port), undefined);
    await closed(server);
    const again = http.createServer().listen(port, LOOPBACK);
    await once(again, 'listening');
    assert.equal(mesh.servers.at(LOOPBACK, port), undefined);
    assert.equal(starts(), 1);
    await closed(again);
  });
});
