// Ring hash and maglev: the same for every caller, even, by weight, and little moves when hosts come and go.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Balancer } from './balancer.ts';
import { fleet, seeded, testBalancer } from './balancer-contract.ts';
import type { TestHost } from './balancer-contract.ts';
import { hashText } from './hash-text.ts';

const KEYS = Array.from({ length: 4_000 }, (_, user) => hashText(`user-${user}`));

function homes(balancer: Balancer<TestHost>, nowMs = 0): string[] {
  return KEYS.map((hash) => balancer.pick({ nowMs, hash, avoid: [] })?.name as string);
}

const differing = (a: readonly string[], b: readonly string[]): number => a.filter((name, index) => name !== b[index]).length / a.length;
const shareOf = (list: readonly string[], name: string): number => list.filter((each) => each === name).length / list.length;

for (const algorithm of ['ring-hash', 'maglev'] as const) {
  const of = (hosts: readonly TestHost[], seed = 1): Balancer<TestHost> => {
    const balancer = testBalancer(algorithm, { seed });
    balancer.update(hosts, 0);
    return balancer;
  };

  describe(algorithm, () => {
    it('sends the same hash to the same host, from every caller, in whatever order hosts were listed and came', () => {
      const hosts = fleet(12);
      const random = seeded(8);
      const expected = homes(of(hosts));
      assert.deepEqual(
        homes(
          of(
            [...hosts].sort(() => random() - 0.5),
            77,
          ),
        ),
        expected,
      );
      const grown = of(hosts.slice(0, 5));
      homes(grown);
      grown.update(fleet(20), 0);
      grown.update(hosts, 0);
      assert.deepEqual(homes(grown), expected);
    });

    it('spreads evenly', () => {
      const names = homes(of(fleet(10)));
      for (const { name } of fleet(10)) assert.ok(Math.abs(shareOf(names, name) - 0.1) < 0.03, `${name}: ${shareOf(names, name)}`);
    });

    it('follows weights', () => {
      const names = homes(of(fleet(4, (index) => ({ weight: index + 1 }))));
      for (const [index, { name }] of fleet(4).entries()) {
        assert.ok(Math.abs(shareOf(names, name) - (index + 1) / 10) < 0.04, `${name}: ${shareOf(names, name)}`);
      }
    });

    it('moves little more than what a host had when it goes, and brings it back when it returns', () => {
      const balancer = of(fleet(10));
      const before = homes(balancer);
      const lost = shareOf(before, 'h3');
      balancer.update(
        fleet(10, (index) => (index === 3 ? { health: 'unhealthy' } : {})),
        0,
      );
      const without = homes(balancer);
      assert.equal(shareOf(without, 'h3'), 0);
      const others = before.map((name, index) => (name === 'h3' ? '' : (without[index] as string)));
      const moved = others.filter((name, index) => name !== '' && name !== before[index]).length / before.length;
      assert.ok(algorithm === 'ring-hash' ? moved === 0 : moved < 0.05, `${moved} beside ${lost}`);
      // Over all, not to one neighbour.
      assert.ok(new Set(without.filter((_, index) => before[index] === 'h3')).size === 9);
      balancer.update(fleet(10), 0);
      assert.deepEqual(homes(balancer), before);
    });

    it('moves little more than what a new host gets', () => {
      const before = homes(of(fleet(20)));
      const after = homes(of(fleet(21)));
      const moved = differing(before, after);
      const gained = shareOf(after, 'h20');
      assert.ok(gained > 0.02 && gained < 0.08, `${gained}`);
      assert.ok(algorithm === 'ring-hash' ? moved === gained : moved < gained + 0.05, `${moved}`);
    });

    it('tries another host, always the same one, when the first is to be avoided', () => {
      const balancer = of(fleet(5));
      const seconds = new Map<string, Set<string>>();
      for (const hash of KEYS.slice(0, 500)) {
        const first = balancer.pick({ nowMs: 0, hash, avoid: [] }) as TestHost;
        const second = balancer.pick({ nowMs: 0, hash, avoid: [first] }) as TestHost;
        assert.notEqual(second, first);
        assert.equal(balancer.pick({ nowMs: 0, hash, avoid: [first] }), second);
        seconds.set(first.name, (seconds.get(first.name) ?? new Set()).add(second.name));
      }
      for (const names of seconds.values()) assert.equal(names.size, 4);
    });

    it('sends requests without a hash by chance', () => {
      const balancer = of(fleet(4));
      const counts = new Map<string, number>();
      for (let pick = 0; pick < 4_000; pick++) {
        const name = balancer.pick({ nowMs: 0, hash: undefined, avoid: [] })?.name as string;
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
      for (const count of counts.values()) assert.ok(Math.abs(count - 1_000) < 250, `${count}`);
    });

    it('moves hashes to a host in slow start one after the other, none of them back', () => {
      const balancer = testBalancer(algorithm, {}, { slowStartMs: 10_000 });
      balancer.update(fleet(4), 0);
      const before = homes(balancer);
      balancer.update(fleet(5), 0);
      let last = new Set<number>();
      for (const nowMs of [0, 2_500, 5_000, 7_500, 10_000]) {
        const names = homes(balancer, nowMs);
        const moved = new Set(KEYS.filter((_, index) => names[index] === 'h4'));
        for (const hash of last) assert.ok(moved.has(hash));
        assert.ok(moved.size > last.size);
        last = moved;
      }
      assert.equal(before.includes('h4'), false);
      assert.deepEqual(homes(balancer, 10_000), homes(of(fleet(5))));
    });
  });
}

describe('the ring', () => {
  it('is the same merged step by step as built at once (property)', () => {
    const present = fc.array(fc.boolean(), { minLength: 9, maxLength: 9 });
    fc.assert(
      fc.property(fc.array(present, { minLength: 1, maxLength: 5 }), present, (steps, last) => {
        const list = (flags: readonly boolean[]): TestHost[] =>
          fleet(9, (index) => ({ weight: 1 + (index % 3) })).filter((_, index) => flags[index]);
        const merged = testBalancer('ring-hash');
        for (const flags of [...steps, last]) merged.update(list(flags), 0);
        const fresh = testBalancer('ring-hash');
        fresh.update(list(last), 0);
        for (const hash of KEYS.slice(0, 200)) {
          assert.equal(merged.pick({ nowMs: 0, hash, avoid: [] })?.name, fresh.pick({ nowMs: 0, hash, avoid: [] })?.name);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('stays within its bound for very many hosts', () => {
    const balancer = testBalancer('ring-hash');
    balancer.update(fleet(5_000), 0);
    assert.ok(new Set(homes(balancer)).size > 2_000);
  });
});

describe('the maglev table', () => {
  it('gives each host its entries to within a few', () => {
    const balancer = testBalancer('maglev');
    balancer.update(fleet(7), 0);
    const counts = new Map<string, number>();
    for (let entry = 0; entry < 65_537; entry++) {
      const name = balancer.pick({ nowMs: 0, hash: entry, avoid: [] })?.name as string;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    for (const count of counts.values()) assert.ok(Math.abs(count - 65_537 / 7) < 1.01, `${count}`);
  });
});
