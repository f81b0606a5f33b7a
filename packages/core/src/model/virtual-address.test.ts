import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { assignVirtualAddresses, isVirtualAddress } from './virtual-address.ts';

const key = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}\/[a-z][a-z0-9-]{0,8}$/);
const keys = fc.uniqueArray(key, { maxLength: 40 });

/** Two keys of which the second draws the address of the first; found by drawing many. */
function colliding(): readonly [string, string] {
  const seen = new Map<string, string>();
  for (let index = 0; ; index += 1) {
    const name = `default/s${index}`;
    const address = assignVirtualAddresses([name]).get(name)!;
    const other = seen.get(address);
    if (other !== undefined) return [other, name].sort() as [string, string];
    seen.set(address, name);
  }
}

describe('virtual addresses', () => {
  test('are of 240.0.0.0/4, in one spelling, and never look like those of a network or a broadcast', () => {
    for (const good of ['240.0.0.1', '240.1.2.3', '254.255.255.254']) assert.ok(isVirtualAddress(good), good);
    const bad = [
      '240.0.0.0',
      '240.0.0.255',
      '255.255.255.255',
      '255.0.0.1',
      '239.1.1.1',
      '127.0.0.1',
      '240.01.2.3',
      '::ffff:240.0.0.1',
      '',
    ];
    for (const text of bad) assert.ok(!isVirtualAddress(text), text);
  });

  test('are one for each service, no two the same', () => {
    fc.assert(
      fc.property(keys, (all) => {
        const assigned = assignVirtualAddresses(all);
        assert.deepEqual([...assigned.keys()].sort(), [...all].sort());
        assert.equal(new Set(assigned.values()).size, all.length);
        for (const address of assigned.values()) assert.ok(isVirtualAddress(address), address);
      }),
    );
  });

  test('stay the same while other services come and go', () => {
    fc.assert(
      fc.property(keys, keys, (before, after) => {
        const first = assignVirtualAddresses(before);
        const second = assignVirtualAddresses(after, first);
        for (const [name, address] of second) if (first.has(name)) assert.equal(address, first.get(name), name);
        assert.equal(new Set(second.values()).size, second.size);
      }),
    );
  });

  test('do not depend on the order in which services are named', () => {
    fc.assert(
      fc.property(keys, (all) =>
        assert.deepEqual(Object.fromEntries(assignVirtualAddresses(all)), Object.fromEntries(assignVirtualAddresses(all.toReversed()))),
      ),
    );
  });

  test('of a service alone come from its name: a registry that lost everything gives the same again', () => {
    assert.deepEqual(
      [...assignVirtualAddresses(['default/orders', 'default/web'])],
      [
        ['default/orders', '250.199.98.42'],
        ['default/web', '246.203.127.99'],
      ],
    );
  });

  test('that two services draw go to one of them, and the other keeps its own when that one is gone', () => {
    const [first, second] = colliding();
    const both = assignVirtualAddresses([first, second]);
    assert.notEqual(both.get(first), both.get(second));
    const alone = assignVirtualAddresses([second], both);
    assert.equal(alone.get(second), both.get(second));
    // The first one does not get back what somebody else holds now.
    const swapped = assignVirtualAddresses([first, second], new Map([[second, both.get(first)!]]));
    assert.equal(swapped.get(second), both.get(first));
    assert.notEqual(swapped.get(first), both.get(first));
  });

  test('that are held twice or are none are replaced, and the first in order keeps what was held twice', () => {
    const assigned = assignVirtualAddresses(
      ['default/a', 'default/b', 'default/c'],
      new Map([
        ['default/a', '240.9.9.9'],
        ['default/b', '240.9.9.9'],
        ['default/c', '10.0.0.1'],
      ]),
    );
    assert.equal(assigned.get('default/a'), '240.9.9.9');
    assert.equal(new Set(assigned.values()).size, 3);
    assert.ok([...assigned.values()].every(isVirtualAddress));
  });

  test('lie all over the network', () => {
    const many = assignVirtualAddresses(Array.from({ length: 5_000 }, (_, index) => `default/service-${index}`));
    const firstOctets = new Set([...many.values()].map((address) => address.split('.')[0]));
    assert.equal(firstOctets.size, 15);
  });
});
