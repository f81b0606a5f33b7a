// Leaving rotation: what is waited for, how long, and what is said where nobody can be told.
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { type LogLine, recordingLogger, TestClock } from '../identity/testing/control.ts';
import { Leave, type LeavingRegistration, SETTLE_MS, SPREAD_MS } from './leave.ts';
import type { DrainNews, DrainReport } from './registration.ts';

const REPORT: DrainReport = { outcome: 'waiting', dataPlanes: 2, acknowledged: 1, gone: 0, stragglers: ['slow'] };

class Bench implements LeavingRegistration {
  readonly clock = new TestClock();
  readonly lines: LogLine[] = [];
  readonly asked: number[] = [];
  registered = true;
  news: DrainNews | undefined;
  active = 0;
  onDrainNews: (() => void) | undefined;

  get state(): { readonly registered: boolean } {
    return { registered: this.registered };
  }

  get drainNews(): DrainNews | undefined {
    return this.news;
  }

  drain(timeoutMs: number): void {
    this.asked.push(timeoutMs);
  }

  leave(finishMs = 10_000): Leave {
    const activeRequests = (): Promise<number> => Promise.resolve(this.active);
    return new Leave({
      ...{ registration: this, tellMs: 30_000, finishMs, activeRequests },
      ...{ clock: this.clock, logger: recordingLogger(this.lines) },
    });
  }

  say(news: DrainNews): void {
    this.news = news;
    this.onDrainNews?.();
  }

  /** Time passes in small steps, with what runs in between. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      this.clock.advance(10);
      await turn();
    }
  }
}

describe('a workload that leaves rotation', () => {
  it('has left as soon as all have acknowledged and nothing is under way, and not before', async () => {
    const bench = new Bench();
    bench.active = 1;
    const leave = bench.leave();
    assert.deepEqual(bench.asked, [30_000]);
    bench.say(REPORT);
    const { outcome: _, ...numbers } = REPORT;
    assert.deepEqual(leave.status(), { phase: 'telling', outcome: 'waiting', ...numbers, activeRequests: 0 });
    await bench.pass(1_000);
    bench.say({ ...REPORT, outcome: 'complete', acknowledged: 2, stragglers: [] });
    await bench.pass(500);
    assert.deepEqual([leave.status().phase, leave.status().activeRequests], ['finishing', 1]);
    bench.active = 0;
    await bench.pass(SETTLE_MS / 2);
    assert.equal(leave.status().phase, 'finishing');
    await bench.pass(SETTLE_MS);
    assert.deepEqual([leave.status().phase, leave.status().outcome], ['left', 'complete']);
    await leave.done;
    assert.equal(bench.clock.sleepers, 0);
  });

  it('goes on when the time is over: with the names of those that are left, and with what is under way', async () => {
    const bench = new Bench();
    bench.active = 3;
    const leave = bench.leave(1_000);
    bench.say({ ...REPORT, outcome: 'timed-out' });
    await bench.pass(1_100);
    const { phase, outcome, stragglers, activeRequests } = leave.status();
    assert.deepEqual(
      { phase, outcome, stragglers, activeRequests },
      { phase: 'left', outcome: 'timed-out', stragglers: ['slow'], activeRequests: 3 },
    );
    assert.deepEqual(
      bench.lines.map(({ level }) => level),
      ['warn', 'warn'],
    );
  });

  it('waits a moment, and says so, where there is no control plane or one that tells nothing of it', async () => {
    for (const why of ['away', 'unsupported'] as const) {
      const bench = new Bench();
      bench.registered = why !== 'away';
      const leave = bench.leave();
      if (why === 'unsupported') bench.say('unsupported');
      await bench.pass(SPREAD_MS - 20);
      assert.equal(leave.status().outcome, 'waiting');
      await bench.pass(40);
      assert.equal(await leave.told, 'untold');
      assert.match(bench.lines[0]?.message ?? '', /nobody can say/);
    }
  });

  it('does not wait for ever for a control plane that went in the middle of it', async () => {
    const bench = new Bench();
    const leave = bench.leave();
    bench.say(REPORT);
    bench.registered = false;
    bench.onDrainNews?.();
    await bench.pass(4_900);
    assert.equal(leave.status().outcome, 'waiting');
    await bench.pass(200);
    assert.equal(await leave.told, 'untold');
    const silent = new Bench();
    const other = silent.leave();
    await silent.pass(31_100);
    assert.equal(await other.told, 'timed-out');
  });

  it('can be given up', async () => {
    const bench = new Bench();
    const leave = bench.leave();
    leave.cancel();
    assert.equal(await leave.told, 'returned');
    await leave.done;
    assert.equal(bench.clock.sleepers, 0);
  });
});
