// Stopping one instance on purpose under load: it leaves rotation before its process is told to end, so that nothing is lost, not
// even requests that may not be sent twice.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { heddleArguments } from '../../packages/cli/src/testing/command.ts';
import { type Outcome, startLoad, summarize } from '../support/load.ts';
import { ECHO, type RunningMesh, startUp } from '../support/up.ts';
import { waitFor } from '../support/wait.ts';

const MESH = `
mesh: test
services:
  front: { port: 8081, run: exec {{ECHO}}, uses: [] }
  echo: { port: 8080, uses: [], health: { http: /healthz, interval: 500ms, timeout: 400ms } }
`;
const URL_OF_ECHO = 'http://echo.mesh.internal/';
/** Longer than the instance takes from Ctrl-C to the end of its process's listening: some requests are always in flight. */
const SLOW_URL = `${URL_OF_ECHO}?delay=300`;
const REQUESTS_PER_SECOND = 150;

interface Supervised {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
}

for (const placement of ['--sidecar', '--in-process'])
  describe(`a graceful stop of one instance (${placement})`, () => {
    let mesh: RunningMesh;
    const instances: Supervised[] = [];
    before(async () => {
      mesh = await startUp(MESH);
      for (const instance of ['echo-1', 'echo-2', 'echo-3']) instances.push(startInstance(mesh, instance, placement));
      await waitFor('three healthy instances', async () => (await healthyEchoes(mesh)).length === 3);
    });
    after(async () => {
      for (const { child } of instances) if (child.exitCode === null) child.kill('SIGINT');
      await Promise.all(instances.map(({ ended }) => ended));
      await mesh.stop();
    });

    it('loses no request: neither one in flight, nor one that may not be repeated', async () => {
      const target = { proxy: mesh.proxy, method: 'POST', body: 'once' };
      const loads = [startLoad({ ...target, url: URL_OF_ECHO }, REQUESTS_PER_SECOND), startLoad({ ...target, url: SLOW_URL }, 40)];
      await waitFor('all three to answer', () => new Set(loads.flatMap(({ outcomes }) => outcomes.map(instanceOf))).size === 3);
      const [{ child, ended }] = instances as [Supervised];
      child.kill('SIGINT');
      assert.equal(await ended, 0);
      const sent = loads.map(({ outcomes }) => outcomes.length);
      await waitFor('load afterwards', () => loads.every(({ outcomes }, index) => outcomes.length > (sent[index] ?? 0) + 40));
      const outcomes = (await Promise.all(loads.map((load) => load.stop()))).flat();
      assert.deepEqual(Object.keys(summarize(outcomes)), ['200'], JSON.stringify(summarize(outcomes)));
      assert.deepEqual(await healthyEchoes(mesh), ['echo-2', 'echo-3']);
    });
  });

const instanceOf = ({ body }: Outcome): string => (JSON.parse(body) as { instance: string }).instance;

async function healthyEchoes(mesh: RunningMesh): Promise<string[]> {
  const instances = await mesh.instances();
  return instances
    .filter(({ service, health }) => service === 'echo' && health === 'healthy')
    .map(({ instance }) => instance)
    .sort();
}

function startInstance(mesh: RunningMesh, instance: string, placement: string): Supervised {
  const options = ['--service', 'echo', '--instance', instance, '--inbound-port', '0', '--state-dir', mesh.stateDirectory, placement];
  const child = spawn(process.execPath, heddleArguments('run', ...options, '--', process.execPath, ECHO), {
    cwd: mesh.directory,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return { child, ended: new Promise((resolve) => child.once('close', resolve)) };
}
