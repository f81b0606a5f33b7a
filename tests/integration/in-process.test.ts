// A data plane inside the application's process, against a real control plane: joining, calling, being called, leaving.
import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, test } from 'node:test';
import { createMesh, type MeshOptions, type RunningMesh } from '@heddle/client';
import { Cleanup, control, joinToken, LOOPBACK, temporaryDirectory } from '../support/planes.ts';
import { DEAD_PORTS } from '../../packages/dataplane/src/testing/raw-http.ts';
import { waitFor } from '../support/wait.ts';

const cleanup = new Cleanup();
after(() => cleanup.run());

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: readonly string[];
}

function ask(mesh: RunningMesh, authority: string, path = '/'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let status = 0;
    let body = '';
    let headers: readonly string[] = [];
    mesh.calls.begin(
      { method: 'GET', authority, path, headers: [] },
      true,
      {
        onInterim() {},
        onHead(code, fields) {
          status = code;
          headers = fields;
        },
        onBody: (bytes) => void (body += bytes.toString()),
        onEnd: () => resolve({ status, body, headers }),
        onError: reject,
        onDrained() {},
      },
      process.nextTick,
    );
  });
}

describe('a process with the data plane inside', () => {
  test('joins, calls others and is called, and leaves without a failed call', async () => {
    const running = await control(cleanup);
    const place = `${running.address}:${running.port}`;
    const member = async (service: string, instance: string, more: MeshOptions = {}): Promise<RunningMesh> => {
      const mesh = createMesh({
        service,
        instance,
        control: place,
        joinToken: await joinToken(running, service),
        logLevel: 'silent',
        ...more,
      });
      cleanup.add(() => mesh.stop());
      return mesh;
    };
    const echo = async (name: string): Promise<{ mesh: RunningMesh; server: http.Server }> => {
      const server = http.createServer((request, response) => response.end(`${name} ${String(request.headers['x-heddle-peer'])}`));
      await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
      cleanup.add(() => server.close());
      const { port } = server.address() as AddressInfo;
      const mesh = await member('echo', name, { port });
      mesh.servers.add(port, server);
      await mesh.ready();
      return { mesh, server };
    };
    const one = await echo('echo-1');
    const web = await member('web', 'web-1');
    assert.equal(web.isReady, false);
    await web.ready();
    assert.equal(web.serves('echo.mesh.internal'), true);
    assert.equal(web.serves('example.com'), false);
    await waitFor('an answer', async () => (await ask(web, 'echo.mesh.internal')).status === 200);
    assert.deepEqual((await ask(web, 'echo.mesh.internal')).body, 'echo-1 spiffe://test/ns/default/svc/web');
    // One instance beside the other, then the first one leaves under load.
    await echo('echo-2');
    await waitFor('the other instance', async () => (await ask(web, 'echo.mesh.internal')).body.startsWith('echo-2'));
    let goesOn = true;
    const answers: Answer[] = [];
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
    assert.ok(answers.slice(before + 1).every(({ body }) => body.startsWith('echo-2')));
  });

  test('says what is missing when there is no control plane', async () => {
    const running = await control(cleanup);
    const token = await joinToken(running, 'web');
    const mesh = createMesh({
      service: 'web',
      control: `${LOOPBACK}:${DEAD_PORTS[0]}`,
      joinToken: token,
      readyTimeoutMs: 200,
      logLevel: 'silent',
    });
    cleanup.add(() => mesh.stop());
    await assert.rejects(mesh.ready(), { name: 'MeshError', code: 'NOT_READY', message: /within 200 ms: .*control plane/ });
    await mesh.stop();
    await assert.rejects(mesh.ready(), { code: 'STOPPED' });
  });

  test('goes on with what it kept when it starts again without a control plane', async () => {
    const running = await control(cleanup);
    const identityDirectory = await temporaryDirectory(cleanup);
    const options = {
      service: 'web',
      instance: 'web-1',
      control: `${running.address}:${running.port}`,
      identityDirectory,
      logLevel: 'silent',
    } as const;
    const first = createMesh({ ...options, joinToken: await joinToken(running, 'web') });
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
