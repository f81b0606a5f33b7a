// A certificate that is kept in files follows the roots of a real control plane, with certificates of an hour.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startControl } from '@heddle/control';
import { decodePem } from '@heddle/core';
import { parseMeshFile } from '@heddle/core/config';
import { type HeldIdentity, IdentityKeeper, noIdentityStore } from '@heddle/dataplane/identity';
import { createLogger, createMetrics, nodeClock, nodeGrpc, nodeRandom, spkiPin } from '@heddle/runtime/node';
import { openControl } from '../control-client.ts';
import { until } from '../supervisor/testing.ts';
import { TrustWatch } from './identity-trust.ts';

test('who keeps a certificate in files has a new one soon after each change of the roots, also over a restart of the control plane', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'heddle-trust-'));
  const stateDir = join(directory, '.heddle');
  mkdirSync(stateDir, { mode: 0o700 });
  const logger = createLogger({ level: 'silent' });
  const { mesh } = parseMeshFile('mesh: shop\nservices: { orders: { port: 8081 } }', { path: 'heddle.yaml' });
  const settings = { mesh: mesh!, stateDir, logger, clock: nodeClock, random: nodeRandom };
  let running = await startControl({ ...settings, listen: { address: '127.0.0.1', port: 0 } });
  const { port } = running;
  const operator = openControl(stateDir);
  const soon = { ...nodeRandom, next: () => 0.01 };
  const trust = new TrustWatch({ control: { host: '127.0.0.1', port }, grpc: nodeGrpc, clock: nodeClock, random: soon, logger });
  const got: HeldIdentity[] = [];
  const keeper = new IdentityKeeper({
    ...{ workload: { namespace: 'default', service: 'orders', instance: 'files' }, control: { address: '127.0.0.1', port } },
    ...{ grpc: nodeGrpc, store: noIdentityStore, clock: nodeClock, random: soon, logger, metrics: createMetrics() },
    onIdentity: (held) => {
      got.push(held);
      trust.use(held);
    },
    trusted: () => trust.roots,
  });
  t.after(async () => {
    keeper.close();
    trust.close();
    operator.close();
    await running.close();
    rmSync(directory, { recursive: true, force: true });
  });
  keeper.offerToken((await operator.createToken('default', 'orders')).token);
  await keeper.start();
  await until('it knows the roots', () => trust.roots !== undefined);
  const { certificates } = await operator.identities();
  const old = certificates.find(({ id }) => id.endsWith('/orders'))?.rootPin;
  assert.match((await operator.rotateRoot('start', { force: false, automatic: false })).obstacles.join(), /who keeps the roots in files/);
  await until('a certificate with both roots', () => got.length === 2);
  assert.deepEqual(decodePem('CERTIFICATE', got[1]?.rootsPem ?? '').length, 2);
  await running.close();
  running = await startControl({ ...settings, listen: { address: '127.0.0.1', port } });
  const again = openControl(stateDir);
  t.after(() => again.close());
  await again.rotateRoot('use', { force: true, automatic: false });
  await until('a certificate of the new root', () => got.length === 3);
  const last = (await again.identities()).certificates.filter(({ id }) => id.endsWith('/orders'));
  assert.deepEqual(
    last.map(({ rootPin }) => rootPin),
    [spkiPin(got[2]?.rootsPem ?? '')],
  );
  assert.notEqual(last[0]?.rootPin, old);
});
