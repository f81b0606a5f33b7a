import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { lateRenewalStatement, readCertificate } from '@heddle/core';
import { certificateDer, createCsr, generateKeyPair, type KeyPair, nodeRandom, sha256 } from '@heddle/runtime/node';
import { ManualClock } from '../testing/clock.ts';
import { silent } from '../testing/mesh.ts';
import { openAuthority } from './authority.ts';
import { denialOf, type LateRenewal, LateRenewals, type LateRenewalsOptions, type LateRenewalVerdict } from './late-renewals.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const ORDERS = { trustDomain: 'shop', namespace: 'default', name: 'orders' };

interface Bench {
  readonly clock: ManualClock;
  readonly renewals: LateRenewals;
  /** Of a certificate that begins now and lives for an hour. */
  readonly certify: (key: KeyPair, identity?: typeof ORDERS) => Promise<Uint8Array>;
}

async function bench(t: TestContext, change: Partial<LateRenewalsOptions> = {}): Promise<Bench> {
  const stateDir = mkdtempSync(join(tmpdir(), 'heddle-late-'));
  t.after(() => rmSync(stateDir, { recursive: true, force: true }));
  const clock = new ManualClock();
  const authority = await openAuthority({ stateDir, trustDomain: 'shop', clock, random: nodeRandom, logger: silent });
  const denial: LateRenewalsOptions['denial'] = (id) => denialOf(id, ({ name }) => name === 'orders');
  const renewals = new LateRenewals({ authority, trustDomain: 'shop', clock, denial, ...change });
  const certify: Bench['certify'] = async (key, identity = ORDERS) =>
    certificateDer((await authority.sign({ csrDer: createCsr(key), identity })).certificatePem);
  return { clock, renewals, certify };
}

function late(der: Uint8Array, key: KeyPair, csrDer: Uint8Array): LateRenewal {
  return { certificateDer: der, signature: key.sign(lateRenewalStatement(sha256(der), sha256(csrDer))) };
}

function refusal(verdict: LateRenewalVerdict): string {
  assert.ok(!verdict.ok, 'was accepted');
  return `${verdict.status}: ${verdict.message}`;
}

test('who holds the key of a certificate that has ended gets it renewed, for seven days', async (t) => {
  const { clock, renewals, certify } = await bench(t);
  const key = generateKeyPair();
  const csr = createCsr(generateKeyPair());
  const der = await certify(key);
  const endMs = clock.wallMs() + HOUR_MS;
  clock.advance(DAY_MS);
  const { serial } = readCertificate(der);
  assert.deepEqual(renewals.check(late(der, key, csr), csr), { ok: true, identity: ORDERS, endedMs: endMs, serial });
  clock.advance(6 * DAY_MS + HOUR_MS);
  assert.ok(renewals.check(late(der, key, csr), csr).ok, 'to the last moment');
  clock.advance(1);
  assert.match(refusal(renewals.check(late(der, key, csr), csr)), /UNAUTHENTICATED: .* longer ago than .*heddle token create/);
});

test('a grace of 0 means never, and one beyond 90 days is refused', async (t) => {
  const { clock, renewals, certify } = await bench(t, { graceMs: 0 });
  const key = generateKeyPair();
  const csr = createCsr(key);
  const der = await certify(key);
  clock.advance(HOUR_MS + 1);
  assert.match(refusal(renewals.check(late(der, key, csr), csr)), /longer ago/);
  await assert.rejects(bench(t, { graceMs: 91 * DAY_MS }), RangeError);
});

test('a certificate without its key, or a signature made for another request, is worth nothing', async (t) => {
  const { clock, renewals, certify } = await bench(t);
  const key = generateKeyPair();
  const csr = createCsr(generateKeyPair());
  const der = await certify(key);
  clock.advance(2 * HOUR_MS);
  const thief = generateKeyPair();
  assert.match(refusal(renewals.check(late(der, thief, csr), csr)), /not signed with its key/);
  const seen = late(der, key, csr);
  assert.match(refusal(renewals.check(seen, createCsr(thief))), /not signed with its key/);
  assert.match(refusal(renewals.check({ ...seen, signature: new Uint8Array() }, csr)), /not signed with its key/);
  assert.match(refusal(renewals.check({ ...seen, signature: key.sign(csr) }, csr)), /not signed with its key/);
});

test('certificates that this mesh did not issue, and what is none, are refused', async (t) => {
  const { clock, renewals } = await bench(t);
  const other = await bench(t);
  const key = generateKeyPair();
  const csr = createCsr(key);
  const foreign = await other.certify(key);
  clock.advance(2 * HOUR_MS);
  assert.match(refusal(renewals.check(late(foreign, key, csr), csr)), /was not issued by any of the mesh's roots/);
  for (const der of [new Uint8Array(), Uint8Array.of(0x30, 0x80), new Uint8Array(100_000)])
    assert.match(refusal(renewals.check(late(der, key, csr), csr)), /cannot be read/);
});

test('services that are gone get nothing, the operator does', async (t) => {
  const { clock, renewals, certify } = await bench(t);
  const key = generateKeyPair();
  const csr = createCsr(key);
  const gone = await certify(key, { ...ORDERS, name: 'web' });
  const operator = await certify(key, { ...ORDERS, namespace: 'heddle-system', name: 'operator' });
  clock.advance(2 * HOUR_MS);
  assert.match(
    refusal(renewals.check(late(gone, key, csr), csr)),
    /PERMISSION_DENIED: spiffe:.*web is of a service that is not in this mesh/,
  );
  assert.ok(renewals.check(late(operator, key, csr), csr).ok);
});

test('one certificate cannot be used again and again', async (t) => {
  const { clock, renewals, certify } = await bench(t);
  const key = generateKeyPair();
  const csr = createCsr(key);
  const der = await certify(key);
  clock.advance(2 * HOUR_MS);
  for (let use = 0; use < 10; use++) assert.ok(renewals.check(late(der, key, csr), csr).ok);
  assert.match(refusal(renewals.check(late(der, key, csr), csr)), /RESOURCE_EXHAUSTED: .*10 times within a minute/);
  clock.advance(60_000);
  assert.ok(renewals.check(late(der, key, csr), csr).ok);
});

test('all together are held to a rate, and strangers do not use it up', async (t) => {
  const { clock, renewals, certify } = await bench(t);
  const keys = Array.from({ length: 120 }, () => generateKeyPair());
  const csr = createCsr(generateKeyPair());
  const certificates = await Promise.all(keys.map((key) => certify(key)));
  clock.advance(2 * HOUR_MS);
  const asked = certificates.map((der, index) => late(der, keys[index] as KeyPair, csr));
  const stranger = late(certificates[0] as Uint8Array, generateKeyPair(), csr);
  for (let use = 0; use < 50; use++) renewals.check(stranger, csr);
  const verdicts = Array.from({ length: 1_001 }, (_, use) => renewals.check(asked[use % 120] as LateRenewal, csr));
  assert.ok(verdicts.slice(0, 1_000).every(({ ok }) => ok));
  assert.match(refusal(verdicts[1_000] as LateRenewalVerdict), /RESOURCE_EXHAUSTED: Too many workloads/);
  clock.advance(1_000);
  assert.ok(renewals.check(asked.at(-1) as LateRenewal, csr).ok);
});
