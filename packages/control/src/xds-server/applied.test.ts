// What is told of data planes: once, in one line, and with one hash for all kinds.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TYPE_URLS, stateHash } from '@heddle/api';
import type { KindSync } from '@heddle/api';
import { DataPlaneEvents, StreamEvents, proxyToMessage } from './applied.ts';
import type { ConnectedProxy } from './applied.ts';

function recorded() {
  const lines: string[] = [];
  const all = new DataPlaneEvents({ record: (kind, subject, message) => lines.push(`${kind} ${subject} ${message}`) });
  return { lines, all, events: new StreamEvents(all) };
}

describe('events of a stream', () => {
  test('tell the same refusal once in ten minutes, another one at once, but no more than one a second', () => {
    const { lines, events } = recorded();
    const refuse = (reason: string, ms: number, typeUrl: string = TYPE_URLS.cluster) => events.rejected('n', typeUrl, reason, ms);
    refuse('no room', 0);
    for (let ms = 0; ms < 600_000; ms += 10_000) refuse('no room', ms);
    assert.deepEqual(lines, ['data-plane-rejected n refused cluster: no room']);
    refuse('no room', 600_000);
    refuse('too late', 600_500);
    refuse('too late', 601_000);
    refuse('', 601_000, TYPE_URLS.secret);
    for (let index = 0; index < 1_000; index += 1) refuse(`made up ${index}`, 602_000, `made-up-type-${index}`);
    assert.deepEqual(lines.slice(1), [
      'data-plane-rejected n refused cluster: no room',
      'data-plane-rejected n refused cluster: too late',
      'data-plane-rejected n refused secret: without a reason',
      'data-plane-rejected n refused resources of an unknown type: made up 0',
    ]);
  });

  test('are one line each, of bounded length, whatever the peer says', () => {
    const { lines, events } = recorded();
    const peer = { node: 'n', identity: 'spiffe://x', flavour: 'grpc', service: 'ADS delta' } as const;
    events.connected({ ...peer, userAgent: 'two\r\nlines\u2028and\u0085more\u001b[31m' }, 0);
    events.connected({ ...peer, userAgent: '' }, 0);
    events.disconnected('n', 'ADS delta', '', 0);
    events.rejected('n', TYPE_URLS.route, 'x'.repeat(10_000), 0);
    assert.deepEqual(lines.slice(0, 3), [
      'data-plane-connected n two lines and more [31m, as spiffe://x, by ADS delta',
      'data-plane-connected n grpc, as spiffe://x, by ADS delta',
      'data-plane-disconnected n its ADS delta stream ended',
    ]);
    assert.ok((lines[3]?.length ?? 0) < 600);
  });
});

test('data planes that come and go all the time do not fill the log', () => {
  const { lines, all } = recorded();
  for (let index = 0; index < 1_000; index += 1) new StreamEvents(all).disconnected(`n${index}`, 'ADS delta', '', 5_000);
  assert.equal(lines.length, 200);
  new StreamEvents(all).disconnected('later', 'ADS delta', '', 6_500);
  new StreamEvents(all).disconnected('too soon', 'ADS delta', '', 6_600);
  new StreamEvents(all).disconnected('last', 'ADS delta', '', 60_000);
  assert.deepEqual(lines.slice(200), [
    'data-plane-disconnected later its ADS delta stream ended (before it, 800 events of data planes were too many to keep)',
    'data-plane-disconnected last its ADS delta stream ended (before it, 1 events of data planes were too many to keep)',
  ]);
});

test('a data plane is listed with one hash over all kinds, and with what it says itself', () => {
  const sync = (kind: KindSync['kind'], heldHash: string, givenHash: string): KindSync => ({
    ...{ kind, sentResources: 1, sentVersion: '2', ackedVersion: '1', ackedMs: 5, rejection: '', behindSinceMs: 7 },
    ...{ heldHash, givenHash },
  });
  const kinds = [sync('cluster', '1111111111111111', '1111111111111111'), sync('secret', '2222222222222222', '3333333333333333')];
  const proxy: ConnectedProxy = {
    ...{ node: 'n', identity: 'i', flavour: 'envoy', userAgent: 'envoy 1.30.0', service: 'ADS delta', connectedMs: 3 },
    ...{ sync: kinds, resources: () => [] },
  };
  const message = proxyToMessage(proxy, undefined);
  assert.equal(message.heldHash, stateHash(kinds.map(({ kind, heldHash }) => ({ kind, hash: heldHash }))));
  assert.notEqual(message.heldHash, message.givenHash);
  assert.deepEqual([message.flavour, message.userAgent, message.reportedHash, message.reportedMs], ['envoy', 'envoy 1.30.0', '', 0]);
  assert.deepEqual(message.sync[1], kinds[1]);
  assert.deepEqual(proxyToMessage(proxy, { hash: 'ab', ms: 9 }).reportedMs, 9);
});
