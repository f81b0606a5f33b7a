// The limits are sound in themselves and to one another.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_LIMITS, LIMITS } from './table.ts';

describe('the limits', () => {
  it('are positive whole numbers, named after their unit, each with a reason', () => {
    for (const [name, limit] of Object.entries(LIMITS)) {
      assert.ok(Number.isSafeInteger(limit.value) && limit.value > 0, name);
      assert.match(name, { bytes: /(?:BytesMax|WindowBytes)$/, count: /(?<!Bytes)Max$/, ms: /Ms$/ }[limit.unit], name);
      assert.match(limit.reason, /^.{20,}\.$/, name);
    }
  });

  it('are given as plain, frozen numbers too', () => {
    assert.equal(DEFAULT_LIMITS.headerBytesMax, 65_536);
    assert.deepEqual(Object.keys(DEFAULT_LIMITS), Object.keys(LIMITS));
    assert.ok(Object.isFrozen(DEFAULT_LIMITS));
  });

  it('let the calling side give up idle connections before the called side does', () => {
    assert.ok(DEFAULT_LIMITS.upstreamIdleTimeoutMs < DEFAULT_LIMITS.downstreamIdleTimeoutMs);
  });

  it('hold a request line within the head', () => {
    assert.ok(DEFAULT_LIMITS.requestLineBytesMax < DEFAULT_LIMITS.headerBytesMax);
  });
});
