// No control plane for longer than half of a certificate's life: traffic goes on, and the alarm is there before the certificates end, where
// operators look: in the log, the metrics, `heddle check`, and afterwards in the events.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { RunningProxy } from '@heddle/proxy';
import { createLogger } from '@heddle/runtime/node';
import { certificateFinding } from '../../packages/cli/src/check/proxy.ts';
import {
  adminCall,
  application,
  call,
  Cleanup,
  control,
  events,
  host,
  machine,
  metric,
  temporaryDirectory,
  through,
  untilEndpoints,
  untilReady,
} from '../support/planes.ts';
import { freePort } from '../support/ports.ts';
import { waitFor } from '../support/wait.ts';

const cleanup = new Cleanup();
after(() => cleanup.run());

/** Renewal begins when half of it is over, and is overdue when a quarter is left: long enough to call and ask in, on a slow machine too. */
const TTL_MS = 12_000;
const OVERDUE = 'heddle_identity_overdue';
/** The workload's own certificate; that of the data plane itself is older, and late before it. */
const ECHO = 'workload="default/echo/echo-1"';

const finding = async (of: RunningProxy) => certificateFinding(await (await adminCall(of, 'GET', '/metrics')).text(), Date.now());

test('certificates that are not renewed raise an alarm while traffic goes on, and the alarm ends with the renewal', async () => {
  const settings = { stateDir: await temporaryDirectory(cleanup), port: await freePort(), certificateTtlMs: TTL_MS };
  const lines: string[] = [];
  const logger = createLogger({ level: 'info', format: 'json', destination: { write: (line) => void lines.push(line) } });
  const first = await control(cleanup, settings);
  const shared = await machine(cleanup, first, { node: 'shared', logger });
  await host(shared, first, 'echo-1', (await application(cleanup, 'echo-1')).port);
  await untilReady(shared);
  await untilEndpoints(shared, 'echo', ['echo-1']);
  const answered = async (): Promise<void> =>
    assert.equal((await call({ proxy: through(shared), url: 'http://echo.mesh.internal/' })).status, 200);
  await answered();
  assert.equal((await finding(shared)).result, 'ok');
  await first.close();

  await waitFor('the alarm', async () => {
    await answered();
    return (await metric(shared, OVERDUE, ECHO)) === 1;
  });
  await answered();
  const left = await metric(shared, 'heddle_identity_seconds_left', ECHO);
  assert.ok(left >= 0 && left <= (TTL_MS / 1_000) * 0.25 + 1, `${left} s are left`);
  const told = await finding(shared);
  assert.equal(told.result, 'failed');
  assert.match(told.detail, /not renewed in time or missing: .*\w+\/\w+/);
  assert.match(told.mend, /control plane/);
  assert.ok(lines.some((line) => line.includes('ALARM: the certificate should have been renewed by now')));

  const second = await control(cleanup, settings);
  await waitFor('the renewal', async () => (await metric(shared, OVERDUE)) === 0 && (await finding(shared)).result === 'ok');
  await answered();
  const late = await waitFor('the event', async () => {
    const kept = await events(second);
    return kept.find(({ kind, subject }) => kind === 'identity-renewed-late' && subject === 'spiffe://test/ns/default/svc/echo');
  });
  assert.match(late.message, /renewed (when \d+ % of its certificate's life was over|with a certificate that had ended)/);
});
