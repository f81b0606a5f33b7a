// The part that is named is the one that differs; where none does, none is named.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { likelyPart, type TrafficPart } from './anomaly-cause.ts';
import { durationBucket } from './duration-buckets.ts';
import { TrafficSum } from './traffic-sum.ts';

function sum(requests: number, { slow = 0, failed = 0 } = {}): TrafficSum {
  const made = new TrafficSum();
  made.requests = requests;
  made.durations[durationBucket(0.01)] = requests - slow;
  made.durations[durationBucket(1)] = slow;
  made.addError('5xx', failed);
  return made;
}
const part = (name: string, before: TrafficSum, now: TrafficSum): TrafficPart => ({ name, before, now });
const usual = (name: string, requests = 1_000): TrafficPart => part(name, sum(requests), sum(requests));

test('one instance of four that is slow is named, and not its zone, which has others', () => {
  const slow = part('orders-3', sum(1_000), sum(1_000, { slow: 400 }));
  const found = likelyPart(
    'p99',
    {
      instance: [usual('orders-1'), usual('orders-2'), slow, usual('orders-4')],
      zone: [usual('a', 2_000), part('b', sum(2_000), sum(2_000, { slow: 400 }))],
      route: [usual('default', 4_000)],
    },
    1,
  );
  assert.deepEqual(found, { kind: 'instance', name: 'orders-3', share: 1, parts: 4 });
});

test('a version that fails is named when all its instances do', () => {
  const failing = (name: string) => part(name, sum(500), sum(500, { failed: 250 }));
  const found = likelyPart(
    'errors',
    {
      instance: [usual('1'), usual('2'), failing('3'), failing('4')],
      version: [usual('v1', 2_000), part('v2', sum(1_000), sum(1_000, { failed: 500 }))],
      caller: [part('default/web', sum(1_500), sum(1_500, { failed: 260 })), part('default/cron', sum(1_500), sum(1_500, { failed: 240 }))],
    },
    1,
  );
  assert.deepEqual([found?.kind, found?.name, found?.share], ['version', 'v2', 1]);
});

test('of more traffic, or less, the caller is named; instances share it whatever happens', () => {
  const callers = [part('default/web', sum(1_000), sum(1_010)), part('default/cron', sum(100), sum(4_000))];
  const instance = [part('1', sum(550), sum(100)), part('2', sum(550), sum(4_910))];
  assert.equal(likelyPart('traffic', { instance, caller: callers }, 1)?.name, 'default/cron');
  const gone = [part('default/web', sum(10_000), sum(10)), part('default/cron', sum(10_000), sum(990))];
  assert.equal(likelyPart('traffic', { caller: gone }, 0.1)?.name, 'default/web');
});

test('nothing is named where all are alike, where there is but one, and where nothing is too much', () => {
  const slow = (name: string) => part(name, sum(1_000), sum(1_000, { slow: 400 }));
  assert.equal(likelyPart('p50', { instance: [slow('1'), slow('2'), slow('3')] }, 1), undefined);
  assert.equal(likelyPart('p50', { instance: [slow('1')] }, 1), undefined);
  assert.equal(likelyPart('errors', { instance: [usual('1'), usual('2')] }, 1), undefined);
  assert.equal(likelyPart('p50', {}, 1), undefined);
});
