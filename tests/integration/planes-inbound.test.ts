// The ports by which data planes take calls from one another: nobody without a certificate of the mesh gets in, and nobody on the
// way can read along.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect, createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { RunningControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import {
  adminCall,
  application,
  call,
  type Certificate,
  certificateOf,
  Cleanup,
  control,
  host,
  LOOPBACK,
  machine,
  registerInstance,
  through,
  untilEndpoints,
  untilReady,
  type Workload,
} from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';

const REQUEST = 'GET /inside HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n';
const cleanup = new Cleanup();
let plane: RunningControl;
let near: RunningProxy;
let far: RunningProxy;
let echo: Workload;
let cache: Workload;
let ours: Certificate;
let stranger: Certificate;
/** What reached the applications. */
const reached: string[] = [];

before(async () => {
  plane = await control(cleanup);
  near = await machine(cleanup, plane, { node: 'near' });
  far = await machine(cleanup, plane, { node: 'far' });
  const app = await application(cleanup, 'echo-1');
  app.server.on('request', (request) => {
    if (request.url !== '/healthz') reached.push(request.url ?? '');
  });
  const store = createServer((socket) => socket.on('error', () => {}).on('data', () => void reached.push('cache')));
  await new Promise<void>((resolve) => store.listen(0, LOOPBACK, resolve));
  cleanup.add(() => store.close());
  echo = await host(far, plane, 'echo-1', app.port);
  cache = await host(far, plane, 'cache-1', (store.address() as AddressInfo).port);
  ours = await certificateOf(plane, 'web');
  stranger = await certificateOf(await control(cleanup), 'web');
  await untilReady(near, far);
  await untilEndpoints(near, 'echo', ['echo-1']);
});
after(() => cleanup.run());

/** Sends the request over TLS; returns all that came back before the connection ended. */
async function overTls(port: number, options: ConnectionOptions): Promise<string> {
  const socket = connectTls({ host: LOOPBACK, port, ca: plane.rootsPem, checkServerIdentity: () => undefined, ...options });
  cleanup.add(() => socket.destroy());
  let text = '';
  socket.on('error', () => {}).on('data', (chunk) => void (text += chunk.toString()));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(REQUEST);
  await closed;
  return text;
}

async function inPlaintext(port: number): Promise<string> {
  const socket = connect(port, LOOPBACK);
  cleanup.add(() => socket.destroy());
  let text = '';
  socket.on('error', () => {}).on('data', (chunk) => void (text += chunk.toString('latin1')));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(REQUEST);
  await closed;
  return text;
}

async function refusals(port: number): Promise<number> {
  const status = (await (await adminCall(far, 'GET', '/status')).json()) as { listeners: { port: number; refusedHandshakes: number }[] };
  return status.listeners.find((listener) => listener.port === port)?.refusedHandshakes ?? -1;
}

describe('an inbound port', () => {
  test('serves a workload of the mesh', async () => {
    assert.match(
      await overTls(echo.inbound.port, { cert: ours.certificatePem, key: ours.keyPem, ALPNProtocols: ['http/1.1'] }),
      /^HTTP\/1\.1 200 [\s\S]*\/inside/,
    );
    reached.length = 0;
  });

  const attempts: readonly (readonly [string, () => ConnectionOptions | undefined])[] = [
    ['plaintext', () => undefined],
    ['TLS without a certificate', () => ({ ALPNProtocols: ['h2', 'http/1.1'] })],
    [
      'TLS with a certificate of another mesh',
      () => ({ cert: stranger.certificatePem, key: stranger.keyPem, ALPNProtocols: ['h2', 'http/1.1'] }),
    ],
    [
      'a certificate of the mesh with an ALPN that nobody speaks',
      () => ({ cert: ours.certificatePem, key: ours.keyPem, ALPNProtocols: ['h2c', 'spdy/3'] }),
    ],
    ['a certificate of the mesh without ALPN', () => ({ cert: ours.certificatePem, key: ours.keyPem })],
    [
      'a certificate of the mesh over TLS 1.2',
      () => ({ cert: ours.certificatePem, key: ours.keyPem, maxVersion: 'TLSv1.2', ALPNProtocols: ['h2', 'http/1.1'] }),
    ],
  ];
  for (const [what, options] of attempts) {
    test(`refuses ${what}, counts it, and lets nothing through`, async () => {
      for (const { port } of [echo.inbound, cache.inbound]) {
        const before = await refusals(port);
        const tls = options();
        const text = tls === undefined ? await inPlaintext(port) : await overTls(port, tls);
        assert.doesNotMatch(text, /HTTP\/1/);
        await waitFor('the count', async () => (await refusals(port)) === before + 1);
      }
      assert.deepEqual(reached, []);
    });
  }

  test('of a tcp service takes CONNECT and no other request, one of an http service the other way round', async () => {
    const caller = { cert: ours.certificatePem, key: ours.keyPem, ALPNProtocols: ['h2'] };
    const asked = async (port: number, headers: OutgoingHttpHeaders): Promise<IncomingHttpHeaders & { readonly ':status'?: number }> => {
      const session = connectHttp2(`https://${LOOPBACK}:${port}`, { ca: plane.rootsPem, checkServerIdentity: () => undefined, ...caller });
      cleanup.add(() => session.destroy());
      session.on('error', () => {});
      const stream = session.request(headers);
      stream.on('error', () => {});
      try {
        return ((await once(stream, 'response')) as [IncomingHttpHeaders])[0];
      } finally {
        session.destroy();
      }
    };
    const get = { ':path': '/inside', ':authority': 'echo' };
    const connectTo = (authority: string) => ({ ':method': 'CONNECT', ':authority': authority });
    assert.equal((await asked(echo.inbound.port, get))[':status'], 200);
    assert.equal((await asked(cache.inbound.port, connectTo('cache.default.mesh.internal:6379')))[':status'], 200);
    const wrong = await asked(cache.inbound.port, get);
    assert.deepEqual([wrong[':status'], wrong['x-heddle-error']], [404, 'NO_SUCH_SERVICE']);
    const other = await asked(echo.inbound.port, connectTo('cache.default.mesh.internal:6379'));
    assert.deepEqual([other[':status'], other['x-heddle-error']], [501, 'NOT_IMPLEMENTED']);
  });

  test('still serves afterwards', async () => {
    assert.equal((await call({ proxy: through(near), url: 'http://echo/' })).name, 'echo-1');
  });
});

test('bytes between two data planes show neither path, headers, nor body', async () => {
  const recorded: Buffer[] = [];
  let connections = 0;
  const relay = createServer((socket) => {
    connections += 1;
    const onward = connect(echo.inbound.port, LOOPBACK);
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      from.on('error', () => {}).on('close', () => to.destroy());
      from.on('data', (chunk: Buffer) => {
        recorded.push(chunk);
        to.write(chunk);
      });
    }
  });
  await new Promise<void>((resolve) => relay.listen(0, LOOPBACK, resolve));
  cleanup.add(() => relay.close());
  const inbound = { address: LOOPBACK, port: (relay.address() as AddressInfo).port };
  await registerInstance(cleanup, plane, await certificateOf(plane, 'echo'), { id: 'echo-2', service: 'echo', inbound });
  await untilEndpoints(near, 'echo', ['echo-1', 'echo-2']);
  const body = 'THE-BODY-IS-SECRET '.repeat(100);
  const carried = (): number => recorded.reduce((sum, chunk) => sum + chunk.length, 0);
  // Of six calls what they sent and what they got, whichever instance the others go to.
  const enough = 6 * 2 * body.length;
  for (let count = 0; count < 500 && carried() < enough; count++) {
    const answer = await call({
      proxy: through(near),
      url: 'http://echo/THE-PATH-IS-SECRET',
      method: 'POST',
      body,
      headers: { 'x-token': 'THE-HEADER-IS-SECRET' },
    });
    assert.equal(answer.body, body);
    assert.equal(answer.headers['x-token'], 'THE-HEADER-IS-SECRET');
  }
  const wire = Buffer.concat(recorded);
  assert.ok(connections > 0);
  assert.ok(wire.length >= enough, `only ${wire.length} bytes`);
  // RFC 8446 5.1: the first record is a handshake.
  assert.equal(recorded[0]?.[0], 22);
  for (const secret of ['IS-SECRET', 'POST', 'HTTP/1.1', 'x-token', 'x-heddle-peer', 'spiffe://'])
    assert.ok(!wire.includes(secret), `${secret} is on the wire`);
});
