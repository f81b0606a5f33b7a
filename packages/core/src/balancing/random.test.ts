// Random: uniform, and by weight, judged by chi-square with fixed seeds.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { fleet, host, seeded, testBalancer } from './balancer-contract.ts';
import type { TestHost } from './balancer-contract.ts';
import { Member } from './member.ts';
import { WeightedDraw } from './weighted-draw.ts';

/** Sum of squared deviations from what weights ask for, in expected counts. */
function chiSquare(hosts: readonly TestHost[], draws: number, draw: () => string): number {
  const counts = new Map<string, number>();
  for (let count = 0; count < draws; count++) {
    const name = draw();
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const sum = hosts.reduce((total, { weight }) => total + weight, 0);
  return hosts.reduce((total, { name, weight }) => {
    const expected = (draws * weight) / sum;
    return total + ((counts.get(name) ?? 0) - expected) ** 2 / expected;
  }, 0);
}

/** 4 times 19 degrees of freedom: beyond it with a probability of 0.1 %. */
const FOUR_RUNS_MAX = 119.9;

describe('random', () => {
  const draw = (hosts: readonly TestHost[], seed: number): (() => string) => {
    const balancer = testBalancer('random', { seed });
    balancer.update(hosts, 0);
    return () => balancer.pick({ nowMs: 0, hash: undefined, avoid: [] })?.name as string;
  };

  const overall = (hosts: readonly TestHost[]): number =>
    [1, 2, 3, 4].reduce((sum, seed) => sum + chiSquare(hosts, 10_000, draw(hosts, seed)), 0);

  it('is uniform', () => {
    const hosts = fleet(20);
    assert.ok(overall(hosts) < FOUR_RUNS_MAX, `${overall(hosts)}`);
  });

  it('follows weights', () => {
    const hosts = fleet(20, (index) => ({ weight: 1 + index * 7 }));
    assert.ok(overall(hosts) < FOUR_RUNS_MAX, `${overall(hosts)}`);
  });

  it('has no memory: what was picked before says nothing of the next', () => {
    const hosts = fleet(4);
    const next = draw(hosts, 5);
    let last = next();
    let repeats = 0;
    for (let pick = 0; pick < 10_000; pick++) {
      const name = next();
      if (name === last) repeats++;
      last = name;
    }
    assert.ok(Math.abs(repeats - 2_500) < 175, `${repeats}`);
  });

  it('spreads retries by weight over the hosts that are left', () => {
    const hosts = [host('a', 'healthy', 50), host('b', 'healthy', 10), host('c', 'healthy', 30)];
    const balancer = testBalancer('random');
    balancer.update(hosts, 0);
    let b = 0;
    for (let pick = 0; pick < 4_000; pick++) {
      if (balancer.pick({ nowMs: 0, hash: undefined, avoid: [hosts[0] as TestHost] })?.name === 'b') b++;
    }
    assert.ok(Math.abs(b - 1_000) < 120, `${b}`);
  });
});

describe('a weighted draw', () => {
  const members = (weights: readonly number[]): Member<TestHost>[] =>
    fleet(weights.length, (index) => ({ weight: weights[index] as number })).map((each) => new Member(each, each.name));

  it('finds a member other than a given one, whatever the weights (property)', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 2, maxLength: 6 }), fc.integer(), (weights, seed) => {
        const draws = new WeightedDraw<TestHost>(seeded(seed));
        const all = members(weights);
        draws.update(all, 0);
        for (const member of all) assert.notEqual(draws.drawBeside(member, 0), member);
      }),
    );
  });

  it('draws members of very different weights', () => {
    const draws = new WeightedDraw<TestHost>(seeded(1));
    const all = members([1, 1_000_000]);
    draws.update(all, 0);
    for (let count = 0; count < 1_000; count++) assert.ok(all.includes(draws.draw(0) as Member<TestHost>));
  });
});
