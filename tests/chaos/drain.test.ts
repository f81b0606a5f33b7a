// Taking instances out of rotation with `heddle drain` and `heddle restart`, where all data planes answer and where one of them stands still.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { callThroughProxy } from '../support/load.ts';
import { healthOf, type RunningMesh, startUp } from '../support/up.ts';
import { waitFor } from '../support/wait.ts';
import { EDGE, type Edge, startEdge } from './support/edge.ts';

const URL_OF_ECHO = 'http://echo.mesh.internal/';
const MESH = `
mesh: test
services:
  echo:
    port: 8080
    balance: round-robin
    uses: []
    health: { http: /healthz, interval: 1s, timeout: 800ms }
    run: exec {{ECHO}}
    replicas: 2
`;

describe('an instance that is drained', () => {
  let mesh: RunningMesh;
  let edge: Edge;
  before(async () => {
    mesh = await startUp(MESH);
    edge = await startEdge(mesh, URL_OF_ECHO);
  });
  after(async () => {
    await edge?.stop();
    await mesh?.stop();
  });

  /** The instances that answer twenty requests by either proxy. */
  async function answering(): Promise<string[]> {
    const seen = new Set<string>();
    for (let round = 0; round < 10; round += 1) {
      for (const proxy of [mesh.proxy, edge.proxy]) {
        const { status, body } = await callThroughProxy({ proxy, url: URL_OF_ECHO });
        assert.equal(status, 200, body);
        seen.add((JSON.parse(body) as { instance: string }).instance);
      }
    }
    return [...seen].sort();
  }

  async function putBack(): Promise<void> {
    const { code, stderr } = await mesh.heddle('drain', 'echo-1', '--undo');
    assert.equal(code, 0, stderr);
    await waitFor('both to answer', async () => (await answering()).length === 2);
  }

  it('gets no call any more when the command has ended, until it is put back', async () => {
    assert.deepEqual(await answering(), ['echo-1', 'echo-2']);
    const { code, stdout, stderr } = await mesh.heddle('drain', 'echo/echo-1', '--reason', 'a new disk', '-o', 'json');
    assert.equal(code, 0, stderr);
    const { instance, outcome, dataPlanes, acknowledged, stragglers } = JSON.parse(stdout);
    assert.deepEqual({ instance, outcome, stragglers }, { instance: 'default/echo/echo-1', outcome: 'complete', stragglers: [] });
    assert.deepEqual([dataPlanes, acknowledged], [2, 2]);
    assert.deepEqual(await answering(), ['echo-2']);
    await putBack();
  });

  it('is told of with the name of the data plane that stands still, and is not restarted while that may choose it', async () => {
    const pid = await mesh.pid('echo-2');
    edge.process.kill('SIGSTOP');
    const [drained, restarted] = await Promise.all([
      mesh.heddle('drain', 'echo-1', '--timeout', '1s'),
      mesh.heddle('restart', 'echo-2', '--timeout', '1s', '-o', 'json'),
    ]);
    edge.process.kill('SIGCONT');
    assert.equal(drained.code, 1, drained.stdout);
    assert.match(drained.stdout, new RegExp(`1 of 2 data planes may still choose it: ${EDGE}`));
    assert.equal(restarted.code, 1, restarted.stdout);
    const { failed } = JSON.parse(restarted.stdout);
    assert.match(failed.reason, new RegExp(`would stop although 1 data plane may still choose it: ${EDGE}`));
    assert.equal(await mesh.pid('echo-2'), pid);
    await putBack();
  });

  it('is one after the other when a service is restarted, by the command that people use', async () => {
    const before = await Promise.all(['echo-1', 'echo-2'].map((name) => mesh.pid(name)));
    const [done, wrong] = await Promise.all([mesh.heddle('restart', 'echo'), mesh.heddle('restart', 'nobody')]);
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stdout, /^restarted echo-1, echo-2 in /);
    const after = await Promise.all(['echo-1', 'echo-2'].map((name) => mesh.pid(name)));
    assert.ok(before.every((pid, index) => pid !== after[index]));
    assert.deepEqual(await answering(), ['echo-1', 'echo-2']);
    assert.ok(!(await healthOf(mesh, 'echo-1')).some((message) => message.includes('its process')), 'what was asked for is no failure');
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /nothing named nobody runs here; there are echo/);
  });
});
