// What every balancing policy must do, whatever its rule: run this suite against each. Policy-specific behaviour (exact
// rotation, shares by weight) is tested beside the policy.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { BalancedHost, Balancer } from './balancer.ts';
import { ANY_HOST, isSameHost } from './balancer.ts';

export interface TestHost extends BalancedHost {
  readonly name: string;
}

export function host(name: string, health: BalancedHost['health'] = 'healthy', weight = 1): TestHost {
  return { name, address: `10.0.0.${name.charCodeAt(0) - 96}`, port: 8080, health, weight };
}

/** Numbers from a seed (mulberry32), so that a failing run can be repeated. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const hosts = fc
  .uniqueArray(
    fc.tuple(
      fc.integer({ min: 1, max: 12 }),
      fc.constantFrom('healthy', 'healthy', 'unhealthy', 'draining'),
      fc.integer({ min: 1, max: 5 }),
    ),
    {
      selector: ([number]) => number,
      maxLength: 8,
    },
  )
  .map((list) => list.map(([number, health, weight]) => host(String.fromCharCode(96 + number), health as BalancedHost['health'], weight)));

export function balancerContract(name: string, create: (random: () => number) => Balancer<TestHost>): void {
  describe(`${name} keeps the contract of a balancer`, () => {
    it('picks nothing before the first list and nothing from an empty one', () => {
      const balancer = create(seeded(1));
      assert.equal(balancer.pick(ANY_HOST), undefined);
      balancer.update([]);
      assert.equal(balancer.pick(ANY_HOST), undefined);
      assert.equal(balancer.healthyCount, 0);
    });

    it('picks nothing when no host is healthy', () => {
      const balancer = create(seeded(2));
      balancer.update([host('a', 'unhealthy'), host('b', 'draining')]);
      assert.equal(balancer.pick(ANY_HOST), undefined);
    });

    it('passes over the hosts to avoid, and takes one of them when there is no other', () => {
      const [a, b, c] = [host('a'), host('b'), host('c')];
      const balancer = create(seeded(3));
      balancer.update([a, b, c]);
      for (let pick = 0; pick < 20; pick++) {
        assert.equal(balancer.pick({ nowMs: 0, hash: pick, avoid: [a, c] })?.name, 'b');
        assert.ok(balancer.pick({ nowMs: 0, hash: pick, avoid: [c, b, a] }));
      }
    });

    it('compares hosts to avoid by address and port, so that an update between two tries does not matter', () => {
      const balancer = create(seeded(4));
      const tried = host('a');
      balancer.update([host('a'), host('b')]);
      for (let pick = 0; pick < 10; pick++) assert.equal(balancer.pick({ nowMs: 0, hash: pick, avoid: [tried] })?.name, 'b');
    });

    it('hands out the objects of the newest list', () => {
      const balancer = create(seeded(5));
      balancer.update([host('a')]);
      const newer = host('a', 'healthy', 7);
      balancer.update([newer]);
      assert.equal(balancer.pick(ANY_HOST), newer);
    });

    it('reaches every healthy host', () => {
      const balancer = create(seeded(6));
      balancer.update(['a', 'b', 'c', 'd'].map((letter) => host(letter)));
      const seen = new Set<string>();
      const random = seeded(7);
      for (let pick = 0; pick < 400; pick++) {
        const picked = balancer.pick({ nowMs: pick, hash: Math.floor(random() * 2 ** 32), avoid: [] }) as TestHost;
        balancer.started(picked, pick);
        balancer.finished(picked, true, 1, pick + 1);
        seen.add(picked.name);
      }
      assert.deepEqual([...seen].sort(), ['a', 'b', 'c', 'd']);
    });

    it('picks only healthy hosts of the newest list, and never one to avoid while another is healthy (property)', () => {
      fc.assert(
        fc.property(fc.array(hosts, { minLength: 1, maxLength: 6 }), hosts, fc.integer(), (lists, avoid, seed) => {
          const random = seeded(seed);
          const balancer = create(random);
          for (const list of lists) {
            balancer.update(list);
            const healthy = list.filter((candidate) => candidate.health === 'healthy');
            const wanted = healthy.filter((candidate) => !avoid.some((other) => isSameHost(other, candidate)));
            assert.equal(balancer.healthyCount, healthy.length);
            for (let pick = 0; pick < 6; pick++) {
              const picked = balancer.pick({ nowMs: pick, hash: Math.floor(random() * 2 ** 32), avoid });
              if (healthy.length === 0) assert.equal(picked, undefined);
              else assert.ok((wanted.length > 0 ? wanted : healthy).includes(picked as TestHost));
              if (picked) {
                balancer.started(picked, pick);
                balancer.finished(picked, pick % 2 === 0, 3, pick + 3);
              }
            }
          }
        }),
      );
    });
  });
}
