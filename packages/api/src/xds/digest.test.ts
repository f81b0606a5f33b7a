import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { LinkedClient } from '../testing/linked-client.ts';
import { clusterNamed, endpointsNamed, snapshotOf } from '../testing/resources.ts';
import { DigestMap, digestText, replaced, stateHash } from './digest.ts';

const map = (): DigestMap<string> => new DigestMap((version) => version);
const textOf = (entries: Iterable<readonly [string, string]>): string => {
  const made = map();
  for (const [name, version] of entries) made.set(name, version);
  return digestText(made.digest);
};

describe('digests', () => {
  test('by whatever changes a set came about, its digest is that of the set', () => {
    const step = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.option(fc.constantFrom('1', '2', '3'), { nil: undefined }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const made = map();
        const plain = new Map<string, string>();
        for (const [name, version] of steps) {
          if (version === undefined) {
            made.delete(name);
            plain.delete(name);
          } else {
            made.set(name, version);
            plain.set(name, version);
          }
        }
        assert.equal(digestText(made.digest), textOf([...plain].toReversed()));
      }),
    );
  });

  test('other sets have other digests: of names, of versions, and of where one ends and the other begins', () => {
    const sets: [string, string][][] = [
      [],
      [['a', '1']],
      [['a', '2']],
      [['b', '1']],
      [['a1', '']],
      [['', 'a1']],
      [
        ['a', '1'],
        ['b', '1'],
      ],
    ];
    for (let index = 0; index < 20_000; index += 1) sets.push([[`outbound/default/service-${index}`, 'x']]);
    assert.equal(new Set(sets.map(textOf)).size, sets.length);
    assert.equal(textOf([]), '0000000000000000');
  });

  test('an entry can be replaced in a digest without the set', () => {
    const before = map().set('a', '1').set('b', '1');
    const after = map().set('a', '2').set('c', '1');
    let digest = replaced(before.digest, 'a', '1', '2');
    digest = replaced(digest, 'b', '1', undefined);
    assert.deepEqual(replaced(digest, 'c', undefined, '1'), after.digest);
    before.clear();
    assert.equal(digestText(before.digest), '0000000000000000');
  });

  test('a data plane that holds nothing of a kind is as one that never asked for it', () => {
    const kinds = [{ kind: 'cluster', hash: textOf([['a', '1']]) }] as const;
    assert.equal(stateHash([...kinds, { kind: 'secret', hash: '0000000000000000' }]), stateHash(kinds));
    assert.notEqual(stateHash([{ kind: 'listener', hash: kinds[0].hash }]), stateHash(kinds));
  });
});

describe('what both sides say', () => {
  const hashes = (link: LinkedClient) => {
    const sync = link.session.sync();
    return {
      own: stateHash(link.client.status()),
      held: stateHash(sync.map(({ kind, heldHash }) => ({ kind, hash: heldHash }))),
      given: stateHash(sync.map(({ kind, givenHash }) => ({ kind, hash: givenHash }))),
    };
  };

  test('is equal after convergence, and differs from what was given while something is refused', async () => {
    const link = new LinkedClient();
    link.client.subscribe('endpoints', ['a']);
    link.publish(snapshotOf('1', { cluster: [clusterNamed('a'), clusterNamed('b')], endpoints: [endpointsNamed('a')] }));
    link.connect();
    await link.settle();
    const first = hashes(link);
    assert.equal(first.own, first.held);
    assert.equal(first.own, first.given);
    assert.deepEqual(
      link.session.sync().map(({ behindSinceMs }) => behindSinceMs),
      [0, 0, 0],
    );

    link.decide = (update) => (update.kind === 'cluster' && update.upserts.some(({ name }) => name === 'b') ? 'no room for b' : undefined);
    link.publish(snapshotOf('2', { cluster: [clusterNamed('a', 7), clusterNamed('b', 7)], endpoints: [endpointsNamed('a')] }));
    await link.settle();
    const refused = hashes(link);
    assert.equal(refused.own, refused.held);
    assert.notEqual(refused.own, refused.given);
    assert.notEqual(refused.own, first.own);
    assert.ok((link.session.sync().find(({ kind }) => kind === 'cluster')?.behindSinceMs ?? 0) > 0);

    link.decide = () => undefined;
    link.retryRefused();
    await link.settle();
    const mended = hashes(link);
    assert.deepEqual([mended.held, mended.given], [mended.own, mended.own]);
  });

  test('stays equal over reconnects, removals and names that are no longer wanted', async () => {
    const link = new LinkedClient();
    link.client.subscribe('endpoints', ['a', 'b', 'ghost']);
    link.publish(
      snapshotOf('1', { cluster: [clusterNamed('a'), clusterNamed('b')], endpoints: [endpointsNamed('a'), endpointsNamed('b')] }),
    );
    link.connect();
    await link.settle();
    link.disconnect();
    link.publish(snapshotOf('2', { cluster: [clusterNamed('a')], endpoints: [endpointsNamed('a', 81)] }));
    link.connect();
    await link.settle();
    link.client.subscribe('endpoints', ['a']);
    await link.settle();
    const { own, held, given } = hashes(link);
    assert.deepEqual([held, given], [own, own]);
    assert.equal(link.client.status().find(({ kind }) => kind === 'endpoints')?.resources, 1);
  });

  test('while an answer is under way, what the data plane holds is what it acknowledged last', async () => {
    const link = new LinkedClient();
    link.publish(snapshotOf('1', { cluster: [clusterNamed('a')] }));
    link.connect();
    await link.settle();
    const before = hashes(link);
    link.publish(snapshotOf('2', { cluster: [clusterNamed('a', 7)] }));
    const during = hashes(link);
    assert.deepEqual([during.held, during.own], [before.held, before.own]);
    assert.notEqual(during.given, during.held);
    await link.settle();
    assert.equal(hashes(link).own, during.given);
  });
});
