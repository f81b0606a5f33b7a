// Named tokens: their role and end, that they can be taken back, and that nobody can read them out of the store.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeRandom } from '@heddle/runtime/node';
import { openEmbeddedStore } from '../registry/embedded/store.ts';
import type { Store } from '../registry/store.ts';
import { ManualClock } from '../testing/clock.ts';
import { silent } from '../testing/mesh.ts';
import { until } from '../testing/wait.ts';
import { openAdminTokens } from './admin-tokens.ts';
import type { AdminTokens } from './admin-tokens.ts';

async function withTokens(run: (tokens: AdminTokens, clock: ManualClock, store: Store) => Promise<void>): Promise<void> {
  const clock = new ManualClock();
  const store = openEmbeddedStore({ path: undefined, clock });
  const tokens = await openAdminTokens({ store, clock, random: nodeRandom, logger: silent });
  try {
    await run(tokens, clock, store);
  } finally {
    tokens.close();
    await store.close();
  }
}
const ann = { name: 'ann', role: 'viewer', ttlMs: 60_000, by: 'operator token' };

test('a token is good for its role until its end, and no other text is', () =>
  withTokens(async (tokens, clock) => {
    const { token, notAfterMs } = await tokens.create(ann);
    assert.match(token, /^heddle-admin\.ann\.[\w-]{43}$/);
    assert.deepEqual(tokens.check(token, clock.wallMs()), { name: 'ann', role: 'viewer' });
    const last = token.at(-1) === 'A' ? 'E' : 'A';
    for (const wrong of [`${token.slice(0, -1)}${last}`, token.replace('.ann.', '.bob.')])
      assert.match((tokens.check(wrong, clock.wallMs()) as { reason: string }).reason, /is not known/);
    for (const other of ['', 'operator', `${token}x`, token.replace('heddle-admin', 'heddle-join')])
      assert.equal(tokens.check(other, clock.wallMs()), undefined);
    assert.match((tokens.check(token, notAfterMs) as { reason: string }).reason, /ended at/);
  }));

test('one that is revoked is refused, also by another control plane on the same store', () =>
  withTokens(async (tokens, clock, store) => {
    const other = await openAdminTokens({ store, clock, random: nodeRandom, logger: silent });
    const { token } = await tokens.create(ann);
    await until('it is known there', () => 'name' in (other.check(token, clock.wallMs()) ?? {}));
    assert.deepEqual(
      other.list().map(({ name, role, by }) => [name, role, by]),
      [['ann', 'viewer', 'operator token']],
    );
    assert.equal((await tokens.revoke('ann'))?.name, 'ann');
    assert.match((tokens.check(token, clock.wallMs()) as { reason: string }).reason, /is not known/);
    await until('it is refused there', () => 'reason' in (other.check(token, clock.wallMs()) ?? {}));
    assert.equal(await tokens.revoke('ann'), undefined);
    other.close();
  }));

test('the store has no secret; a name is taken until its token has ended, and forgotten after a week', () =>
  withTokens(async (tokens, clock, store) => {
    const { token } = await tokens.create(ann);
    const held = JSON.stringify((await store.list('admin-tokens/')).entries);
    assert.equal(held.includes(token.split('.')[2] ?? ''), false);
    await assert.rejects(tokens.create(ann), /there is an administrator token ann already/);
    clock.advance(60_000);
    await tokens.create(ann);
    clock.advance(8 * 86_400_000);
    await tokens.create({ ...ann, name: 'bob' });
    assert.deepEqual(
      tokens.list().map(({ name }) => name),
      ['bob'],
    );
  }));

test('what is asked for wrongly is refused with the reason', () =>
  withTokens(async (tokens) => {
    const wrong: [object, RegExp][] = [
      [{ role: 'root' }, /there are viewer, editor, operator/],
      [{ name: 'Ann' }, /lower-case/],
      [{ name: 'a.b' }, /lower-case/],
      [{ ttlMs: 1 }, /from 1 minute to 366 days/],
      [{ ttlMs: 400 * 86_400_000 }, /from 1 minute to 366 days/],
    ];
    for (const [over, words] of wrong) await assert.rejects(tokens.create({ ...ann, ...over }), words);
  }));
