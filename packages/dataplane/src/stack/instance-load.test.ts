// What callers are told of an instance's load, where its process is the data plane's own.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ORCA_HEADER } from '@heddle/core';
import type { ResponseHead } from '@heddle/wire';
import { InstanceLoad } from './instance-load.ts';
import type { AnyResponseHead } from './messages.ts';

const PROCESS = { utilization: 0.5, requestsInFlight: undefined, eventLoopDelayMs: 40 };

/** A response by which the application says this of itself. */
function saying(report: string): AnyResponseHead {
  return { get: (name: string) => (name === ORCA_HEADER ? report : undefined) } as unknown as ResponseHead;
}

describe('the load of an instance', () => {
  test('counts what its process says, for a second', () => {
    const load = new InstanceLoad();
    load.processSays(PROCESS, 1_000);
    assert.equal(load.signal(1_500).latencyMs, 40);
    assert.equal(load.signal(2_001).latencyMs, 0);
  });

  test('is first of all what the application says with its responses', () => {
    const load = new InstanceLoad();
    load.processSays(PROCESS, 1_000);
    load.hear(saying('TEXT application_utilization=1.6,named_metrics.requests_in_flight=7'), 1_100);
    load.processSays(PROCESS, 1_200);
    // Twice as busy as it should be.
    assert.deepEqual(load.signal(1_200), { inFlight: 7, latencyMs: 80 });
    load.processSays(PROCESS, 2_200);
    assert.deepEqual(load.signal(2_200), { inFlight: 0, latencyMs: 40 });
  });

  test('is what the application says alone where its process says nothing', () => {
    const load = new InstanceLoad();
    load.hear(saying('TEXT named_metrics.event_loop_delay_ms=3'), 1_000);
    assert.equal(load.signal(1_000).latencyMs, 3);
  });
});
