// Restarting one instance after the other: what is done in which order, and when it stops.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_NAMESPACE, type Instance } from '@heddle/core';
import type { LeaveStatus } from './proxy-admin.ts';
import { restartOneByOne, type RollingStep, type RollingTarget } from './rolling.ts';

const LEFT: LeaveStatus = { phase: 'left', outcome: 'complete', dataPlanes: 2, acknowledged: 2, stragglers: [], activeRequests: 0 };
const TIMED_OUT: LeaveStatus = { ...LEFT, outcome: 'timed-out', acknowledged: 1, stragglers: ['edge'] };

class Bench {
  readonly done: string[] = [];
  readonly steps: RollingStep[] = [];
  left: LeaveStatus | undefined = LEFT;
  runs = true;
  starts = true;
  /** How often the registry has to be asked until the instance is healthy. */
  unhealthyFor = 1;

  target(id: string): RollingTarget {
    const note = (what: string): void => void this.done.push(`${id} ${what}`);
    const isRunning = (): boolean => this.runs;
    return {
      id,
      process: {
        service: { namespace: DEFAULT_NAMESPACE, name: 'orders' },
        get status() {
          return { pid: 7, running: isRunning(), crashLoop: false, restarts: 0 };
        },
        leave: (tellMs) => {
          note(`leave ${tellMs}`);
          return Promise.resolve(this.left);
        },
        relaunch: () => {
          note('relaunch');
          return Promise.resolve(this.starts);
        },
        return: () => {
          note('return');
          return Promise.resolve();
        },
      },
    };
  }

  async restart(force = false, aborted = new AbortController().signal): Promise<boolean> {
    return await restartOneByOne({
      targets: [this.target('orders-1'), this.target('orders-2')],
      tellMs: 5,
      force,
      instance: ({ id }) => {
        this.done.push(`${id} asked`);
        this.unhealthyFor -= 1;
        return Promise.resolve({ health: this.unhealthyFor >= 0 ? 'starting' : 'healthy' } as Instance);
      },
      onStep: (step) => this.steps.push(step),
      aborted,
    });
  }
}

describe('instances restarted one by one', () => {
  it('leave, are started again, return, and are healthy before the next one is touched', async () => {
    const bench = new Bench();
    assert.equal(await bench.restart(), true);
    assert.deepEqual(bench.done, [
      ...['orders-1 leave 5', 'orders-1 relaunch', 'orders-1 return', 'orders-1 asked', 'orders-1 asked'],
      ...['orders-2 leave 5', 'orders-2 relaunch', 'orders-2 return', 'orders-2 asked'],
    ]);
    assert.deepEqual(
      bench.steps.map(({ step }) => step),
      ['leaving', 'stopping', 'started', 'healthy', 'leaving', 'stopping', 'started', 'healthy'],
    );
  });

  it('go back into rotation unharmed when some data planes may still choose them, and say who', async () => {
    const bench = new Bench();
    bench.left = TIMED_OUT;
    assert.equal(await bench.restart(), false);
    assert.deepEqual(bench.done, ['orders-1 leave 5', 'orders-1 return']);
    assert.match(bench.steps.at(-1)?.message ?? '', /was not restarted: it would stop although 1 data plane may still choose it: edge/);
  });

  it('are restarted all the same when that is asked for', async () => {
    const bench = new Bench();
    bench.left = TIMED_OUT;
    assert.equal(await bench.restart(true), true);
    assert.deepEqual(
      bench.steps.filter(({ step }) => step === 'warned').map(({ instance }) => instance),
      ['orders-1', 'orders-2'],
    );
  });

  it('stop at the first that does not run, does not start, or is interrupted', async () => {
    const idle = new Bench();
    idle.runs = false;
    assert.equal(await idle.restart(), false);
    assert.deepEqual(idle.done, []);
    const broken = new Bench();
    broken.starts = false;
    assert.equal(await broken.restart(), false);
    assert.deepEqual(broken.done, ['orders-1 leave 5', 'orders-1 relaunch', 'orders-1 return']);
    const interrupted = new Bench();
    assert.equal(await interrupted.restart(false, AbortSignal.abort()), false);
    assert.deepEqual(interrupted.done, ['orders-1 leave 5']);
  });
});
