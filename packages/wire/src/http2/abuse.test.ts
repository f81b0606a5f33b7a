import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AbuseMeter } from './abuse.ts';
import { DEFAULT_HTTP2_LIMITS } from './limits.ts';

function meterOf(burst: number, perSecond: number, perExchange: number, perData: number): AbuseMeter {
  return new AbuseMeter({ ...DEFAULT_HTTP2_LIMITS, pings: { burst, perSecond, perExchange, perData } });
}

function chargesLeft(meter: AbuseMeter): number {
  let count = 0;
  while (meter.charge('pings')) count++;
  return count;
}

test('a budget is its burst, refilled by time and by each kind of work, never above the burst', () => {
  const meter = meterOf(10, 2, 3, 1);
  meter.nowMs = 5_000;
  assert.equal(chargesLeft(meter), 10);
  // The charge that failed is owed.
  meter.nowMs += 2_000;
  assert.equal(chargesLeft(meter), 3);
  meter.exchanges += 2;
  assert.equal(chargesLeft(meter), 5);
  meter.dataFrames += 4;
  assert.equal(chargesLeft(meter), 3);
  meter.nowMs += 1_000_000;
  assert.equal(chargesLeft(meter), 10);
  assert.equal(meter.charge('settings'), true);
});

test('a clock that goes back refills nothing', () => {
  const meter = meterOf(1, 1_000, 0, 0);
  meter.nowMs = 5_000;
  assert.equal(chargesLeft(meter), 1);
  meter.nowMs = 1_000;
  assert.equal(chargesLeft(meter), 0);
});
