// Thresholds, time limits and rhythm of active checks, on a clock that is a number.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ActiveCheck, detectionWindowMs, START_GRACE_MS, STARTING_INTERVAL_MS, statusPasses } from './active-check.ts';

const policy = { kind: 'tcp', intervalMs: 2_000, timeoutMs: 1_000, unhealthyAfter: 2, healthyAfter: 3 } as const;
const create = (value = 0): ActiveCheck => new ActiveCheck({ policy, random: () => value, nowMs: 0 });

/** Lets the next probe begin and end; returns when it began. */
function probe(check: ActiveCheck, failure?: string): number {
  const nowMs = check.nextTimeoutMs();
  const action = check.handleTimeout(nowMs);
  assert.equal(action?.kind, 'probe');
  check.probeEnded(action.id, nowMs + 1, failure);
  return nowMs;
}

describe('an active check', () => {
  it('probes at once and is healthy after the first pass', () => {
    const check = create();
    assert.equal(check.nextTimeoutMs(), 0);
    assert.equal(check.state, 'starting');
    probe(check);
    assert.equal(check.state, 'healthy');
    assert.equal(check.reason, 'checks pass');
  });

  it('turns unhealthy only after the set number of failures in a row', () => {
    const check = create();
    probe(check);
    probe(check, 'connection refused');
    probe(check);
    probe(check, 'connection refused');
    assert.equal(check.state, 'healthy');
    probe(check, 'answered 503');
    assert.equal(check.state, 'unhealthy');
    assert.equal(check.reason, 'checks fail: answered 503');
  });

  it('turns healthy again only after the set number of passes in a row', () => {
    const check = create();
    probe(check);
    probe(check, 'x');
    probe(check, 'x');
    probe(check);
    probe(check);
    probe(check, 'x');
    probe(check);
    probe(check);
    assert.equal(check.state, 'unhealthy');
    probe(check);
    assert.equal(check.state, 'healthy');
  });

  it('stays starting while a new instance fails within its grace, then is unhealthy', () => {
    const check = create();
    let nowMs = 0;
    for (let count = 0; count < 10; count++) nowMs = probe(check, 'connection refused');
    assert.equal(check.state, 'starting');
    assert.equal(check.reason, 'no check has passed yet: connection refused');
    while (nowMs < START_GRACE_MS) nowMs = probe(check, 'connection refused');
    assert.equal(check.state, 'unhealthy');
  });

  it('probes a starting instance more often', () => {
    const check = create();
    probe(check, 'x');
    assert.equal(check.nextTimeoutMs(), STARTING_INTERVAL_MS);
  });

  it('counts a probe without an end as failed and ignores what it says later', () => {
    const check = create();
    probe(check);
    for (let count = 0; count < 2; count++) {
      const nowMs = check.nextTimeoutMs();
      const action = check.handleTimeout(nowMs);
      assert.equal(action?.kind, 'probe');
      assert.equal(check.nextTimeoutMs(), nowMs + policy.timeoutMs);
      assert.equal(check.handleTimeout(nowMs + policy.timeoutMs - 1), undefined);
      assert.deepEqual(check.handleTimeout(nowMs + policy.timeoutMs), { kind: 'abandon', id: action.id });
      check.probeEnded(action.id, nowMs + 1_500, undefined);
    }
    assert.equal(check.state, 'unhealthy');
    assert.equal(check.reason, 'checks fail: no answer within 1000 ms');
  });

  it('ignores the end of a probe that is not the running one', () => {
    const check = create();
    probe(check);
    const action = check.handleTimeout(check.nextTimeoutMs());
    check.probeEnded((action?.id ?? 0) - 1, 1, 'late');
    probeStillRuns(check);
  });

  it('shortens intervals by up to a tenth and never lengthens them', () => {
    const startOfSecond = (value: number): number => {
      const check = create(value);
      probe(check);
      probe(check);
      return check.nextTimeoutMs() - STARTING_INTERVAL_MS * (1 - 0.1 * value);
    };
    assert.equal(startOfSecond(0), 2_000);
    assert.equal(startOfSecond(0.5), 1_900);
    assert.ok(startOfSecond(0.999) >= 1_800);
  });

  it('passes with 2xx, or with the statuses that are expected', () => {
    const passing = (statuses?: [number, number][]): number[] =>
      [101, 199, 200, 204, 299, 300, 304, 401, 503].filter((status) =>
        statusPasses({ ...policy, kind: 'http', path: '/', statuses }, status),
      );
    assert.deepEqual(passing(), [200, 204, 299]);
    assert.deepEqual(
      passing([
        [200, 200],
        [300, 399],
      ]),
      [200, 300, 304],
    );
    assert.deepEqual(passing([]), []);
  });

  it('finds a dead instance within its detection window (property)', () => {
    const policies = fc.record({
      kind: fc.constant('tcp' as const),
      intervalMs: fc.integer({ min: 10, max: 5_000 }),
      timeoutMs: fc.integer({ min: 1, max: 5_000 }),
      unhealthyAfter: fc.integer({ min: 1, max: 5 }),
      healthyAfter: fc.integer({ min: 1, max: 5 }),
    });
    fc.assert(
      fc.property(
        policies,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.integer({ min: 0, max: 20_000 }),
        fc.boolean(),
        (candidate, value, diesAtMs, silent) => {
          const check = new ActiveCheck({ policy: candidate, random: () => value, nowMs: 0 });
          probe(check);
          while (check.state === 'healthy') {
            const nowMs = check.nextTimeoutMs();
            const action = check.handleTimeout(nowMs);
            if (action?.kind !== 'probe') continue;
            if (nowMs < diesAtMs) check.probeEnded(action.id, nowMs, undefined);
            else if (!silent) check.probeEnded(action.id, nowMs, 'connection refused');
            assert.ok(nowMs <= diesAtMs + detectionWindowMs(candidate));
          }
          assert.equal(check.state, 'unhealthy');
        },
      ),
    );
  });
});

function probeStillRuns(check: ActiveCheck): void {
  assert.equal(check.handleTimeout(check.nextTimeoutMs())?.kind, 'abandon');
}
