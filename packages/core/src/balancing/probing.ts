// Probing (Prequal, Wieder et al., NSDI 2024): hosts are asked for their load beside the requests, and each request goes by the answers at
// hand to the host where it is expected to be done first; one that is hot by requests in flight counts as slower than it says. A host that gives
// no answers takes part with what the caller knows itself; when none gives any, it is peak EWMA.
import type { BalancedHost, LoadSignal, PickRequest, TryResult } from './balancer.ts';
import { isAvoided } from './balancer.ts';
import { LeastResponseTime } from './least-response-time.ts';
import type { Member, Picker } from './member.ts';
import { POOL_AGE_MAX_MS, POOL_MAX, ProbePool } from './probe-pool.ts';
import type { PoolEntry } from './probe-pool.ts';
import { penaltyMs } from './response-times.ts';

/** Probes for each request, as in the paper, while requests are few. */
const PROBES_PER_PICK = 3;
/** Of one caller to one cluster. At some 20 µs each, both sides together, they cost 0.4 % of a processor, and each of 4 hosts is asked every 20 ms. */
const PROBES_PER_SECOND_MAX = 200;
/** So many at once, after a pause. */
const PROBE_BURST = 6;
/** A probe of which nothing more was heard does not hold up others. */
const PROBE_LOST_MS = 1_000;
/** Probes in a row without an answer, after which a host takes part with what the caller knows itself. */
const UNANSWERED_MAX = 3;
/** A host that does not answer probes is asked again: it may be another program by then. */
const ASK_AGAIN_MS = 10_000;
/** With fewer entries there is no choice. */
const ENTRIES_MIN = 2;
/** Entries that are compared for a request. Callers that all took the best of the whole pool would all take the same. */
const CANDIDATES_MAX = 8;
/**
 * How much slower a hot host counts. In the paper cold ones always go first; among few hosts that would prefer the slow one, which has few
 * requests, to busy fast ones.
 */
const HOT_FACTOR = 1.25;
const RATE_WINDOW_PICKS = 1_024;

export class Probing<H extends BalancedHost> implements Picker<H> {
  private readonly pool = new ProbePool<H>();
  private readonly fallback: LeastResponseTime<H>;
  private readonly random: () => number;
  /** Probes that the requests so far allow. */
  private credit = 0;
  /** Probes that the time so far allows. */
  private tokens = PROBE_BURST;
  private tokensAtMs = 0;
  private picks = 0;
  private answers = 0;
  /** Of the hosts, when all of them are in the pool; else 0: what is in the pool was drawn by weight. */
  private maxWeight = 0;

  constructor(random: () => number) {
    this.random = random;
    this.fallback = new LeastResponseTime<H>(random);
  }

  update(members: readonly Member<H>[], nowMs: number): void {
    this.fallback.update(members, nowMs);
    this.maxWeight = members.length > POOL_MAX ? 0 : members.reduce((max, { weight }) => Math.max(max, weight), 0);
    if (this.pool.entries.length > 0) this.pool.retain(new Set(members));
  }

  pick(request: PickRequest<H>): Member<H> | undefined {
    this.credit = Math.min(this.credit + PROBES_PER_PICK, PROBE_BURST);
    if (++this.picks > RATE_WINDOW_PICKS) {
      this.picks /= 2;
      this.answers /= 2;
    }
    return this.best(request) ?? this.fallback.pick(request);
  }

  pickAgain(request: PickRequest<H>): Member<H> | undefined {
    return this.best(request) ?? this.fallback.pickAgain(request);
  }

  finished(member: Member<H>, result: TryResult, elapsedMs: number, nowMs: number): void {
    this.fallback.finished(member, result, elapsedMs, nowMs);
  }

  probeDue(nowMs: number): Member<H> | undefined {
    const elapsedMs = Math.max(0, nowMs - this.tokensAtMs);
    this.tokensAtMs = nowMs;
    this.tokens = Math.min(PROBE_BURST, this.tokens + (elapsedMs * PROBES_PER_SECOND_MAX) / 1_000);
    // A choice of one needs no answers.
    if (this.fallback.members.members.length < ENTRIES_MIN) return undefined;
    while (this.credit >= 1 && this.tokens >= 1) {
      this.credit--;
      const member = this.fallback.members.draw(nowMs);
      if (member === undefined) return undefined;
      if (member.probeAgainMs > nowMs) {
        this.tokens--;
        this.answerFor(member, nowMs);
      } else if (nowMs - member.probedAtMs > PROBE_LOST_MS) {
        this.tokens--;
        member.probedAtMs = nowMs;
        return member;
      }
    }
    return undefined;
  }

  loadReported(member: Member<H>, load: LoadSignal, nowMs: number): void {
    member.probedAtMs = Number.NEGATIVE_INFINITY;
    member.probesUnanswered = 0;
    this.answers++;
    this.add(member, load, true, nowMs);
  }

  probeFailed(member: Member<H>, why: 'unanswered' | 'unsupported', nowMs: number): void {
    member.probedAtMs = Number.NEGATIVE_INFINITY;
    this.pool.remove(member);
    if (why === 'unsupported' || ++member.probesUnanswered >= UNANSWERED_MAX) {
      member.probeAgainMs = nowMs + ASK_AGAIN_MS;
      member.probesUnanswered = 0;
    }
  }

  describe(member: Member<H>, nowMs: number): Readonly<Record<string, string | number>> {
    const entry = this.pool.find(member);
    const own = this.fallback.describe(member, nowMs);
    if (member.probeAgainMs > nowMs) return { basis: 'peak EWMA, because it does not answer probes', ...own };
    const isFresh = entry !== undefined && nowMs - entry.atMs <= POOL_AGE_MAX_MS;
    if (!isFresh) return { basis: 'peak EWMA, because no answer to a probe is at hand', ...own };
    return {
      basis: 'probes',
      reportedInFlight: entry.load.inFlight,
      reportedLatencyMs: entry.load.latencyMs,
      reportAgeMs: nowMs - entry.atMs,
      expectedMs: own['expectedMs'] as number,
      failurePenaltyMs: own['failurePenaltyMs'] as number,
      cost: this.cost(entry, nowMs),
    };
  }

  private answerFor(member: Member<H>, nowMs: number): void {
    // Where nobody answers there is nothing to compare it with.
    if (this.pool.reportedCount === 0 || this.pool.find(member)?.isReported) return;
    this.add(member, { inFlight: member.inFlight, latencyMs: 0 }, false, nowMs);
  }

  private add(member: Member<H>, load: LoadSignal, isReported: boolean, nowMs: number): void {
    const hosts = this.fallback.members.members.length;
    this.pool.learn(load.inFlight / this.fallback.relativeWeight(member, nowMs), nowMs);
    this.pool.add(member, load, isReported, ProbePool.reuse(this.answers / this.picks, hosts), nowMs);
    if (hosts > POOL_MAX) this.pool.thinOut(() => this.worst(nowMs));
  }

  /** The best of some entries; undefined when there is too little to choose from. */
  private best(request: PickRequest<H>): Member<H> | undefined {
    const { nowMs, avoid } = request;
    const { pool } = this;
    pool.expire(nowMs);
    const { entries } = pool;
    const count = entries.length;
    if (pool.reportedCount === 0 || count < ENTRIES_MIN) return undefined;
    let best: PoolEntry<H> | undefined;
    let bestCost = Number.POSITIVE_INFINITY;
    let index = Math.floor(this.random() * count);
    for (let candidates = Math.min(count, CANDIDATES_MAX); candidates > 0; candidates--) {
      const entry = entries[index] as PoolEntry<H>;
      index = index + 1 === count ? 0 : index + 1;
      if (avoid.length > 0 && isAvoided(entry.member.host, avoid)) continue;
      // Requests in flight say nothing of weights while there are none.
      const weight = entry.member.effectiveWeight(nowMs);
      if (weight < this.maxWeight && this.random() * this.maxWeight >= weight) continue;
      const cost = this.cost(entry, nowMs);
      if (cost >= bestCost) continue;
      best = entry;
      bestCost = cost;
    }
    if (best === undefined) return undefined;
    if (avoid.length === 0) pool.used(best);
    return best.member;
  }

  private worst(nowMs: number): PoolEntry<H> | undefined {
    let worst: PoolEntry<H> | undefined;
    let worstCost = -1;
    for (const entry of this.pool.entries) {
      const cost = this.cost(entry, nowMs);
      if (cost <= worstCost) continue;
      worst = entry;
      worstCost = cost;
    }
    return worst;
  }

  private cost(entry: PoolEntry<H>, nowMs: number): number {
    const { member, load } = entry;
    // Those of other callers as they were, those of this one as they are.
    const inFlight = entry.othersInFlight + member.inFlight;
    const weighted = inFlight / this.fallback.relativeWeight(member, nowMs);
    const { hotAbove } = this.pool;
    const reportedMs = (load.latencyMs * (inFlight + 1)) / (load.inFlight + 1);
    const timeMs = Math.max(reportedMs, this.fallback.times.expectedMs(member, nowMs)) * (weighted > hotAbove ? HOT_FACTOR : 1);
    const penalty = penaltyMs(member, nowMs);
    // Time counts for more than requests (to the power of 1.5): what goes to a slow host is what the slowest per cent are made of.
    const cost = timeMs * Math.sqrt(timeMs) * (weighted + 1);
    // Who fails fast has few requests: it counts as loaded like the others.
    return penalty === 0 ? cost : cost + penalty * Math.sqrt(timeMs + penalty) * (Math.max(weighted, hotAbove) + 1);
  }
}
