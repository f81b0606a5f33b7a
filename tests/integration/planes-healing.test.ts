// Under steady load: an application, a data plane, or the control plane goes away and comes back, and no request notices.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { RunningControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import {
  application,
  type Application,
  call,
  Cleanup,
  connectedProxies,
  control,
  host,
  instances,
  machine,
  temporaryDirectory,
  through,
  untilEndpoints,
  untilReady,
} from '../support/planes.ts';
import { type Load, type Outcome, startLoad, summarize } from '../support/load.ts';
import { waitFor } from '../support/wait.ts';

/** Requests per second: every plane, application and client of the test shares one process. */
const RATE = 100;
const ECHOS = ['echo-1', 'echo-2', 'echo-3'];
let cleanup: Cleanup;
let stateDir: string;
let plane: RunningControl;
let front: RunningProxy;
let backs: RunningProxy[];
let apps: Application[];

beforeEach(async () => {
  cleanup = new Cleanup();
  stateDir = await temporaryDirectory(cleanup);
  plane = await control(cleanup, { stateDir });
  front = await machine(cleanup, plane, { node: 'front' });
  backs = [];
  apps = [];
  for (const name of ECHOS) {
    const back = await machine(cleanup, plane, { node: `back-of-${name}` });
    const app = await application(cleanup, name);
    await host(back, plane, name, app.port);
    backs.push(back);
    apps.push(app);
  }
  await untilReady(front, ...backs);
  await untilEndpoints(front, 'echo', ECHOS);
});
afterEach(() => cleanup.run());

const instanceOf = (outcome: Outcome): string => (JSON.parse(outcome.body) as { name: string }).name;

function load(method = 'GET'): Load {
  const running = startLoad(
    { proxy: through(front), url: 'http://echo.mesh.internal/', method, ...(method === 'POST' ? { body: 'order' } : {}) },
    RATE,
  );
  cleanup.add(() => running.stop());
  return running;
}

/** Waits until `count` further requests have ended, so that what came before has had its effect on some. */
async function further(running: Load, count = 30): Promise<Outcome[]> {
  const from = running.outcomes.length;
  await waitFor(`${count} further requests`, () => running.outcomes.length >= from + count);
  return running.outcomes.slice(from);
}

async function noneFailed(...loads: readonly Load[]): Promise<void> {
  for (const running of loads) {
    const outcomes = await running.stop();
    assert.ok(outcomes.length > 0);
    const slowestMs = Math.round(Math.max(...outcomes.map(({ durationMs }) => durationMs)));
    assert.deepEqual(
      summarize(outcomes),
      { 200: outcomes.length },
      `the slowest took ${slowestMs} ms: ${JSON.stringify(summarize(outcomes))}`,
    );
  }
}

test('an application that stops leaves rotation without a failed GET, and comes back', async () => {
  const running = load();
  await further(running);
  await apps[0]?.stop();
  await untilEndpoints(front, 'echo', ['echo-2', 'echo-3']);
  assert.equal((await instances(plane)).get('echo-1')?.healthReason, `checks fail: nothing listens on 127.0.0.1:${apps[0]?.port}`);
  const names = new Set((await further(running)).map(instanceOf));
  assert.ok(names.has('echo-2') && names.has('echo-3'));
  await application(cleanup, 'echo-1', apps[0]?.port);
  await untilEndpoints(front, 'echo', ECHOS);
  await waitFor('traffic again', () =>
    running.outcomes.slice(-30).some((outcome) => outcome.status === 200 && instanceOf(outcome) === 'echo-1'),
  );
  await noneFailed(running);
});

test('the control plane is closed and started again: no failed request, the same registry, and changes flow again', async () => {
  const running = load();
  await further(running);
  const described = async (): Promise<string[]> =>
    // Registering again is a change of the registry, and of nothing else.
    [...(await instances(plane)).values()].map((instance) => JSON.stringify({ ...instance, revision: 0 })).sort();
  const before = await described();
  const { port } = plane;
  await plane.close();
  await waitFor('the loss to be noticed', async () =>
    /heddle_control_connected 0/.test(await (await fetch(`http://127.0.0.1:${front.admin.port}/metrics`)).text()),
  );
  await further(running);
  assert.deepEqual(front.missing(), []);
  plane = await control(cleanup, { stateDir, port });
  assert.deepEqual(await described(), before);
  await waitFor('all data planes to come back', async () => (await connectedProxies(plane)).length === 4);
  await further(running);
  const fourth = await application(cleanup, 'echo-4');
  await host(front, plane, 'echo-4', fourth.port);
  await untilEndpoints(front, 'echo', [...ECHOS, 'echo-4']);
  await waitFor('traffic to the new instance', () =>
    running.outcomes.slice(-30).some((outcome) => outcome.status === 200 && instanceOf(outcome) === 'echo-4'),
  );
  assert.deepEqual([...(await instances(plane)).keys()].sort(), [...ECHOS, 'echo-4']);
  await noneFailed(running);
});

test('what stops while the control plane is away is out of rotation when it is back', async () => {
  const running = load();
  const { port } = plane;
  await plane.close();
  await apps[1]?.stop();
  await further(running, 100);
  plane = await control(cleanup, { stateDir, port });
  await untilEndpoints(front, 'echo', ['echo-1', 'echo-3']);
  await noneFailed(running);
});

test('a data plane that stops drains: no request fails, with a body or without', async () => {
  const loads = [load(), load('POST')];
  for (const running of loads) await further(running);
  await backs[0]?.stop();
  assert.ok(!(await instances(plane)).has('echo-1'));
  await untilEndpoints(front, 'echo', ['echo-2', 'echo-3']);
  for (const running of loads)
    assert.ok(!(await further(running)).some((outcome) => outcome.status === 200 && instanceOf(outcome) === 'echo-1'));
  await noneFailed(...loads);
});

test('a data plane that stops while the control plane is away drains, too', async () => {
  const running = load();
  await further(running);
  await plane.close();
  await backs[2]?.stop();
  await further(running);
  await noneFailed(running);
  assert.equal((await call({ proxy: through(front), url: 'http://echo/' })).status, 200);
});
