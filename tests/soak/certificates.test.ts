// The short form of `npm run soak -- certificates`: lives of four seconds, renewed and renewed again under load.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCertificates } from './certificates.ts';

test('certificates that live for seconds are renewed under load without a failed request', async () => {
  const { requests, outcomes, certificates } = await runCertificates({ seconds: 6, ttlMs: 4_000, requestsPerSecond: 100, say: () => {} });
  assert.ok(requests > 100, `${requests} requests`);
  assert.deepEqual(outcomes, { 200: requests });
  assert.ok(certificates >= 8, `${certificates} certificates`);
});
