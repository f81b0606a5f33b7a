// The guide to the REST API tells of every error, and the port of the REST API is told where it is and why it cannot be had.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, describe, it } from 'node:test';
import { type RunningControl, startControl } from '@heddle/control';
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import { PROBLEMS } from '../../packages/control/src/rest/problems.ts';
import { Cleanup, LOOPBACK, meshOf, silent, SMALL_MESH, temporaryDirectory } from '../support/planes.ts';
import { heddle } from '../support/up.ts';

const cleanup = new Cleanup();
after(() => cleanup.run());

// Its commands are run by tests/pages.
it('the guide to the REST API tells of every code', async () => {
  const guide = await readFile(fileURLToPath(new URL('../../docs/guides/rest-api.md', import.meta.url)), 'utf8');
  for (const code of Object.keys(PROBLEMS)) assert.ok(guide.includes(`\`${code}\``), `the guide does not tell of ${code}`);
});

describe('the port of the REST API', () => {
  it('that another program holds is told with the mend, and nothing is left behind', async () => {
    const folder = await temporaryDirectory(cleanup);
    await writeFile(join(folder, 'heddle.yaml'), SMALL_MESH);
    const holder = createServer().listen(0, LOOPBACK);
    await once(holder, 'listening');
    cleanup.add(() => holder.close());
    const { port } = holder.address() as AddressInfo;
    const places = ['--listen', `${LOOPBACK}:0`, '--dns-listen', 'off', '--rest-listen', `${LOOPBACK}:${port}`];
    const { code, stderr } = await heddle(['control', '--state-dir', join(folder, 'state'), ...places], { cwd: folder });
    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(`error: The REST API cannot listen on ${LOOPBACK}:${port}: the port is in use\\n {2}mend: .*--rest-listen off`),
    );
    await assert.rejects(readFile(join(folder, 'state/control.json')));
  });

  it('is in control.json, and speaks TLS where it is not loopback', async () => {
    const stateDir = await temporaryDirectory(cleanup);
    const running = await startControl({
      ...{ mesh: meshOf(SMALL_MESH), stateDir, logger: silent, clock: nodeClock, random: nodeRandom },
      ...{ listen: { address: LOOPBACK, port: 0 }, rest: { address: '0.0.0.0', port: 0 } },
    });
    cleanup.add(() => running.close());
    const { rest } = JSON.parse(await readFile(join(stateDir, 'control.json'), 'utf8')) as RunningControl;
    assert.deepEqual(rest, { address: '0.0.0.0', port: running.rest?.port, tls: true });
    const status = await new Promise((resolve, reject) => {
      const options = { host: LOOPBACK, port: rest?.port, path: '/api/v1/mesh', ca: running.rootsPem, servername: 'control.mesh.internal' };
      const headers = { host: 'control.mesh.internal', authorization: `Bearer ${running.operatorToken}` };
      httpsRequest({ ...options, headers, agent: false }, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end();
    });
    assert.equal(status, 200);
  });
});
