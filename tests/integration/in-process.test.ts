// A data plane inside the application's process, against a real control plane: joining, calling, being called, leaving.
import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, test } from 'node:test';
import { createMesh, type RunningMesh } from '@heddle/client';
import { askDirect, type DirectAnswer } from '../../packages/dataplane/src/testing/direct.ts';
import { member, memberOptions } from '../support/member.ts';
import { Cleanup, control, LOOPBACK, temporaryDirectory } from '../support/planes.ts';
import { DEAD_PORTS } from '../../packages/dataplane/src/testing/raw-http.ts';
import { waitFor } from '../support/wait.ts';

const cleanup = new Cleanup();
after(() => cleanup.run());

const ask = ({ calls }: RunningMesh, authority: string): Promise<DirectAnswer> => askDirect(calls, { authority });

describe('a process with the data plane inside', () => {
  test('joins, calls others and is called, and leaves without a failed call', async () => {
    const running = await control(cleanup);
    const echo = async (name: string): Promise<{ mesh: RunningMesh; server: http.Server }> => {
      const server = http.createServer((request, response) => response.end(`${name} ${String(request.headers['x-heddle-peer'])}`));
      await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
      cleanup.add(() => server.close());
      const { port } = server.address() as AddressInfo;
      const mesh = await member(cleanup, running, 'echo', { instance: name, port });
      mesh.servers.add(port, server);
      await mesh.ready();
      return { mesh, server };
    };
    const one = await echo('echo-1');
    const web = await member(cleanup, running, 'web', { instance: 'web-1' });
    assert.equal(web.isReady, false);
    await web.ready();
    assert.equal(web.serves('echo.mesh.internal'), true);
    assert.equal(web.serves('example.com'), false);
    await waitFor('an answer', async () => (await ask(web, 'echo.mesh.internal')).status === 200);
    assert.deepEqual((await ask(web, 'echo.mesh.internal')).text, 'echo-1 spiffe://test/ns/default/svc/web');
    // One instance beside the other, then the first one leaves under load.
    await echo('echo-2');
    await waitFor('the other instance', async () => (await ask(web, 'echo.mesh.internal')).text.startsWith('echo-2'));
    let goesOn = true;
    const answers: DirectAnswer[] = [];
    const load = (async () => {
      while (goesOn) answers.push(await ask(web, 'echo.mesh.internal'));
    })();
    await one.mesh.stop();
    one.server.close();
    const before = answers.length;
    await waitFor('more answers', () => answers.length > before + 20);
    goesOn = false;
    await load;
    assert.deepEqual(
      answers.filter(({ status }) => status !== 200),
      [],
    );
    assert.ok(answers.slice(before + 1).every(({ text }) => text.startsWith('echo-2')));
  });

  test('says what is missing when there is no control plane', async () => {
    const running = await control(cleanup);
    const mesh = await member(cleanup, running, 'web', { control: `${LOOPBACK}:${DEAD_PORTS[0]}`, readyTimeoutMs: 200 });
    await assert.rejects(mesh.ready(), { name: 'MeshError', code: 'NOT_READY', message: /within 200 ms: .*control plane/ });
    await mesh.stop();
    await assert.rejects(mesh.ready(), { code: 'STOPPED' });
  });

  test('goes on with what it kept when it starts again without a control plane', async () => {
    const running = await control(cleanup);
    const identityDirectory = await temporaryDirectory(cleanup);
    const { joinToken, ...options } = await memberOptions(running, 'web', { instance: 'web-1', identityDirectory });
    const first = createMesh({ ...options, joinToken });
    cleanup.add(() => first.stop());
    await first.ready();
    await first.stop();
    await running.close();
    const second = createMesh(options);
    cleanup.add(() => second.stop());
    await second.ready();
    assert.equal((await ask(second, 'echo.mesh.internal')).status, 503);
  });
});
