import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  afterFailure,
  afterIssued,
  afterRoots,
  afterToken,
  certificateHealth,
  nextAction,
  NOTHING_HELD,
  type RenewalState,
} from './renewal.ts';

const HOUR_MS = 3_600_000;
const middle = (): number => 0.5;
const held = afterIssued(NOTHING_HELD, { receivedMs: 0, notAfterMs: HOUR_MS }, middle);

test('without certificate and token nothing can be done', () => {
  assert.deepEqual(nextAction(NOTHING_HELD, 5), { kind: 'wait', untilMs: undefined });
  assert.equal(certificateHealth(NOTHING_HELD, 5), 'none');
});

test('a token is used at once', () => {
  assert.deepEqual(nextAction(afterToken(NOTHING_HELD, 5), 5), { kind: 'join' });
});

test('a certificate is renewed at half of its life', () => {
  assert.equal(nextAction(held, HOUR_MS / 2 - 1).kind, 'wait');
  assert.deepEqual(nextAction(held, HOUR_MS / 2), { kind: 'renew' });
});

test('renewals are spread by 5 % to both sides of half life', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (dice) => {
      const { nextTryMs } = afterIssued(NOTHING_HELD, { receivedMs: 0, notAfterMs: HOUR_MS }, () => dice);
      assert.ok(nextTryMs >= 0.45 * HOUR_MS && nextTryMs <= 0.55 * HOUR_MS);
    }),
  );
});

test('renewal is overdue after three quarters of life, and the wait ends there so that it is told', () => {
  const failed = afterFailure({ ...held, failures: 20 }, undefined, 0.74 * HOUR_MS, () => 1);
  assert.deepEqual(nextAction(failed, 0.7495 * HOUR_MS), { kind: 'wait', untilMs: 0.75 * HOUR_MS });
  assert.equal(certificateHealth(failed, 0.75 * HOUR_MS - 1), 'good');
  assert.equal(certificateHealth(failed, 0.75 * HOUR_MS), 'overdue');
  assert.equal(certificateHealth(failed, HOUR_MS), 'expired');
});

test('failed renewals are repeated ever more slowly, but often enough before the end', () => {
  let state: RenewalState = held;
  let nowMs = HOUR_MS / 2;
  const waits: number[] = [];
  for (let i = 0; i < 10; i++) {
    state = afterFailure(state, undefined, nowMs, () => 1);
    waits.push(state.nextTryMs - nowMs);
    nowMs = state.nextTryMs;
  }
  assert.deepEqual(waits.slice(0, 4), [1_000, 2_000, 4_000, 8_000]);
  assert.equal(waits.at(-1), 60_000);
  const short = afterIssued(NOTHING_HELD, { receivedMs: 0, notAfterMs: 20_000 }, middle);
  assert.ok(afterFailure({ ...short, failures: 30 }, undefined, 10_000, () => 1).nextTryMs <= 11_000);
});

test('a certificate that has ended is renewed late, at once, with or without a token', () => {
  assert.deepEqual(nextAction(held, HOUR_MS), { kind: 'renew-late' });
  assert.deepEqual(nextAction(held, 24 * HOUR_MS), { kind: 'renew-late' });
  assert.deepEqual(nextAction(afterToken(held, HOUR_MS), HOUR_MS), { kind: 'renew-late' });
});

test('late renewal is tried often while the control plane is away', () => {
  let state: RenewalState = { ...held, nextTryMs: HOUR_MS };
  for (let nowMs = HOUR_MS, tries = 0; tries < 20; tries++, nowMs = state.nextTryMs) {
    assert.deepEqual(nextAction(state, nowMs), { kind: 'renew-late' });
    state = afterFailure(state, undefined, nowMs, () => 0.999);
    assert.ok(state.nextTryMs - nowMs <= 2_000);
  }
});

test('a renewal that fails shortly before the end is tried again at the end, not later', () => {
  const failed = afterFailure({ ...held, failures: 20 }, undefined, HOUR_MS - 100, () => 0.5);
  assert.equal(failed.nextTryMs, HOUR_MS);
  assert.deepEqual(nextAction(failed, HOUR_MS), { kind: 'renew-late' });
});

test('when the ended certificate is refused a token joins, and without one it is tried now and then', () => {
  const refused = afterFailure(afterToken(held, HOUR_MS), 'ended-certificate', HOUR_MS, middle);
  assert.deepEqual(nextAction(refused, HOUR_MS), { kind: 'join' });
  const alone = afterFailure({ ...held, nextTryMs: HOUR_MS }, 'ended-certificate', HOUR_MS, middle);
  assert.deepEqual(nextAction(alone, HOUR_MS), { kind: 'wait', untilMs: HOUR_MS + 60_000 });
  assert.deepEqual(nextAction(alone, HOUR_MS + 60_000), { kind: 'renew-late' });
  const offered = afterToken(alone, HOUR_MS + 1);
  assert.deepEqual(nextAction(offered, HOUR_MS + 1), { kind: 'join' });
  assert.equal(afterIssued(refused, { receivedMs: HOUR_MS, notAfterMs: 2 * HOUR_MS }, middle).isLateRefused, false);
});

test('a token that comes while a certificate is good is kept until it is needed', () => {
  const offered = afterToken(held, 1_000);
  assert.equal(offered.nextTryMs, held.nextTryMs);
  assert.equal(nextAction(offered, 1_000).kind, 'wait');
  assert.equal(nextAction({ ...offered, nextTryMs: HOUR_MS, isLateRefused: true }, HOUR_MS).kind, 'join');
});

test('a refused token is not tried again, other failures are', () => {
  const joining = afterToken(NOTHING_HELD, 0);
  const refused = afterFailure(joining, 'token', 10, middle);
  assert.deepEqual(nextAction(refused, 1e9), { kind: 'wait', untilMs: undefined });
  const failed = afterFailure(joining, undefined, 10, middle);
  const wait = nextAction(failed, 10);
  assert.ok(wait.kind === 'wait' && wait.untilMs !== undefined && wait.untilMs > 10 && wait.untilMs <= 210);
  assert.deepEqual(nextAction(failed, wait.untilMs), { kind: 'join' });
});

test('when the roots have changed a certificate is renewed soon, each in its own moment', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.integer({ min: 2_000, max: 24 * HOUR_MS }),
      (dice, lifeMs) => {
        const fresh = afterIssued(NOTHING_HELD, { receivedMs: 0, notAfterMs: lifeMs }, middle);
        const { rootsDueMs = Infinity } = afterRoots(fresh, 'new old', false, 100, () => dice);
        assert.ok(rootsDueMs >= 100 && rootsDueMs <= 100 + Math.min(30_000, lifeMs / 4));
      },
    ),
  );
  const due = afterRoots(held, 'new old', false, 1_000, middle);
  assert.deepEqual(nextAction(due, 1_000), { kind: 'wait', untilMs: 16_000 });
  assert.deepEqual(nextAction(due, 16_000), { kind: 'renew' });
  assert.equal(
    afterRoots(due, 'new old', false, 2_000, () => 0),
    due,
    'planned once',
  );
  assert.equal(afterRoots(due, 'old new', false, 2_000, () => 0.999).rootsDueMs, 16_000, 'another change does not put it off');
});

test('roots that the certificate came with change nothing, also where others were told a moment before', () => {
  assert.equal(afterRoots(held, 'old', true, 5, middle), held);
  assert.equal(afterRoots(NOTHING_HELD, 'old', false, 5, middle), NOTHING_HELD);
  const due = afterRoots(held, 'new old', false, 5, middle);
  assert.deepEqual(nextAction(afterRoots(due, 'old', true, 6, middle), 6), nextAction(held, 6));
});

test('where renewal brings no other root the schedule holds, and one that fails is repeated like any other', () => {
  const due = afterRoots(held, 'new old', false, 0, () => 0);
  const again = afterIssued(due, { receivedMs: 1, notAfterMs: HOUR_MS }, middle);
  assert.equal(afterRoots(again, 'new old', false, 2, middle), again);
  assert.equal(nextAction(again, 60_000).kind, 'wait');
  const failed = afterFailure(due, undefined, 1, () => 1);
  assert.equal(afterRoots(failed, 'new old', false, 2, middle), failed);
  assert.deepEqual(nextAction(failed, 2), { kind: 'wait', untilMs: 1_001 });
  assert.deepEqual(nextAction(failed, 1_001), { kind: 'renew' });
});

test('whatever happens, a wait lies ahead and a valid certificate is never joined over', () => {
  const event = fc.oneof(
    fc.record({ kind: fc.constant('issued' as const), lifeMs: fc.integer({ min: 1, max: 10 * HOUR_MS }) }),
    fc.record({
      kind: fc.constant('failed' as const),
      refused: fc.constantFrom('token' as const, 'ended-certificate' as const, undefined),
    }),
    fc.record({ kind: fc.constant('token' as const) }),
    fc.record({ kind: fc.constant('roots' as const), roots: fc.constantFrom('a', 'b'), areHeld: fc.boolean() }),
    fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 20 * HOUR_MS }) }),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (events, dice) => {
      let state = NOTHING_HELD;
      let nowMs = 1_000;
      for (const step of events) {
        if (step.kind === 'issued') state = afterIssued(state, { receivedMs: nowMs, notAfterMs: nowMs + step.lifeMs }, () => dice);
        else if (step.kind === 'failed') state = afterFailure(state, step.refused, nowMs, () => dice);
        else if (step.kind === 'roots') state = afterRoots(state, step.roots, step.areHeld, nowMs, () => dice);
        else if (step.kind === 'token') state = afterToken(state, nowMs);
        else nowMs += step.ms;
        const valid = state.certificate !== undefined && nowMs < state.certificate.notAfterMs;
        const action = nextAction(state, nowMs);
        if (action.kind === 'wait' && action.untilMs !== undefined) assert.ok(action.untilMs > nowMs);
        if (action.kind === 'wait' && action.untilMs === undefined) assert.ok(state.certificate === undefined && !state.hasToken);
        if (action.kind === 'renew') assert.ok(valid);
        if (action.kind === 'renew-late') assert.ok(!valid && state.certificate !== undefined);
        if (action.kind === 'join') assert.ok(!valid && state.hasToken);
      }
    }),
    { numRuns: 300 },
  );
});
