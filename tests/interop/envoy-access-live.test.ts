// A real Envoy that the control plane keeps up to date: access rules of the mesh file reach it over xDS and hold for callers of HTTP/2; rules that change, and
// identities that are denied and allowed again, are felt on the connections that are open, while others go on.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { certificateOf, Cleanup, LOOPBACK } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { ControlProcess, type Envoy, heddle, startEnvoy } from './support/envoy.ts';
import { envoyProgram } from './support/envoy-program.ts';
import { reason } from './support/programs.ts';

const RULES = [
  '- { from: [web], to: orders, methods: [GET], paths: ["/orders/**"] }',
  '- { from: [shop], to: orders }',
  '- { name: no exports, effect: deny, from: mesh, to: orders, paths: ["/orders/export/**"] }',
];
const mesh = (rules: readonly string[]): string => `mesh: live
services:
  orders: { port: 8001 }
  web: { port: 8002 }
  shop: { port: 8003 }
security:
  access:
    rules:
${rules.map((rule) => `      ${rule}`).join('\n')}
`;

const found = await envoyProgram();
const skip = typeof found === 'string' ? false : reason(found.reason);

describe('access at an Envoy that follows the control plane', { skip }, () => {
  const cleanup = new Cleanup();
  let plane: ControlProcess;
  let envoy: Envoy;
  /** Connections that stay open through all tests. */
  const sessions = new Map<string, ClientHttp2Session>();
  after(() => cleanup.run());
  before(async () => {
    plane = await ControlProcess.start(cleanup, mesh(RULES));
    const app = createServer(({ url, headers }, response) => response.end(`${url} for ${String(headers['x-heddle-peer'])}`));
    await new Promise<void>((resolve) => app.listen(0, LOOPBACK, resolve));
    cleanup.add(() => void app.close());
    cleanup.add(() => app.closeAllConnections());
    const { port } = app.address() as AddressInfo;
    envoy = await startEnvoy(cleanup, String(found), plane, { service: 'orders', instance: 'orders-1', applicationPort: port });
    for (const service of ['web', 'shop']) {
      const { certificatePem: cert, keyPem: key } = await certificateOf(plane.ref, service);
      const session = connect(`https://${LOOPBACK}:${envoy.inbound}`, {
        ...{ ALPNProtocols: ['h2'], cert, key, rejectUnauthorized: false, servername: 'orders' },
      });
      session.on('error', () => {});
      cleanup.add(() => session.destroy());
      sessions.set(service, session);
    }
  });

  /** Over the connection of the service. Status 0: there was no answer. */
  function ask(
    service: string,
    path: string,
    method = 'GET',
  ): Promise<{ readonly status: number; readonly error: string; readonly body: string }> {
    return new Promise((resolve) => {
      const stream = sessions.get(service)!.request({ ':method': method, ':path': path, ':authority': 'orders' });
      let [status, error, body] = [0, '', ''];
      stream.on('response', (headers) => {
        status = Number(headers[':status']);
        error = String(headers['x-heddle-error'] ?? '');
      });
      stream.setEncoding('utf8').on('data', (chunk: string) => void (body += chunk));
      stream.on('error', () => {});
      stream.on('close', () => resolve({ status, error, body }));
      stream.end();
    });
  }
  const statusOf = async (service: string, path: string, method?: string): Promise<number> => (await ask(service, path, method)).status;
  const id = (service: string): string => `spiffe://live/ns/default/svc/${service}`;

  test('rules of the mesh file decide about each request of a connection', async () => {
    assert.deepEqual(await ask('web', '/orders/1'), { status: 200, error: '', body: `/orders/1 for ${id('web')}` });
    assert.deepEqual(await ask('web', '/orders/1', 'DELETE').then(({ status, error }) => [status, error]), [403, 'ACCESS_DENIED']);
    assert.equal(await statusOf('web', '/other'), 403);
    assert.equal(await statusOf('shop', '/other', 'DELETE'), 200);
    assert.deepEqual((await envoy.config()).errors, []);
  });

  test('no spelling of a path gets past a rule that denies, nor another past one that allows', async () => {
    for (const path of [
      '/orders/export/1',
      '/orders//export',
      '/orders/./export/',
      '/orders/x/../export',
      '/orders/%65xport',
      '/orders/EXPORT',
      '/orders/export.',
      '/orders/export%20/1',
      '/orders./export/1',
      '/orders/.../export/1',
      '/orders/export?x=/ok',
    ])
      for (const service of ['web', 'shop']) assert.equal(await statusOf(service, path), 403, `${service} ${path}`);
    for (const path of ['/Orders/1', '/orders./1', '/orders%2f1', '/other/..%2forders/1', '/orders;x/1'])
      assert.equal(await statusOf('web', path), 403, path);
  });

  test('rules that change hold for the next request of connections that are open', async () => {
    await plane.change(mesh([...RULES, '- { name: read only, effect: deny, from: [shop], to: orders, methods: [DELETE] }']));
    await waitFor('the new rule', async () => (await statusOf('shop', '/other', 'DELETE')) === 403);
    assert.deepEqual([await statusOf('shop', '/other'), await statusOf('web', '/orders/1')], [200, 200]);
    await plane.change(mesh(RULES));
    await waitFor('the old rules', async () => (await statusOf('shop', '/other', 'DELETE')) === 200);
  });

  test('an identity that is denied is refused on the connection that it has, until it is allowed again; others go on', async () => {
    const others: number[] = [];
    let isOver = false;
    const going = (async () => {
      while (!isOver) others.push(await statusOf('web', '/orders/1'));
    })();
    await heddle('identity', 'deny', 'shop', '--reason', 'a test', '--state-dir', plane.stateDir);
    await waitFor('the denial', async () => (await statusOf('shop', '/other')) === 403);
    assert.equal((await ask('shop', '/other')).error, 'ACCESS_DENIED');
    await heddle('identity', 'allow', 'shop', '--state-dir', plane.stateDir);
    await waitFor('the end of the denial', async () => (await statusOf('shop', '/other')) === 200);
    isOver = true;
    await going;
    assert.deepEqual(
      others.filter((status) => status !== 200),
      [],
    );
    assert.deepEqual(
      [...sessions.values()].map(({ closed, destroyed }) => closed || destroyed),
      [false, false],
      'the same connections',
    );
  });

  test('while the control plane is away a denial holds, and so do the rules', async () => {
    await heddle('identity', 'deny', 'shop', '--state-dir', plane.stateDir);
    await waitFor('the denial', async () => (await statusOf('shop', '/other')) === 403);
    await plane.kill();
    assert.deepEqual(
      [await statusOf('shop', '/other'), await statusOf('web', '/orders/1'), await statusOf('web', '/other')],
      [403, 200, 403],
    );
    await plane.run();
    await heddle('identity', 'allow', 'shop', '--state-dir', plane.stateDir);
    await waitFor('the end of the denial', async () => (await statusOf('shop', '/other')) === 200);
  });
});
