// What is told of the event loop is the time that a request would wait for it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { delayOf, type LoopSignals, watchLoop } from './event-loop.ts';

const TICK_MS = 20;

/** Of ticks that are so far apart. */
function ticks(...distancesMs: readonly number[]): { readonly sumMs: number; readonly squareSum: number } {
  return { sumMs: distancesMs.reduce((sum, ms) => sum + ms, 0), squareSum: distancesMs.reduce((sum, ms) => sum + ms * ms, 0) };
}

describe('the delay of an event loop', () => {
  test('is nothing when it is never late, or nothing is known', () => {
    assert.equal(delayOf([], TICK_MS), 0);
    assert.equal(delayOf([ticks(20, 20, 20), ticks(20, 20)], TICK_MS), 0);
  });

  test('is what a request waits that comes at a random moment', () => {
    // 500 ms in 1,000: half of the requests wait, 250 ms on average, and those that come between two ticks of 20 ms wait for nothing.
    const samples = [ticks(500, ...Array.from({ length: 25 }, () => 20))];
    assert.ok(Math.abs(delayOf(samples, TICK_MS) - 120) < 0.01);
  });

  test('counts one long stop for more than many short ones of the same length together', () => {
    assert.ok(
      delayOf([ticks(420, ...Array.from({ length: 29 }, () => 20))], TICK_MS) >
        delayOf([ticks(...Array.from({ length: 30 }, () => 33.3))], TICK_MS),
    );
  });

  test('is seen after the loop was held up, and by all who watch', async () => {
    const seen = new Promise<LoopSignals>((resolve) => {
      const watch = watchLoop((signals) => {
        if (signals.delayMs < 5) return;
        watch.close();
        watch.close();
        resolve(signals);
      });
    });
    const other = watchLoop();
    // Until it is seen: the timer has to come between.
    const blocking = setInterval(() => {
      const endMs = performance.now() + 60;
      while (performance.now() < endMs);
    }, 30);
    const { delayMs, utilization } = await seen;
    clearInterval(blocking);
    assert.equal(other.signals().delayMs, delayMs);
    assert.ok(utilization > 0 && utilization <= 1);
    other.close();
  });
});
