// The mode of mutual TLS, changed in the mesh file of a mesh that works: from strict to off and back, step by step, no request fails.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ControlProcess } from '../support/control-process.ts';
import { callThroughProxy, startLoad, summarize } from '../support/load.ts';
import { application, Cleanup, host, machine, temporaryDirectory, through, untilEndpoints, untilReady } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';

const cleanup = new Cleanup();
after(() => cleanup.run());

const meshIn = (mode: string): string => `
mesh: test
security: { mtls: ${mode} }
services:
  echo: { port: 80, health: { http: /healthz, interval: 500ms } }
`;

test('peers without TLS are taken where the mesh says so, and refused again where it does not, while its own calls go on', async () => {
  const control = new ControlProcess(cleanup, await temporaryDirectory(cleanup));
  const plane = await control.start(meshIn('strict'));
  const far = await machine(cleanup, plane, { node: 'far' });
  const { inbound } = await host(far, plane, 'echo-1', (await application(cleanup, 'echo-1')).port);
  const near = await machine(cleanup, plane, { node: 'near' });
  await untilReady(far, near);
  await untilEndpoints(near, 'echo', ['echo-1']);
  /** As somebody who knows nothing of TLS calls the instance. */
  const fromOutside = async (): Promise<string> => {
    const { status, body } = await callThroughProxy({
      proxy: { host: inbound.address, port: inbound.port },
      url: 'http://echo.mesh.internal/',
    });
    if (status !== 200) return String(status);
    const { headers } = JSON.parse(body) as { headers: Record<string, string> };
    return headers['x-heddle-peer'] ?? 'nobody';
  };
  const peer = async (): Promise<string> => {
    const { body } = await callThroughProxy({ proxy: through(near), url: 'http://echo.mesh.internal/' });
    return (JSON.parse(body) as { headers: Record<string, string> }).headers['x-heddle-peer'] ?? 'nobody';
  };
  const load = startLoad({ proxy: through(near), url: 'http://echo.mesh.internal/' }, 50);
  assert.equal(await fromOutside(), '0');
  const operator = 'spiffe://test/ns/heddle-system/svc/operator';
  for (const [mode, outside, inside] of [
    ['permissive', 'nobody', operator],
    ['strict', '0', operator],
    ['permissive', 'nobody', operator],
    ['off', 'nobody', 'nobody'],
  ] as const) {
    await control.reload(meshIn(mode));
    await waitFor(`the mode ${mode}`, async () => (await fromOutside()) === outside && (await peer()) === inside);
  }
  const outcomes = await load.stop();
  assert.deepEqual(summarize(outcomes), { 200: outcomes.length });
});
