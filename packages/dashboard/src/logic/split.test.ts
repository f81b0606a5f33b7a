import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sharesOf, withShare } from './split.ts';

test('shares are whole, never negative, 100 in all, and the one that is set is what it was set to', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1_000), { minLength: 2, maxLength: 8 }), fc.nat(7), fc.nat(100), (weights, at, share) => {
      const index = at % weights.length;
      const next = withShare(sharesOf(weights), index, share);
      assert.equal(next[index], share);
      assert.equal(
        next.reduce((sum, one) => sum + one, 0),
        100,
      );
      assert.ok(
        next.every((one) => Number.isInteger(one) && one >= 0),
        String(next),
      );
    }),
  );
});

test('the others keep their proportions', () => {
  assert.deepEqual(withShare([10, 60, 30], 0, 40), [40, 40, 20]);
  assert.deepEqual(withShare([0, 0, 100], 2, 50), [25, 25, 50]);
});
