// Exact rotation, and that updates of the list do not disturb it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Balancer } from './balancer.ts';
import { ANY_HOST } from './balancer.ts';
import { host, seeded, testBalancer } from './balancer-contract.ts';
import type { TestHost } from './balancer-contract.ts';

const create = (random: () => number): Balancer<TestHost> => testBalancer('round-robin', { random });

function picks(balancer: Balancer<TestHost>, count: number): string {
  return Array.from({ length: count }, () => balancer.pick(ANY_HOST)?.name ?? '-').join('');
}

describe('round robin', () => {
  it('gives each healthy host its turn, in a fixed order', () => {
    const balancer = create(() => 0);
    balancer.update([host('c'), host('a'), host('d', 'unhealthy'), host('b'), host('e', 'draining')], 0);
    assert.equal(picks(balancer, 9), 'abcabcabc');
  });

  it('starts at a random host', () => {
    const starts = [0, 0.34, 0.67, 0.999].map((value) => {
      const balancer = create(() => value);
      balancer.update([host('a'), host('b'), host('c')], 0);
      return picks(balancer, 3);
    });
    assert.deepEqual(starts, ['abc', 'bca', 'cab', 'cab']);
  });

  it('goes on where it was when the same list comes again in another order', () => {
    const balancer = create(() => 0);
    balancer.update([host('a'), host('b'), host('c')], 0);
    assert.equal(picks(balancer, 2), 'ab');
    balancer.update([host('c'), host('b'), host('a')], 0);
    assert.equal(picks(balancer, 4), 'cabc');
  });

  it('goes on with the next host when the one whose turn it is leaves', () => {
    const balancer = create(() => 0);
    balancer.update([host('a'), host('b'), host('c')], 0);
    assert.equal(picks(balancer, 1), 'a');
    balancer.update([host('a'), host('c')], 0);
    assert.equal(picks(balancer, 3), 'cac');
  });

  it('remembers the turn while no host is healthy', () => {
    const balancer = create(() => 0);
    balancer.update([host('a'), host('b'), host('c')], 0);
    assert.equal(picks(balancer, 1), 'a');
    balancer.update([], 0);
    balancer.update([host('a', 'unhealthy')], 0);
    assert.equal(picks(balancer, 1), '-');
    balancer.update([host('a'), host('b'), host('c')], 0);
    assert.equal(picks(balancer, 3), 'bca');
  });

  it('gives a host that is listed twice one share', () => {
    const balancer = create(() => 0);
    balancer.update([host('a'), host('b'), host('a')], 0);
    assert.equal(picks(balancer, 4), 'abab');
  });

  it('does not move on for a retry, so that a host that fails is first for its share of the requests only', () => {
    const balancer = create(() => 0);
    const [a, b] = [host('a'), host('b')];
    balancer.update([a, b], 0);
    const firsts = Array.from({ length: 6 }, () => {
      const first = balancer.pick(ANY_HOST);
      if (first === a) assert.equal(balancer.pick({ nowMs: 0, hash: 0, avoid: [a] }), b);
      return first?.name;
    });
    assert.equal(firsts.join(''), 'ababab');
  });

  it('spreads the retries over the hosts that are left', () => {
    const balancer = create(() => 0);
    const [a, b, c, d] = [host('a'), host('b'), host('c'), host('d')];
    const retries = (count: number) => Array.from({ length: count }, () => balancer.pick({ nowMs: 0, hash: 0, avoid: [a] })?.name).join('');
    balancer.update([a, b, c, d], 0);
    assert.equal(retries(6), 'bcdbcd');
    balancer.update([a, b], 0);
    assert.equal(retries(2), 'bb');
  });

  it('never lets two hosts that stay differ by more than one pick, whatever comes and goes (property)', () => {
    const letters = [...'abcdefgh'];
    const step = fc.record({ others: fc.subarray(letters.slice(3)), picks: fc.integer({ min: 0, max: 9 }), seed: fc.integer() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), fc.integer(), (steps, seed) => {
        const balancer = create(seeded(seed));
        const counts = { a: 0, b: 0, c: 0 };
        for (const { others, picks: times, seed: order } of steps) {
          const random = seeded(order);
          const list = ['a', 'b', 'c', ...others].map((letter) => ({ letter, key: random() })).sort((x, y) => x.key - y.key);
          balancer.update(
            list.map(({ letter }) => host(letter)),
            0,
          );
          for (const letter of picks(balancer, times)) if (letter in counts) counts[letter as 'a' | 'b' | 'c']++;
        }
        const values = Object.values(counts);
        assert.ok(Math.max(...values) - Math.min(...values) <= 1);
      }),
    );
  });
});

describe('weighted', () => {
  const sequence = (weights: readonly number[], count: number, seed = 3): string => {
    const balancer = testBalancer('weighted', { seed });
    balancer.update(
      weights.map((weight, index) => host('abcdefgh'.charAt(index), 'healthy', weight)),
      0,
    );
    return picks(balancer, count);
  };

  it('gives each host its share exactly, to within a turn, at every moment (property)', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 400 }), fc.integer(), (list, count, seed) => {
        const turns = sequence(list, count, seed);
        const sum = list.reduce((total, weight) => total + weight, 0);
        list.forEach((weight, index) => {
          const had = turns.split('abcdefgh'.charAt(index)).length - 1;
          // A turn more or less, and its part of those that the others are ahead or behind.
          const slack = 1 + (list.length * weight) / sum;
          assert.ok(Math.abs(had - (count * weight) / sum) <= slack, `${turns}: ${had} of ${(count * weight) / sum}`);
        });
      }),
    );
  });

  it('spreads the turns of a heavy host: no bursts', () => {
    const turns = sequence([8, 1, 1, 1, 1, 1, 1, 1, 1], 800).replace(/[^a]/g, '-');
    assert.ok(!turns.includes('aaaa') && !turns.includes('---'), turns.slice(0, 64));
  });

  it('goes on with the turns of hosts that stay when one comes', () => {
    const balancer = testBalancer('weighted');
    const hosts = [host('a', 'healthy', 1), host('b', 'healthy', 3)];
    const counts = { a: 0, b: 0, c: 0 };
    for (let round = 0; round < 200; round++) {
      balancer.update(round % 2 === 0 ? hosts : [...hosts, host('c', 'healthy', 2)], 0);
      for (const letter of picks(balancer, 3)) counts[letter as 'a' | 'b' | 'c']++;
    }
    // Shares of 1/4 and 1/6 of 300 turns each.
    assert.ok(Math.abs(counts.a - 125) <= 12, `${counts.a}`);
    assert.ok(Math.abs(counts.b / counts.a - 3) < 0.4, `${counts.b}`);
  });

  it('does not move on for a retry', () => {
    const withRetries = testBalancer('weighted', { seed: 5 });
    const without = testBalancer('weighted', { seed: 5 });
    const hosts = [host('a', 'healthy', 1), host('b', 'healthy', 2), host('c', 'healthy', 3)];
    withRetries.update(hosts, 0);
    without.update(hosts, 0);
    const counts = { a: 0, b: 0, c: 0 };
    let turns = '';
    for (let pick = 0; pick < 60; pick++) {
      turns += picks(withRetries, 1);
      withRetries.pick({ nowMs: 0, hash: undefined, avoid: [hosts[pick % 3] as TestHost] });
    }
    for (const letter of turns) counts[letter as 'a' | 'b' | 'c']++;
    assert.ok(Math.abs(counts.a - 10) <= 2 && Math.abs(counts.b - 20) <= 2 && Math.abs(counts.c - 30) <= 2, turns);
  });

  it('goes around exactly again when slow starts are over', () => {
    const balancer = testBalancer('round-robin', {}, { slowStartMs: 1_000 });
    balancer.update([host('a'), host('b')], 0);
    balancer.update([host('a'), host('b'), host('c')], 0);
    const at = (nowMs: number, count: number): string =>
      Array.from({ length: count }, () => balancer.pick({ nowMs, hash: undefined, avoid: [] })?.name).join('');
    assert.equal(at(0, 42).split('c').length - 1, 2);
    const turns = at(1_000, 9);
    assert.equal(turns, turns.slice(0, 3).repeat(3));
  });
});
