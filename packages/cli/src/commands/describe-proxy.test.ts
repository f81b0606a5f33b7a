// What `heddle describe proxy` says, from what a running control plane answers; and how it reads.
import assert from 'node:assert/strict';
import { describe as suite, test } from 'node:test';
import { PLAIN } from '../output/palette.ts';
import { describe, type DescribedProxy } from './describe-proxy.ts';
import { proxyRow } from './get.ts';

const HELD = '00000000aaaaaaaa';
const GIVEN = '00000000bbbbbbbb';

function proxy(over: { rejection?: string; givenHash?: string; reportedHash?: string } = {}): DescribedProxy {
  const { rejection = '', givenHash = HELD, reportedHash = HELD } = over;
  const nowMs = Date.now();
  const row = proxyRow({
    node: 'node-1',
    identity: 'spiffe://shop/ns/default/svc/orders',
    connectedMs: nowMs - 180_000,
    flavour: 'envoy',
    userAgent: 'envoy 1.30.0',
    service: 'ADS delta',
    heldHash: HELD,
    givenHash,
    reportedHash,
    reportedMs: reportedHash === '' ? 0 : nowMs - 4_000,
    sync: [
      {
        kind: 'listener',
        sentResources: 2,
        sentVersion: '12',
        ackedVersion: rejection === '' ? '12' : '11',
        ackedMs: nowMs - 60_000,
        rejection,
        heldHash: HELD,
        givenHash,
        behindSinceMs: rejection === '' ? 0 : nowMs - 12_000,
      },
    ],
  });
  const resource = { kind: 'listener', version: 'v', updated: null, rejected: null };
  return {
    ...row,
    resources: [
      { ...resource, name: 'good', state: 'in sync', rejection: '' },
      ...(rejection === '' ? [] : [{ ...resource, name: 'bad', state: 'rejected' as const, rejection }]),
    ],
  };
}
const shown = (stream: DescribedProxy, all = false): string => describe({ node: 'node-1', streams: [stream], load: [] }, all, PLAIN);

suite('describe proxy', () => {
  test('says who it is, since when, and that all is well', () => {
    const text = shown(proxy());
    assert.match(text, /^Node +node-1\nAgent +envoy 1\.30\.0, flavour envoy\nIdentity +spiffe:\/\/shop/);
    assert.match(text, /Connected +3 min ago, by ADS delta\nSync +in sync\nHash +00000000aaaaaaaa, confirmed by itself 4 s ago\n/);
    assert.match(text, /\n1 resources, all in sync\n$/);
    assert.doesNotMatch(text, /good/);
    assert.match(shown(proxy(), true), /listener +good +v +in sync/);
  });

  test('says what was refused, why, since when, and that the hashes differ', () => {
    const text = shown(proxy({ rejection: 'port 4001 is taken', givenHash: GIVEN, reportedHash: '' }));
    assert.match(text, /Sync +listener rejected for 12 s: port 4001 is taken\nHash +00000000aaaaaaaa, was given 00000000bbbbbbbb\n/);
    assert.match(text, /listener +2 +12 +11 +1 min +12 s +00000000aaaaaaaa +rejected: port 4001 is taken/);
    assert.match(text, /listener +bad +v +rejected: port 4001 is taken/);
  });

  test('says when the data plane itself says something else', () => {
    assert.match(shown(proxy({ reportedHash: GIVEN })), /Hash +00000000aaaaaaaa, said 00000000bbbbbbbb itself 4 s ago/);
  });

  test('shows what it carries', () => {
    const load = {
      source: 'default/web',
      destination: 'shop/orders',
      requestsPerSecond: 12.5,
      errorsPerSecond: 0.1,
      droppedPerSecond: 0,
      inProgress: 3,
      nodes: ['node-1'],
      updated: new Date().toISOString(),
    };
    assert.match(
      describe({ node: 'node-1', streams: [proxy()], load: [load] }, false, PLAIN),
      /LOAD\nSOURCE .*\nweb +shop\/orders +12\.5 +0\.1 +3 +1 +0 s/,
    );
  });
});
