// When a failed try may be repeated.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ErrorCode } from '../errors/table.ts';
import { ERRORS } from '../errors/table.ts';
import type { RetryInput } from './retry.ts';
import { decideRetry, isIdempotent, retryCondition } from './retry.ts';

const base: RetryInput = {
  policy: { attempts: 2, on: ['connect-failure', 'refused', 'reset'] },
  error: 'CONNECT_FAILED',
  method: 'GET',
  triesMade: 1,
  bodyReplayable: true,
  responseStarted: false,
  nowMs: 100,
  deadlineMs: 1_000,
};
const decide = (change: Partial<RetryInput>): string => decideRetry({ ...base, ...change });

describe('the retry decision', () => {
  it('repeats what never reached the application, whatever the method', () => {
    for (const error of ['CONNECT_FAILED', 'CONNECT_TIMEOUT', 'PEER_NOT_TRUSTED', 'APPLICATION_REFUSED', 'DRAINING'] as const) {
      assert.equal(decide({ error, method: 'POST' }), 'retry', error);
    }
  });

  it('repeats a reset request only when its method is idempotent (RFC 9110 §9.2.2)', () => {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])
      assert.equal(decide({ error: 'UPSTREAM_RESET', method }), 'retry', method);
    for (const method of ['POST', 'PATCH', 'CONNECT', 'get', 'LOCK', ''])
      assert.equal(decide({ error: 'UPSTREAM_RESET', method }), 'not-idempotent', method);
  });

  it('repeats nothing of which the client has seen a part', () => {
    assert.equal(decide({ error: 'UPSTREAM_RESET', responseStarted: true }), 'response-started');
  });

  it('repeats nothing whose body is gone', () => {
    assert.equal(decide({ bodyReplayable: false }), 'body-gone');
  });

  it('makes one try more than there are attempts, not two', () => {
    assert.deepEqual(
      [1, 2, 3, 4].map((triesMade) => decide({ triesMade })),
      ['retry', 'retry', 'tries-used-up', 'tries-used-up'],
    );
  });

  it('stops at the deadline', () => {
    assert.equal(decide({ nowMs: 999.9 }), 'retry');
    assert.equal(decide({ nowMs: 1_000 }), 'deadline-passed');
    assert.equal(decide({ nowMs: 1e12, deadlineMs: Infinity }), 'retry');
  });

  it('keeps to the conditions of the policy', () => {
    assert.equal(decide({ policy: { attempts: 2, on: ['refused'] } }), 'condition-not-listed');
    assert.equal(decide({ policy: { attempts: 2, on: ['refused'] }, error: 'APPLICATION_REFUSED' }), 'retry');
    assert.equal(decide({ policy: { attempts: 0, on: ['connect-failure'] } }), 'off');
  });

  it('never repeats errors that another try cannot mend', () => {
    for (const error of [
      'REQUEST_TIMEOUT',
      'NO_SUCH_SERVICE',
      'NO_HEALTHY_INSTANCE',
      'BAD_REQUEST',
      'UPSTREAM_PROTOCOL',
      'NO_IDENTITY',
    ] as const) {
      assert.equal(retryCondition(error), undefined);
      assert.equal(decide({ error }), 'condition-not-listed', error);
    }
  });

  it('retries only when it is safe (property)', () => {
    const input = fc.record({
      policy: fc.record({ attempts: fc.nat(3), on: fc.subarray(['connect-failure', 'refused', 'reset'] as const) }),
      error: fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[])),
      method: fc.constantFrom('GET', 'POST', 'PUT', 'patch'),
      triesMade: fc.integer({ min: 1, max: 5 }),
      bodyReplayable: fc.boolean(),
      responseStarted: fc.boolean(),
      nowMs: fc.nat(10),
      deadlineMs: fc.nat(10),
    });
    fc.assert(
      fc.property(input, (candidate) => {
        if (decideRetry(candidate) !== 'retry') return;
        assert.ok(candidate.triesMade <= candidate.policy.attempts);
        assert.ok(ERRORS[candidate.error].neverDelivered || isIdempotent(candidate.method));
        assert.ok(candidate.bodyReplayable && !candidate.responseStarted && candidate.nowMs < candidate.deadlineMs);
      }),
    );
  });
});
