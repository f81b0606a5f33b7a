// Quantiles from counts of buckets lie where the true ones do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DURATION_BUCKETS, durationBucket, durationQuantileMs } from './duration-buckets.ts';
import { DURATION_BOUNDS } from './metrics/bounds.ts';

test('a duration is in the first bucket whose bound it does not exceed', () => {
  assert.equal(durationBucket(0), 0);
  assert.equal(durationBucket(0.0001), 0);
  assert.equal(durationBucket(0.00010001), 1);
  assert.equal(durationBucket(100), DURATION_BUCKETS - 2);
  assert.equal(durationBucket(101), DURATION_BUCKETS - 1);
  assert.equal(DURATION_BOUNDS.length + 1, DURATION_BUCKETS);
});

test('nothing has no quantile; what is beyond the last bound counts as that', () => {
  const counts = new Float64Array(DURATION_BUCKETS);
  assert.equal(durationQuantileMs(counts, 0.5), undefined);
  counts[DURATION_BUCKETS - 1] = 3;
  assert.equal(durationQuantileMs(counts, 0.5), 100_000);
});

test('a quantile is off by 28 % at most, whatever the durations and however many', () => {
  const seconds = fc.array(fc.double({ min: 0.0001, max: 100, noNaN: true }), { minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(seconds, fc.double({ min: 0.01, max: 1, noNaN: true }), (durations, quantile) => {
      const counts = new Uint32Array(DURATION_BUCKETS);
      for (const each of durations) counts[durationBucket(each)]! += 1;
      const trueMs = durations.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(quantile * durations.length) - 1)]! * 1_000;
      const ratio = (durationQuantileMs(counts, quantile) ?? assert.fail()) / trueMs;
      // Below the first bound nothing is told apart.
      assert.ok(trueMs === 0.1 || (ratio > 1 / 1.281 && ratio < 1.281), `${ratio} of ${trueMs} ms`);
    }),
    { numRuns: 300 },
  );
});
