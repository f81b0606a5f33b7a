// Traffic of the past: what was reported is what is read, however it is cut into steps; and memory has an end.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DURATION_BUCKETS } from './duration-buckets.ts';
import { type TrafficSeries, TrafficStore } from './traffic-store.ts';
import { type CountedTraffic, TrafficSum } from './traffic-sum.ts';

const STEP_MS = 5_000;
const MINUTE_MS = 60_000;

const counted = (requests: number, rest: Partial<CountedTraffic> = {}): CountedTraffic => ({
  ...{ requests, errors: [], durations: { indexes: [], counts: [] }, bytes: 0, retries: 0 },
  ...rest,
});

const buckets = fc
  .uniqueArray(fc.nat(DURATION_BUCKETS - 1), { maxLength: 8 })
  .chain((indexes) => fc.tuple(fc.constant(indexes.sort((a, b) => a - b)), fc.array(fc.nat(100_000), { minLength: 8, maxLength: 8 })))
  .map(([indexes, counts]) => ({ indexes, counts: counts.slice(0, indexes.length) }));
const traffic: fc.Arbitrary<CountedTraffic> = fc.record({
  requests: fc.nat(1_000_000),
  errors: fc.array(fc.tuple(fc.constantFrom('5xx', 'CONNECT_FAILED', 'TRY_TIMEOUT'), fc.nat(1_000)), { maxLength: 3 }),
  durations: buckets,
  bytes: fc.nat({ max: 2 ** 40 }),
  retries: fc.nat(1_000),
});

function plain(sum: TrafficSum) {
  const { requests, bytes, retries, errors = new Map<string, number>(), durations } = sum;
  return {
    requests,
    bytes,
    retries,
    errors: [...errors].filter(([, count]) => count > 0).sort(([a], [b]) => (a < b ? -1 : 1)),
    durations: [...durations],
  };
}

describe('a sum of traffic', () => {
  test('of parts that follow one another is the whole, exactly', () => {
    fc.assert(
      fc.property(traffic, fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 }), (whole, cuts) => {
        const [parts, once] = [new TrafficSum(), new TrafficSum()];
        const ends = [0, ...cuts.toSorted((a, b) => a - b), 1];
        for (let at = 1; at < ends.length; at += 1) parts.addPart(whole, ends[at - 1]!, ends[at]!);
        once.addPart(whole, 0, 1);
        assert.deepEqual(plain(parts), plain(once));
      }),
    );
  });
});

describe('the store of traffic', () => {
  const report = fc.record({ traffic, atMs: fc.nat(40 * MINUTE_MS), lengthMs: fc.integer({ min: 1, max: 10_000 }), edge: fc.nat(3) });

  test('has what was reported: of each series the sum, in either width of steps, however far it is written down already', () => {
    fc.assert(
      fc.property(fc.array(report, { minLength: 1, maxLength: 60 }), (reports) => {
        const store = new TrafficStore(0);
        const expected = new Map<string, TrafficSum>();
        for (const { traffic: each, atMs, lengthMs, edge } of reports.toSorted((a, b) => a.atMs - b.atMs)) {
          store.advance(atMs);
          const toMs = atMs + lengthMs;
          store.add('edge', 'default/orders', `default/s${edge}`, each, toMs - Math.min(lengthMs, toMs), toMs);
          const sum = expected.get(`default/s${edge}`) ?? new TrafficSum();
          expected.set(`default/s${edge}`, sum);
          sum.addPart(each, 0, 1);
        }
        const check = (): void => {
          for (const [part, sum] of expected) {
            const series = store.get('edge', 'default/orders', part) ?? assert.fail('it is gone');
            for (const width of ['small', 'large'] as const) {
              const all = new TrafficSum();
              store.read(series, width, 0, 2 * 60 * MINUTE_MS, () => all);
              assert.deepEqual(plain(all), plain(sum), `${part} ${width}`);
            }
          }
        };
        check();
        store.advance(55 * MINUTE_MS);
        check();
        assert.equal(store.lost.requestsLate, 0);
      }),
      { numRuns: 60 },
    );
  });

  test('spreads a report over the steps that it covers, and leaves out what lies before the beginning or is closed', () => {
    const store = new TrafficStore(100_000);
    const series = store.add('edge', 'a/b', 'a/c', counted(100), 102_500, 107_500);
    const steps = (): [number, number][] => {
      const found = new Map<number, TrafficSum>();
      store.read(series, 'small', 0, 1_000_000, (ms) => {
        const sum = new TrafficSum();
        found.set(ms, sum);
        return sum;
      });
      return Array.from(found, ([ms, { requests }]): [number, number] => [ms, requests]);
    };
    assert.deepEqual(steps(), [
      [100_000, 50],
      [105_000, 50],
    ]);
    store.add('edge', 'a/b', 'a/c', counted(100), 95_000, 105_000);
    assert.deepEqual(steps()[0], [100_000, 100]);
    assert.equal(store.lost.requestsLate, 50);
    // A data plane was cut off for ten minutes: what it did then is not now.
    store.advance(700_000);
    store.add('edge', 'a/b', 'a/c', counted(6_000), 100_000, 700_000);
    assert.deepEqual(steps().slice(2), [
      [685_000, 50],
      [690_000, 50],
      [695_000, 50],
    ]);
    assert.equal(store.lost.requestsLate, 50 + 5_850);
  });

  test('keeps an hour by small steps and a day by minutes, and forgets what is older', () => {
    const store = new TrafficStore(0);
    let series: TrafficSeries | undefined;
    for (let ms = 0; ms < 26 * 60 * MINUTE_MS; ms += STEP_MS) {
      store.advance(ms);
      series = store.add('route', 'a/b', 'default', counted(5, { durations: { indexes: [20], counts: [5] } }), ms, ms + STEP_MS);
    }
    const now = 26 * 60 * MINUTE_MS;
    const points = (width: 'small' | 'large'): number[] => {
      const found = new Set<number>();
      store.read(series!, width, 0, now, (ms) => {
        found.add(width === 'small' ? ms : Math.floor(ms / MINUTE_MS));
        return undefined;
      });
      return [...found];
    };
    const small = points('small').length;
    assert.ok(small >= 720 && small < 790, `${small} small steps`);
    const large = points('large').length;
    assert.ok(large >= 1_440 && large < 1_500, `${large} minutes`);
    assert.equal(store.sum(series!, now - 10 * MINUTE_MS, now).requests, 600);
    assert.equal(store.sum(series!, now - 20 * 60 * MINUTE_MS, now).requests, 20 * 60 * 60);
    store.advance(now + 27 * 60 * MINUTE_MS);
    assert.deepEqual([store.size, store.bytesUsed], [0, 0]);
  });

  test('takes no more memory than it may, with thousands of series: idle ones go first, the least recently used before others', () => {
    const bytesMax = 256 * 1024;
    const store = new TrafficStore(0, { bytesMax, seriesMax: 2_000 });
    const durations = { indexes: [10, 20, 30, 40], counts: [9, 9, 9, 9] };
    for (let index = 0; index < 3_000; index += 1) {
      store.add('edge', 'a/b', `idle/${index}`, counted(1, { durations }), index, index + 1);
      assert.ok(store.size <= 2_000);
    }
    assert.equal(store.lost.seriesDropped, 1_000);
    assert.deepEqual([store.get('edge', 'a/b', 'idle/999'), store.get('edge', 'a/b', 'idle/1000')?.part], [undefined, 'idle/1000']);
    for (let ms = STEP_MS; ms < 40 * MINUTE_MS; ms += STEP_MS) {
      store.advance(ms);
      for (let index = 0; index < 100; index += 1) store.add('edge', 'a/b', `busy/${index}`, counted(50, { durations }), ms, ms + STEP_MS);
      assert.ok(store.bytesUsed <= bytesMax);
    }
    // All who are in use are there, each with its newest part.
    const now = 40 * MINUTE_MS;
    const busy = [...store.list('edge')].filter(({ part }) => part.startsWith('busy/'));
    assert.equal(busy.length, 100);
    for (const series of busy) assert.equal(store.sum(series, now - MINUTE_MS, now).requests, 600, series.part);
    assert.ok(store.lost.pagesDropped > 0 && store.lost.pointsLost === 0, JSON.stringify(store.lost));
    assert.ok(store.lost.seriesDropped > 2_000, 'idle ones are gone');
  });

  test('codes that peers make up beyond the room for them count as one', () => {
    const store = new TrafficStore(0);
    for (let index = 0; index < 400; index += 1)
      store.add('edge', 'a/b', 'a/c', counted(1, { errors: [[`E${index}`, 1]] }), index * STEP_MS, (index + 1) * STEP_MS);
    store.advance(500 * STEP_MS);
    const sum = store.sum(store.get('edge', 'a/b', 'a/c')!, 0, 500 * STEP_MS);
    assert.equal(sum.errorCount, 400);
    assert.ok((sum.errors?.get('OTHER') ?? 0) > 200);
  });
});
