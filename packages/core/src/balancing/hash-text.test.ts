// The hash against published values of MurmurHash3, and its spread.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { combineHashes, hashText } from './hash-text.ts';

const bits = (value: number): number => {
  let count = 0;
  for (let left = value; left !== 0; left &= left - 1) count++;
  return count;
};

describe('hashText', () => {
  it('is MurmurHash3 of the text as UTF-16', () => {
    assert.equal(hashText('', 0), 0);
    assert.equal(hashText('', 1), 0x514e28b7);
    assert.equal(hashText('', 0xffffffff), 0x81f16f39);
    assert.equal(hashText('\0\0'), 0x2362f9de);
    assert.equal(hashText('\u4321\u8765'), 0xf55b516b);
    assert.equal(hashText('\u4321\u8765', 0x5082edee), 0x2362f9de);
    assert.equal(hashText('\u4321'), 0xa0f7b07a);
  });

  it('spreads texts that differ in their last characters evenly', () => {
    const buckets = new Array<number>(64).fill(0);
    for (let user = 0; user < 64_000; user++) {
      const bucket = hashText(`user-${user}`) >>> 26;
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    // 63 degrees of freedom: beyond 103.4 with a probability of 0.1 %.
    assert.ok(buckets.reduce((sum, count) => sum + (count - 1_000) ** 2 / 1_000, 0) < 103.4);
  });

  it('changes half of the bits for a change of one', () => {
    let changed = 0;
    for (let user = 0; user < 1_000; user++) changed += bits(hashText(`a${user}`) ^ hashText(`${String.fromCharCode(96)}${user}`));
    assert.ok(Math.abs(changed / 1_000 - 16) < 0.5);
  });

  it('combines hashes with regard to their order, again evenly', () => {
    assert.notEqual(combineHashes(1, 2), combineHashes(2, 1));
    let changed = 0;
    for (let value = 0; value < 1_000; value++) changed += bits(combineHashes(7, value) ^ combineHashes(7, value ^ 1));
    assert.ok(Math.abs(changed / 1_000 - 16) < 0.5);
    for (const value of [0, 1, 0xffffffff]) assert.ok(combineHashes(value, value) >= 0 && combineHashes(value, value) < 2 ** 32);
  });
});
