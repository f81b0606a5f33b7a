// Where instances run, panic and slow start: shares of tiers and zones, what spills over, and what all algorithms have in common.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Locality } from '../model/service.ts';
import type { BalancedHost } from './balancer.ts';
import { fleet, host, shares, testBalancer } from './balancer-contract.ts';
import type { TestHost } from './balancer-contract.ts';
import { tierShares, zoneShares } from './locality-shares.ts';

const HERE: Locality = { region: 'eu', zone: 'a' };
const NEAR: Locality = { region: 'eu', zone: 'b' };
const FAR: Locality = { region: 'us', zone: 'a' };

const close = (actual: readonly number[], expected: readonly number[]): void => {
  assert.equal(actual.length, expected.length);
  for (const [index, value] of actual.entries())
    assert.ok(Math.abs(value - (expected[index] as number)) < 0.005, `${actual.join(' ')} is not ${expected.join(' ')}`);
};

/** So many hosts in each zone, of which so many are healthy. */
function zones(...list: readonly (readonly [locality: Locality | undefined, count: number, healthy?: number])[]): TestHost[] {
  const all = list.flatMap(([locality, count, healthy = count]) =>
    Array.from({ length: count }, (_, index): Partial<TestHost> & { health: BalancedHost['health'] } => ({
      health: index < healthy ? 'healthy' : 'unhealthy',
      ...(locality && { locality }),
    })),
  );
  return fleet(all.length, (index) => all[index] ?? {});
}

function share(hosts: readonly TestHost[], counts: ReadonlyMap<string, number>, locality: Locality | undefined): number {
  return hosts.filter((each) => each.locality === locality).reduce((sum, { name }) => sum + (counts.get(name) ?? 0), 0);
}

describe('shares of tiers', () => {
  it('keep everything near while 71 % there is healthy, and spill over beyond', () => {
    const tier = (healthy: number, listed = 100) => ({ listed, healthy });
    close(tierShares([tier(100), tier(100)]), [1, 0]);
    close(tierShares([tier(72), tier(100)]), [1, 0]);
    close(tierShares([tier(71), tier(100)]), [0.994, 0.006]);
    close(tierShares([tier(50), tier(100)]), [0.7, 0.3]);
    close(tierShares([tier(25), tier(25), tier(100)]), [0.35, 0.35, 0.3]);
    close(tierShares([tier(25), tier(25)]), [0.5, 0.5]);
    close(tierShares([tier(0), tier(10)]), [0, 1]);
    close(tierShares([tier(0), tier(0)]), [0, 0]);
    close(tierShares([]), []);
  });

  it('add up to 1 as long as anything is healthy (property)', () => {
    const tier = fc
      .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 9 }))
      .map(([more, healthy]) => ({ listed: healthy + more, healthy }));
    fc.assert(
      fc.property(fc.array(tier, { minLength: 1, maxLength: 3 }), (tiers) => {
        const sum = tierShares(tiers).reduce((total, value) => total + value, 0);
        close([sum], [tiers.some(({ healthy }) => healthy > 0) ? 1 : 0]);
      }),
    );
  });
});

describe('shares of zones', () => {
  const zone = (healthy: number, callers?: number, listed = healthy) => ({ healthy, listed, callers });

  it('keep everything in a zone with its part of the instances or more', () => {
    close(zoneShares([zone(3, 10), zone(3, 10), zone(3, 10)], 0), [1, 0, 0]);
    close(zoneShares([zone(6, 10), zone(3, 10)], 0), [1, 0]);
  });

  it('keep what the instances of the zone can carry, the rest by the room that others have', () => {
    // Half of the callers are here, with a fifth of the instances: two fifths stay.
    close(zoneShares([zone(2, 50), zone(6, 25), zone(2, 25)], 0), [0.4, 0.6, 0]);
    close(zoneShares([zone(2, 60), zone(4, 20), zone(4, 20)], 0), [1 / 3, 1 / 3, 1 / 3]);
  });

  it('count callers that are not known as spread like the listed instances', () => {
    close(zoneShares([zone(2), zone(6), zone(4)], 0), [1, 0, 0]);
    // Half of those here are ill: the zone has a fifth of what is left, and a third of the callers.
    close(zoneShares([zone(3, undefined, 6), zone(6), zone(6)], 0), [0.6, 0.2, 0.2]);
  });

  it('give every instance the same load when every zone does so (property)', () => {
    const list = fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 20 })), { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(list, (pairs) => {
        const all = pairs.map(([healthy, callers]) => zone(healthy, callers));
        const instances = pairs.reduce((sum, [healthy]) => sum + healthy, 0);
        const callers = pairs.reduce((sum, [, count]) => sum + count, 0);
        fc.pre(instances > 0 && callers > 0);
        const load = pairs.map(() => 0);
        for (const [from, [, count]] of pairs.entries()) {
          for (const [to, value] of zoneShares(all, from).entries()) load[to] = (load[to] ?? 0) + count * value;
        }
        for (const [to, [healthy]] of pairs.entries()) assert.ok(Math.abs((load[to] ?? 0) / callers - healthy / instances) < 1e-9);
      }),
    );
  });
});

describe('preferred locality', () => {
  const create = (hosts: readonly TestHost[], local: Locality | undefined = HERE) => {
    const balancer = testBalancer('round-robin', { ...(local && { local }) }, { locality: 'prefer' });
    balancer.update(hosts, 0);
    return balancer;
  };

  it('stays in the zone while it is well, then goes to the region, then elsewhere', () => {
    const cases: readonly (readonly [near: number, region: number, expected: readonly number[]])[] = [
      [4, 4, [1, 0, 0]],
      [3, 4, [1, 0, 0]],
      [2, 4, [0.7, 0.3, 0]],
      [1, 1, [0.35, 0.35, 0.3]],
      [0, 0, [0, 0, 1]],
    ];
    for (const [near, region, expected] of cases) {
      const hosts = zones([HERE, 4, near], [NEAR, 4, region], [FAR, 4]);
      const counts = shares(create(hosts), 10_000);
      for (const [index, locality] of [HERE, NEAR, FAR].entries()) {
        assert.ok(
          Math.abs(share(hosts, counts, locality) - (expected[index] as number)) < 0.02,
          `${near}, ${region}: ${JSON.stringify([...counts])}`,
        );
      }
    }
  });

  it('goes by weight', () => {
    const hosts = [host('a', 'healthy', 1, HERE), host('b', 'unhealthy', 3, HERE), host('c', 'healthy', 1, FAR)];
    assert.ok(Math.abs((shares(create(hosts), 5_000).get('a') ?? 0) - 0.35) < 0.03);
  });

  it('tries again elsewhere when all that are near failed', () => {
    const hosts = zones([HERE, 2], [FAR, 1]);
    const balancer = create(hosts);
    for (let pick = 0; pick < 10; pick++) {
      assert.equal(balancer.pick({ nowMs: 0, hash: undefined, avoid: hosts.slice(0, 2) }), hosts[2]);
      assert.ok(balancer.pick({ nowMs: 0, hash: undefined, avoid: hosts }));
    }
  });

  it('plays no part when the caller does not know where it runs', () => {
    const hosts = zones([HERE, 2], [FAR, 2]);
    const balancer = testBalancer('round-robin', {}, { locality: 'prefer' });
    balancer.update(hosts, 0);
    assert.ok(Math.abs(share(hosts, shares(balancer, 1_000), HERE) - 0.5) < 0.01);
  });

  it('spills the same hashes over, no more than needed', () => {
    const of = (near: number) => {
      const balancer = testBalancer('maglev', { local: HERE }, { locality: 'prefer' });
      balancer.update(zones([HERE, 10, near], [NEAR, 10]), 0);
      return Array.from(
        { length: 2_000 },
        (_, key) => Number(balancer.pick({ nowMs: 0, hash: key * 2_147_483, avoid: [] })?.name.slice(1)) >= 10,
      );
    };
    const [half, fewer] = [of(5), of(4)];
    assert.deepEqual(half, of(5));
    assert.ok(Math.abs(half.filter(Boolean).length / 2_000 - 0.3) < 0.04);
    assert.ok(half.every((isAway, index) => !isAway || fewer[index]));
  });

  it('says of a host where it is and what goes there', () => {
    const hosts = zones([HERE, 4, 2], [NEAR, 4], [undefined, 1]);
    const balancer = create(hosts);
    const near = balancer.describe(hosts[0] as TestHost, 0);
    assert.equal(near['locality'], 'same zone');
    assert.ok(Math.abs((near['localityShare'] as number) - 0.7) < 1e-9);
    assert.equal(balancer.describe(hosts[5] as TestHost, 0)['locality'], 'same region');
    assert.equal(balancer.describe(hosts[8] as TestHost, 0)['locality'], 'elsewhere');
  });
});

describe('zone awareness', () => {
  const create = (hosts: readonly TestHost[], callers?: () => readonly { locality: Locality; count: number }[]) => {
    const balancer = testBalancer('least-request', { local: HERE, ...(callers && { callers }) }, { locality: 'zone-aware' });
    balancer.update(hosts, 0);
    return balancer;
  };

  it('keeps requests in the zone when callers are spread like the instances', () => {
    const hosts = zones([HERE, 3], [NEAR, 3]);
    assert.ok(share(hosts, shares(create(hosts), 500), HERE) > 0.999);
  });

  it('sends away what the zone cannot carry', () => {
    const hosts = zones([HERE, 2], [NEAR, 4], [FAR, 4]);
    const callers = [
      { locality: HERE, count: 6 },
      { locality: NEAR, count: 2 },
      { locality: FAR, count: 2 },
    ];
    const counts = shares(
      create(hosts, () => callers),
      5_000,
    );
    for (const locality of [HERE, NEAR, FAR]) assert.ok(Math.abs(share(hosts, counts, locality) - 1 / 3) < 0.03);
  });

  it('follows the callers as they change, within a second or so', () => {
    const hosts = zones([HERE, 3], [NEAR, 3]);
    let count = 1;
    const balancer = create(hosts, () => [
      { locality: HERE, count },
      { locality: NEAR, count: 1 },
    ]);
    assert.ok(share(hosts, shares(balancer, 500), HERE) > 0.999);
    count = 3;
    assert.ok(Math.abs(share(hosts, shares(balancer, 4_000, 1_000), HERE) - 2 / 3) < 0.03);
  });

  it('counts callers in zones without instances', () => {
    const hosts = zones([HERE, 3], [NEAR, 3]);
    const balancer = create(hosts, () => [
      { locality: HERE, count: 1 },
      { locality: FAR, count: 1 },
    ]);
    assert.ok(share(hosts, shares(balancer, 500), HERE) > 0.999);
  });

  it('needs six healthy hosts, two of them in the zone', () => {
    for (const hosts of [zones([HERE, 2], [NEAR, 3]), zones([HERE, 3, 2], [NEAR, 3]), zones([HERE, 4, 1], [NEAR, 5])]) {
      const counts = shares(create(hosts), 4_000);
      const healthy = hosts.filter(({ health }) => health === 'healthy');
      for (const { name } of healthy)
        assert.ok(Math.abs((counts.get(name) ?? 0) - 1 / healthy.length) < 0.06, `${JSON.stringify([...counts])}`);
    }
  });

  it('does not part consistent hashing by zone: callers everywhere agree', () => {
    const hosts = zones([HERE, 4], [NEAR, 4]);
    const pickedFrom = (local: Locality) => {
      const balancer = testBalancer('ring-hash', { local }, { locality: 'zone-aware' });
      balancer.update(hosts, 0);
      return Array.from({ length: 200 }, (_, key) => balancer.pick({ nowMs: 0, hash: key * 21_474_836, avoid: [] })?.name);
    };
    assert.deepEqual(pickedFrom(HERE), pickedFrom(NEAR));
  });
});

describe('panic', () => {
  const create = (hosts: readonly TestHost[], panicPercent = 50) => {
    const balancer = testBalancer('round-robin', { local: HERE }, { locality: 'prefer', panicPercent });
    balancer.update(hosts, 0);
    return balancer;
  };

  it('uses all hosts but those that drain when too few are healthy, wherever they run', () => {
    const hosts = [...zones([HERE, 5, 2], [FAR, 1, 0]), host('z', 'draining', 1, HERE)];
    const balancer = create(hosts);
    assert.equal(balancer.healthyCount, 6);
    const counts = shares(balancer, 600);
    assert.equal(counts.size, 6);
    assert.equal(counts.has('z'), false);
    assert.match(String(balancer.describe(hosts[0] as TestHost, 0)['panic']), /too few are healthy/);
  });

  it('begins below the threshold, and ends with it', () => {
    const balancer = create(zones([HERE, 4, 2]));
    assert.equal(balancer.healthyCount, 2);
    balancer.update(zones([HERE, 4, 1]), 0);
    assert.equal(balancer.healthyCount, 4);
    balancer.update(zones([HERE, 4, 2]), 0);
    assert.equal(balancer.healthyCount, 2);
  });

  it('does not count hosts that drain, and never begins with a threshold of 0', () => {
    const drained = fleet(4, (index) => ({ health: index === 0 ? 'healthy' : 'draining' }));
    assert.equal(create(drained).healthyCount, 1);
    assert.equal(create(zones([HERE, 4, 0]), 0).healthyCount, 0);
    assert.equal(create(zones([HERE, 4, 0])).healthyCount, 4);
  });
});

describe('slow start', () => {
  const weight = (nowMs: number, balancer: ReturnType<typeof testBalancer>, of: TestHost): unknown =>
    balancer.describe(of, nowMs)['slowStartWeight'];

  it('raises the weight from 10 % in proportion to time, for new hosts and for those that are well again', () => {
    const balancer = testBalancer('round-robin', {}, { slowStartMs: 1_000 });
    const [a, b, c] = [host('a'), host('b', 'healthy', 4), host('c')];
    balancer.update([a, c], 0);
    balancer.update([a, b, c], 0);
    assert.deepEqual(
      [0, 50, 500, 900, 1_000].map((nowMs) => weight(nowMs, balancer, b)),
      [0.4, 0.4, 2, 3.6, undefined],
    );
    balancer.update([host('a', 'unhealthy'), b, host('c', 'draining')], 2_000);
    assert.equal(weight(2_000, balancer, a), undefined);
    balancer.update([a, b, c], 3_000);
    assert.equal(weight(3_500, balancer, a), 0.5);
    assert.equal(weight(3_500, balancer, c), 0.5);
    assert.equal(weight(3_500, balancer, b), undefined);
  });

  it('goes on over updates, and is not begun by another weight', () => {
    const balancer = testBalancer('round-robin', {}, { slowStartMs: 1_000 });
    balancer.update([host('a')], 0);
    balancer.update([host('a'), host('b')], 0);
    balancer.update([host('a', 'healthy', 5), host('b', 'healthy', 2)], 500);
    assert.equal(weight(500, balancer, host('a')), undefined);
    assert.equal(weight(750, balancer, host('b')), 1.5);
  });
});
