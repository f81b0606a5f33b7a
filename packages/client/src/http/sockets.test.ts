import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { connect as namedConnect } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import { after, describe, it } from 'node:test';
import tls, { connect as namedTls } from 'node:tls';
import { Agent, request as undiciRequest } from 'undici';
import { MeshError } from '../errors.ts';
import { echoApplication } from '../testing/echo-application.ts';
import { joinedMesh } from '../testing/joined-mesh.ts';
import { joinHttp } from './index.ts';

const joined = await joinedMesh(echoApplication);
const { mesh, cache, cachePort, ordersPort, authority } = joined;
const undo = joinHttp(mesh);
after(undo);
const CACHE = { host: 'cache.mesh.internal', port: 6379 } as const;

async function opened(socket: net.Socket): Promise<net.Socket> {
  await once(socket, 'connect');
  return socket;
}

describe('a socket to a service of the mesh', () => {
  it('is made in every way, and is the socket that it was', async () => {
    const own = new net.Socket();
    const ways = [
      () => net.connect(CACHE),
      () => net.createConnection(CACHE.port, CACHE.host),
      () => namedConnect(CACHE),
      () => own.connect(CACHE.port, CACHE.host, () => {}),
      () => new net.Socket({ onread: { buffer: Buffer.alloc(100), callback: () => true } }).connect(CACHE),
    ];
    for (const [at, make] of ways.entries()) {
      const socket = make();
      assert.equal(socket === own, at === 3);
      assert.equal(socket.connecting, true);
      await opened(socket);
      assert.equal(socket.connecting, false);
      assert.equal(socket.remotePort, CACHE.port);
      assert.equal(socket.readyState, 'open');
      socket.setNoDelay(true).setKeepAlive(true, 1_000);
      socket.destroy();
      await once(socket, 'close');
    }
    assert.equal(mesh.held, 0);
  });

  it('carries bytes in both directions, and ends as it does elsewhere', async () => {
    const socket = net.connect({ ...CACHE, allowHalfOpen: true });
    const sent = Buffer.alloc(3_000_000, 9);
    socket.write('early');
    socket.end(sent);
    const got = await buffer(socket);
    assert.equal(got.length, 5 + sent.length);
    assert.equal(socket.bytesWritten, got.length);
    assert.equal(socket.bytesRead, got.length);
  });

  it('reads into the buffer that it was given', async () => {
    const heard: string[] = [];
    const socket = net.connect({
      ...CACHE,
      onread: { buffer: Buffer.alloc(4), callback: (length, bytes) => heard.push(Buffer.from(bytes).toString('latin1', 0, length)) > 0 },
    });
    socket.write('abcdef');
    while (heard.join('').length < 6) await new Promise(setImmediate);
    assert.deepEqual(heard, ['abcd', 'ef']);
    socket.destroy();
  });

  it('keeps the process alive unless it is told not to', async () => {
    const socket = await opened(net.connect(CACHE));
    assert.equal(mesh.held, 1);
    socket.unref();
    assert.equal(mesh.held, 0);
    socket.ref();
    assert.equal(mesh.held, 1);
    socket.destroy();
    assert.equal(mesh.held, 0);
  });

  it('times out, and is written to no faster than it is read', async () => {
    const idle = await opened(net.connect({ ...CACHE, timeout: 20 }));
    await once(idle, 'timeout');
    idle.destroy();
    const stuck = new Promise<net.Socket>((resolve) => cache.prependOnceListener('connection', (socket) => resolve(socket.pause())));
    const socket = await opened(net.connect(CACHE));
    (await stuck).unpipe().pause();
    let written = 0;
    while (socket.write(Buffer.alloc(100_000)) || written < 10) {
      written += 1;
      await new Promise(setImmediate);
      if (written > 500) break;
    }
    assert.ok(written < 200, `${written} writes`);
    socket.destroy();
  });

  it('fails with an error as sockets have, which says what the mesh says', async () => {
    for (const [options, code] of [
      [{ host: 'nobody.mesh.internal', port: 1 }, 'NO_SUCH_SERVICE'],
      [{ host: 'orders.mesh.internal', port: 81 }, 'NO_SUCH_SERVICE'],
    ] as const) {
      const socket = net.connect(options);
      const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException & { meshCode: string }];
      assert.equal(error.code, 'ECONNREFUSED');
      assert.equal(error.syscall, 'connect');
      assert.equal(error.meshCode, code);
      assert.match(error.message, new RegExp(`^connect ECONNREFUSED ${options.host}:${options.port}: ${code}: `));
      assert.equal(socket.destroyed, true);
    }
    mesh.isReady = false;
    mesh.becomesReady = Promise.reject(new MeshError('NOT_READY', 'not yet'));
    const [error] = (await once(net.connect(CACHE), 'error')) as [Error];
    assert.ok(error.cause instanceof MeshError);
    mesh.becomesReady = Promise.resolve();
    (await opened(net.connect(CACHE))).destroy();
    assert.equal(mesh.held, 0);
  });

  it('hears of everything in the context of its maker', async () => {
    const storage = new AsyncLocalStorage<number>();
    const one = (id: number): Promise<unknown[]> =>
      storage.run(
        id,
        () =>
          new Promise((resolve) => {
            const seen: unknown[] = [];
            const note = (): void => void seen.push(storage.getStore());
            const socket = net.connect(CACHE, note);
            socket.on('data', () => {
              note();
              socket.end();
            });
            socket.on('end', note).on('close', () => {
              note();
              resolve(seen);
            });
            socket.write('x');
          }),
      );
    const all = await Promise.all(Array.from({ length: 20 }, (_, id) => one(id)));
    for (const [id, seen] of all.entries()) assert.deepEqual(seen, [id, id, id, id]);
  });

  it('carries TLS of the application', async () => {
    const { certificatePem, keyPem } = authority.service('cache');
    const server = tls.createServer({ cert: certificatePem, key: keyPem }, (peer) => void peer.on('error', () => {}).pipe(peer));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as net.AddressInfo;
    const pass = (socket: net.Socket): void => {
      socket.unpipe().removeAllListeners('data');
      const on = net.connect(port, '127.0.0.1');
      socket.pipe(on).pipe(socket);
    };
    for (const connect of [tls.connect, namedTls]) {
      cache.prependOnceListener('connection', (socket) => process.nextTick(pass, socket));
      const socket = connect({ ...CACHE, rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      socket.write('secret');
      assert.equal(String((await once(socket, 'data'))[0]), 'secret');
      socket.end();
      await once(socket, 'close');
    }
    server.close();
  });
});

describe('what is built upon sockets', () => {
  it('speaks HTTP/2 to a service of the mesh', async () => {
    const session = http2.connect('http://orders.mesh.internal');
    const stream = session.request({ ':method': 'POST', ':path': '/pipe' });
    const sent = Buffer.alloc(500_000, 4);
    stream.end(sent);
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    assert.equal(headers[':status'], 200);
    assert.ok((await buffer(stream)).equals(sent));
    const many = Array.from({ length: 20 }, () => text(session.request({ ':path': '/early' })));
    assert.deepEqual(new Set(await Promise.all(many)), new Set(['enough']));
    session.close();
    await once(session, 'close');
    assert.equal(mesh.held, 0);
  });

  it('speaks HTTP with connections of its own', async () => {
    const agent = new Agent();
    const { body } = await undiciRequest('http://orders.mesh.internal/early', { dispatcher: agent });
    assert.equal(await body.text(), 'enough');
    await agent.close();
    const request = http.get('http://orders.mesh.internal/early', {
      createConnection: (options) => net.connect(options as net.TcpNetConnectOpts),
    });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    assert.equal(await text(response), 'enough');
  });
});

describe('a socket to another host', () => {
  it('is made as ever', async () => {
    const socket = await opened(net.connect(cachePort, '127.0.0.1'));
    assert.equal(socket.remotePort, cachePort);
    socket.destroy();
    const [error] = (await once(net.connect({ host: 'nobody.invalid', port: 1 }), 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ENOTFOUND');
    const [refused] = (await once(tls.connect({ host: 'nobody.invalid', port: 1 }), 'error')) as [NodeJS.ErrnoException];
    assert.equal(refused.code, 'ENOTFOUND');
    assert.throws(() => net.connect({} as net.TcpNetConnectOpts), { code: 'ERR_MISSING_ARGS' });
    assert.ok(ordersPort > 0);
  });

  it('is so for all once it is taken back', async () => {
    const { connect } = net.Socket.prototype;
    const secure = tls.connect;
    undo();
    assert.notEqual(net.Socket.prototype.connect, connect);
    assert.notEqual(tls.connect, secure);
    assert.equal(namedTls, tls.connect);
    const [error] = (await once(net.connect(CACHE), 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ENOTFOUND');
  });
});
