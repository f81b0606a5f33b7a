// What a data plane is told to host: once or twice the same, changed, removed, with tokens that are no good, on ports that others have.
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import type { RunningControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import {
  adminCall,
  application,
  type Application,
  call,
  certificateOf,
  Cleanup,
  connectedProxies,
  control,
  events,
  host,
  instances,
  joinToken,
  LOOPBACK,
  machine,
  putWorkload,
  registerInstance,
  through,
  untilEndpoints,
  untilReady,
  workloads,
} from '../support/planes.ts';
import { freePorts } from '../support/ports.ts';
import { waitFor } from '../support/wait.ts';

const everything = new Cleanup();
let cleanup: Cleanup;
let plane: RunningControl;
let proxy: RunningProxy;
let app: Application;

before(async () => {
  plane = await control(everything);
});
after(() => everything.run());
beforeEach(async () => {
  cleanup = new Cleanup();
  proxy = await machine(cleanup, plane, { node: 'n1' });
  app = await application(cleanup, 'echo-1');
});
afterEach(() => cleanup.run());

function spec(over: object = {}): object {
  return {
    application: { address: LOOPBACK, port: app.port },
    inbound: { address: LOOPBACK, port: 0 },
    outbounds: [{ namespace: 'default', service: 'web', listen: { address: LOOPBACK, port: 0 } }],
    ...over,
  };
}

async function bindable(port: number): Promise<boolean> {
  const server = createServer();
  const free = await new Promise<boolean>(
    (resolve) => void server.once('error', () => resolve(false)).listen(port, LOOPBACK, () => resolve(true)),
  );
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}

test('the same description twice changes nothing, and a second token is kept, not spent', async () => {
  const first = await putWorkload(proxy, 'default/echo/echo-1', spec({ joinToken: await joinToken(plane, 'echo') }));
  await untilReady(proxy);
  const before = (await instances(plane)).get('echo-1');
  const second = await putWorkload(proxy, 'default/echo/echo-1', spec({ joinToken: await joinToken(plane, 'echo') }));
  assert.deepEqual(second, first);
  assert.deepEqual(proxy.missing(), []);
  assert.deepEqual(JSON.stringify((await instances(plane)).get('echo-1')?.inbound), JSON.stringify(before?.inbound));
  assert.equal((await call({ proxy: through(proxy), url: 'http://echo/' }, first.proxyCredential)).status, 200);
});

test('a changed description replaces the workload: new application, new version, same port', async () => {
  const first = await host(proxy, plane, 'echo-1', app.port);
  await untilReady(proxy);
  await untilEndpoints(proxy, 'echo', ['echo-1']);
  const other = await application(cleanup, 'other');
  const second = await putWorkload(proxy, 'default/echo/echo-1', {
    joinToken: await joinToken(plane, 'echo'),
    application: { address: LOOPBACK, port: other.port },
    inbound: first.inbound,
    version: 'v2',
  });
  assert.deepEqual(second.inbound, first.inbound);
  assert.equal(second.proxyCredential, first.proxyCredential, 'running applications keep their HTTP_PROXY');
  await waitFor('the new application', async () => (await call({ proxy: through(proxy), url: 'http://echo/' })).name === 'other');
  await waitFor('its health', async () => (await workloads(proxy))[0]?.health === 'healthy');
  assert.equal((await instances(plane)).get('echo-1')?.version, 'v2');
  assert.equal((await call({ proxy: through(proxy), url: 'http://echo/' }, first.proxyCredential)).status, 200);
});

test('a change of what leaves the application alone is checked anew and comes back into rotation', async () => {
  for (const version of ['v1', 'v2', 'v3', 'v4']) {
    await host(proxy, plane, 'echo-1', app.port, { version });
    await waitFor(`${version} in rotation`, async () => {
      const instance = (await instances(plane)).get('echo-1');
      return instance?.version === version && (await call({ proxy: through(proxy), url: 'http://echo/' })).status === 200;
    });
  }
});

test('a workload whose process has ended gets no calls, whatever is found at its port, until it is there again and a check has passed', async () => {
  const hosted = await putWorkload(proxy, 'default/echo/echo-1', spec({ joinToken: await joinToken(plane, 'echo') }));
  await untilReady(proxy);
  await untilEndpoints(proxy, 'echo', ['echo-1']);
  const down = 'its process was killed by SIGKILL; starts again in 100 ms';
  assert.deepEqual(await putWorkload(proxy, 'default/echo/echo-1', spec({ down })), hosted);
  await untilEndpoints(proxy, 'echo', []);
  let checks = 0;
  app.server.on('request', () => (checks += 1));
  await waitFor('checks that pass', () => checks > 2);
  const [status] = await workloads(proxy);
  assert.deepEqual([status?.health, status?.healthReason], ['unhealthy', down]);
  for (const method of ['POST', 'DELETE'])
    assert.equal((await adminCall(proxy, method, '/workloads/default/echo/echo-1/drain')).status, 200);
  await waitFor('the registry', async () => (await instances(plane)).get('echo-1')?.healthReason === down);
  assert.deepEqual(await putWorkload(proxy, 'default/echo/echo-1', spec()), hosted);
  await untilEndpoints(proxy, 'echo', ['echo-1']);
  assert.equal((await call({ proxy: through(proxy), url: 'http://echo/' })).status, 200);
  const told = (await events(plane)).filter(({ subject, kind }) => subject === 'default/echo/echo-1' && kind === 'instance-health');
  assert.deepEqual(
    told.map(({ message }) => message).filter((message) => !/starting|draining/.test(message)),
    [`healthy → unhealthy: ${down}`, 'unhealthy → healthy: checks pass'],
  );
});

test('a removed workload leaves the registry and gives its ports back', async () => {
  const hosted = await putWorkload(proxy, 'default/echo/echo-1', spec({ joinToken: await joinToken(plane, 'echo') }));
  await untilReady(proxy);
  await untilEndpoints(proxy, 'echo', ['echo-1']);
  assert.equal((await adminCall(proxy, 'DELETE', '/workloads/default/echo/echo-1')).status, 200);
  assert.equal((await instances(plane)).size, 0);
  for (const port of [hosted.inbound.port, hosted.outbounds[0]?.listen.port ?? 0])
    await waitFor(`port ${port} to be free`, () => bindable(port));
  assert.deepEqual(await workloads(proxy), []);
  assert.equal((await call({ proxy: through(proxy), url: 'http://echo/' })).status, 503);
  assert.equal((await adminCall(proxy, 'DELETE', '/workloads/default/echo/echo-1')).status, 404);
});

test('a token that was used already is shown with the reason, and a good one mends it', async () => {
  const used = await joinToken(plane, 'echo');
  await putWorkload(proxy, 'default/echo/echo-1', spec({ joinToken: used }));
  await untilReady(proxy);
  const second = spec({ joinToken: used, application: { address: LOOPBACK, port: (await application(cleanup, 'echo-2')).port } });
  await putWorkload(proxy, 'default/echo/echo-2', second);
  const status = await waitFor('the refusal', async () =>
    (await workloads(proxy)).find(({ workload, problem }) => workload.endsWith('echo-2') && problem.includes('refused')),
  );
  assert.match(status.problem, /^has no certificate: .*refused.*used/);
  assert.deepEqual([status.certificate, status.registered], ['none', false]);
  assert.ok(
    proxy.missing().some((line) => line.startsWith('default/echo/echo-2 has no certificate: ') && line.includes('used')),
    proxy.missing().join('\n'),
  );
  const ready = await fetch(`http://${LOOPBACK}:${proxy.admin.port}/ready`);
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /echo-2 has no certificate/);
  await putWorkload(proxy, 'default/echo/echo-2', { ...second, joinToken: await joinToken(plane, 'echo') });
  await untilReady(proxy);
  await untilEndpoints(proxy, 'echo', ['echo-1', 'echo-2']);
  assert.equal((await fetch(`http://${LOOPBACK}:${proxy.admin.port}/ready`)).status, 200);
});

test('a token of another mesh is never shown to this one', async () => {
  const foreign = await control(cleanup);
  await putWorkload(proxy, 'default/echo/echo-1', spec({ joinToken: await joinToken(foreign, 'echo') }));
  const status = await waitFor('the reason', async () =>
    (await workloads(proxy)).find(({ problem }) => problem.startsWith('has no certificate: ')),
  );
  assert.match(status.problem, /is not the one the token was made for/);
  assert.ok(proxy.missing().some((line) => line.includes('is not the one the token was made for')));
});

test('a token of another service is refused at once', async () => {
  const response = await adminCall(proxy, 'PUT', '/workloads/default/echo/echo-1', spec({ joinToken: await joinToken(plane, 'web') }));
  assert.equal(response.status, 400);
  assert.match(await response.text(), /is for default\/web, not for default\/echo/);
});

test('a workload of a service that the mesh does not declare is shown with the reason', async () => {
  await putWorkload(
    proxy,
    'default/echo/echo-1',
    spec({
      joinToken: await joinToken(plane, 'echo'),
      outbounds: [{ namespace: 'default', service: 'nobody', listen: { address: LOOPBACK, port: 0 } }],
    }),
  );
  await waitFor('the local port to be named', () =>
    proxy.missing().some((line) => /^default\/echo\/echo-1: port 127\.0\.0\.1:\d+ waits for its configuration$/.test(line)),
  );
});

test("an instance that somebody else registers under this data plane's name opens no port, and disturbs nothing", async () => {
  await host(proxy, plane, 'echo-1', app.port);
  await untilReady(proxy);
  await untilEndpoints(proxy, 'echo', ['echo-1']);
  const [port = 0] = await freePorts(1);
  const leave = await registerInstance(cleanup, plane, await certificateOf(plane, 'echo'), {
    id: 'echo-9',
    service: 'echo',
    node: 'n1',
    inbound: { address: LOOPBACK, port },
  });
  await waitFor('the instance in the registry', async () => (await instances(plane)).has('echo-9'));
  // What comes after it on the same stream has been applied: so has its own listener been decided on.
  await host(proxy, plane, 'echo-2', app.port);
  await untilReady(proxy);
  await assert.rejects(fetch(`http://${LOOPBACK}:${port}/`), /fetch failed/);
  const listeners = (await connectedProxies(plane)).find(({ node }) => node === 'n1')?.sync.find(({ kind }) => kind === 'listener');
  assert.equal(listeners?.rejection, '');
  assert.equal((await call({ proxy: through(proxy), url: 'http://echo/' })).status, 200);
  await leave();
});
