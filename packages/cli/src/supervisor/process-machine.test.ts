import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_RESTART_POLICY } from '@heddle/core';
import { describeExit, KILL_GRACE_MS, ProcessMachine, type ProcessAction, type ProcessPolicy } from './process-machine.ts';

const POLICY: ProcessPolicy = { restart: DEFAULT_RESTART_POLICY, stopTimeoutMs: 1_000, livenessAfterMs: 5_000 };
const CRASH = { code: 1, signal: null };

function running(policy = POLICY): ProcessMachine {
  const machine = new ProcessMachine(policy, () => 0.5);
  assert.deepEqual(machine.start(), [{ kind: 'launch' }]);
  assert.deepEqual(machine.launched(0), []);
  return machine;
}

/** One crash at the given time; returns when the next launch is due. */
function crash(machine: ProcessMachine, nowMs: number): number {
  machine.exited(CRASH, nowMs);
  machine.groupGone(nowMs);
  return machine.nextTimeoutMs()!;
}

const kinds = (actions: readonly ProcessAction[]): string[] =>
  actions.map((action) => (action.kind === 'signal' ? action.signal : action.kind));

describe('a supervised process', () => {
  it('is launched again after a crash, later after each further one', () => {
    const machine = running();
    let nowMs = 100;
    const waits: number[] = [];
    for (let i = 0; i < 4; i++) {
      const atMs = crash(machine, nowMs);
      waits.push(atMs - nowMs);
      assert.deepEqual(machine.handleTimeout(atMs - 1), []);
      assert.deepEqual(machine.handleTimeout(atMs), [{ kind: 'launch' }]);
      machine.launched(atMs);
      nowMs = atMs + 10;
    }
    assert.deepEqual(
      waits,
      waits.toSorted((a, b) => a - b),
    );
    assert.equal(machine.restarts, 4);
  });

  it('is in a crash loop after five crashes, and still tried again', () => {
    const machine = running();
    let nowMs = 0;
    for (let i = 0; i < 5; i++) {
      nowMs = crash(machine, nowMs);
      if (i === 4) assert.equal(machine.crashLoop, true);
      assert.deepEqual(machine.handleTimeout(nowMs), [{ kind: 'launch' }]);
      machine.launched(nowMs);
    }
    assert.equal(machine.crashLoop, false);
    assert.equal(machine.phase, 'running');
  });

  it('is launched again at once when it is restarted on purpose, which is no crash', () => {
    const machine = running();
    for (let round = 1; round <= 10; round += 1) {
      assert.deepEqual(kinds(machine.relaunch(100) ?? []), ['SIGTERM']);
      assert.equal(machine.relaunch(101), undefined);
      machine.exited({ code: 0, signal: null }, 150);
      assert.deepEqual(kinds(machine.groupGone(200)), ['launch']);
      machine.launched(250);
      assert.equal(machine.restarts, round);
    }
    assert.equal(machine.crashLoop, false);
    machine.relaunch(300);
    machine.stop(310);
    machine.exited({ code: 0, signal: null }, 320);
    assert.deepEqual(kinds(machine.groupGone(330)), ['stopped']);
    assert.equal(machine.relaunch(340), undefined);
  });

  it('is not launched again before its whole group is gone', () => {
    const machine = running();
    assert.deepEqual(kinds(machine.exited(CRASH, 10)), ['SIGTERM']);
    assert.equal(machine.phase, 'ending');
    assert.deepEqual(kinds(machine.handleTimeout(10 + POLICY.stopTimeoutMs)), ['tell', 'SIGKILL']);
    machine.groupGone(1_020);
    assert.equal(machine.phase, 'waiting');
  });

  it('is killed when it does not end in time, and given up when even that does not help', () => {
    const machine = running();
    assert.deepEqual(kinds(machine.stop(0)), ['SIGTERM']);
    assert.deepEqual(machine.handleTimeout(999), []);
    assert.deepEqual(kinds(machine.handleTimeout(1_000)), ['tell', 'SIGKILL']);
    assert.deepEqual(kinds(machine.handleTimeout(1_000 + KILL_GRACE_MS)), ['tell', 'stopped']);
  });

  it('stays down once stopped', () => {
    const machine = running();
    machine.stop(0);
    assert.deepEqual(kinds(machine.groupGone(5)), ['stopped']);
    assert.equal(machine.nextTimeoutMs(), undefined);
    assert.deepEqual(machine.handleTimeout(1e9), []);
    assert.deepEqual(machine.start(), []);
  });

  it('stops at once while it waits for its next launch', () => {
    const machine = running();
    crash(machine, 0);
    assert.deepEqual(kinds(machine.stop(1)), ['stopped']);
  });

  it('is ended as soon as it is there when it was stopped while being launched', () => {
    const machine = new ProcessMachine(POLICY, () => 0.5);
    machine.start();
    assert.deepEqual(machine.stop(0), []);
    assert.deepEqual(kinds(machine.launched(1)), ['SIGTERM']);
  });

  it('says why it is down and when it starts again, also while others of its group are still being ended', () => {
    const reasons = (actions: readonly ProcessAction[]): string[] =>
      actions.flatMap((action) => (action.kind === 'down' ? [action.reason] : []));
    const machine = running();
    const killed = { code: null, signal: 'SIGKILL' };
    assert.deepEqual(reasons(machine.exited(killed, 10)), []);
    assert.deepEqual(reasons(machine.groupGone(10)), ['its process was killed by SIGKILL; starts again in 100 ms']);
    machine.handleTimeout(110);
    machine.launched(110);
    assert.deepEqual(reasons(machine.exited(CRASH, 200, true)), ['its process ended with exit code 1; what it has started is being ended']);
    assert.deepEqual(reasons(machine.groupGone(300)), ['its process ended with exit code 1; starts again in 200 ms']);
    let nowMs = machine.nextTimeoutMs()!;
    for (let crashes = 3; crashes <= 5; crashes++) {
      machine.handleTimeout(nowMs);
      assert.deepEqual(kinds(machine.launchFailed('no such directory', nowMs)), ['down', 'tell']);
      nowMs = machine.nextTimeoutMs()!;
    }
    machine.handleTimeout(nowMs);
    const [told] = reasons(machine.launchFailed('no such directory', nowMs));
    assert.match(
      told ?? '',
      /^its process could not be started: no such directory; crash loop \(6 crashes in a row\), starts again in \d+ s$/,
    );
  });

  it('is not called down when it ends because somebody has asked for it', () => {
    for (const ask of [
      (machine: ProcessMachine) => machine.stop(10),
      (machine: ProcessMachine) => machine.kill(10),
      (machine: ProcessMachine) => machine.relaunch(10),
    ]) {
      const machine = running();
      const actions = [...(ask(machine) ?? []), ...machine.exited(CRASH, 20, true), ...machine.groupGone(30)];
      assert.ok(!kinds(actions).includes('down'), JSON.stringify(actions));
    }
  });

  it('is killed without grace on demand, also when it is already ending', () => {
    assert.deepEqual(kinds(running().kill(0)), ['SIGKILL']);
    const ending = running();
    ending.stop(0);
    assert.deepEqual(kinds(ending.kill(1)), ['SIGKILL']);
  });

  it('is restarted when it was healthy and stays unhealthy', () => {
    const machine = running();
    machine.verdict('unhealthy', 0);
    assert.equal(machine.nextTimeoutMs(), undefined, 'a process that was never healthy is left to start');
    machine.verdict('healthy', 10);
    machine.verdict('unhealthy', 20);
    machine.verdict('unhealthy', 3_000);
    assert.equal(machine.nextTimeoutMs(), 5_020);
    assert.deepEqual(kinds(machine.handleTimeout(5_020)), ['tell', 'SIGTERM']);
    machine.groupGone(5_030);
    assert.equal(machine.phase, 'waiting');
  });

  it('is not restarted when it recovers, or when nobody knows', () => {
    for (const verdict of ['healthy', 'unknown'] as const) {
      const machine = running();
      machine.verdict('healthy', 0);
      machine.verdict('unhealthy', 10);
      machine.verdict(verdict, 4_000);
      assert.equal(machine.nextTimeoutMs(), undefined);
    }
  });

  it('is not blamed for the verdict about the process before it', () => {
    const machine = running();
    machine.verdict('healthy', 10);
    machine.handleTimeout(crash(machine, 20));
    machine.launched(500);
    // The registry learns of the crash only now, while the new process still starts.
    machine.verdict('unhealthy', 1_000);
    assert.ok((machine.nextTimeoutMs() ?? Infinity) > 1_000 + POLICY.livenessAfterMs);
    machine.verdict('healthy', 8_000);
    machine.verdict('unhealthy', 9_000);
    assert.equal(machine.nextTimeoutMs(), 9_000 + POLICY.livenessAfterMs);
  });

  it('is restarted too when it came back so quickly that the registry never noticed', () => {
    const machine = running();
    machine.verdict('healthy', 10);
    machine.handleTimeout(crash(machine, 20));
    machine.launched(500);
    machine.verdict('unhealthy', 20_000);
    assert.deepEqual(kinds(machine.handleTimeout(25_000)), ['tell', 'SIGTERM']);
  });

  it('counts a launch that failed as a crash, and says why', () => {
    const machine = new ProcessMachine(POLICY, () => 0.5);
    machine.start();
    const said = machine.launchFailed('the command "nix" is not on PATH', 0).find(({ kind }) => kind === 'tell');
    assert.match(said?.kind === 'tell' ? said.message : '', /nix.*not on PATH; restarting in/);
    assert.equal(machine.phase, 'waiting');
  });

  it('never launches twice at once and always reaches the end, whatever happens in whatever order', () => {
    const event = fc.constantFrom('launched', 'failed', 'exited', 'gone', 'healthy', 'unhealthy', 'timeout', 'stop', 'relaunch');
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const machine = new ProcessMachine(POLICY, () => 0.5);
        let nowMs = 0;
        let launching = 0;
        const take = (actions: readonly ProcessAction[]): void => {
          for (const { kind } of actions) if (kind === 'launch') launching++;
          assert.ok(launching <= 1);
        };
        take(machine.start());
        for (const name of events) {
          nowMs += 700;
          if (name === 'launched' || name === 'failed') {
            if (launching === 0) continue;
            launching = 0;
            take(name === 'launched' ? machine.launched(nowMs) : machine.launchFailed('no', nowMs));
          } else if (name === 'exited') take(machine.exited(CRASH, nowMs));
          else if (name === 'gone') take(machine.groupGone(nowMs));
          else if (name === 'timeout') take(machine.handleTimeout(nowMs));
          else if (name === 'stop') take(machine.stop(nowMs));
          else if (name === 'relaunch') take(machine.relaunch(nowMs) ?? []);
          else take(machine.verdict(name as 'healthy', nowMs));
        }
        take(machine.stop(nowMs));
        if (machine.phase === 'launching') take(machine.launched(nowMs));
        while (machine.nextTimeoutMs() !== undefined) take(machine.handleTimeout(machine.nextTimeoutMs()!));
        assert.equal(machine.phase, 'stopped');
      }),
    );
  });
});

it('an exit is told in words', () => {
  assert.equal(describeExit({ code: 3, signal: null }), 'ended with exit code 3');
  assert.equal(describeExit({ code: null, signal: 'SIGSEGV' }), 'was killed by SIGSEGV');
  assert.match(describeExit({ code: 127, signal: null }), /no such command/);
});
