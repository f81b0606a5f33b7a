// What every balancing algorithm must do, whatever its rule: run this suite against each. What is particular to one (exact rotation, what is
// slow, where hashes belong) is tested beside it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { BalanceAlgorithm, BalancePolicy } from '../model/balance.ts';
import type { Locality } from '../model/service.ts';
import type { BalancedHost, Balancer, TryResult } from './balancer.ts';
import { ANY_HOST, isSameHost } from './balancer.ts';
import { createBalancer } from './create.ts';
import type { BalancerOptions } from './locality-balancer.ts';

export interface TestHost extends BalancedHost {
  readonly name: string;
}

/** @param name of one letter. */
export function host(name: string, health: BalancedHost['health'] = 'healthy', weight = 1, locality?: Locality): TestHost {
  return { name, address: `10.0.0.${name.charCodeAt(0) - 96}`, port: 8080, health, weight, ...(locality && { locality }) };
}

/** As many hosts as are asked for, in order. */
export function fleet(count: number, of: (index: number) => Partial<TestHost> = () => ({})): TestHost[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `h${index}`,
    address: `10.1.${index >> 8}.${index & 255}`,
    port: 8080,
    health: 'healthy' as const,
    weight: 1,
    ...of(index),
  }));
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

export function testBalancer(
  algorithm: BalanceAlgorithm,
  options: Partial<BalancerOptions> & { seed?: number } = {},
  policy: Partial<BalancePolicy> = {},
): Balancer<TestHost> {
  const { seed = 1, ...others } = options;
  return createBalancer<TestHost>(
    { algorithm, locality: 'any', slowStartMs: 0, panicPercent: 0, ...policy },
    { random: seeded(seed), ...others },
  );
}

/** How often each host is picked by requests that are done at once, a millisecond apart; probes are answered alike. */
export function shares(balancer: Balancer<TestHost>, requests: number, startMs = 0, seed = 99): Map<string, number> {
  const random = seeded(seed);
  const counts = new Map<string, number>();
  for (let nowMs = startMs; nowMs < startMs + requests; nowMs++) {
    const picked = balancer.pick({ nowMs, hash: Math.floor(random() * 2 ** 32), avoid: [] });
    if (picked === undefined) continue;
    balancer.started(picked, nowMs);
    balancer.finished(picked, 'success', 5 + random(), nowMs);
    for (let asked = balancer.probeDue?.(nowMs); asked !== undefined; asked = balancer.probeDue?.(nowMs)) {
      balancer.loadReported?.(asked, { inFlight: 0, latencyMs: 5 + random() }, nowMs);
    }
    counts.set(picked.name, (counts.get(picked.name) ?? 0) + 1 / requests);
  }
  return counts;
}

const RESULTS: readonly TryResult[] = ['success', 'server-error', 'gateway-error', 'local-error', 'cancelled'];
const LOCALITIES: readonly (Locality | undefined)[] = [
  undefined,
  { region: 'r', zone: 'a' },
  { region: 'r', zone: 'b' },
  { region: 's', zone: 'a' },
];

const hosts = fc
  .uniqueArray(
    fc.tuple(
      fc.integer({ min: 1, max: 12 }),
      fc.constantFrom<BalancedHost['health'][]>('healthy', 'healthy', 'unhealthy', 'draining'),
      fc.integer({ min: 1, max: 5 }),
      fc.constantFrom(...LOCALITIES),
    ),
    { selector: ([number]) => number, maxLength: 10 },
  )
  .map((list) => list.map(([number, health, weight, locality]) => host(String.fromCharCode(96 + number), health, weight, locality)));

const policies = fc.record({
  locality: fc.constantFrom('any', 'prefer', 'zone-aware'),
  slowStartMs: fc.constantFrom(0, 20),
  panicPercent: fc.constantFrom(0, 50),
});

export function balancerContract(algorithm: BalanceAlgorithm): void {
  describe(`${algorithm} keeps the contract of a balancer`, () => {
    it('picks nothing before the first list and nothing from an empty one', () => {
      const balancer = testBalancer(algorithm);
      assert.equal(balancer.algorithm, algorithm);
      assert.equal(balancer.pick(ANY_HOST), undefined);
      balancer.update([], 0);
      assert.equal(balancer.pick(ANY_HOST), undefined);
      assert.equal(balancer.pick({ nowMs: 0, hash: 1, avoid: [host('a')] }), undefined);
      assert.equal(balancer.healthyCount, 0);
    });

    it('picks nothing when no host is healthy', () => {
      const balancer = testBalancer(algorithm);
      balancer.update([host('a', 'unhealthy'), host('b', 'draining')], 0);
      assert.equal(balancer.pick(ANY_HOST), undefined);
    });

    it('passes over the hosts to avoid, and takes one of them when there is no other', () => {
      const [a, b, c] = [host('a'), host('b'), host('c')];
      const balancer = testBalancer(algorithm);
      balancer.update([a, b, c], 0);
      for (let pick = 0; pick < 20; pick++) {
        assert.equal(balancer.pick({ nowMs: 0, hash: pick, avoid: [a, c] })?.name, 'b');
        assert.ok(balancer.pick({ nowMs: 0, hash: pick, avoid: [c, b, a] }));
      }
    });

    it('compares hosts to avoid by address and port, so that an update between two tries does not matter', () => {
      const balancer = testBalancer(algorithm);
      balancer.update([host('a'), host('b')], 0);
      for (let pick = 0; pick < 10; pick++) assert.equal(balancer.pick({ nowMs: 0, hash: pick, avoid: [host('a')] })?.name, 'b');
    });

    it('hands out the objects of the newest list', () => {
      const balancer = testBalancer(algorithm);
      balancer.update([host('a')], 0);
      const newer = host('a', 'healthy', 7);
      balancer.update([newer], 0);
      assert.equal(balancer.pick(ANY_HOST), newer);
    });

    it('reaches every healthy host, also without a hash', () => {
      for (const hash of [undefined, 1]) {
        const balancer = testBalancer(algorithm);
        balancer.update(fleet(4), 0);
        const seen = new Set<string>();
        const random = seeded(7);
        for (let nowMs = 0; nowMs < 400; nowMs++) {
          const picked = balancer.pick({ nowMs, hash: hash && Math.floor(random() * 2 ** 32), avoid: [] }) as TestHost;
          balancer.started(picked, nowMs);
          balancer.finished(picked, 'success', 1, nowMs + 1);
          seen.add(picked.name);
        }
        assert.equal(seen.size, 4);
      }
    });

    it('gives hosts at rest shares by weight', () => {
      const balancer = testBalancer(algorithm);
      balancer.update([host('a', 'healthy', 1), host('b', 'healthy', 2), host('c', 'healthy', 5)], 0);
      const { a = 0, b = 0, c = 0 } = Object.fromEntries(shares(balancer, 4_000));
      assert.ok(a > 0.05 && a < 0.22, `a: ${a}`);
      assert.ok(b > a * 1.3 && b < 0.38, `b: ${b}`);
      assert.ok(c > 0.5 && c < 0.75, `c: ${c}`);
    });

    it('gives a new host a growing share in slow start, and the hosts of the first list theirs at once', () => {
      const balancer = testBalancer(algorithm, {}, { slowStartMs: 10_000 });
      const first = fleet(3);
      balancer.update(first, 0);
      assert.equal('slowStartWeight' in balancer.describe(first[0] as TestHost, 0), false);
      balancer.update([...first, host('z')], 1_000);
      const early = shares(balancer, 1_000, 1_000).get('z') ?? 0;
      const middle = shares(balancer, 1_000, 6_000).get('z') ?? 0;
      const late = shares(balancer, 3_000, 11_000).get('z') ?? 0;
      assert.ok(early < 0.09 && early > 0, `early: ${early}`);
      assert.ok(middle > 0.09 && middle < 0.28, `middle: ${middle}`);
      assert.ok(late > 0.17 && late < 0.34, `late: ${late}`);
    });

    it('describes hosts that it has, and has nothing to say of others', () => {
      const balancer = testBalancer(algorithm);
      balancer.update([host('a', 'healthy', 3), host('b', 'unhealthy')], 0);
      balancer.started(host('a'), 5);
      assert.equal(balancer.describe(host('a'), 5)['weight'], 3);
      assert.equal(balancer.describe(host('a'), 5)['inFlight'], 1);
      assert.equal(balancer.describe(host('b'), 5)['inFlight'], 0);
      assert.deepEqual(balancer.describe(host('x'), 5), {});
    });

    it('picks only what can be picked, and never one to avoid while there is another (property)', () => {
      const lists = fc.array(fc.record({ list: hosts, nowMs: fc.integer({ min: 0, max: 100 }) }), { minLength: 1, maxLength: 6 });
      fc.assert(
        fc.property(lists, hosts, fc.integer(), policies, (steps, avoid, seed, policy) => {
          const random = seeded(seed);
          const balancer = testBalancer(algorithm, { seed, local: { region: 'r', zone: 'a' } }, policy as BalancePolicy);
          const underWay: TestHost[] = [];
          let startMs = 0;
          for (const { list, nowMs: laterMs } of steps) {
            startMs += laterMs;
            balancer.update(list, startMs);
            const usable = pickable(list, policy.panicPercent);
            const wanted = usable.filter((candidate) => !avoid.some((other) => isSameHost(other, candidate)));
            assert.equal(balancer.healthyCount, usable.length);
            for (let pick = 0; pick < 6; pick++) {
              const nowMs = startMs + pick;
              const picked = balancer.pick({ nowMs, hash: random() < 0.5 ? undefined : Math.floor(random() * 2 ** 32), avoid });
              if (usable.length === 0) assert.equal(picked, undefined);
              else assert.ok((wanted.length > 0 ? wanted : usable).includes(picked as TestHost));
              const asked = balancer.probeDue?.(nowMs);
              if (asked !== undefined && random() < 0.3)
                balancer.probeFailed?.(asked, random() < 0.5 ? 'unanswered' : 'unsupported', nowMs);
              else if (asked !== undefined) balancer.loadReported?.(asked, { inFlight: random() * 9, latencyMs: random() * 99 }, nowMs);
              if (picked !== undefined) {
                balancer.started(picked, nowMs);
                underWay.push(picked);
              }
              const ended = random() < 0.6 ? underWay.shift() : undefined;
              if (ended !== undefined) balancer.finished(ended, RESULTS[pick % RESULTS.length] as TryResult, random() * 200, nowMs);
            }
          }
          for (const ended of underWay) balancer.finished(ended, 'success', 1, startMs + 10);
        }),
        { numRuns: 60 },
      );
    });
  });
}

function pickable(list: readonly TestHost[], panicPercent: number): TestHost[] {
  const staying = list.filter(({ health }) => health !== 'draining');
  const healthy = staying.filter(({ health }) => health === 'healthy');
  return healthy.length * 100 < staying.length * panicPercent ? staying : healthy;
}
