import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  callerTimeoutMs,
  DEADLINE_MAX_MS,
  deadlineError,
  deadlineOf,
  formatRequestTimeout,
  parseRequestTimeout,
  remainingMs,
  tryDeadlineOf,
} from './deadline.ts';

describe('x-request-timeout', () => {
  it('is milliseconds, or a duration with a unit', () => {
    const read = {
      250: 250,
      '250ms': 250,
      '2s': 2_000,
      '1.5s': 1_500,
      '0.25s': 250,
      '2m': 120_000,
      '1h': 3_600_000,
      0: 0,
      '0s': 0,
      '007': 7,
    };
    for (const [text, ms] of Object.entries(read)) assert.equal(parseRequestTimeout(text), ms, text);
  });

  it('is not what looks like it', () => {
    for (const text of ['', 's', '.5s', '1.', '1.s', '1.2.3s', '-1', '1 s', '1d', '1S', 'NaN', '1e3', '2s ', '12345678901', '0x10'])
      assert.equal(parseRequestTimeout(text), undefined, text);
  });

  it('is cut at a day', () => {
    assert.equal(parseRequestTimeout('100h'), DEADLINE_MAX_MS);
    assert.equal(formatRequestTimeout(1e12, undefined), `${DEADLINE_MAX_MS}ms`);
  });

  it('goes on in the form it came in, never as less than is left', () => {
    assert.equal(formatRequestTimeout(249.2, '300'), '250');
    assert.equal(formatRequestTimeout(249.2, '2s'), '250ms');
    assert.equal(formatRequestTimeout(249.2, undefined), '250ms');
  });

  it('is read as it is written (property)', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: DEADLINE_MAX_MS, noNaN: true }), fc.constantFrom('1', '1s', undefined), (ms, received) => {
        assert.equal(parseRequestTimeout(formatRequestTimeout(ms, received)), Math.ceil(ms));
      }),
    );
  });

  it('never fails on hostile text (property)', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('0', '9', '.', 's', 'm', 'h', '-') }), (text) => {
        const ms = parseRequestTimeout(text);
        assert.ok(ms === undefined || (ms >= 0 && ms <= DEADLINE_MAX_MS));
      }),
    );
  });
});

describe('the deadline of a request', () => {
  it('is the shortest of what the route and the caller give', () => {
    assert.equal(deadlineOf(100, 0, undefined), Infinity);
    assert.equal(deadlineOf(100, 500, undefined), 600);
    assert.equal(deadlineOf(100, 0, 200), 300);
    assert.equal(deadlineOf(100, 500, 200), 300);
    assert.equal(deadlineOf(100, 500, 900), 600);
    assert.equal(deadlineOf(100, 500, 0), 100);
    assert.equal(callerTimeoutMs(undefined, undefined), undefined);
    assert.equal(callerTimeoutMs(50, undefined), 50);
    assert.equal(callerTimeoutMs(undefined, 60), 60);
    assert.equal(callerTimeoutMs(50, 60), 50);
    assert.equal(callerTimeoutMs(1e15, 60), 60);
    assert.equal(callerTimeoutMs(1e15, undefined), DEADLINE_MAX_MS);
  });

  it('says whose limit it was', () => {
    assert.equal(deadlineError(500, undefined), 'REQUEST_TIMEOUT');
    assert.equal(deadlineError(500, 900), 'REQUEST_TIMEOUT');
    assert.equal(deadlineError(500, 200), 'DEADLINE_EXCEEDED');
    assert.equal(deadlineError(0, 200), 'DEADLINE_EXCEEDED');
  });

  it('bounds each try', () => {
    assert.equal(tryDeadlineOf(100, 0, Infinity), Infinity);
    assert.equal(tryDeadlineOf(100, 50, Infinity), 150);
    assert.equal(tryDeadlineOf(100, 50, 120), 120);
  });

  it('is told on as what is left', () => {
    assert.equal(remainingMs(100, Infinity), undefined);
    assert.equal(remainingMs(100, 350), 250);
    assert.equal(remainingMs(100, 100), 1);
    assert.equal(remainingMs(0, 1e12), DEADLINE_MAX_MS);
  });
});
