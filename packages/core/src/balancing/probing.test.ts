// Probing on a virtual clock: what is asked and how often, whom it prefers, what it does without answers.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Balancer, LoadSignal } from './balancer.ts';
import { fleet, host, seeded, testBalancer } from './balancer-contract.ts';
import type { TestHost } from './balancer-contract.ts';
import { Member } from './member.ts';
import { ProbePool } from './probe-pool.ts';

const create = (hosts: readonly TestHost[], seed = 1): Balancer<TestHost> => {
  const balancer = testBalancer('probing', { seed });
  balancer.update(hosts, 0);
  return balancer;
};

const pick = (balancer: Balancer<TestHost>, nowMs: number): TestHost => balancer.pick({ nowMs, hash: undefined, avoid: [] }) as TestHost;

/** All that are to be asked now. */
function due(balancer: Balancer<TestHost>, nowMs: number): TestHost[] {
  const asked: TestHost[] = [];
  for (let next = balancer.probeDue?.(nowMs); next !== undefined; next = balancer.probeDue?.(nowMs)) asked.push(next);
  return asked;
}

/** Requests that end at once; every probe is answered by `load`. Counts picks by host. */
function drive(
  balancer: Balancer<TestHost>,
  fromMs: number,
  toMs: number,
  load: (host: TestHost) => LoadSignal | 'unanswered' | 'unsupported',
): { picks: Map<string, number>; probes: number } {
  const picks = new Map<string, number>();
  let probes = 0;
  for (let nowMs = fromMs; nowMs < toMs; nowMs += 2) {
    const picked = pick(balancer, nowMs);
    picks.set(picked.name, (picks.get(picked.name) ?? 0) + 1);
    balancer.started(picked, nowMs);
    balancer.finished(picked, 'success', 5, nowMs);
    for (const asked of due(balancer, nowMs)) {
      probes++;
      const answer = load(asked);
      if (typeof answer === 'string') balancer.probeFailed?.(asked, answer, nowMs);
      else balancer.loadReported?.(asked, answer, nowMs);
    }
  }
  return { picks, probes };
}

const basis = (balancer: Balancer<TestHost>, of: TestHost, nowMs: number): string => balancer.describe(of, nowMs)['basis'] as string;

describe('probing', () => {
  it('goes where the answers say that requests are done first', () => {
    const balancer = create(fleet(4));
    const { picks } = drive(balancer, 0, 2_000, ({ name }) => ({ inFlight: 2, latencyMs: name === 'h2' ? 5 : 50 }));
    assert.ok((picks.get('h2') ?? 0) > 900, `${picks.get('h2')}`);
    assert.equal(basis(balancer, host('x'), 2_000), undefined);
    assert.equal(basis(balancer, fleet(4)[2] as TestHost, 2_000), 'probes');
  });

  it('moves away from a host as soon as its answers are bad, and back as soon as they are good', () => {
    const balancer = create(fleet(4));
    let slow = false;
    const answer = ({ name }: TestHost): LoadSignal =>
      slow && name === 'h0' ? { inFlight: 40, latencyMs: 400 } : { inFlight: 4, latencyMs: 10 };
    assert.ok((drive(balancer, 0, 1_000, answer).picks.get('h0') ?? 0) > 50);
    slow = true;
    drive(balancer, 1_000, 1_100, answer);
    assert.equal(drive(balancer, 1_100, 2_000, answer).picks.get('h0') ?? 0, 0);
    slow = false;
    drive(balancer, 2_000, 2_100, answer);
    assert.ok((drive(balancer, 2_100, 3_000, answer).picks.get('h0') ?? 0) > 50);
  });

  it('counts a host that is hot by requests in flight as slower than it says', () => {
    const balancer = create(fleet(8));
    const { picks } = drive(balancer, 0, 2_000, ({ name }) => ({ inFlight: name === 'h5' ? 11 : 10, latencyMs: name === 'h5' ? 8.5 : 10 }));
    // Without that it would get nearly all.
    assert.ok((picks.get('h5') ?? 0) < 125, `${picks.get('h5')}`);
  });

  it('counts its own requests since the answer, so that it does not send all to one host', () => {
    const balancer = create(fleet(4));
    for (const each of fleet(4)) balancer.loadReported?.(each, { inFlight: 3, latencyMs: 10 }, 0);
    const counts = new Map<string, number>();
    for (let request = 0; request < 40; request++) {
      const picked = pick(balancer, 1);
      balancer.started(picked, 1);
      counts.set(picked.name, (counts.get(picked.name) ?? 0) + 1);
    }
    for (const count of counts.values()) assert.ok(count >= 9 && count <= 11, `${count}`);
  });

  it('does not take a host that fails fast for an idle one', () => {
    const balancer = create(fleet(4));
    let failed = 0;
    for (let nowMs = 0; nowMs < 5_000; nowMs += 5) {
      for (const asked of due(balancer, nowMs)) {
        balancer.loadReported?.(asked, asked.name === 'h0' ? { inFlight: 0, latencyMs: 1 } : { inFlight: 5, latencyMs: 20 }, nowMs);
      }
      const picked = pick(balancer, nowMs);
      balancer.started(picked, nowMs);
      const isBad = picked.name === 'h0';
      if (isBad) failed++;
      balancer.finished(picked, isBad ? 'server-error' : 'success', isBad ? 1 : 20, nowMs);
    }
    assert.ok(failed <= 20, `${failed} of 1,000`);
  });

  it('asks some hosts for each request, and no more than 200 a second however many requests there are', () => {
    const few = create(fleet(30));
    let probes = 0;
    for (let nowMs = 0; nowMs < 10_000; nowMs += 100) {
      pick(few, nowMs);
      for (const asked of due(few, nowMs)) {
        probes++;
        few.loadReported?.(asked, { inFlight: 1, latencyMs: 1 }, nowMs);
      }
    }
    assert.ok(probes > 250 && probes <= 306, `${probes} for 100 requests`);
    const many = create(fleet(30));
    probes = 0;
    for (let nowMs = 0; nowMs < 1_000; nowMs++) {
      for (let request = 0; request < 20; request++) {
        pick(many, nowMs);
        for (const asked of due(many, nowMs)) {
          probes++;
          many.loadReported?.(asked, { inFlight: 1, latencyMs: 1 }, nowMs);
        }
      }
    }
    assert.ok(probes > 150 && probes <= 210, `${probes} for 20,000 requests`);
    assert.equal(create(fleet(3)).probeDue?.(5_000), undefined, 'none without requests');
  });

  it('asks all hosts alike, by chance, and none twice before it answered', () => {
    const balancer = create(fleet(5));
    const counts = new Map<string, number>();
    drive(balancer, 0, 20_000, ({ name }) => {
      counts.set(name, (counts.get(name) ?? 0) + 1);
      return { inFlight: 1, latencyMs: 5 };
    });
    for (const count of counts.values()) assert.ok(count > 650 && count < 950, `${count}`);
    const silent = create(fleet(5));
    const asked: string[] = [];
    for (let nowMs = 0; nowMs < 900; nowMs += 10) {
      pick(silent, nowMs);
      asked.push(...due(silent, nowMs).map(({ name }) => name));
    }
    assert.equal(new Set(asked).size, asked.length);
  });

  it('forgets answers after a second and goes by peak EWMA then', () => {
    const balancer = create(fleet(3));
    for (const each of fleet(3)) balancer.loadReported?.(each, { inFlight: each.name === 'h0' ? 90 : 1, latencyMs: 10 }, 0);
    for (let request = 0; request < 50; request++) assert.notEqual(pick(balancer, 1_000).name, 'h0');
    const names = new Set(Array.from({ length: 50 }, () => pick(balancer, 1_001).name));
    assert.ok(names.has('h0'));
    assert.equal(basis(balancer, fleet(3)[0] as TestHost, 1_001), 'peak EWMA, because no answer to a probe is at hand');
  });

  it('is peak EWMA where no host answers probes, says so, and asks again later', () => {
    const balancer = create(fleet(4));
    const { probes } = drive(balancer, 0, 5_000, () => 'unsupported');
    assert.equal(probes, 4);
    assert.equal(basis(balancer, fleet(4)[0] as TestHost, 5_000), 'peak EWMA, because it does not answer probes');
    for (let request = 0; request < 6; request++) balancer.started(fleet(4)[0] as TestHost, 5_000);
    for (let request = 0; request < 40; request++) assert.notEqual(pick(balancer, 5_010).name, 'h0');
    assert.equal(drive(balancer, 10_100, 10_200, () => ({ inFlight: 1, latencyMs: 5 })).probes > 4, true);
  });

  it('takes a host that answers no probes by what it knows of it itself', () => {
    const balancer = create(fleet(4));
    const { picks } = drive(balancer, 0, 4_000, ({ name }) => (name === 'h1' ? 'unsupported' : { inFlight: 1, latencyMs: 5 }));
    const [own, others] = [picks.get('h1') ?? 0, picks.get('h0') ?? 0];
    assert.ok(own > 200, `${own} beside ${others}`);
    assert.equal(basis(balancer, fleet(4)[1] as TestHost, 4_000), 'peak EWMA, because it does not answer probes');
  });

  it('leaves out a host of which a probe got no answer', () => {
    const balancer = create(fleet(3));
    for (const each of fleet(3)) balancer.loadReported?.(each, { inFlight: 1, latencyMs: 5 }, 0);
    balancer.probeFailed?.(fleet(3)[1] as TestHost, 'unanswered', 1);
    for (let request = 0; request < 50; request++) assert.notEqual(pick(balancer, 2).name, 'h1');
  });

  it('does not take back a host that fell ill before it answered', () => {
    const balancer = create(fleet(3));
    balancer.update(
      fleet(3, (index) => (index === 1 ? { health: 'unhealthy' } : {})),
      0,
    );
    for (const each of fleet(3)) balancer.loadReported?.(each, { inFlight: 1, latencyMs: each.name === 'h1' ? 1 : 50 }, 0);
    for (let request = 0; request < 50; request++) assert.notEqual(pick(balancer, 1).name, 'h1');
  });

  it('follows weights in large fleets, too', () => {
    const hosts = fleet(60, (index) => ({ weight: index < 30 ? 1 : 4 }));
    const { picks } = drive(create(hosts), 0, 16_000, () => ({ inFlight: 0, latencyMs: 5 }));
    const heavy = [...picks].reduce((sum, [name, count]) => sum + (Number(name.slice(1)) < 30 ? 0 : count), 0);
    assert.ok(Math.abs(heavy / 8_000 - 0.8) < 0.08, `${heavy}`);
  });

  it('takes what a response says of its host, too', () => {
    const balancer = create(fleet(3));
    for (const each of fleet(3)) balancer.probeFailed?.(each, 'unsupported', 0);
    for (const each of fleet(3)) balancer.loadReported?.(each, { inFlight: 2, latencyMs: each.name === 'h2' ? 1 : 50 }, 1);
    for (let request = 0; request < 30; request++) assert.equal(pick(balancer, 2).name, 'h2');
  });
});

describe('the probe pool', () => {
  const members = fleet(40).map((each) => new Member(each, each.name));
  const filled = (count: number): ProbePool<TestHost> => {
    const pool = new ProbePool<TestHost>();
    for (const [index, member] of members.slice(0, count).entries()) pool.add(member, { inFlight: index, latencyMs: 1 }, true, 5, index);
    return pool;
  };
  const names = (pool: ProbePool<TestHost>): string[] => pool.entries.map(({ member }) => member.key);

  it('holds 16 answers, the newest of each host, and gives up the oldest for a new one', () => {
    const pool = filled(20);
    assert.deepEqual(
      names(pool),
      members.slice(4, 20).map(({ key }) => key),
    );
    pool.add(members[4] as Member<TestHost>, { inFlight: 9, latencyMs: 1 }, true, 5, 20);
    assert.equal(pool.entries.length, 16);
    assert.equal(names(pool).at(-1), 'h4');
    assert.equal(pool.reportedCount, 16);
  });

  it('drops what is older than a second, and what was used up', () => {
    const pool = filled(3);
    pool.expire(1_001);
    assert.deepEqual(names(pool), ['h1', 'h2']);
    const entry = pool.find(members[2] as Member<TestHost>);
    assert.ok(entry);
    for (let use = 0; use < 5; use++) pool.used(entry);
    assert.deepEqual(names(pool), ['h1']);
    assert.equal(pool.reportedCount, 1);
  });

  it('removes the oldest and the worst in turn, one for every three answers', () => {
    const pool = filled(10);
    const worst = () => pool.find(members[7] as Member<TestHost>);
    for (let answer = 0; answer < 6; answer++) pool.thinOut(worst);
    assert.equal(pool.entries.length, 8);
    assert.equal(names(pool)[0], 'h1');
    assert.equal(names(pool).includes('h7'), false);
  });

  it('calls hot what has more in flight than 84 % of the answers', () => {
    const pool = new ProbePool<TestHost>();
    for (let load = 0; load < 100; load++) pool.learn(load, load * 2);
    // Of the last 64: 36 to 99.
    assert.equal(pool.hotAbove, 36 + Math.floor(0.84 * 63));
  });

  it('lets answers be used as often as new ones come', () => {
    assert.equal(ProbePool.reuse(3, 4), Number.POSITIVE_INFINITY);
    const [often, seldom] = [ProbePool.reuse(3, 100), ProbePool.reuse(0.01, 100)];
    assert.ok(often >= 1 && often < 2, `${often}`);
    assert.ok(seldom > 100 && seldom < 1_000, `${seldom}`);
  });

  it('keeps a pool full of hosts that are worth it at 20,000 requests a second over 100 hosts', () => {
    const balancer = create(fleet(100), 3);
    const random = seeded(4);
    let bad = 0;
    for (let nowMs = 0; nowMs < 1_000; nowMs++) {
      for (let request = 0; request < 20; request++) {
        const picked = pick(balancer, nowMs);
        if (nowMs > 200 && Number(picked.name.slice(1)) < 20) bad++;
        balancer.started(picked, nowMs);
        balancer.finished(picked, 'success', 5, nowMs);
        for (const asked of due(balancer, nowMs)) {
          const isSlow = Number(asked.name.slice(1)) < 20;
          balancer.loadReported?.(asked, { inFlight: 5 + random(), latencyMs: isSlow ? 200 : 5 }, nowMs);
        }
      }
    }
    assert.ok(bad < 160, `${bad} of 16,000 to the slow fifth`);
  });
});
