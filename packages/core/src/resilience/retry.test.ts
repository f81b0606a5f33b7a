// When a failed try may be repeated, and after how long.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ErrorCode } from '../errors/table.ts';
import { ERRORS } from '../errors/table.ts';
import { NO_RETRY } from '../model/defaults.ts';
import { RETRY_CONDITIONS } from '../model/resilience.ts';
import type { RetryCondition, RetryPolicy } from '../model/resilience.ts';
import type { RetryInput, TryEnd } from './retry.ts';
import { decideRetry, isIdempotent, retryCondition, retryWaitMs } from './retry.ts';

const policyOf = (on: readonly RetryCondition[], change: Partial<RetryPolicy> = {}): RetryPolicy => ({
  ...NO_RETRY,
  attempts: 2,
  on,
  ...change,
});
const NO_END: TryEnd = { error: undefined, httpStatus: 0, grpcStatus: undefined, retryAfterMs: undefined };
const failed = (error: ErrorCode): TryEnd => ({ ...NO_END, error });
const answered = (httpStatus: number, retryAfterMs?: number): TryEnd => ({ ...NO_END, httpStatus, retryAfterMs });
const grpc = (grpcStatus: number): TryEnd => ({ ...NO_END, httpStatus: 200, grpcStatus });

const base: RetryInput = {
  policy: policyOf(['connect-failure', 'refused', 'reset']),
  end: failed('CONNECT_FAILED'),
  method: 'GET',
  isGrpc: false,
  triesMade: 1,
  bodyReplayable: true,
  responseStarted: false,
  nowMs: 100,
  deadlineMs: 1_000,
};
const decide = (change: Partial<RetryInput>): string => decideRetry({ ...base, ...change });
/** The conditions that alone lead to a retry of this end. */
const conditionsFor = (end: TryEnd, isGrpc = false): RetryCondition[] =>
  RETRY_CONDITIONS.filter((condition) => decide({ end, isGrpc, policy: policyOf([condition], { statuses: [429, 503] }) }) === 'retry');

describe('the retry decision', () => {
  it('repeats what never reached the application, whatever the method', () => {
    for (const error of ['CONNECT_FAILED', 'CONNECT_TIMEOUT', 'PEER_NOT_TRUSTED', 'APPLICATION_REFUSED', 'DRAINING'] as const) {
      assert.equal(decide({ end: failed(error), method: 'POST' }), 'retry', error);
    }
  });

  it('repeats a reset request only when its method is idempotent (RFC 9110 §9.2.2)', () => {
    const end = failed('UPSTREAM_RESET');
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']) assert.equal(decide({ end, method }), 'retry', method);
    for (const method of ['POST', 'PATCH', 'CONNECT', 'get', 'LOCK', '']) assert.equal(decide({ end, method }), 'not-idempotent', method);
  });

  it('repeats other methods too when the service allows it', () => {
    const policy = policyOf(['reset', '5xx'], { nonIdempotent: true });
    assert.equal(decide({ end: failed('UPSTREAM_RESET'), method: 'POST', policy }), 'retry');
    assert.equal(decide({ end: answered(500), method: 'POST', policy }), 'retry');
  });

  it('takes an answer of the application for proof that it was executed', () => {
    assert.equal(decide({ end: answered(503), method: 'POST', policy: policyOf(['5xx']) }), 'not-idempotent');
    assert.equal(decide({ end: grpc(14), method: 'POST', isGrpc: true, policy: policyOf(['grpc-unavailable']) }), 'not-idempotent');
  });

  it('repeats a gRPC call that nobody has seen, and others when the service allows it', () => {
    const call = { method: 'POST', isGrpc: true };
    assert.equal(decide({ ...call, end: failed('CONNECT_FAILED'), policy: policyOf(['grpc-unavailable']) }), 'retry');
    assert.equal(decide({ ...call, end: failed('UPSTREAM_RESET'), policy: policyOf(['grpc-unavailable']) }), 'not-idempotent');
    assert.equal(decide({ ...call, end: grpc(14), policy: policyOf(['grpc-unavailable'], { nonIdempotent: true }) }), 'retry');
  });

  it('repeats nothing of which the client has seen a part', () => {
    assert.equal(decide({ end: failed('UPSTREAM_RESET'), responseStarted: true }), 'response-started');
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

  it('is off without attempts', () => {
    assert.equal(decide({ policy: NO_RETRY }), 'off');
  });

  it('retries only when it is safe (property)', () => {
    const input: fc.Arbitrary<RetryInput> = fc.record({
      policy: fc.record({
        attempts: fc.nat(3),
        on: fc.subarray([...RETRY_CONDITIONS]),
        perTryMs: fc.constant(0),
        statuses: fc.subarray([404, 429, 500]),
        nonIdempotent: fc.boolean(),
        backoff: fc.constant({ baseMs: 25, maxMs: 250 }),
      }),
      end: fc.record({
        error: fc.option(fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[])), { nil: undefined }),
        httpStatus: fc.constantFrom(200, 404, 429, 500, 503),
        grpcStatus: fc.option(fc.nat(16), { nil: undefined }),
        retryAfterMs: fc.constantFrom(undefined, 0, 3, 10_000, Infinity),
      }),
      isGrpc: fc.boolean(),
      method: fc.constantFrom('GET', 'POST', 'PUT', 'patch'),
      triesMade: fc.integer({ min: 1, max: 5 }),
      bodyReplayable: fc.boolean(),
      responseStarted: fc.boolean(),
      nowMs: fc.nat(10),
      deadlineMs: fc.constantFrom(5, 10, 20, Infinity),
    });
    let retried = 0;
    fc.assert(
      fc.property(input, fc.boolean(), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (candidate, hasOther, dice) => {
        if (decideRetry(candidate) !== 'retry') return;
        retried += 1;
        const { policy, end, method } = candidate;
        assert.ok(candidate.triesMade <= policy.attempts);
        assert.ok((end.error !== undefined && ERRORS[end.error].neverDelivered) || isIdempotent(method) || policy.nonIdempotent);
        assert.ok(candidate.bodyReplayable && !candidate.responseStarted);
        const waitMs = retryWaitMs(candidate, hasOther, () => dice);
        assert.ok(waitMs >= 0 && candidate.nowMs + waitMs < candidate.deadlineMs);
      }),
      { numRuns: 2_000 },
    );
    assert.ok(retried > 0);
  });
});

describe('the conditions of a retry', () => {
  it('tell the ways a try can fail apart', () => {
    const status = ['gateway-error', '5xx', 'retriable-status'];
    assert.deepEqual(conditionsFor(failed('CONNECT_TIMEOUT')), ['connect-failure', ...status]);
    assert.deepEqual(conditionsFor(failed('STREAM_REFUSED')), ['refused', ...status]);
    assert.deepEqual(conditionsFor(failed('UPSTREAM_RESET')), ['reset', 'gateway-error', '5xx']);
    assert.deepEqual(conditionsFor(failed('TRY_TIMEOUT')), ['timeout', 'gateway-error', '5xx']);
    assert.deepEqual(conditionsFor(failed('UPSTREAM_PROTOCOL')), ['gateway-error', '5xx']);
    assert.deepEqual(conditionsFor(failed('RATE_LIMITED')), ['retriable-status']);
  });

  it('look at the status of an answer', () => {
    assert.deepEqual(conditionsFor(answered(500)), ['5xx']);
    assert.deepEqual(conditionsFor(answered(502)), ['gateway-error', '5xx']);
    assert.deepEqual(conditionsFor(answered(503)), ['gateway-error', '5xx', 'retriable-status']);
    assert.deepEqual(conditionsFor(answered(429)), ['retriable-status']);
    for (const status of [200, 204, 302, 404, 409]) assert.deepEqual(conditionsFor(answered(status)), []);
  });

  it('look at the status of a gRPC call', () => {
    const names: Record<number, RetryCondition> = {
      1: 'grpc-cancelled',
      4: 'grpc-deadline-exceeded',
      8: 'grpc-resource-exhausted',
      13: 'grpc-internal',
      14: 'grpc-unavailable',
    };
    for (let status = 0; status <= 16; status += 1) {
      const name = names[status];
      assert.deepEqual(conditionsFor(grpc(status), true), name === undefined ? [] : [name]);
    }
    assert.ok(conditionsFor(failed('CONNECT_FAILED'), true).includes('grpc-unavailable'));
    assert.ok(!conditionsFor(failed('CONNECT_FAILED'), false).includes('grpc-unavailable'));
  });

  it('never take errors that another try cannot mend', () => {
    for (const error of [
      'NO_SUCH_SERVICE',
      'NO_HEALTHY_INSTANCE',
      'BAD_REQUEST',
      'NO_IDENTITY',
      'CIRCUIT_OPEN',
      'FAULT_INJECTED',
      'DEADLINE_EXCEEDED',
    ] as const) {
      assert.equal(retryCondition(error), undefined);
      assert.deepEqual(conditionsFor(failed(error), true), [], error);
    }
  });
});

describe('the wait before a retry', () => {
  const policy = policyOf(['5xx', 'connect-failure', 'retriable-status'], { statuses: [429] });
  const wait = (change: Partial<RetryInput>, hasOther: boolean): number => retryWaitMs({ ...base, policy, ...change }, hasOther, () => 0.5);

  it('is none while there is another instance, else grows with each try', () => {
    assert.equal(wait({}, true), 0);
    assert.deepEqual(
      [1, 2, 3, 9].map((triesMade) => wait({ triesMade }, false)),
      [12.5, 25, 50, 125],
    );
  });

  it('leaves the try half of the time that is left', () => {
    assert.equal(wait({ deadlineMs: 110 }, false), 5);
    assert.equal(wait({ end: answered(503, 6), deadlineMs: 110 }, true), 8);
  });

  it('is what the application asks for at least, whoever is asked next', () => {
    assert.equal(wait({ end: answered(503, 400) }, true), 412.5);
    assert.equal(decide({ end: answered(503, 400), policy }), 'retry');
  });

  it('is not made when it would be too long, or end after the deadline', () => {
    assert.equal(decide({ end: answered(503, 900), policy }), 'retry-after-too-long');
    assert.equal(decide({ end: answered(503, 900), policy, deadlineMs: 1_001 }), 'retry');
    assert.equal(decide({ end: answered(503, 5_000), policy, deadlineMs: Infinity }), 'retry');
    assert.equal(decide({ end: answered(503, 5_001), policy, deadlineMs: Infinity }), 'retry-after-too-long');
    assert.equal(decide({ end: answered(503, Infinity), policy, deadlineMs: Infinity }), 'retry-after-too-long');
  });

  it('is not what a data plane asks for about itself, but what a rate limit does', () => {
    assert.equal(wait({ end: { ...failed('APPLICATION_REFUSED'), retryAfterMs: 800 } }, true), 0);
    assert.equal(decide({ end: { ...failed('CONNECT_FAILED'), retryAfterMs: 60_000 }, policy }), 'retry');
    assert.equal(wait({ end: { ...failed('RATE_LIMITED'), retryAfterMs: 400 } }, true), 412.5);
  });
});
