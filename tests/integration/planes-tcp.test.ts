// Services that are not HTTP: opaque bytes over mutual TLS, by a local port or by CONNECT.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import type { RunningProxy } from '@heddle/proxy';
import { application, Cleanup, control, host, machine, through, untilEndpoints, untilReady, type Workload } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';

const cleanup = new Cleanup();
let near: RunningProxy;
let web: Workload;

/** Says hello first, as databases do, then returns what it gets; ends when the client has. */
async function serverFirst(): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.write('hello ');
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup.add(() => server.close());
  return (server.address() as AddressInfo).port;
}

before(async () => {
  const plane = await control(cleanup);
  near = await machine(cleanup, plane, { node: 'near' });
  const far = await machine(cleanup, plane, { node: 'far' });
  await host(far, plane, 'cache-1', await serverFirst());
  web = await host(near, plane, 'web-1', (await application(cleanup, 'web-1')).port, { uses: ['cache'] });
  await untilReady(near, far);
  await untilEndpoints(near, 'cache', ['cache-1']);
});
after(() => cleanup.run());

async function open(port: number): Promise<Socket & { text: string }> {
  const socket = Object.assign(connect({ port, host: '127.0.0.1', allowHalfOpen: true }), { text: '' });
  socket.setEncoding('utf8').on('data', (chunk) => void (socket.text += String(chunk)));
  socket.on('error', () => {});
  cleanup.add(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

test('bytes go both ways through a local port, the server speaking first, and both ends are told of the end', async () => {
  const socket = await open(web.outbounds[0]?.listen.port ?? 0);
  await waitFor('the greeting', () => socket.text === 'hello ');
  const payload = 'x'.repeat(2_000_000);
  const ended = once(socket, 'end');
  socket.end(payload);
  await ended;
  assert.ok(socket.text === `hello ${payload}`);
});

test('bytes go both ways through CONNECT on the shared proxy, with the credential of a workload', async () => {
  const socket = await open(through(near).port);
  const credential = Buffer.from(`${web.proxyCredential}:`).toString('base64');
  socket.write(
    `CONNECT cache.mesh.internal:6379 HTTP/1.1\r\nHost: cache.mesh.internal:6379\r\nProxy-Authorization: Basic ${credential}\r\n\r\n`,
  );
  await waitFor('the greeting', () => /^HTTP\/1\.1 200 [^\r]*\r\n\r\nhello $/.test(socket.text));
  const ended = once(socket, 'end');
  socket.end('ping');
  await ended;
  assert.ok(socket.text.endsWith('hello ping'));
});

test('CONNECT to nobody, to another port, or with a wrong credential is refused', async () => {
  for (const [authority, credential, status] of [
    ['nobody.mesh.internal:1', web.proxyCredential, '404'],
    ['cache.mesh.internal:1', web.proxyCredential, '404'],
    ['cache.mesh.internal:6379', 'wrong', '407'],
  ]) {
    const socket = await open(through(near).port);
    socket.write(
      `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nProxy-Authorization: Basic ${Buffer.from(`${credential}:`).toString('base64')}\r\n\r\n`,
    );
    await waitFor('an answer', () => socket.text.includes('\r\n\r\n'));
    assert.match(socket.text, new RegExp(`^HTTP/1\\.1 ${status} `));
  }
});
