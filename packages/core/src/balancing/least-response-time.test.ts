// Least response time on a virtual clock: away from a slow host within a second, back when it is well, away from failures, new hosts not flooded.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Balancer, TryResult } from './balancer.ts';
import { fleet, host, testBalancer } from './balancer-contract.ts';
import type { TestHost } from './balancer-contract.ts';

interface Answer {
  readonly elapsedMs: number;
  readonly result?: TryResult;
}

/** Sends a request every `everyMs`, ends each after what `answer` says, and counts the picks of each host by second. */
export function drive(
  balancer: Balancer<TestHost>,
  seconds: number,
  everyMs: number,
  answer: (host: TestHost, nowMs: number) => Answer,
): Map<string, number>[] {
  const picks: Map<string, number>[] = [];
  const ends = new Map<number, { host: TestHost; startMs: number; result: TryResult }[]>();
  for (let nowMs = 0; nowMs < seconds * 1_000; nowMs++) {
    for (const { host: done, startMs, result } of ends.get(nowMs) ?? []) balancer.finished(done, result, nowMs - startMs, nowMs);
    ends.delete(nowMs);
    if (nowMs % everyMs !== 0) continue;
    const picked = balancer.pick({ nowMs, hash: undefined, avoid: [] }) as TestHost;
    const second = (picks[Math.floor(nowMs / 1_000)] ??= new Map());
    second.set(picked.name, (second.get(picked.name) ?? 0) + 1);
    balancer.started(picked, nowMs);
    const { elapsedMs, result = 'success' } = answer(picked, nowMs);
    const endMs = nowMs + Math.max(1, Math.round(elapsedMs));
    ends.set(endMs, [...(ends.get(endMs) ?? []), { host: picked, startMs: nowMs, result }]);
  }
  return picks;
}

const create = (hosts: readonly TestHost[], seed = 1): Balancer<TestHost> => {
  const balancer = testBalancer('least-response-time', { seed });
  balancer.update(hosts, 0);
  return balancer;
};

describe('least response time', () => {
  it('moves away from a host that becomes slow within a second, and comes back when it is fast again', () => {
    const picks = drive(create(fleet(4)), 30, 4, ({ name }, nowMs) => ({
      elapsedMs: name === 'h1' && nowMs >= 3_000 && nowMs < 10_000 ? 400 : 5 + (nowMs % 3),
    }));
    const of = (second: number): number => picks[second]?.get('h1') ?? 0;
    assert.ok(of(2) > 35, `before: ${of(2)}`);
    assert.ok(of(3) <= 15, `in the first second: ${of(3)}`);
    for (let second = 4; second < 10; second++) assert.ok(of(second) <= 6, `slow, second ${second}: ${of(second)}`);
    const healed = Array.from({ length: 20 }, (_, second) => of(10 + second)).findIndex((count) => count > 35);
    assert.ok(healed >= 0 && healed <= 14, `back after ${healed} s`);
  });

  it('tries every host, also when there are few requests and the others are known to be fast', () => {
    const picks = drive(create(fleet(3)), 20, 1_000, () => ({ elapsedMs: 5 }));
    const seen = new Set(picks.flatMap((second) => [...(second?.keys() ?? [])]));
    assert.equal(seen.size, 3);
  });

  it('notices a host that answers nothing any more while its requests wait', () => {
    const picks = drive(create(fleet(4)), 3, 10, ({ name }, nowMs) => ({ elapsedMs: name === 'h2' && nowMs >= 1_000 ? 60_000 : 6 }));
    assert.ok((picks[1]?.get('h2') ?? 0) <= 4, `${picks[1]?.get('h2')}`);
    assert.ok((picks[2]?.get('h2') ?? 0) <= 2, `${picks[2]?.get('h2')}`);
  });

  it('does not take a host that fails fast for a fast one', () => {
    const picks = drive(create(fleet(4)), 10, 5, ({ name }) =>
      name === 'h0' ? { elapsedMs: 1, result: 'server-error' } : { elapsedMs: 20 },
    );
    const failed = picks.reduce((sum, second) => sum + (second.get('h0') ?? 0), 0);
    assert.ok(failed <= 20, `${failed} of 2,000`);
    assert.ok(failed >= 2, 'but tries it again');
  });

  it('gives a host that fails no more its share back', () => {
    const picks = drive(create(fleet(4)), 30, 5, ({ name }, nowMs) =>
      name === 'h0' && nowMs < 5_000 ? { elapsedMs: 1, result: 'gateway-error' } : { elapsedMs: 10 },
    );
    assert.ok((picks[29]?.get('h0') ?? 0) > 25, `${picks[29]?.get('h0')}`);
  });

  it('learns nothing from callers that gave up', () => {
    const balancer = create([host('a'), host('b')]);
    const before = balancer.describe(host('a'), 0);
    balancer.started(host('a'), 0);
    balancer.finished(host('a'), 'cancelled', 5_000, 0);
    assert.deepEqual(balancer.describe(host('a'), 0), before);
  });

  it('does not flood a new host', () => {
    const balancer = create(fleet(9));
    drive(balancer, 1, 2, () => ({ elapsedMs: 20 }));
    balancer.update(fleet(10), 1_000);
    let newest = 0;
    // A burst, before the new host could answer anything.
    for (let request = 0; request < 200; request++) {
      const picked = balancer.pick({ nowMs: 1_000, hash: undefined, avoid: [] }) as TestHost;
      balancer.started(picked, 1_000);
      if (picked.name === 'h9') newest++;
    }
    assert.ok(newest > 5 && newest < 40, `${newest}`);
  });

  it('counts a request that waits longer than expected, up to ten times the mean: it may be a quiet stream', () => {
    const balancer = create([host('a'), host('b')]);
    balancer.started(host('a'), 0);
    balancer.finished(host('a'), 'success', 5, 0);
    balancer.started(host('a'), 100);
    const expected = (nowMs: number): number => balancer.describe(host('a'), nowMs)['expectedMs'] as number;
    assert.ok(expected(103) < 5);
    assert.equal(expected(140), 40);
    assert.equal(expected(5_000), 50);
    balancer.finished(host('a'), 'success', 4_900, 5_000);
    assert.equal(expected(5_000), 4_900);
  });

  it('jumps up to a peak at once and comes down with time', () => {
    const balancer = create([host('a'), host('b')]);
    const expected = (nowMs: number): number => balancer.describe(host('a'), nowMs)['expectedMs'] as number;
    for (const elapsedMs of [10, 500]) {
      balancer.started(host('a'), 0);
      balancer.finished(host('a'), 'success', elapsedMs, 0);
    }
    assert.equal(expected(0), 500);
    assert.ok(Math.abs(expected(2_000) - 500 / Math.E) < 1);
    assert.ok(expected(60_000) < 5);
  });
});
