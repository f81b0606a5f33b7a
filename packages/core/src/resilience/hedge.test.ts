import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HedgeInput } from './hedge.ts';
import { decideHedge, nextHedgeAtMs } from './hedge.ts';

const policy = { afterMs: 200, attempts: 2 };
const base: HedgeInput = {
  policy,
  method: 'GET',
  nonIdempotent: false,
  hedgesMade: 0,
  bodyReplayable: true,
  responseStarted: false,
  nowMs: 200,
  deadlineMs: 1_000,
};
const decide = (change: Partial<HedgeInput>): string => decideHedge({ ...base, ...change });

describe('a hedge', () => {
  it('is due so long after the try before it, as often as allowed', () => {
    assert.deepEqual(
      [0, 1, 2].map((made) => nextHedgeAtMs(policy, 1_000, made)),
      [1_200, 1_200, Infinity],
    );
    assert.equal(nextHedgeAtMs(undefined, 0, 0), Infinity);
  });

  it('is for requests that may be executed twice, and are still whole', () => {
    assert.equal(decide({}), 'hedge');
    assert.equal(decide({ method: 'POST' }), 'not-idempotent');
    assert.equal(decide({ method: 'POST', nonIdempotent: true }), 'hedge');
    assert.equal(decide({ bodyReplayable: false }), 'body-gone');
    assert.equal(decide({ responseStarted: true }), 'response-started');
    assert.equal(decide({ nowMs: 1_000 }), 'deadline-passed');
    assert.equal(decide({ policy: undefined }), 'off');
  });

  it('has a bound that no policy lifts', () => {
    assert.equal(decide({ hedgesMade: 2 }), 'hedges-used-up');
    const many = { afterMs: 1, attempts: 1_000 };
    assert.equal(decide({ policy: many, hedgesMade: 4 }), 'hedge');
    assert.equal(decide({ policy: many, hedgesMade: 5 }), 'hedges-used-up');
    assert.equal(nextHedgeAtMs(many, 0, 5), Infinity);
  });
});
