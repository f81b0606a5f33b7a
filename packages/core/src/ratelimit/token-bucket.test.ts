// Never more than the burst and what the time brings, to the token, however long it runs.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TokenBucket } from './token-bucket.ts';

describe('the token bucket', () => {
  it('begins full and refills steadily', () => {
    const rate = { requests: 2, perMs: 1_000, burst: 3 };
    const bucket = new TokenBucket(rate, 0);
    const take = (nowMs: number): boolean => bucket.tryTake(rate, nowMs);
    assert.deepEqual([0, 0, 0, 0, 499, 500, 501, 999, 1_000].map(take), [true, true, true, false, false, true, false, false, true]);
    assert.equal(bucket.waitMs(rate, 1_000), 500);
    assert.deepEqual([1e6, 1e6, 1e6, 1e6].map(take), [true, true, true, false]);
  });

  it('says how long until the next token, neither too short nor too long (property)', () => {
    const rates = fc.record({
      requests: fc.integer({ min: 1, max: 50 }),
      perMs: fc.integer({ min: 1, max: 5_000 }),
      burst: fc.integer({ min: 1, max: 5 }),
    });
    fc.assert(
      fc.property(
        rates,
        fc.array(fc.nat(1_000), { maxLength: 20 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (rate, waits, fraction) => {
          const bucket = new TokenBucket(rate, fraction);
          let nowMs = fraction;
          for (const waitMs of waits) {
            nowMs += waitMs;
            while (bucket.tryTake(rate, nowMs));
            const leftMs = bucket.waitMs(rate, nowMs);
            assert.ok(leftMs > 0);
            if (leftMs > 2) assert.equal(bucket.has(rate, nowMs + leftMs - 2), false);
            nowMs += leftMs;
            assert.equal(bucket.tryTake(rate, nowMs), true);
          }
        },
      ),
    );
  });

  it('gives exactly the rate over a very long time, with a rate that no float can hold', () => {
    const rate = { requests: 3, perMs: 7, burst: 2 };
    const bucket = new TokenBucket(rate, 0);
    while (bucket.tryTake(rate, 0));
    let taken = 0;
    for (let nowMs = 1; nowMs <= 700_000; nowMs += 1) if (bucket.tryTake(rate, nowMs)) taken += 1;
    assert.equal(taken, 300_000);
  });

  it('never gives more than burst and rate in any stretch of time (property)', () => {
    const rates = fc.record({
      requests: fc.integer({ min: 1, max: 1_000 }),
      perMs: fc.integer({ min: 1, max: 60_000 }),
      burst: fc.integer({ min: 1, max: 20 }),
    });
    const steps = fc.array(fc.tuple(fc.oneof(fc.double({ min: 0, max: 5, noNaN: true }), fc.nat(100_000)), fc.nat(30)), { maxLength: 40 });
    fc.assert(
      fc.property(rates, steps, (rate, asked) => {
        const bucket = new TokenBucket(rate, 0);
        const taken: number[] = [];
        let nowMs = 0;
        for (const [waitMs, wanted] of asked) {
          nowMs += waitMs;
          for (let count = 0; count < wanted; count += 1) if (bucket.tryTake(rate, nowMs)) taken.push(Math.round(nowMs * 1_000));
        }
        for (let from = 0; from < taken.length; from += 1) {
          const to = taken.length - 1;
          for (const end of [from, Math.floor((from + to) / 2), to])
            assert.ok((end - from + 1 - rate.burst) * rate.perMs * 1_000 <= (taken[end]! - taken[from]!) * rate.requests);
        }
      }),
    );
  });

  it('takes no harm from a clock that stands or steps back', () => {
    const rate = { requests: 1, perMs: 10, burst: 1 };
    const bucket = new TokenBucket(rate, 100);
    assert.equal(bucket.tryTake(rate, 50), true);
    assert.equal(bucket.tryTake(rate, 60), false);
    assert.equal(bucket.tryTake(rate, 110), true);
  });
});
