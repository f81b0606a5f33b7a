import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { formatJoinToken, type JoinToken, parseJoinToken } from '@heddle/core';
import { createCsr, generateKeyPair, nodeRandom } from '@heddle/runtime/node';
import { openEmbeddedStore } from '../registry/embedded/store.ts';
import type { Store } from '../registry/store.ts';
import { ManualClock } from '../testing/clock.ts';
import { silent } from '../testing/mesh.ts';
import { openAuthority } from './authority.ts';
import type { Authority } from './authority-types.ts';
import { issueCertificate, type Issuer } from './issuer.ts';
import { LateRenewals } from './late-renewals.ts';
import { JoinTokenRequestError, JoinTokens, type RedeemResult } from './join-tokens.ts';

const PIN = 'P'.repeat(43);

interface Bench {
  readonly clock: ManualClock;
  readonly store: Store;
  readonly tokens: JoinTokens;
}

function bench(t: TestContext, pin = PIN): Bench {
  const clock = new ManualClock();
  const store = openEmbeddedStore({ path: undefined, clock });
  t.after(() => store.close());
  return {
    clock,
    store,
    tokens: new JoinTokens({ store, trustDomain: 'shop', authority: { pin, pins: [pin] }, clock, random: nodeRandom }),
  };
}

function refusal(result: RedeemResult): string {
  assert.ok(!result.ok, 'was redeemed');
  return result.code;
}

function read(text: string): JoinToken {
  const parsed = parseJoinToken(text);
  assert.ok(parsed.ok);
  return parsed.token;
}

test("a token gives its service's identity once, and is known as used after", async (t) => {
  const { tokens, clock } = bench(t);
  const { token, notAfterMs } = await tokens.create({ service: 'orders' });
  assert.equal(notAfterMs, clock.wallMs() + 3_600_000);
  assert.deepEqual(await tokens.redeem(token), {
    ok: true,
    identity: { trustDomain: 'shop', namespace: 'default', name: 'orders' },
    pin: PIN,
  });
  const again = await tokens.redeem(token);
  assert.ok(!again.ok);
  assert.equal(again.code, 'used');
  assert.match(again.reason, /for default\/orders has been used already.*heddle token create --service orders/);
});

test('its id can be written on a command line: it begins with a letter', async (t) => {
  const { clock, store } = bench(t);
  for (const first of [0xf8, 0xff, 0x00]) {
    const random = { ...nodeRandom, bytes: (size: number) => nodeRandom.bytes(size).fill(first, 0, 1) };
    const tokens = new JoinTokens({ store, trustDomain: 'shop', authority: { pin: PIN, pins: [PIN] }, clock, random });
    assert.match(read((await tokens.create({ service: 'orders' })).token).id, /^[A-Za-z][\w-]{11}$/);
  }
});

test('of many redemptions at the same moment exactly one succeeds', async (t) => {
  const { tokens } = bench(t);
  const { token } = await tokens.create({ service: 'orders' });
  const results = await Promise.all(Array.from({ length: 50 }, () => tokens.redeem(token)));
  assert.equal(results.filter((result) => result.ok).length, 1);
  assert.deepEqual(new Set(results.filter((result) => !result.ok).map(refusal)), new Set(['used']));
});

test('of many redemptions for different keys one key wins, and only that one may repeat', async (t) => {
  const { tokens } = bench(t);
  const { token } = await tokens.create({ service: 'orders' });
  const keys = Array.from({ length: 20 }, (_, i) => `key-${i % 10}`);
  const results = await Promise.all(keys.map((key) => tokens.redeem(token, key)));
  const winners = new Set(keys.filter((_, i) => results[i]?.ok === true));
  assert.equal(winners.size, 1);
  const winner = [...winners][0] as string;
  assert.equal((await tokens.redeem(token, winner)).ok, true);
  assert.equal(refusal(await tokens.redeem(token, 'another')), 'used');
  assert.equal(refusal(await tokens.redeem(token)), 'used');
});

test('an expired token is told from an unknown one, before and after its record is swept', async (t) => {
  const { tokens, clock, store } = bench(t);
  const { token } = await tokens.create({ service: 'orders', ttlMs: 60_000 });
  const used = (await tokens.create({ service: 'orders', ttlMs: 60_000 })).token;
  await tokens.redeem(used, 'key');
  clock.advance(59_999);
  assert.equal(refusal(await tokens.redeem(used)), 'used');
  clock.advance(1);
  assert.equal(refusal(await tokens.redeem(token)), 'expired');
  assert.equal(refusal(await tokens.redeem(used, 'key')), 'expired', 'repeating ends with the token');
  assert.equal((await store.list('')).entries.length, 2);
  clock.advance(60_000);
  await store.transact({ conditions: [], operations: [{ kind: 'put', key: 'flush', value: '' }] });
  assert.deepEqual(
    (await store.list('')).entries.map((entry) => entry.key),
    ['flush'],
    'swept',
  );
  const late = await tokens.redeem(token);
  assert.ok(!late.ok);
  assert.equal(late.code, 'expired');
  assert.match(late.reason, /expired at 2023-11-14T/);
});

test('a forged token is unknown, whatever part was forged', async (t) => {
  const { tokens } = bench(t);
  const good = read((await tokens.create({ service: 'orders' })).token);
  for (const change of [
    { secret: new Uint8Array(32) },
    { service: 'payments' },
    { namespace: 'heddle-system', service: 'operator' },
    { id: 'AAAAAAAAAAAA' },
  ]) {
    assert.equal(refusal(await tokens.redeem(formatJoinToken({ ...good, ...change }))), 'unknown', JSON.stringify(change));
  }
  assert.equal((await tokens.redeem(formatJoinToken(good))).ok, true, 'and has not used it up');
  assert.equal(
    refusal(await tokens.redeem(formatJoinToken({ ...good, secret: new Uint8Array(32) }))),
    'unknown',
    'nor learns that it was used',
  );
});

test('the expiry that counts is the recorded one', async (t) => {
  const { tokens, clock } = bench(t);
  const good = read((await tokens.create({ service: 'orders', ttlMs: 1_000 })).token);
  clock.advance(1_000);
  assert.equal(refusal(await tokens.redeem(formatJoinToken({ ...good, notAfterMs: good.notAfterMs + 1e9 }))), 'expired');
});

test('a token of another mesh and a damaged one are named so', async (t) => {
  const { tokens } = bench(t);
  const other = await bench(t, 'Q'.repeat(43)).tokens.create({ service: 'orders' });
  const foreign = await tokens.redeem(other.token);
  assert.ok(!foreign.ok);
  assert.equal(foreign.code, 'wrong-mesh');
  assert.match(foreign.reason, /made by another mesh/);
  assert.equal(refusal(await tokens.redeem('heddle-join.x')), 'malformed');
});

test('the store never sees the secret', async (t) => {
  const { tokens, store } = bench(t);
  const { token } = await tokens.create({ service: 'orders' });
  await tokens.redeem(token);
  const secret = read(token).secret;
  const kept = (await store.list('')).entries.map((entry) => entry.key + entry.value).join();
  for (const encoding of ['base64url', 'base64', 'hex'] as const) assert.ok(!kept.includes(Buffer.from(secret).toString(encoding)));
});

test('tokens that make no sense are refused with the rule', async (t) => {
  const { tokens } = bench(t);
  for (const [request, reason] of [
    [{ service: '' }, /not the name of a service/],
    [{ service: 'a/b' }, /not the name of a service/],
    [{ service: 'a', namespace: '..' }, /not the name of a service/],
    [{ service: 'control', namespace: 'heddle-system' }, /control plane itself/],
    [{ service: 'a', ttlMs: 0 }, /1000 ms to 604800000 ms/],
    [{ service: 'a', ttlMs: 604_800_001 }, /7 days/],
    [{ service: 'a', ttlMs: Number.NaN }, /7 days/],
  ] as const) {
    await assert.rejects(
      tokens.create(request),
      (error: unknown) => error instanceof JoinTokenRequestError && reason.test(error.message),
      JSON.stringify(request),
    );
  }
});

interface IssuerBench {
  readonly issuer: Issuer;
  readonly authority: Authority;
  readonly tokens: JoinTokens;
  readonly clock: ManualClock;
  /** Reasons by service. */
  readonly denied: Map<string, string>;
}

async function withAuthority(t: TestContext): Promise<IssuerBench> {
  const dir = mkdtempSync(join(tmpdir(), 'heddle-ca-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const authority = await openAuthority({
    stateDir: dir,
    trustDomain: 'shop',
    clock: new ManualClock(),
    random: nodeRandom,
    logger: silent,
  });
  const lateRenewals = new LateRenewals({ authority, trustDomain: 'shop', denial: () => undefined, clock: new ManualClock() });
  const { tokens, clock } = bench(t, authority.pin);
  const denied = new Map<string, string>();
  const denials = { reasonFor: ({ name }: { readonly name: string }) => denied.get(name) };
  return { issuer: { authority, tokens, lateRenewals, denials, clock }, authority, tokens, clock, denied };
}

test('a request that cannot be used does not burn the token', async (t) => {
  const { authority, tokens, issuer } = await withAuthority(t);
  const joinToken = (await tokens.create({ service: 'orders' })).token;
  const bad = await issueCertificate(issuer, { csrDer: Buffer.from('nonsense'), joinToken, peerId: undefined });
  assert.ok(!bad.ok);
  assert.equal(bad.status, 'INVALID_ARGUMENT');
  const csrDer = createCsr(generateKeyPair());
  const good = await issueCertificate(issuer, { csrDer, joinToken, peerId: undefined });
  assert.ok(good.ok);
  assert.equal(good.certificate.spiffeId, 'spiffe://shop/ns/default/svc/orders');
  assert.equal(good.rootsPem, authority.rootsPem);
  assert.ok((await issueCertificate(issuer, { csrDer, joinToken, peerId: undefined })).ok, 'a lost answer is given again');
  const thief = await issueCertificate(issuer, { csrDer: createCsr(generateKeyPair()), joinToken, peerId: undefined });
  assert.ok(!thief.ok);
  assert.equal(thief.status, 'UNAUTHENTICATED');
  assert.match(thief.message, /used already/);
});

test('without a token the proven identity is renewed, and nothing proven gets nothing', async (t) => {
  const { issuer } = await withAuthority(t);
  const csrDer = createCsr(generateKeyPair());
  const peerId = { trustDomain: 'shop', namespace: 'default', name: 'web' };
  const renewed = await issueCertificate(issuer, { csrDer, joinToken: '', peerId });
  assert.ok(renewed.ok);
  assert.equal(renewed.certificate.spiffeId, 'spiffe://shop/ns/default/svc/web');
  const nobody = await issueCertificate(issuer, { csrDer, joinToken: '', peerId: undefined });
  assert.ok(!nobody.ok);
  assert.equal(nobody.status, 'UNAUTHENTICATED');
  const control = await issueCertificate(issuer, {
    csrDer,
    joinToken: '',
    peerId: { ...peerId, namespace: 'heddle-system', name: 'control' },
  });
  assert.ok(!control.ok);
  assert.equal(control.status, 'PERMISSION_DENIED');
});

test('an identity that is denied gets nothing, with a token, a certificate or a late one', async (t) => {
  const { issuer, tokens, denied } = await withAuthority(t);
  const joinToken = (await tokens.create({ service: 'orders' })).token;
  denied.set('orders', 'is denied');
  const csrDer = createCsr(generateKeyPair());
  const peerId = { trustDomain: 'shop', namespace: 'default', name: 'orders' };
  for (const call of [
    { joinToken, peerId: undefined },
    { joinToken: '', peerId },
  ]) {
    const outcome = await issueCertificate(issuer, { csrDer, ...call });
    assert.ok(!outcome.ok);
    assert.deepEqual([outcome.status, outcome.message], ['PERMISSION_DENIED', 'spiffe://shop/ns/default/svc/orders is denied.']);
  }
});

test('tokens are listed without their secrets, and can be revoked while they are good', async (t) => {
  const { tokens, clock } = bench(t);
  const first = (await tokens.create({ service: 'orders' })).token;
  clock.advance(1);
  const second = (await tokens.create({ service: 'web', ttlMs: 5_000 })).token;
  const listed = await tokens.list();
  assert.deepEqual(
    listed.map(({ service, state }) => [service, state]),
    [
      ['web', 'good'],
      ['orders', 'good'],
    ],
  );
  assert.ok(!JSON.stringify(listed).includes(Buffer.from(read(first).secret).toString('base64url')));
  assert.equal((await tokens.revoke(read(first).id))?.wasGood, true);
  assert.equal((await tokens.revoke(read(first).id))?.wasGood, false);
  assert.equal(await tokens.revoke('nobodysToken'), undefined);
  assert.equal(refusal(await tokens.redeem(first)), 'revoked');
  assert.ok((await tokens.redeem(second)).ok);
  assert.equal((await tokens.revoke(read(second).id))?.token.state, 'used');
});

test('a token of an older root is refused with that as the reason, and one of a root in rotation is good', async (t) => {
  const { store, clock, tokens } = bench(t);
  const { token } = await tokens.create({ service: 'orders' });
  const other = 'N'.repeat(43);
  const later = (pins: readonly string[]): JoinTokens =>
    new JoinTokens({ store, trustDomain: 'shop', authority: { pin: other, pins }, clock, random: nodeRandom });
  const refused = await later([other]).redeem(token);
  assert.ok(!refused.ok);
  assert.equal(refused.code, 'old-root');
  assert.match(refused.reason, /made before this mesh got a new root.*heddle token create --service orders/);
  assert.deepEqual(
    (await later([other]).list()).map(({ state }) => state),
    ['old-root'],
  );
  const redeemed = await later([PIN, other]).redeem(token);
  assert.ok(redeemed.ok && redeemed.pin === PIN);
});

test('no token is made for an identity that is denied', async (t) => {
  const { store, clock } = bench(t);
  const authority = { pin: PIN, pins: [PIN] };
  const tokens = new JoinTokens({ store, trustDomain: 'shop', authority, denial: () => 'is denied', clock, random: nodeRandom });
  await assert.rejects(tokens.create({ service: 'orders' }), /default\/orders is denied/);
});
