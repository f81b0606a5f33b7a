// Waiting for data planes: who counts, who is named, and when it is over.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Confirmation } from '@heddle/api';
import { ManualClock } from '../testing/clock.ts';
import { SyncDesk } from './sync-desk.ts';

class Stream {
  readonly node: string;
  has: Confirmation;
  readonly session = { holdsAll: () => this.has };
  constructor(node: string, has: Confirmation) {
    this.node = node;
    this.has = has;
  }
}

function desk(...streams: Stream[]): { desk: SyncDesk; clock: ManualClock; open: Set<Stream> } {
  const clock = new ManualClock();
  const open = new Set(streams);
  return { clock, open, desk: new SyncDesk({ streams: () => open, clock }) };
}

test('each data plane counts once it was seen with everything, whatever changes after that', async () => {
  const [a, b, unnamed] = [new Stream('a', 'yes'), new Stream('b', 'unacknowledged'), new Stream('', 'unacknowledged')];
  const { desk: syncs, clock } = desk(a, b, unnamed);
  let steps = 0;
  const wait = syncs.begin(10_000, () => (steps += 1));
  assert.deepEqual(wait.progress(), {
    outcome: 'waiting',
    dataPlanes: 2,
    acknowledged: 1,
    gone: 0,
    stragglers: [{ node: 'b', reason: 'unacknowledged' }],
  });
  a.has = 'unacknowledged';
  b.has = 'refused';
  syncs.progressed(b);
  assert.deepEqual(wait.progress().stragglers, [{ node: 'b', reason: 'refused' }]);
  b.has = 'yes';
  // Nothing is told of a stream that had nothing to be sent.
  clock.advance(100);
  assert.equal((await wait.done).outcome, 'complete');
  assert.ok(steps >= 3);
  assert.equal(clock.pending, 0);
});

test('a stream that breaks is waited for until its data plane is back, or was away for long; the others are named when the time is over', async () => {
  const [a, b, c] = [new Stream('a', 'unacknowledged'), new Stream('b', 'unacknowledged'), new Stream('c', 'unacknowledged')];
  const { desk: syncs, clock, open } = desk(a, b, c);
  const wait = syncs.begin(20_000);
  for (const lost of [a, b]) {
    open.delete(lost);
    syncs.ended(lost);
  }
  assert.deepEqual(
    wait.progress().stragglers.map(({ reason }) => reason),
    ['disconnected', 'disconnected', 'unacknowledged'],
  );
  const again = new Stream('a', 'yes');
  open.add(again);
  syncs.progressed(again);
  clock.advance(20_000);
  assert.deepEqual(await wait.done, {
    outcome: 'timed-out',
    dataPlanes: 3,
    acknowledged: 1,
    gone: 1,
    stragglers: [{ node: 'c', reason: 'unacknowledged' }],
  });
});
