import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { subsetName } from './traffic.ts';

test('a subset is named by its labels, in an order of its own', () => {
  assert.equal(subsetName({}), '');
  assert.equal(subsetName({ version: 'v2', 'app/tier': 'gold' }), '{app%2Ftier=gold,version=v2}');
  assert.equal(subsetName({ b: '1', a: '2' }), subsetName({ a: '2', b: '1' }));
});

test('two sets of labels never have the same name', () => {
  const texts = fc.constantFrom('a', 'b', 'a=1', '1,b', '%2C', '{', '', 'ü');
  const labels = fc.dictionary(texts, texts, { maxKeys: 3 });
  fc.assert(
    fc.property(labels, labels, (one, other) => {
      const key = (set: Record<string, string>): string => JSON.stringify(Object.entries(set).sort(([a], [b]) => (a < b ? -1 : 1)));
      assert.equal(subsetName(one) === subsetName(other), key(one) === key(other));
    }),
  );
});
