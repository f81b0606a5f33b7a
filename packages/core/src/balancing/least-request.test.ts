// Least request: the power of two choices on requests in flight by weight.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fleet, host, seeded, testBalancer } from './balancer-contract.ts';
import type { TestHost } from './balancer-contract.ts';

const NOW = { nowMs: 0, hash: undefined, avoid: [] };

describe('least request', () => {
  it('takes the one with fewer requests in flight of two', () => {
    const balancer = testBalancer('least-request');
    const [a, b] = [host('a'), host('b')];
    balancer.update([a, b], 0);
    for (let count = 0; count < 5; count++) balancer.started(a, 0);
    for (let count = 0; count < 5; count++) {
      assert.equal(balancer.pick(NOW), b);
      balancer.started(b, 0);
    }
    balancer.finished(a, 'success', 1, 0);
    assert.equal(balancer.pick(NOW), a);
  });

  it('counts requests in flight for the weight', () => {
    const balancer = testBalancer('least-request');
    const [a, b] = [host('a', 'healthy', 1), host('b', 'healthy', 4)];
    balancer.update([a, b], 0);
    for (let count = 0; count < 500; count++) balancer.started(balancer.pick(NOW) as TestHost, 0);
    assert.ok(Math.abs((balancer.describe(a, 0)['inFlight'] as number) - 100) <= 1);
  });

  it('keeps the fullest of many hosts near the mean, where one choice would not', () => {
    const hosts = fleet(100);
    const fullest = (algorithm: 'least-request' | 'random'): number => {
      const balancer = testBalancer(algorithm);
      balancer.update(hosts, 0);
      for (let count = 0; count < 2_000; count++) balancer.started(balancer.pick(NOW) as TestHost, 0);
      return Math.max(...hosts.map((each) => balancer.describe(each, 0)['inFlight'] as number));
    };
    assert.ok(fullest('least-request') <= 23);
    assert.ok(fullest('random') >= 28);
  });

  it('gives a slow host no more than it gets done', () => {
    const balancer = testBalancer('least-request');
    const [a, b, c] = [host('a'), host('b'), host('c')];
    balancer.update([a, b, c], 0);
    const ends: { host: TestHost; atMs: number }[] = [];
    const counts = { a: 0, b: 0, c: 0 };
    for (let nowMs = 0; nowMs < 5_000; nowMs++) {
      for (let index = ends.length - 1; index >= 0; index--) {
        const { host: done, atMs } = ends[index] as (typeof ends)[number];
        if (atMs <= nowMs) {
          ends.splice(index, 1);
          balancer.finished(done, 'success', 1, nowMs);
        }
      }
      const picked = balancer.pick({ ...NOW, nowMs }) as TestHost;
      counts[picked.name as 'a']++;
      balancer.started(picked, nowMs);
      ends.push({ host: picked, atMs: nowMs + (picked === a ? 100 : 5) });
    }
    assert.ok(counts.a < 500, `${counts.a}`);
  });

  it('does not count below zero for a host that left and came back with requests under way', () => {
    const balancer = testBalancer('least-request');
    const random = seeded(1);
    balancer.update([host('a'), host('b')], 0);
    balancer.started(host('a'), 0);
    balancer.update([host('b')], 0);
    balancer.update([host('a'), host('b')], 0);
    balancer.finished(host('a'), 'success', random(), 0);
    assert.equal(balancer.describe(host('a'), 0)['inFlight'], 0);
  });
});
