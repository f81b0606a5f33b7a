// The drain barrier, decision by decision and against a plain model of it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DrainBarrier } from './barrier.ts';

const begun = (timeoutMs = 1_000): DrainBarrier<number> => new DrainBarrier<number>({ nowMs: 0, timeoutMs });

describe('the drain barrier', () => {
  it('is complete at once where no data plane could choose the instance', () => {
    const barrier = begun();
    assert.equal(barrier.outcome, 'waiting');
    barrier.begin();
    assert.deepEqual(barrier.progress(), { outcome: 'complete', dataPlanes: 0, acknowledged: 0, gone: 0, stragglers: [] });
    assert.equal(barrier.nextTimeoutMs(), undefined);
  });

  it('waits for every data plane that could, and names those that are left', () => {
    const barrier = begun();
    barrier.holds(1, 'b', 'unacknowledged');
    barrier.holds(2, 'a', 'refused');
    barrier.begin();
    barrier.confirmed(1);
    const stragglers = [{ node: 'a', reason: 'refused' }];
    assert.deepEqual(barrier.progress(), { outcome: 'waiting', dataPlanes: 2, acknowledged: 1, gone: 0, stragglers });
    barrier.confirmed(2);
    assert.equal(barrier.outcome, 'complete');
  });

  it('gives up at its bound, and stays with who was left then', () => {
    const barrier = begun();
    barrier.holds(1, 'a', 'unacknowledged');
    barrier.begin();
    assert.equal(barrier.nextTimeoutMs(), 1_000);
    barrier.handleTimeout(999);
    assert.equal(barrier.outcome, 'waiting');
    barrier.handleTimeout(1_000);
    barrier.confirmed(1);
    assert.equal(barrier.outcome, 'timed-out');
    assert.deepEqual(barrier.progress().stragglers, [{ node: 'a', reason: 'unacknowledged' }]);
  });

  it('waits for one that lost its stream until it is back, or gone for good', () => {
    const barrier = begun();
    barrier.lost(1, 'back', 500);
    barrier.lost(2, 'away', 500);
    barrier.begin();
    barrier.confirmed(1);
    assert.equal(barrier.nextTimeoutMs(), 500);
    barrier.handleTimeout(500);
    assert.deepEqual(barrier.progress(), { outcome: 'complete', dataPlanes: 2, acknowledged: 1, gone: 1, stragglers: [] });
  });

  it('counts a data plane with several streams once, by the one that is behind', () => {
    const barrier = begun();
    barrier.holds(1, 'a', 'unacknowledged');
    barrier.lost(2, 'a', 500);
    barrier.begin();
    barrier.confirmed(2);
    assert.deepEqual(barrier.progress().stragglers, [{ node: 'a', reason: 'unacknowledged' }]);
    barrier.confirmed(1);
    assert.deepEqual(barrier.progress(), { outcome: 'complete', dataPlanes: 1, acknowledged: 1, gone: 0, stragglers: [] });
  });

  it('ends when the instance is back in rotation', () => {
    const barrier = begun();
    barrier.holds(1, 'a', 'unacknowledged');
    barrier.begin();
    barrier.returned();
    barrier.handleTimeout(5_000);
    assert.equal(barrier.outcome, 'returned');
  });
});

type Step =
  | { readonly do: 'holds'; readonly id: number }
  | { readonly do: 'confirmed'; readonly id: number }
  | { readonly do: 'gone'; readonly id: number }
  | { readonly do: 'lost'; readonly id: number; readonly forMs: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'returned' };

const id = fc.integer({ min: 0, max: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('holds' as const), id }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('confirmed' as const), id }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('gone' as const), id }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('lost' as const), id, forMs: fc.integer({ min: 1, max: 400 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 200 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('returned' as const) }) },
);
/** Two streams for each data plane. */
const nodeOf = (stream: number): string => `node-${stream >> 1}`;

describe('the drain barrier (properties)', () => {
  it('is complete exactly when nobody is waited for, never changes its mind, and counts everybody once', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 4 }), fc.array(step, { maxLength: 60 }), (before, after) => {
        const barrier = begun();
        /** Who is waited for, and until when. */
        const open = new Map<number, number>();
        const seen = new Set<string>();
        let nowMs = 0;
        let final: string | undefined;
        const play = (one: Step, hasBegun: boolean): void => {
          if (one.do === 'holds') barrier.holds(one.id, nodeOf(one.id), 'unacknowledged');
          else if (one.do === 'lost') barrier.lost(one.id, nodeOf(one.id), nowMs + one.forMs);
          else if (one.do === 'confirmed') barrier.confirmed(one.id);
          else if (one.do === 'gone') barrier.gone(one.id);
          else if (one.do === 'returned') barrier.returned();
          else {
            nowMs += one.ms;
            barrier.handleTimeout(nowMs);
          }
          if (final !== undefined) return;
          if (one.do === 'holds') open.set(one.id, Infinity);
          if (one.do === 'lost') open.set(one.id, nowMs + one.forMs);
          if (one.do === 'holds' || one.do === 'lost') seen.add(nodeOf(one.id));
          if (one.do === 'confirmed' || one.do === 'gone') open.delete(one.id);
          if (one.do === 'pass') for (const [stream, untilMs] of open) if (untilMs <= nowMs) open.delete(stream);
          if (one.do === 'returned') final = 'returned';
          else if (hasBegun && open.size === 0) final = 'complete';
          else if (one.do === 'pass' && nowMs >= barrier.deadlineMs) final = 'timed-out';
        };
        for (const one of before) play(one, false);
        barrier.begin();
        if (final === undefined && open.size === 0) final = 'complete';
        for (const one of after) {
          play(one, true);
          assert.equal(barrier.outcome, final ?? 'waiting');
          const { dataPlanes, acknowledged, gone, stragglers } = barrier.progress();
          assert.equal(dataPlanes, seen.size);
          assert.equal(acknowledged + gone + stragglers.length, dataPlanes);
          assert.deepEqual(
            stragglers.map(({ node }) => node),
            [...new Set([...open.keys()].map(nodeOf))].sort(),
          );
          const nextMs = barrier.nextTimeoutMs();
          assert.equal(nextMs === undefined, final !== undefined);
          assert.ok(nextMs === undefined || nextMs > nowMs, 'what is due has been handled');
        }
      }),
    );
  });
});
