// Bounds and spread of backoff waits.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { backoffBoundMs, backoffMs } from './backoff.ts';

describe('backoff with full jitter', () => {
  const backoff = { baseMs: 100, maxMs: 1_000, factor: 2 };

  it('doubles its bound up to the maximum', () => {
    assert.deepEqual(
      [0, 1, 2, 3, 4, 5, 100, 10_000].map((attempt) => backoffBoundMs(backoff, attempt)),
      [100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000],
    );
  });

  it('spreads over the whole range below the bound', () => {
    assert.equal(
      backoffMs(backoff, 1, () => 0),
      0,
    );
    assert.equal(
      backoffMs(backoff, 1, () => 0.5),
      100,
    );
  });

  it('doubles when no factor is given', () => {
    assert.equal(backoffBoundMs({ baseMs: 100, maxMs: 1_000 }, 2), 400);
  });

  it('is never negative, never above the maximum, never NaN (property)', () => {
    const any = fc.record({
      baseMs: fc.double({ min: 0.001, max: 1e6, noNaN: true }),
      maxMs: fc.double({ min: 0.001, max: 1e6, noNaN: true }),
      factor: fc.double({ min: 1, max: 100, noNaN: true }),
    });
    fc.assert(
      fc.property(
        any,
        fc.integer({ min: 0, max: 2_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (input, attempt, value) => {
          const waitMs = backoffMs(input, attempt, () => value);
          assert.ok(waitMs >= 0 && waitMs <= input.maxMs);
        },
      ),
    );
  });
});
