// Shares follow the weights, and a change of weights moves no more users than it must.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { hashText } from '../balancing/hash-text.ts';
import { RouteFault } from './error.ts';
import { Split } from './split.ts';

const USERS = 20_000;
const HASHES = Array.from({ length: USERS }, (_, user) => hashText(`user-${user}`));

function split(weights: Readonly<Record<string, number>>): Split {
  return new Split(Object.entries(weights).map(([cluster, weight]) => ({ cluster, weight })));
}

function sides(weights: Readonly<Record<string, number>>): string[] {
  const chosen = split(weights);
  return HASHES.map((hash) => chosen.byHash(hash).cluster);
}

function shareOf(cluster: string, of: readonly string[]): number {
  return of.filter((side) => side === cluster).length / of.length;
}

describe('a split', () => {
  it('follows the weights by chance, without a request outside', () => {
    const chosen = split({ a: 1, b: 0, c: 3 });
    const counts = new Map<string, number>();
    for (let step = 0; step < 1_000; step++) {
      const { cluster } = chosen.byChance(step / 1_000);
      counts.set(cluster, (counts.get(cluster) ?? 0) + 1);
    }
    assert.deepEqual(
      [...counts],
      [
        ['a', 250],
        ['c', 750],
      ],
    );
    assert.equal(chosen.byChance(1 - 2 ** -53).cluster, 'c');
  });

  it('follows the weights by hash', () => {
    const of = sides({ v1: 90, v2: 9, v3: 1, v4: 0 });
    for (const [cluster, share] of [
      ['v1', 0.9],
      ['v2', 0.09],
      ['v3', 0.01],
    ] as const) {
      // Five standard deviations.
      const bound = 5 * Math.sqrt((share * (1 - share)) / USERS);
      assert.ok(Math.abs(shareOf(cluster, of) - share) < bound, `${cluster}: ${shareOf(cluster, of)}`);
    }
    assert.equal(shareOf('v4', of), 0);
  });

  it('keeps a user on one side, whatever the order of the list', () => {
    assert.deepEqual(sides({ v1: 70, v2: 20, v3: 10 }), sides({ v3: 10, v1: 70, v2: 20 }));
  });

  it('moves users only to a cluster whose weight grows, and no other ones', () => {
    const moves = (from: Readonly<Record<string, number>>, to: Readonly<Record<string, number>>): string[] => {
      const after = sides(to);
      return sides(from).flatMap((side, user) => (side === after[user] ? [] : [`${side} to ${after[user]}`]));
    };
    assert.deepEqual([...new Set(moves({ v1: 90, v2: 8, v3: 2 }, { v1: 90, v2: 28, v3: 2 }))].sort(), ['v1 to v2', 'v3 to v2']);
    assert.deepEqual([...new Set(moves({ v1: 90, v2: 8, v3: 2 }, { v1: 90, v2: 8 }))].sort(), ['v3 to v1', 'v3 to v2']);
    assert.deepEqual([...new Set(moves({ v1: 90, v2: 10 }, { v1: 70, v2: 30 }))], ['v1 to v2']);
    assert.deepEqual(moves({ v1: 90, v2: 10 }, { v1: 9, v2: 1 }), []);
    // Of two that change beside a third, 20 % must move.
    const share = moves({ v1: 90, v2: 8, v3: 2 }, { v1: 70, v2: 28, v3: 2 }).length / USERS;
    assert.ok(share > 0.19 && share < 0.22, String(share));
  });

  it('does not go by the hash that the next choice goes by: users of one side are spread over all hashes', () => {
    const chosen = split({ v1: 50, v2: 50 });
    const small = HASHES.filter((hash) => chosen.byHash(hash).cluster === 'v2' && hash < 2 ** 31).length;
    assert.ok(Math.abs(small / USERS - 0.25) < 0.02);
  });

  it('takes any hash and any chance for one of its clusters that have a weight (property)', () => {
    const weights = fc
      .array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 1, maxLength: 6 })
      .filter((all) => all.some((weight) => weight > 0));
    fc.assert(
      fc.property(weights, fc.nat(0xffff_ffff), fc.double({ min: 0, max: 1 - 2 ** -53, noNaN: true }), (all, hash, random) => {
        const chosen = new Split(all.map((weight, index) => ({ cluster: `c${index}`, weight })));
        assert.ok(chosen.byHash(hash).weight > 0);
        assert.ok(chosen.byChance(random).weight > 0);
      }),
    );
  });

  it('lets a cluster stand twice, each with its own share', () => {
    const twice = new Split([
      { cluster: 'a', weight: 50, requestHeaders: { set: { x: '1' }, add: {}, remove: [] } },
      { cluster: 'a', weight: 50 },
    ]);
    const first = HASHES.filter((hash) => twice.byHash(hash).requestHeaders !== undefined).length / USERS;
    assert.ok(Math.abs(first - 0.5) < 0.02, String(first));
  });

  it('gives a single cluster everything, whatever its weight', () => {
    assert.equal(split({ a: 0 }).byChance(0.5).cluster, 'a');
    assert.equal(split({ a: 0 }).byHash(7).cluster, 'a');
  });

  it('refuses what cannot be shared out', () => {
    const all: Readonly<Record<string, number>>[] = [{}, { a: 0, b: 0 }, { a: -1 }, { a: 1.5 }, { '': 1 }];
    for (const weights of all) assert.throws(() => split(weights), RouteFault);
  });
});
