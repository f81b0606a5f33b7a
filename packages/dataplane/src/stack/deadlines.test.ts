// Deadlines on a clock that the test turns by hand.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Clock } from '@heddle/runtime';
import fc from 'fast-check';
import { Deadlines, Timed } from './deadlines.ts';

class ManualClock implements Clock {
  now = 0;
  private timers: { atMs: number; run: () => void }[] = [];

  wallMs(): number {
    return this.now;
  }

  nowMs(): number {
    return this.now;
  }

  after(delayMs: number, run: () => void): { cancel(): void } {
    const timer = { atMs: this.now + delayMs, run };
    this.timers.push(timer);
    return { cancel: () => void (this.timers = this.timers.filter((other) => other !== timer)) };
  }

  get waiting(): number {
    return this.timers.length;
  }

  advance(toMs: number): void {
    for (;;) {
      const next = this.timers.filter((timer) => timer.atMs <= toMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.timers.splice(this.timers.indexOf(next), 1);
      this.now = Math.max(this.now, next.atMs);
      next.run();
    }
    this.now = toMs;
  }
}

class Owner extends Timed {
  readonly fired: number[] = [];
  onFire: () => void = () => {};

  override onDeadline(nowMs: number): void {
    this.fired.push(nowMs);
    this.onFire();
  }
}

describe('deadlines', () => {
  test('fire once, never early, and at most one slot late', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 40_000 }), { minLength: 1, maxLength: 40 }), (delays) => {
        const clock = new ManualClock();
        const deadlines = new Deadlines(clock);
        const owners = delays.map((delayMs) => {
          const owner = new Owner();
          deadlines.set(owner, delayMs);
          return { owner, delayMs };
        });
        clock.advance(60_000);
        for (const { owner, delayMs } of owners) {
          assert.equal(owner.fired.length, 1);
          assert.ok(owner.fired[0]! >= delayMs && owner.fired[0]! <= delayMs + 41, `${delayMs} fired at ${owner.fired[0]}`);
        }
        assert.equal(clock.waiting, 0);
      }),
    );
  });

  test('may be moved later and earlier, and taken back', () => {
    const clock = new ManualClock();
    const deadlines = new Deadlines(clock);
    const [later, earlier, gone] = [new Owner(), new Owner(), new Owner()];
    deadlines.set(later, 100);
    deadlines.set(later, 5_000);
    deadlines.set(earlier, 5_000);
    deadlines.set(earlier, 100);
    deadlines.set(gone, 100);
    deadlines.remove(gone);
    clock.advance(1_000);
    assert.deepEqual([later.fired.length, earlier.fired.length, gone.fired.length], [0, 1, 0]);
    clock.advance(6_000);
    assert.deepEqual([later.fired.length, earlier.fired.length, gone.fired.length], [1, 1, 0]);
  });

  test('owners may set and remove one another while they fire', () => {
    const clock = new ManualClock();
    const deadlines = new Deadlines(clock);
    const owners = [new Owner(), new Owner(), new Owner(), new Owner()];
    for (const owner of owners) {
      deadlines.set(owner, 100);
      owner.onFire = () => {
        for (const other of owners) if (other !== owner) deadlines.remove(other);
        deadlines.set(owner, clock.now + 50);
        owner.onFire = () => {};
      };
    }
    clock.advance(1_000);
    assert.deepEqual(
      owners.map((owner) => owner.fired.length).sort((a, b) => a - b),
      [0, 0, 0, 2],
    );
  });

  test('sleep while there is none', () => {
    const clock = new ManualClock();
    const deadlines = new Deadlines(clock);
    assert.equal(clock.waiting, 0);
    const owner = new Owner();
    clock.advance(100_000);
    deadlines.set(owner, 100_100);
    assert.equal(clock.waiting, 1);
    clock.advance(100_200);
    assert.equal(owner.fired.length, 1);
    assert.equal(clock.waiting, 0);
  });
});
