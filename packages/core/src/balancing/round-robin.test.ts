// Exact rotation, and that updates of the list do not disturb it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Balancer } from './balancer.ts';
import { ANY_HOST } from './balancer.ts';
import { balancerContract, host, seeded } from './balancer-contract.ts';
import type { TestHost } from './balancer-contract.ts';
import { createBalancer } from './create.ts';

const create = (random: () => number): Balancer<TestHost> => createBalancer<TestHost>('round-robin', random);

balancerContract('round robin', create);

function picks(balancer: Balancer<TestHost>, count: number): string {
  return Array.from({ length: count }, () => balancer.pick(ANY_HOST)?.name ?? '-').join('');
}

describe('round robin', () => {
  it('gives each healthy host its turn, in a fixed order', () => {
    const balancer = create(() => 0);
    balancer.update([host('c'), host('a'), host('d', 'unhealthy'), host('b'), host('e', 'draining')]);
    assert.equal(picks(balancer, 9), 'abcabcabc');
  });

  it('starts at a random host', () => {
    const starts = [0, 0.34, 0.67, 0.999].map((value) => {
      const balancer = create(() => value);
      balancer.update([host('a'), host('b'), host('c')]);
      return picks(balancer, 3);
    });
    assert.deepEqual(starts, ['abc', 'bca', 'cab', 'cab']);
  });

  it('goes on where it was when the same list comes again in another order', () => {
    const balancer = create(() => 0);
    balancer.update([host('a'), host('b'), host('c')]);
    assert.equal(picks(balancer, 2), 'ab');
    balancer.update([host('c'), host('b'), host('a')]);
    assert.equal(picks(balancer, 4), 'cabc');
  });

  it('goes on with the next host when the one whose turn it is leaves', () => {
    const balancer = create(() => 0);
    balancer.update([host('a'), host('b'), host('c')]);
    assert.equal(picks(balancer, 1), 'a');
    balancer.update([host('a'), host('c')]);
    assert.equal(picks(balancer, 3), 'cac');
  });

  it('remembers the turn while no host is healthy', () => {
    const balancer = create(() => 0);
    balancer.update([host('a'), host('b'), host('c')]);
    assert.equal(picks(balancer, 1), 'a');
    balancer.update([]);
    balancer.update([host('a', 'unhealthy')]);
    assert.equal(picks(balancer, 1), '-');
    balancer.update([host('a'), host('b'), host('c')]);
    assert.equal(picks(balancer, 3), 'bca');
  });

  it('gives a host that is listed twice one share', () => {
    const balancer = create(() => 0);
    balancer.update([host('a'), host('b'), host('a')]);
    assert.equal(picks(balancer, 4), 'abab');
  });

  it('does not move on for a retry, so that a host that fails is first for its share of the requests only', () => {
    const balancer = create(() => 0);
    const [a, b] = [host('a'), host('b')];
    balancer.update([a, b]);
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
    balancer.update([a, b, c, d]);
    assert.equal(retries(6), 'bcdbcd');
    balancer.update([a, b]);
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
          balancer.update(list.map(({ letter }) => host(letter)));
          for (const letter of picks(balancer, times)) if (letter in counts) counts[letter as 'a' | 'b' | 'c']++;
        }
        const values = Object.values(counts);
        assert.ok(Math.max(...values) - Math.min(...values) <= 1);
      }),
    );
  });
});
