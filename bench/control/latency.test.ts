import assert from 'node:assert/strict';
import { test } from 'node:test';
import { latencies, percentile } from './latency.ts';
import { decodeResponse, encodeRequest } from './programs/ads-messages.ts';
import { calledServices, type Size } from './size.ts';

const change = (service: number, revision: number, sentMs: number) => ({ service, revision, sentMs, answeredMs: sentMs + 2 });

test('a change has arrived with its revision or a later one, at the last of those who follow the service', () => {
  const changes = [change(1, 10, 100), change(1, 11, 101), change(2, 12, 200)];
  const applied = [
    [0, 1, 9, 99],
    [0, 1, 11, 108],
    [1, 1, 10, 104],
    [1, 1, 11, 105],
    [0, 2, 12, 201],
  ] as const;
  const found = latencies(changes, applied, (service) => (service === 1 ? [0, 1] : [0]));
  assert.deepEqual(found.toAll, [6, 5, 0]);
  assert.deepEqual(found.toAllFromSent, [8, 7, 1]);
  assert.equal(found.subscribersOfEach, 5 / 3);
  assert.throws(() => latencies([change(2, 13, 300)], applied, () => [0]), /data plane 0 never got revision 13 of service 2/);
});

test('percentiles are values that occurred', () => {
  assert.equal(percentile([3, 1, 2], 0.5), 2);
  assert.equal(
    percentile(
      Array.from({ length: 100 }, (_, index) => index + 1),
      0.99,
    ),
    99,
  );
  assert.ok(Number.isNaN(percentile([], 0.5)));
});

test('each service that is called has as many subscribers, whatever else there is', () => {
  const size: Size = { services: 200, instancesPerService: 1, dataPlanes: 100, calledByEach: 10, changesPerSecond: 1 };
  const subscribers = new Map<number, number>();
  for (let plane = 0; plane < size.dataPlanes; plane += 1) {
    const called = calledServices(plane, size);
    assert.equal(new Set(called).size, 10);
    for (const service of called) subscribers.set(service, (subscribers.get(service) ?? 0) + 1);
  }
  assert.deepEqual([...new Set(subscribers.values())], [10]);
  assert.equal(subscribers.size, 100);
});

test('messages by hand are those of the contract', () => {
  const message = encodeRequest({ node: 'n', typeUrl: 't', subscribe: ['x'.repeat(200)], nonce: '7' });
  assert.equal(message.readUInt32BE(1), message.length - 5);
  // systemVersionInfo "42", one resource named "a" with 3 bytes, typeUrl "t", nonce "9".
  const response = Buffer.concat([
    Buffer.from([10, 2]),
    Buffer.from('42'),
    Buffer.from([18, 8, 26, 1]),
    Buffer.from('a'),
    Buffer.from([18, 3, 1, 2, 3]),
    Buffer.from([34, 1]),
    Buffer.from('t'),
    Buffer.from([42, 1]),
    Buffer.from('9'),
  ]);
  assert.deepEqual(decodeResponse(response), { version: '42', typeUrl: 't', nonce: '9', names: ['a'] });
});
