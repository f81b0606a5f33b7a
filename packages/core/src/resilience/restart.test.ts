// When a crashed process is started again.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_RESTART_POLICY, RestartMachine } from './restart.ts';

const policy = {
  backoff: { baseMs: 100, maxMs: 1_000, factor: 2 },
  crashLoopAfter: 3,
  crashWindowMs: 10_000,
  crashLoopDelayMs: 5_000,
  stableAfterMs: 4_000,
};
const machine = (value = 0.5): RestartMachine => new RestartMachine(policy, () => value);

describe('the restart machine', () => {
  it('waits longer after each crash', () => {
    const restarts = machine();
    restarts.started(0);
    assert.equal(restarts.crashed(10), 'backoff');
    assert.equal(restarts.nextTimeoutMs(), 10 + 50);
    assert.equal(restarts.handleTimeout(59), undefined);
    assert.equal(restarts.handleTimeout(60), 'start');
    restarts.started(60);
    assert.equal(restarts.crashed(70), 'backoff');
    assert.equal(restarts.nextTimeoutMs(), 70 + 100);
  });

  it('asks for one start only', () => {
    const restarts = machine();
    restarts.crashed(0);
    assert.equal(restarts.handleTimeout(1_000), 'start');
    assert.equal(restarts.handleTimeout(1_001), undefined);
    assert.equal(restarts.nextTimeoutMs(), undefined);
  });

  it('enters a crash loop after so many crashes within the window, and still starts again, seldom', () => {
    const restarts = machine();
    restarts.crashed(0);
    restarts.crashed(100);
    assert.equal(restarts.crashed(200), 'crash-loop');
    assert.equal(restarts.nextTimeoutMs(), 200 + 3_750);
    assert.equal(restarts.handleTimeout(3_950), 'start');
    restarts.started(3_950);
    assert.equal(restarts.state, 'running');
    assert.equal(restarts.crashed(4_000), 'crash-loop');
  });

  it('does not call it a crash loop when the crashes lie far apart', () => {
    const restarts = machine();
    for (const atMs of [0, 6_000, 12_000, 18_000]) assert.equal(restarts.crashed(atMs), 'backoff');
  });

  it('forgets the crashes of a process that has run stably', () => {
    const restarts = machine();
    restarts.crashed(0);
    restarts.crashed(10);
    restarts.started(100);
    assert.equal(restarts.nextTimeoutMs(), 4_100);
    assert.equal(restarts.handleTimeout(4_100), undefined);
    assert.equal(restarts.crashes, 0);
    assert.equal(restarts.crashed(4_200), 'backoff');
    assert.equal(restarts.nextTimeoutMs(), 4_200 + 50);
  });

  it('forgets them too when nobody called handleTimeout in between', () => {
    const restarts = machine();
    restarts.crashed(0);
    restarts.crashed(10);
    restarts.started(100);
    assert.equal(restarts.crashed(4_100), 'backoff');
    assert.equal(restarts.crashes, 1);
  });

  it('stays down once stopped, until it is reset', () => {
    const restarts = machine();
    restarts.started(0);
    restarts.stop();
    assert.equal(restarts.crashed(1), 'stopped');
    restarts.started(2);
    assert.equal(restarts.state, 'stopped');
    assert.equal(restarts.nextTimeoutMs(), undefined);
    restarts.reset();
    restarts.started(3);
    assert.equal(restarts.state, 'running');
  });

  it('never starts at once, and never waits longer than the policy says (property)', () => {
    const value = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 40_000 }), value), { maxLength: 40 }), (steps) => {
        let drawn = 0;
        const restarts = new RestartMachine(DEFAULT_RESTART_POLICY, () => drawn);
        let nowMs = 0;
        for (const [ranMs, next] of steps) {
          drawn = next;
          restarts.started(nowMs);
          nowMs += ranMs;
          restarts.crashed(nowMs);
          const atMs = restarts.nextTimeoutMs() as number;
          assert.ok(atMs > nowMs && atMs - nowMs <= DEFAULT_RESTART_POLICY.crashLoopDelayMs);
          nowMs = atMs;
          assert.equal(restarts.handleTimeout(nowMs), 'start');
        }
      }),
    );
  });
});
