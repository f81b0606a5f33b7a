// The checks of a data plane's applications on a clock that the test moves; thresholds are those of core's ActiveCheck.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_RETRY_BUDGET, NO_BREAKER, SINGLE_BALANCE } from '@heddle/core';
import type { Cluster } from '@heddle/core';
import { nodeRandom } from '@heddle/runtime/node';
import { TestClock } from '../identity/testing/control.ts';
import { HealthMonitor, type SendProbe } from './health-monitor.ts';

interface Probe {
  readonly cluster: string;
  readonly port: number;
  readonly end: (failure?: string) => void;
  abandoned: boolean;
}

class Bench {
  readonly clock = new TestClock();
  readonly probes: Probe[] = [];
  readonly verdicts: string[] = [];
  readonly monitor: HealthMonitor;

  constructor() {
    const sendProbe: SendProbe = (cluster, onEnd) => {
      const endpoint = cluster.endpoints.kind === 'static' ? cluster.endpoints.endpoints[0] : undefined;
      const probe: Probe = { cluster: cluster.name, port: endpoint?.port ?? 0, end: (failure) => onEnd(failure), abandoned: false };
      this.probes.push(probe);
      return { abandon: () => void (probe.abandoned = true) };
    };
    const onVerdict = (cluster: string, { state, reason }: { state: string; reason: string }): void =>
      void this.verdicts.push(`${cluster} ${state}: ${reason}`);
    this.monitor = new HealthMonitor({ clock: this.clock, random: { ...nodeRandom, next: () => 0 }, sendProbe, onVerdict });
  }

  /** Lets time pass in steps as small as timers may need. */
  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 50) this.clock.advance(50);
  }

  /** Lets time pass until the next probe is sent. */
  next(): Probe {
    const sent = this.probes.length;
    for (let steps = 0; steps < 100 && this.probes.length === sent; steps++) this.clock.advance(50);
    assert.equal(this.probes.length, sent + 1, 'one probe within 5 s');
    return this.last;
  }

  get last(): Probe {
    const probe = this.probes.at(-1);
    assert.ok(probe !== undefined, 'no probe has been sent');
    return probe;
  }
}

function cluster(name: string, change: { port?: number; intervalMs?: number; health?: undefined } = {}): Cluster {
  const { port = 80, intervalMs = 1_000 } = change;
  return {
    name,
    service: { namespace: 'default', name: 'orders' },
    endpoints: { kind: 'static', endpoints: [{ address: '127.0.0.1', port, health: 'healthy', weight: 1, instance: 'orders-1' }] },
    balance: SINGLE_BALANCE,
    connectTimeoutMs: 1_000,
    breaker: NO_BREAKER,
    retryBudget: DEFAULT_RETRY_BUDGET,
    http: 'http1',
    ...('health' in change ? {} : { health: { kind: 'tcp', intervalMs, timeoutMs: 400, unhealthyAfter: 2, healthyAfter: 1 } }),
  };
}

describe('the health monitor', () => {
  it('says at once that a new application is starting, probes it, and tells of each change only', () => {
    const { monitor, clock, probes, verdicts } = new Bench();
    monitor.update([cluster('local/a')]);
    assert.deepEqual(verdicts, ['local/a starting: no check has ended yet']);
    clock.advance(1);
    assert.equal(probes.length, 1);
    probes[0]?.end();
    assert.deepEqual(verdicts.slice(1), ['local/a healthy: checks pass']);
    for (let round = 0; round < 5; round++) {
      clock.advance(1_000);
      probes.at(-1)?.end();
    }
    assert.equal(probes.length, 6);
    assert.equal(verdicts.length, 2);
  });

  it('tells of an application that stops answering, and of its return', () => {
    const bench = new Bench();
    bench.monitor.update([cluster('local/a')]);
    bench.next().end();
    for (let failures = 0; failures < 2; failures++) bench.next().end('nothing listens on 127.0.0.1:80');
    assert.equal(bench.verdicts.at(-1), 'local/a unhealthy: checks fail: nothing listens on 127.0.0.1:80');
    bench.next().end();
    assert.equal(bench.verdicts.at(-1), 'local/a healthy: checks pass');
  });

  it('abandons a probe without an end and counts it as failed; what it says later is not heard', () => {
    const bench = new Bench();
    bench.monitor.update([cluster('local/a')]);
    bench.next().end();
    const first = bench.next();
    bench.pass(400);
    assert.ok(first.abandoned);
    first.end();
    const second = bench.next();
    bench.pass(400);
    assert.ok(second.abandoned);
    assert.equal(bench.verdicts.at(-1), 'local/a unhealthy: checks fail: no answer within 400 ms');
  });

  it('does not count the time that this process itself was held up, but no more than that', () => {
    const bench = new Bench();
    bench.monitor.update([cluster('local/a')]);
    bench.next().end();
    for (let stalls = 0; stalls < 3; stalls++) {
      const probe = bench.next();
      bench.clock.advance(5_000);
      assert.ok(!probe.abandoned, 'its answer may lie in the socket');
      probe.end();
    }
    assert.equal(bench.verdicts.at(-1), 'local/a healthy: checks pass');
    const silent = bench.next();
    bench.clock.advance(5_000);
    bench.pass(400);
    assert.ok(silent.abandoned);
  });

  it('copes with a probe that ends before it was begun', () => {
    const clock = new TestClock();
    const verdicts: string[] = [];
    const monitor = new HealthMonitor({
      clock,
      random: nodeRandom,
      sendProbe: (_cluster, onEnd) => {
        onEnd(undefined);
        return { abandon: () => assert.fail('there is nothing to abandon') };
      },
      onVerdict: (_name, { state }) => verdicts.push(state),
    });
    monitor.update([cluster('local/a')]);
    for (let round = 0; round < 5; round++) clock.advance(1_000);
    assert.deepEqual(verdicts, ['starting', 'healthy']);
    assert.equal(clock.sleepers, 1);
  });

  it('leaves a check alone whose cluster came again unchanged, and the others', () => {
    const bench = new Bench();
    bench.monitor.update([cluster('local/a')]);
    bench.next().end();
    bench.monitor.update([cluster('local/a'), cluster('local/b', { port: 81 })]);
    assert.deepEqual(bench.verdicts.slice(1), ['local/a healthy: checks pass', 'local/b starting: no check has ended yet']);
    bench.pass(50);
    assert.deepEqual(
      bench.probes.map((probe) => probe.port),
      [80, 81],
    );
  });

  it('begins anew where the address or the policy changed, and does not hear the old probe', () => {
    for (const change of [{ port: 81 }, { intervalMs: 500 }]) {
      const bench = new Bench();
      bench.monitor.update([cluster('local/a')]);
      const old = bench.next();
      bench.monitor.update([cluster('local/a', change)]);
      assert.ok(old.abandoned);
      old.end();
      assert.equal(bench.verdicts.at(-1), 'local/a starting: no check has ended yet');
      bench.next().end();
      assert.equal(bench.verdicts.at(-1), 'local/a healthy: checks pass');
    }
  });

  it('begins anew when it is told to: what was found before counts no more', () => {
    const bench = new Bench();
    bench.monitor.update([cluster('local/a')]);
    bench.next().end();
    assert.equal(bench.verdicts.at(-1), 'local/a healthy: checks pass');
    const old = bench.next();
    bench.monitor.restart('local/a');
    bench.monitor.restart('local/unknown');
    assert.ok(old.abandoned);
    assert.equal(bench.verdicts.at(-1), 'local/a starting: no check has ended yet');
    bench.next().end();
    assert.equal(bench.verdicts.at(-1), 'local/a healthy: checks pass');
    assert.equal(bench.clock.sleepers, 1);
  });

  it('stops with the cluster, begins anew when it comes back, and leaves no timer behind when closed', () => {
    const bench = new Bench();
    bench.monitor.update([cluster('local/a'), cluster('local/b')]);
    bench.pass(50);
    bench.monitor.update([cluster('local/b')]);
    assert.equal(bench.probes.find((probe) => probe.cluster === 'local/a')?.abandoned, true);
    assert.equal(bench.clock.sleepers, 1);
    bench.monitor.update([cluster('local/a'), cluster('local/b')]);
    assert.equal(bench.verdicts.filter((verdict) => verdict.startsWith('local/a starting')).length, 2);
    bench.monitor.close();
    assert.equal(bench.clock.sleepers, 0);
    const sent = bench.probes.length;
    bench.pass(5_000);
    assert.equal(bench.probes.length, sent);
  });

  it('checks nothing that has no health check', () => {
    const bench = new Bench();
    bench.monitor.update([cluster('outbound/a', { health: undefined })]);
    assert.equal(bench.clock.sleepers, 0);
    assert.deepEqual(bench.verdicts, []);
  });
});
