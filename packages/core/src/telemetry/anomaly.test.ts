// Shifts are told once and soon, steady traffic never, whatever its distribution.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ServiceBaseline, type Shift, type WindowFacts } from './anomaly.ts';
import { DURATION_BUCKETS, durationBucket, durationQuantileMs } from './duration-buckets.ts';

/** A die that can be thrown again in the same way. */
function dice(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Traffic {
  /** Requests in a window, on average. */
  readonly mean: number;
  readonly medianMs: number;
  /** Of the logarithm of durations. */
  readonly sigma: number;
  readonly errors: number;
}

/** One window of independent requests. */
function windowOf({ mean, medianMs, sigma, errors }: Traffic, random: () => number): WindowFacts {
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const requests = Math.max(0, Math.round(mean + Math.sqrt(mean) * normal()));
  const counts = new Float64Array(DURATION_BUCKETS);
  let failures = 0;
  for (let index = 0; index < requests; index += 1) {
    counts[durationBucket((medianMs * Math.exp(sigma * normal())) / 1_000)]! += 1;
    failures += Number(random() < errors);
  }
  return { requests, failures, p50Ms: durationQuantileMs(counts, 0.5), p99Ms: durationQuantileMs(counts, 0.99) };
}

const steady = fc.record({
  mean: fc.double({ min: 1, max: 400, noNaN: true }),
  medianMs: fc.double({ min: 0.2, max: 500, noNaN: true }),
  sigma: fc.double({ min: 0.05, max: 1.5, noNaN: true }),
  errors: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 0.1, noNaN: true })),
});
const seed = fc.integer();

function judge(baseline: ServiceBaseline, traffic: Traffic, windows: number, random: () => number): [number, Shift][] {
  return Array.from({ length: windows }, (_, index) => index).flatMap((index) =>
    baseline.judge(windowOf(traffic, random)).map((shift): [number, Shift] => [index, shift]),
  );
}

describe('the baseline of a service', () => {
  test('says nothing of steady traffic, much or little of it, with short tails or long ones', () => {
    fc.assert(
      fc.property(steady, seed, (traffic, from) => {
        assert.deepEqual(judge(new ServiceBaseline(), traffic, 480, dice(from)), []);
      }),
      { numRuns: 25 },
    );
  });

  const shifts: readonly (readonly [string, Shift['signal'][], (traffic: Traffic) => Traffic])[] = [
    ['four times the latency', ['p50', 'p99'], (traffic) => ({ ...traffic, medianMs: traffic.medianMs * 4 })],
    ['a third of all requests failing', ['errors'], (traffic) => ({ ...traffic, errors: traffic.errors + 0.33 })],
    ['four times the traffic', ['traffic'], (traffic) => ({ ...traffic, mean: traffic.mean * 4 })],
    ['a tenth of the traffic', ['traffic'], (traffic) => ({ ...traffic, mean: traffic.mean / 10 })],
  ];
  for (const [name, signals, changed] of shifts) {
    test(`tells ${name} within three windows, once, and its end`, () => {
      const usual = fc.record({
        mean: fc.double({ min: 60, max: 400, noNaN: true }),
        medianMs: fc.double({ min: 5, max: 500, noNaN: true }),
        sigma: fc.double({ min: 0.05, max: 0.6, noNaN: true }),
        errors: fc.double({ min: 0, max: 0.03, noNaN: true }),
      });
      fc.assert(
        fc.property(usual, seed, (traffic, from) => {
          const [baseline, random] = [new ServiceBaseline(), dice(from)];
          assert.deepEqual(judge(baseline, traffic, 60, random), []);
          const during = judge(baseline, changed(traffic), 40, random);
          assert.deepEqual([during.length, during[0]?.[1].state], [1, 'began'], JSON.stringify(during));
          const [[index, began] = assert.fail()] = during;
          assert.ok(index <= 2 && signals.includes(began.signal), `${began.signal} after ${index + 1} windows`);
          const after = judge(baseline, traffic, 40, random);
          assert.deepEqual([after.length, after[0]?.[1].state], [1, 'ended'], JSON.stringify(after));
          assert.ok(after[0]![0] <= 6, `over after ${after[0]![0] + 1} windows`);
        }),
        { numRuns: 12 },
      );
    });
  }

  const facts = (over: Partial<WindowFacts> = {}): WindowFacts => ({ requests: 300, failures: 0, p50Ms: 10, p99Ms: 40, ...over });
  const after = (windows: number, over?: Partial<WindowFacts>): ServiceBaseline => {
    const baseline = new ServiceBaseline();
    for (let index = 0; index < windows; index += 1) assert.deepEqual(baseline.judge(facts(over)), []);
    return baseline;
  };
  const states = (baseline: ServiceBaseline, ...windows: Partial<WindowFacts>[]): string[] =>
    windows.flatMap((over) => baseline.judge(facts(over)).map(({ signal, state }) => `${signal} ${state}`));

  test('does not judge before it knows what is usual', () => {
    assert.deepEqual(states(after(17), { p50Ms: 90 }, { p50Ms: 90 }, { p50Ms: 90 }), []);
    assert.deepEqual(states(after(20), { p50Ms: 90 }, { p50Ms: 90 }), ['p50 began']);
  });

  test('one bad window is none, and neither is one now and then', () => {
    const baseline = after(60);
    for (let index = 0; index < 20; index += 1) assert.deepEqual(states(baseline, { p99Ms: 900, failures: 100 }, {}, {}), []);
  });

  test('what is small is nobody’s business: a millisecond, a few failures, a handful of requests', () => {
    assert.deepEqual(states(after(60, { p50Ms: 0.5, p99Ms: 1 }), ...Array.from({ length: 5 }, () => ({ p50Ms: 1.8, p99Ms: 2.9 }))), []);
    assert.deepEqual(states(after(60, { requests: 30 }), ...Array.from({ length: 5 }, () => ({ requests: 30, failures: 4 }))), []);
    assert.deepEqual(states(after(60, { requests: 8 }), ...Array.from({ length: 5 }, () => ({ requests: 29, failures: 29 }))), []);
  });

  test('a shift that flaps is one shift, and one that stays for an hour is the new baseline', () => {
    const baseline = after(60);
    const slow = { p50Ms: 100, p99Ms: 400 };
    assert.deepEqual(states(baseline, slow, slow, {}, slow, {}, {}, slow, slow), ['p50 began']);
    assert.deepEqual(states(baseline, {}, {}, {}), ['p50 ended']);
    assert.deepEqual(states(baseline, ...Array.from({ length: 240 }, () => slow)), ['p50 began', 'p50 settled']);
  });

  test('says when there is no traffic left to see whether it is over', () => {
    const baseline = after(60, { requests: 40 });
    assert.deepEqual(states(baseline, ...Array.from({ length: 2 }, () => ({ requests: 40, failures: 30 }))), ['errors began']);
    assert.deepEqual(states(baseline, ...Array.from({ length: 14 }, () => ({ requests: 10, failures: 5 }))), [
      'traffic began',
      'errors lost',
    ]);
  });
});
