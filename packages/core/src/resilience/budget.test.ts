// However a storm runs, the upstream gets at most what the budget allows on top.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_RETRY_BUDGET } from '../model/defaults.ts';
import { RETRY_BUDGET_WINDOW_MS, RetryBudgetMeter } from './budget.ts';

const WINDOW_S = RETRY_BUDGET_WINDOW_MS / 1_000;

describe('the retry budget', () => {
  it('allows a share of the first tries, and a few in any case', () => {
    const meter = new RetryBudgetMeter({ percent: 20, minPerSecond: 0 });
    assert.equal(meter.tryTake(0), false);
    for (let count = 0; count < 10; count += 1) meter.countFirst(0);
    assert.deepEqual([meter.tryTake(0), meter.tryTake(0), meter.tryTake(0)], [true, true, false]);
    const minimum = new RetryBudgetMeter({ percent: 0, minPerSecond: 1 });
    assert.equal(minimum.left(0), WINDOW_S);
  });

  it('is none with 0 and 0', () => {
    const meter = new RetryBudgetMeter({ percent: 0, minPerSecond: 0 });
    for (let count = 0; count < 1_000; count += 1) meter.countFirst(count);
    assert.equal(meter.tryTake(1_000), false);
  });

  it('forgets what was longer ago than the window, first tries and retries', () => {
    const meter = new RetryBudgetMeter({ percent: 50, minPerSecond: 0 });
    meter.countFirst(500);
    meter.countFirst(500);
    assert.equal(meter.tryTake(9_999), true);
    assert.equal(meter.left(9_999), 0);
    // The first tries are gone before the retry that they paid for.
    assert.equal(meter.left(10_000), -1);
    assert.equal(meter.left(19_000), 0);
    assert.equal(meter.left(1e9), 0);
  });

  it('takes a new policy without forgetting', () => {
    const meter = new RetryBudgetMeter({ percent: 10, minPerSecond: 0 });
    for (let count = 0; count < 10; count += 1) meter.countFirst(0);
    assert.equal(meter.tryTake(0), true);
    meter.setPolicy({ percent: 30, minPerSecond: 0 });
    assert.equal(meter.left(0), 2);
  });

  it('lets an upstream that fails always get (1 + budget) times the load', () => {
    const meter = new RetryBudgetMeter(DEFAULT_RETRY_BUDGET);
    let retries = 0;
    const [perSecond, seconds] = [100, 120];
    for (let request = 0; request < perSecond * seconds; request += 1) {
      const nowMs = (request * 1_000) / perSecond;
      meter.countFirst(nowMs);
      for (let attempt = 0; attempt < 3; attempt += 1) if (meter.tryTake(nowMs)) retries += 1;
    }
    const allowed = perSecond * seconds * 0.2 + 3 * (seconds + WINDOW_S);
    assert.ok(retries <= allowed && retries > allowed * 0.9, `${retries} of ${allowed}`);
  });

  it('bounds retries in all and in every stretch of time, whatever happens when (property)', () => {
    const step = fc.record({
      waitMs: fc.oneof(fc.nat(50), fc.nat(3_000), fc.nat(30_000)),
      firsts: fc.nat(30),
      wanted: fc.nat(60),
    });
    const budget = fc.record({ percent: fc.integer({ min: 0, max: 100 }), minPerSecond: fc.nat(3) });
    fc.assert(
      fc.property(budget, fc.array(step, { maxLength: 40 }), fc.nat(5_000), (policy, steps, startMs) => {
        const meter = new RetryBudgetMeter(policy);
        const history: { atMs: number; firsts: number; retries: number }[] = [];
        let nowMs = startMs;
        for (const { waitMs, firsts, wanted } of steps) {
          nowMs += waitMs;
          for (let count = 0; count < firsts; count += 1) meter.countFirst(nowMs);
          let retries = 0;
          for (let count = 0; count < wanted; count += 1) if (meter.tryTake(nowMs)) retries += 1;
          history.push({ atMs: nowMs, firsts, retries });
        }
        for (let from = 0; from < history.length; from += 1) {
          let [firsts, retries] = [0, 0];
          const fromMs = history[from]!.atMs;
          for (const { atMs, firsts: before } of history.slice(0, from)) if (fromMs - atMs < RETRY_BUDGET_WINDOW_MS) firsts += before;
          for (const entry of history.slice(from)) {
            firsts += entry.firsts;
            retries += entry.retries;
            const windows = Math.floor((entry.atMs - fromMs) / RETRY_BUDGET_WINDOW_MS) + 2;
            assert.ok(retries <= (policy.percent / 100) * firsts + policy.minPerSecond * WINDOW_S * windows + 1e-9);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});
