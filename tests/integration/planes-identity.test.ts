// Who a call is from: proven by certificates between data planes, told to the application, and never to be forged by a caller.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { RunningControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import {
  application,
  call,
  Cleanup,
  control,
  host,
  machine,
  proxy,
  through,
  untilEndpoints,
  untilReady,
  type Workload,
} from '../support/planes.ts';
import { callThroughProxy } from '../support/load.ts';
import { waitFor } from '../support/wait.ts';

const cleanup = new Cleanup();
const URL = 'http://echo.mesh.internal/';
let plane: RunningControl;
let shared: RunningProxy;
let web: Workload;
let echo: Workload;

before(async () => {
  plane = await control(cleanup);
  shared = await machine(cleanup, plane, { node: 'shared' });
  echo = await host(shared, plane, 'echo-1', (await application(cleanup, 'echo-1')).port);
  web = await host(shared, plane, 'web-1', (await application(cleanup, 'web-1')).port, { uses: ['echo'] });
  await untilReady(shared);
  await untilEndpoints(shared, 'echo', ['echo-1']);
});
after(() => cleanup.run());

const peerOf = (answer: { headers: Readonly<Record<string, string>> }): string | undefined => answer.headers['x-heddle-peer'];

test('a call with a credential carries the identity of its workload', async () => {
  assert.equal(peerOf(await call({ proxy: through(shared), url: URL }, web.proxyCredential)), 'spiffe://test/ns/default/svc/web');
  assert.equal(peerOf(await call({ proxy: through(shared), url: URL }, echo.proxyCredential)), 'spiffe://test/ns/default/svc/echo');
});

test('a call through a local port carries the identity of its workload, whatever it claims', async () => {
  const listen = web.outbounds[0]?.listen;
  assert.ok(listen !== undefined);
  const answer = await fetch(`http://${listen.address}:${listen.port}/local`, {
    headers: { 'x-heddle-peer': 'spiffe://test/ns/heddle-system/svc/operator' },
  });
  const { path, headers } = (await answer.json()) as { path: string; headers: Record<string, string> };
  assert.equal(path, '/local');
  assert.equal(peerOf({ headers }), 'spiffe://test/ns/default/svc/web');
});

test("a call without a credential is the operator's", async () => {
  assert.equal(peerOf(await call({ proxy: through(shared), url: URL })), 'spiffe://test/ns/heddle-system/svc/operator');
});

test('a credential does not reach the application', async () => {
  const { headers } = await call({ proxy: through(shared), url: URL }, web.proxyCredential);
  assert.ok(!JSON.stringify(headers).includes(Buffer.from(web.proxyCredential).toString('base64').slice(0, 16)));
});

test('a credential that nobody has, or has no more, is refused with 407', async () => {
  for (const credential of ['wrong', `${web.proxyCredential}x`, ''])
    assert.equal((await call({ proxy: through(shared), url: URL }, credential)).status, 407, credential);
  const gone = await host(shared, plane, 'web-2', (await application(cleanup, 'web-2')).port);
  await waitFor('its certificate', async () => (await call({ proxy: through(shared), url: URL }, gone.proxyCredential)).status === 200);
  await fetch(`http://127.0.0.1:${shared.admin.port}/workloads/default/web/web-2`, {
    method: 'DELETE',
    headers: { authorization: 'Bearer test-admin-token' },
  });
  assert.equal((await call({ proxy: through(shared), url: URL }, gone.proxyCredential)).status, 407);
});

test('calls without a credential are refused where they are not allowed', async () => {
  const strict = await machine(cleanup, plane, { node: 'strict', anonymousCalls: false });
  const own = await host(strict, plane, 'web-3', (await application(cleanup, 'web-3')).port);
  await untilReady(strict);
  await untilEndpoints(strict, 'echo', ['echo-1']);
  const refused = await callThroughProxy({ proxy: through(strict), url: URL });
  assert.deepEqual([refused.status, refused.errorCode], [407, 'UNKNOWN_WORKLOAD']);
  assert.equal(peerOf(await call({ proxy: through(strict), url: URL }, own.proxyCredential)), 'spiffe://test/ns/default/svc/web');
});

describe('a sidecar without an identity of its own', () => {
  test('speaks to the control plane as its workload, and as the next one when that goes', async () => {
    const sidecar = await proxy(cleanup, plane, { node: 'sidecar' });
    const first = await host(sidecar, plane, 'web-4', (await application(cleanup, 'web-4')).port, { uses: ['echo'] });
    await untilReady(sidecar);
    await untilEndpoints(sidecar, 'echo', ['echo-1']);
    const answer = await fetch(`http://127.0.0.1:${first.outbounds[0]?.listen.port}/`);
    assert.equal(peerOf((await answer.json()) as { headers: Record<string, string> }), 'spiffe://test/ns/default/svc/web');
    await host(sidecar, plane, 'web-5', (await application(cleanup, 'web-5')).port);
    await untilReady(sidecar);
    await fetch(`http://127.0.0.1:${sidecar.admin.port}/workloads/default/web/web-4`, {
      method: 'DELETE',
      headers: { authorization: 'Bearer test-admin-token' },
    });
    await host(sidecar, plane, 'web-6', (await application(cleanup, 'web-6')).port);
    await untilReady(sidecar);
  });
});
