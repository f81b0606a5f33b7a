import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AccessLogChoice } from '../model/telemetry.ts';
import { isLogged, mayBeLogged } from './log-choice.ts';

const ALL = { samplePercent: 100, restPercent: 0 };
const FAULTS = { statuses: [{ from: 500, to: 599 }] };
const OK = { status: 200, durationMs: 5, isOwnError: false };

/** The share, the request, what chance says, and whether it is written. */
const CASES: readonly (readonly [string, Partial<AccessLogChoice>, Partial<typeof OK>, number, boolean])[] = [
  ['all, without a condition', {}, {}, 0.99, true],
  ['none at 0 %', { samplePercent: 0 }, {}, 0, false],
  ['the share', { samplePercent: 10 }, {}, 0.099, true],
  ['not more than the share', { samplePercent: 10 }, {}, 0.1, false],
  ['a status that is listed', FAULTS, { status: 503 }, 0.99, true],
  ['the first of a range', FAULTS, { status: 500 }, 0.99, true],
  ['the last of a range', FAULTS, { status: 599 }, 0.99, true],
  ['no other status', FAULTS, { status: 499 }, 0, false],
  ['no answer is no status', FAULTS, { status: 0 }, 0, false],
  ['what takes longer', { slowerThanMs: 500 }, { durationMs: 500.1 }, 0.99, true],
  ['nothing that is as quick', { slowerThanMs: 500 }, { durationMs: 500 }, 0, false],
  ['own errors', { errors: true }, { isOwnError: true }, 0.99, true],
  ['no errors of the application', { errors: true }, { status: 500 }, 0, false],
  ['what meets one condition of several', { ...FAULTS, slowerThanMs: 500, errors: true }, { durationMs: 900 }, 0.99, true],
  ['a share of what meets a condition', { ...FAULTS, samplePercent: 50 }, { status: 500 }, 0.6, false],
  ['a share of the rest', { ...FAULTS, restPercent: 1 }, {}, 0.009, true],
  ['of what meets a condition not the share of the rest', { ...FAULTS, samplePercent: 1, restPercent: 50 }, { status: 500 }, 0.2, false],
  ['no more of the rest', { ...FAULTS, restPercent: 1 }, {}, 0.01, false],
];

describe('an access log has', () => {
  for (const [name, changes, end, chance, expected] of CASES)
    it(name, () => {
      const choice = { ...ALL, ...changes };
      const { status, durationMs, isOwnError } = { ...OK, ...end };
      assert.equal(isLogged(choice, chance, status, durationMs, isOwnError), expected);
      if (expected) assert.ok(mayBeLogged(choice, chance));
    });

  it('nothing that chance alone leaves out', () => {
    assert.equal(mayBeLogged({ ...FAULTS, samplePercent: 10, restPercent: 1 }, 0.1), false);
    assert.equal(mayBeLogged({ ...FAULTS, samplePercent: 1, restPercent: 10 }, 0.05), true);
  });
});
