import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { LoadMeter } from './load-meter.ts';

/** Requests that all take so long, of which so many are under way when each comes. */
function run(meter: LoadMeter, underWay: number, elapsedMs: number, count: number, nowMs: number): void {
  const held = Array.from({ length: underWay }, () => meter.begin());
  for (let at = 0; at < count; at += 1) meter.end(meter.begin(), elapsedMs, nowMs);
  for (const arrivedAt of held) meter.end(arrivedAt, undefined, nowMs);
}

describe('the load of a server', () => {
  test('counts what is under way', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean()), (steps) => {
        const meter = new LoadMeter();
        const open: number[] = [];
        for (const begins of steps) {
          if (begins) open.push(meter.begin());
          else if (open.length > 0) meter.end(open.pop()!, 1, 1);
          assert.equal(meter.signal(1).inFlight, open.length);
        }
      }),
    );
  });

  test('tells the latency of requests that came at about the load of now', () => {
    const meter = new LoadMeter();
    run(meter, 0, 2, 10, 1_000);
    run(meter, 8, 40, 10, 1_000);
    run(meter, 200, 900, 10, 1_000);
    assert.equal(meter.signal(1_000).latencyMs, 2);
    const held = Array.from({ length: 7 }, () => meter.begin());
    assert.equal(meter.signal(1_000).latencyMs, 40);
    held.push(...Array.from({ length: 190 }, () => meter.begin()));
    assert.equal(meter.signal(1_000).latencyMs, 900);
    for (const arrivedAt of held) meter.end(arrivedAt, undefined, 1_000);
    assert.equal(meter.signal(1_000).latencyMs, 2);
  });

  test('tells a median, which one slow request does not move', () => {
    const meter = new LoadMeter();
    run(meter, 0, 5, 9, 1_000);
    run(meter, 0, 5_000, 1, 1_000);
    assert.equal(meter.signal(1_000).latencyMs, 5);
  });

  test('knows the latest only, and forgets what is old', () => {
    const meter = new LoadMeter();
    run(meter, 0, 5, 100, 1_000);
    run(meter, 0, 50, 16, 2_000);
    assert.equal(meter.signal(2_000).latencyMs, 50);
    assert.equal(meter.signal(3_000).latencyMs, 50);
    assert.equal(meter.signal(3_001).latencyMs, 0);
    assert.equal(new LoadMeter().signal(5).latencyMs, 0);
  });

  test('counts what the application says about itself, for a second', () => {
    const meter = new LoadMeter();
    run(meter, 0, 8, 10, 1_500);
    meter.applicationSays({ utilization: 1.6, requestsInFlight: 5, eventLoopDelayMs: 2 }, 1_000);
    assert.deepEqual(meter.signal(2_000), { inFlight: 5, latencyMs: 20 });
    assert.deepEqual(meter.signal(2_001), { inFlight: 0, latencyMs: 8 });
    meter.applicationSays({ utilization: 0.5, requestsInFlight: undefined, eventLoopDelayMs: undefined }, 2_100);
    assert.deepEqual(meter.signal(2_100), { inFlight: 0, latencyMs: 8 });
  });

  test('is never told of anything but what was recorded, whatever the loads', () => {
    const history = fc.array(fc.tuple(fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 1, max: 1_000 })), {
      minLength: 1,
      maxLength: 10,
    });
    fc.assert(
      fc.property(history, fc.integer({ min: 0, max: 3_000 }), (runs, now) => {
        const meter = new LoadMeter();
        for (const [underWay, elapsedMs] of runs) run(meter, underWay, elapsedMs, 1, 10);
        for (let at = 0; at < now; at += 1) meter.begin();
        const { latencyMs } = meter.signal(10);
        assert.ok(runs.some(([, elapsedMs]) => elapsedMs === latencyMs));
      }),
      { numRuns: 50 },
    );
  });
});
