// One mesh, two machines: requests go round in exact turn, and from one machine to the other.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { RunningControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import {
  application,
  call,
  Cleanup,
  control,
  host,
  instances,
  LOOPBACK,
  machine,
  meshOf,
  through,
  untilEndpoints,
  untilReady,
} from '../support/planes.ts';

const MESH = `
mesh: test
services:
  echo: { port: 80, balance: round-robin, health: { http: /healthz, interval: 500ms, timeout: 500ms, unhealthyAfter: 3 } }
  web: { port: 81 }
`;
const cleanup = new Cleanup();
let plane: RunningControl;
let east: RunningProxy;
let west: RunningProxy;
/** Of a workload in the east. */
let credential: string;

before(async () => {
  plane = await control(cleanup, { mesh: meshOf(MESH) });
  east = await machine(cleanup, plane, { node: 'east' });
  west = await machine(cleanup, plane, { node: 'west' });
  for (const [index, proxy] of [east, east, west].entries()) {
    const name = `echo-${index + 1}`;
    const workload = await host(proxy, plane, name, (await application(cleanup, name)).port);
    if (proxy === east) credential = workload.proxyCredential;
  }
  await untilReady(east, west);
  for (const proxy of [east, west]) await untilEndpoints(proxy, 'echo', ['echo-1', 'echo-2', 'echo-3']);
});
after(() => cleanup.run());

test('calls go round over all instances in exact turn, from either machine', async () => {
  for (const proxy of [east, west]) {
    const names: string[] = [];
    for (let count = 0; count < 30; count++) names.push((await call({ proxy: through(proxy), url: 'http://echo.mesh.internal/' })).name);
    assert.deepEqual(new Set(names.slice(0, 3)), new Set(['echo-1', 'echo-2', 'echo-3']));
    names.forEach((name, index) => assert.equal(name, names[index % 3], names.join()));
  }
});

test('each caller sees the exact turn, whatever others call in between', async () => {
  const asOperator: string[] = [];
  const asEcho: string[] = [];
  for (let count = 0; count < 12; count++) {
    asOperator.push((await call({ proxy: through(east), url: 'http://echo/' })).name);
    for (let more = 0; more <= count % 3; more++) asEcho.push((await call({ proxy: through(east), url: 'http://echo/' }, credential)).name);
  }
  for (const names of [asOperator, asEcho]) names.forEach((name, index) => assert.equal(name, names[index % 3], names.join()));
});

test('a service answers to all its names, with and without its port, and no other', async () => {
  for (const authority of [
    'echo',
    'echo.default',
    'echo.default.mesh.internal',
    'ECHO.mesh.internal',
    'echo.mesh.internal:80',
    'echo:80',
  ]) {
    assert.equal((await call({ proxy: through(east), url: `http://${authority}/x?y=1` })).path, '/x?y=1', authority);
  }
  assert.equal((await call({ proxy: through(east), url: 'http://nobody.mesh.internal/' })).status, 404);
  assert.equal((await call({ proxy: through(east), url: 'http://web.mesh.internal/' })).status, 503);
});

test('bodies reach an instance on the other machine unchanged', async () => {
  const body = 'Grüße '.repeat(50_000);
  const from = new Set<string>();
  for (let count = 0; count < 3; count++) {
    const answer = await call({ proxy: through(west), url: 'http://echo.mesh.internal/post', method: 'POST', body });
    assert.ok(answer.body === body);
    from.add(answer.name);
  }
  assert.equal(from.size, 3);
});

test('the registry knows where each instance is', async () => {
  const known = await instances(plane);
  assert.deepEqual([...known.keys()].sort(), ['echo-1', 'echo-2', 'echo-3']);
  const places = [...known.values()].map(({ node, inbound }) => `${node} ${inbound?.address}`);
  assert.deepEqual(places.sort(), [`east ${LOOPBACK}`, `east ${LOOPBACK}`, `west ${LOOPBACK}`]);
});
