// When callers leave out an instance, for how long, and how many at most.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { TryResult } from '../balancing/balancer.ts';
import type { OutlierPolicy } from '../model/balance.ts';
import { DEFAULT_OUTLIER } from '../model/defaults.ts';
import { OutlierDetector } from './outlier.ts';

interface Host {
  readonly address: string;
  readonly port: number;
  readonly health: 'healthy' | 'unhealthy' | 'draining';
  readonly weight: number;
}

const hostsOf = (count: number): Host[] =>
  Array.from({ length: count }, (_, at) => ({ address: '10.0.0.1', port: 8_000 + at, health: 'healthy', weight: 1 }));
const OFF: OutlierPolicy = { ...DEFAULT_OUTLIER, consecutiveErrors: 0, consecutiveLocalErrors: 0 };

function create(policy: Partial<OutlierPolicy>, count = 4): { detector: OutlierDetector<Host>; hosts: Host[] } {
  const hosts = hostsOf(count);
  const detector = new OutlierDetector<Host>({ ...OFF, ...policy });
  detector.update(hosts, 0);
  return { detector, hosts };
}

/** The results, one after the other; whether each changed ejections. */
const feed = (detector: OutlierDetector<Host>, host: Host, results: readonly TryResult[], nowMs = 0): boolean[] =>
  results.map((result) => detector.ended(host, result, 1, nowMs));
const times = (count: number, result: TryResult): TryResult[] => Array.from({ length: count }, () => result);

describe('failures in a row', () => {
  it('take an instance out at once, any success in between starts anew', () => {
    const { detector, hosts } = create({ consecutiveErrors: 3 });
    assert.deepEqual(
      feed(detector, hosts[0]!, ['server-error', 'gateway-error', 'success', 'local-error', 'server-error']),
      Array.from({ length: 5 }, () => false),
    );
    assert.deepEqual(feed(detector, hosts[0]!, ['server-error']), [true]);
    assert.deepEqual(
      hosts.map((host) => detector.isEjected(host)),
      [true, false, false, false],
    );
    assert.equal(detector.describe(hosts[0]!)?.reason, '3 tries in a row failed');
  });

  it('are told apart by their kind', () => {
    const gateway = create({ consecutiveGatewayErrors: 2 });
    assert.deepEqual(feed(gateway.detector, gateway.hosts[0]!, ['gateway-error', 'server-error', 'local-error', 'gateway-error']), [
      false,
      false,
      false,
      true,
    ]);
    const local = create({ consecutiveLocalErrors: 2 });
    assert.deepEqual(feed(local.detector, local.hosts[0]!, ['local-error', 'gateway-error', 'local-error', 'local-error']), [
      false,
      false,
      false,
      true,
    ]);
  });

  it('do not count what a caller gave up', () => {
    const { detector, hosts } = create({ consecutiveErrors: 2 });
    assert.deepEqual(feed(detector, hosts[0]!, ['server-error', 'cancelled', 'server-error']), [false, false, true]);
  });

  it('need no timer until somebody is out', () => {
    const { detector, hosts } = create({ consecutiveErrors: 2 });
    feed(detector, hosts[0]!, ['server-error', 'success']);
    assert.equal(detector.nextTimeoutMs(), undefined);
    feed(detector, hosts[0]!, times(2, 'server-error'), 500);
    assert.equal(detector.nextTimeoutMs(), 500 + OFF.ejectMs);
  });
});

describe('an ejection', () => {
  it('ends by time, takes longer each time, and shorter again after calm intervals', () => {
    const { detector, hosts } = create({ consecutiveErrors: 1, ejectMs: 1_000, maxEjectMs: 2_500, intervalMs: 10_000 });
    const host = hosts[0]!;
    let nowMs = 0;
    const eject = (): number => {
      assert.equal(detector.ended(host, 'server-error', 1, nowMs), true);
      const { untilMs } = detector.describe(host)!;
      const tookMs = untilMs - nowMs;
      nowMs = untilMs;
      assert.equal(detector.handleTimeout(nowMs - 1), false);
      assert.equal(detector.isEjected(host), true);
      assert.equal(detector.handleTimeout(nowMs), true);
      assert.equal(detector.isEjected(host), false);
      return tookMs;
    };
    assert.deepEqual([eject(), eject(), eject(), eject()], [1_000, 2_000, 2_500, 2_500]);
    const calmUntilMs = nowMs + 25_000;
    for (let next = detector.nextTimeoutMs(); next !== undefined && next <= calmUntilMs; next = detector.nextTimeoutMs()) {
      nowMs = next;
      assert.equal(detector.handleTimeout(nowMs), false);
    }
    assert.equal(detector.describe(host)?.ejections, 1);
    assert.equal(eject(), 2_000);
    for (let turn = 0; turn < 10 && detector.nextTimeoutMs() !== undefined; turn += 1) detector.handleTimeout(detector.nextTimeoutMs()!);
    assert.equal(detector.describe(host)?.ejections, 0);
    assert.equal(detector.nextTimeoutMs(), undefined);
  });

  it('begins counting anew for who comes back', () => {
    const { detector, hosts } = create({ consecutiveErrors: 3 });
    feed(detector, hosts[0]!, times(3, 'server-error'));
    detector.handleTimeout(OFF.ejectMs);
    assert.deepEqual(feed(detector, hosts[0]!, times(3, 'server-error'), OFF.ejectMs), [false, false, true]);
  });

  it('leaves so many in as the policy says, and one of two may go', () => {
    const out = (count: number, maxEjectedPercent: number): number => {
      const { detector, hosts } = create({ consecutiveErrors: 1, maxEjectedPercent }, count);
      for (const host of hosts) detector.ended(host, 'server-error', 1, 0);
      return detector.ejectedCount;
    };
    assert.deepEqual(
      [out(1, 50), out(2, 10), out(4, 50), out(5, 50), out(10, 10), out(3, 100), out(4, 0), out(1, 100)],
      [0, 1, 2, 2, 1, 3, 0, 1],
    );
  });

  it('says what would be if not too many were out, and tries again', () => {
    const { detector, hosts } = create({ consecutiveErrors: 2, maxEjectedPercent: 25 });
    feed(detector, hosts[0]!, times(2, 'server-error'));
    assert.deepEqual(feed(detector, hosts[1]!, times(3, 'server-error')), [false, false, false]);
    const { ejected, reason } = detector.describe(hosts[1]!)!;
    assert.deepEqual([ejected, reason], [false, '2 tries in a row failed']);
    detector.handleTimeout(OFF.ejectMs);
    assert.deepEqual(feed(detector, hosts[1]!, ['server-error'], OFF.ejectMs), [true]);
    feed(detector, hosts[0]!, ['server-error', 'success'], OFF.ejectMs);
    assert.equal(detector.describe(hosts[0]!)?.reason, '');
  });

  it('does not touch those that get no traffic anyway', () => {
    const hosts: Host[] = hostsOf(4).map((host, at) => ({ ...host, health: at < 2 ? 'unhealthy' : 'healthy' }));
    const detector = new OutlierDetector<Host>({ ...OFF, consecutiveErrors: 1, maxEjectedPercent: 50 });
    detector.update(hosts, 0);
    assert.deepEqual(
      hosts.map((host) => detector.ended(host, 'server-error', 1, 0)),
      [false, false, true, false],
    );
  });
});

describe('a new list of instances', () => {
  it('keeps what is known of those that stay, as other objects too', () => {
    const { detector, hosts } = create({ consecutiveErrors: 3 });
    feed(detector, hosts[0]!, times(3, 'server-error'));
    feed(detector, hosts[1]!, times(2, 'server-error'));
    const fresh = hostsOf(5).toReversed();
    assert.equal(detector.update(fresh, 1), false);
    const [first, second] = [fresh[4]!, fresh[3]!];
    assert.equal(detector.isEjected(first), true);
    assert.equal(detector.isEjected(hosts[0]!), true);
    assert.deepEqual(feed(detector, second, ['server-error']), [true]);
  });

  it('forgets those that leave', () => {
    const { detector, hosts } = create({ consecutiveErrors: 1 });
    feed(detector, hosts[0]!, ['server-error']);
    detector.update(hosts.slice(1), 1);
    assert.equal(detector.nextTimeoutMs(), undefined);
    assert.equal(detector.ended(hosts[0]!, 'server-error', 1, 2), false);
    assert.equal(detector.describe(hosts[0]!), undefined);
    detector.update(hosts, 3);
    assert.equal(detector.isEjected(hosts[0]!), false);
  });

  it('lets instances back in when with those that left too many would be out', () => {
    const { detector, hosts } = create({ consecutiveErrors: 1, maxEjectedPercent: 50 });
    feed(detector, hosts[0]!, ['server-error'], 0);
    feed(detector, hosts[1]!, ['server-error'], 5);
    assert.equal(detector.update(hosts.slice(0, 2), 10), true);
    assert.deepEqual([detector.isEjected(hosts[0]!), detector.isEjected(hosts[1]!)], [false, true]);
  });
});

describe('shares', () => {
  const judge = (policy: Partial<OutlierPolicy>, failures: readonly number[], latenciesMs: readonly number[] = []): string[] => {
    const { detector, hosts } = create({ minimumRequests: 50, intervalMs: 1_000, maxEjectedPercent: 100, ...policy }, failures.length);
    for (const [at, host] of hosts.entries()) {
      for (let count = 0; count < 50; count += 1)
        detector.ended(host, count < failures[at]! ? 'server-error' : 'success', (latenciesMs[at] ?? 1) * (0.9 + (count % 5) / 20), 0);
    }
    assert.equal(detector.nextTimeoutMs(), 1_000);
    const changed = detector.handleTimeout(1_000);
    const out = hosts.filter((host) => detector.isEjected(host));
    assert.equal(changed, out.length > 0);
    return out.map((host) => `${host.port - 8_000}: ${detector.describe(host)!.reason}`);
  };

  it('of success far below the others are found', () => {
    const policy = { successRateFactor: 1.9 };
    assert.deepEqual(judge(policy, [0, 1, 0, 20, 1, 0]), [
      "3: 60 % of its requests succeeded, of all instances' 92.7 %; below 64.9 % it is out",
    ]);
    assert.deepEqual(judge(policy, [10, 11, 10, 12, 9, 10]), []);
  });

  it('of failure above the limit are found, the worst first when not all may go', () => {
    assert.deepEqual(judge({ failurePercent: 30 }, [14, 15, 0, 40]), [
      '1: 30 % of its requests failed; from 30 % on it is out',
      '3: 80 % of its requests failed; from 30 % on it is out',
    ]);
    assert.deepEqual(
      judge({ failurePercent: 30, maxEjectedPercent: 25 }, [14, 15, 0, 40]).map((line) => line[0]),
      ['3'],
    );
  });

  it('of latency are compared with most instances, and not where they are tiny', () => {
    const policy = { latencyFactor: 3 };
    assert.deepEqual(judge(policy, [0, 0, 0, 0], [10, 11, 12, 50]), [
      '3: half of its requests took 49 ms or more, with most instances 10 ms; above 3 times that it is out',
    ]);
    assert.deepEqual(judge(policy, [0, 0, 0, 0], [10, 11, 12, 25]), []);
    assert.deepEqual(judge(policy, [0, 0, 0, 0], [0.2, 0.2, 0.2, 2]), []);
  });

  it('count only with enough requests and instances', () => {
    assert.deepEqual(judge({ failurePercent: 30, minimumRequests: 51 }, [0, 0, 50, 0]), []);
    assert.deepEqual(judge({ failurePercent: 30, minimumInstances: 5 }, [0, 0, 50, 0]), []);
  });

  it('are of one interval each, and nothing is awaited when nothing happens', () => {
    const { detector, hosts } = create({ failurePercent: 50, minimumRequests: 10, minimumInstances: 1, intervalMs: 1_000 });
    feed(detector, hosts[0]!, times(9, 'server-error'), 0);
    assert.equal(detector.handleTimeout(1_000), false);
    assert.equal(detector.describe(hosts[0]!)?.successPercent, 0);
    feed(detector, hosts[0]!, times(9, 'server-error'), 1_000);
    assert.equal(detector.handleTimeout(2_000), false);
    assert.equal(detector.handleTimeout(3_000), false);
    assert.equal(detector.nextTimeoutMs(), undefined);
    feed(detector, hosts[0]!, times(10, 'server-error'), 50_000);
    assert.equal(detector.handleTimeout(51_000), true);
  });
});

describe('the detector', () => {
  it('is never awaited in vain, ejects no more than it may, and lets everybody back (property)', () => {
    const step = fc.record({
      host: fc.nat(6),
      result: fc.constantFrom<TryResult>('success', 'server-error', 'gateway-error', 'local-error', 'cancelled'),
      waitMs: fc.nat(4_000),
      count: fc.constantFrom(-1, -1, -1, 1, 4, 7),
    });
    const policy = fc.record({
      consecutiveErrors: fc.nat(3),
      consecutiveLocalErrors: fc.nat(3),
      failurePercent: fc.constantFrom(0, 50),
      latencyFactor: fc.constantFrom(0, 2),
      successRateFactor: fc.constantFrom(0, 1),
      maxEjectedPercent: fc.integer({ min: 0, max: 100 }),
    });
    fc.assert(
      fc.property(policy, fc.array(step, { maxLength: 60 }), (chosen, steps) => {
        const { detector, hosts } = create({ ...chosen, minimumRequests: 2, minimumInstances: 2, intervalMs: 3_000, ejectMs: 5_000 }, 7);
        let listed = hosts;
        let nowMs = 0;
        const known = new Set<Host>();
        const check = (changed: boolean): void => {
          const out = listed.filter((host) => detector.isEjected(host));
          const differs = out.length !== known.size || out.some((host) => !known.has(host));
          assert.ok(!differs || changed);
          known.clear();
          for (const host of out) known.add(host);
          assert.equal(out.length, detector.ejectedCount);
          const most = Math.floor((chosen.maxEjectedPercent * listed.length) / 100);
          assert.ok(out.length <= Math.max(most, chosen.maxEjectedPercent > 0 && listed.length > 1 ? 1 : 0));
        };
        for (const { host, result, waitMs, count } of steps) {
          nowMs += waitMs;
          for (let next = detector.nextTimeoutMs(); next !== undefined && next <= nowMs; next = detector.nextTimeoutMs()) {
            check(detector.handleTimeout(next));
            assert.ok((detector.nextTimeoutMs() ?? Infinity) > next);
          }
          if (count >= 0) {
            listed = hosts.slice(0, count);
            for (const gone of known) if (!listed.includes(gone)) known.delete(gone);
            check(detector.update(listed, nowMs));
          }
          check(detector.ended(hosts[host]!, result, host * 10, nowMs));
        }
        for (let turn = 0; turn < 1_000 && detector.nextTimeoutMs() !== undefined; turn += 1)
          check(detector.handleTimeout(detector.nextTimeoutMs()!));
        assert.equal(detector.ejectedCount, 0);
        assert.equal(detector.nextTimeoutMs(), undefined);
      }),
      { numRuns: 150 },
    );
  });
});
