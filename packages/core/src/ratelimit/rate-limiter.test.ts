import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { RateLimit } from '../model/resilience.ts';
import { describeRateLimit, RateLimiter, takeOfEach } from './rate-limiter.ts';

const limitOf = (by: RateLimit['by'], burst = 1): RateLimit => ({ requests: 1, perMs: 1_000, burst, by });
const BY_HEADER = limitOf({ kind: 'header', name: 'x-user' });

describe('a rate limit', () => {
  it('is one bucket for all', () => {
    const limiter = new RateLimiter(limitOf({ kind: 'all' }), 0);
    assert.deepEqual([limiter.tryTake(undefined, 0), limiter.tryTake('a', 0), limiter.tryTake('b', 0)], [true, false, false]);
    assert.equal(limiter.size, 0);
    assert.equal(limiter.retryAfterMs(undefined, 400), 600);
  });

  it('is one for each caller, and one for those without', () => {
    const limiter = new RateLimiter(limitOf({ kind: 'identity' }), 0);
    const take = (key: string | undefined): boolean => limiter.tryTake(key, 0);
    assert.deepEqual(['a', 'b', 'a', undefined, '', undefined].map(take), [true, true, false, true, true, false]);
    assert.equal(limiter.tryTake('a', 1_000), true);
  });

  it('forgets the key used longest ago when there are too many, never one in use', () => {
    const limiter = new RateLimiter(BY_HEADER, 0, 3);
    for (const key of ['a', 'b', 'c', 'a']) limiter.tryTake(key, 0);
    limiter.tryTake('d', 0);
    assert.equal(limiter.size, 3);
    assert.deepEqual([limiter.tryTake('a', 0), limiter.tryTake('c', 0), limiter.tryTake('d', 0)], [false, false, false]);
    assert.equal(limiter.tryTake('b', 0), true, 'it begins anew, full');
    const single = new RateLimiter(BY_HEADER, 0, 1);
    for (const key of ['a', 'b', 'b', 'c', 'a']) single.tryTake(key, 0);
    assert.equal(single.size, 1);
  });

  it('forgets in the order of use, whatever that was (property)', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...'abcdef'), { maxLength: 60 }), (keys) => {
        const limiter = new RateLimiter(BY_HEADER, 0, 3);
        let kept: string[] = [];
        for (const key of keys) {
          assert.equal(limiter.tryTake(key, 0), !kept.includes(key));
          kept = [...kept.filter((other) => other !== key), key].slice(-3);
          assert.equal(limiter.size, kept.length);
        }
      }),
    );
  });

  it('keeps no long keys, and still tells them apart', () => {
    const limiter = new RateLimiter(BY_HEADER, 0);
    const long = 'x'.repeat(5_000);
    assert.deepEqual(
      [`${long}1`, `${long}2`, `${long}1`, `${long}11`].map((key) => limiter.tryTake(key, 0)),
      [true, true, false, true],
    );
  });

  it('is told to people', () => {
    assert.equal(describeRateLimit(BY_HEADER), 'each value of x-user may make 1 requests per 1s, 1 at once');
    assert.equal(
      describeRateLimit({ ...limitOf({ kind: 'all' }), perMs: 1_500 }),
      'all callers together may make 1 requests per 1500ms, 1 at once',
    );
  });

  it('holds for each key on its own, as a model without a bound says (property)', () => {
    const steps = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.nat(700)), { maxLength: 100 });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 3 }), (asked, burst) => {
        const limiter = new RateLimiter(limitOf({ kind: 'identity' }, burst), 0, 4);
        const lone = new Map<string, RateLimiter>();
        let nowMs = 0;
        for (const [key, waitMs] of asked) {
          nowMs += waitMs;
          if (!lone.has(key)) lone.set(key, new RateLimiter(limitOf({ kind: 'all' }, burst), 0));
          assert.equal(limiter.tryTake(key, nowMs), lone.get(key)!.tryTake(undefined, nowMs));
        }
      }),
    );
  });
});

describe('several rate limits', () => {
  it('are all asked before a token of any is taken', () => {
    const wide = new RateLimiter(limitOf({ kind: 'all' }, 2), 0);
    const narrow = new RateLimiter(limitOf({ kind: 'identity' }), 0);
    const take = (key: string): number => takeOfEach([wide, narrow], [undefined, key], 0);
    assert.deepEqual([take('a'), take('a'), take('a'), take('b'), take('c')], [-1, 1, 1, -1, 0]);
  });
});
