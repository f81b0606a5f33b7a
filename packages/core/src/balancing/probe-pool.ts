// What hosts said about their load a moment ago, for few hosts at a time (the probe pool of Prequal, Wieder et al., NSDI 2024). Each host has
// one entry at most. Entries end by age, by use, and by removal of the oldest and the worst in turn, so that what was not used because it
// is bad does not fill the pool.
import type { BalancedHost, LoadSignal } from './balancer.ts';
import type { Member } from './member.ts';

export const POOL_MAX = 16;
/** Load changes faster than that. */
export const POOL_AGE_MAX_MS = 1_000;
/** Every so many answers one entry is removed: the paper has 3 probes and 1 removal for each request. */
const ANSWERS_PER_REMOVAL = 3;
/** Answers of which the quantile is taken. */
const LOADS_MAX = 64;
/** Responses may bring an answer each. */
const LEARN_EVERY_MS = 2;
/** Hosts with more requests in flight than in such a share of the answers are hot. */
const HOT_QUANTILE = 0.84;

export interface PoolEntry<H extends BalancedHost> {
  readonly member: Member<H>;
  readonly load: LoadSignal;
  /** Answered by the host; else it is what the caller knows itself. */
  readonly isReported: boolean;
  /** Requests at the host that were not this caller's. */
  readonly othersInFlight: number;
  readonly atMs: number;
  usesLeft: number;
}

export class ProbePool<H extends BalancedHost> {
  /** The oldest first. */
  readonly entries: PoolEntry<H>[] = [];
  /** Entries that hosts answered. */
  reportedCount = 0;
  /** Hosts with more requests in flight for their weight are hot. */
  hotAbove = Number.POSITIVE_INFINITY;
  private readonly loads = new Float64Array(LOADS_MAX);
  private readonly sortedLoads = new Float64Array(LOADS_MAX);
  private loadCount = 0;
  private learnedAtMs = 0;
  private answers = 0;
  private removesOldest = true;

  add(member: Member<H>, load: LoadSignal, isReported: boolean, uses: number, nowMs: number): void {
    this.remove(member);
    if (this.entries.length === POOL_MAX) this.removeAt(0);
    const othersInFlight = Math.max(0, load.inFlight - member.inFlight);
    this.entries.push({ member, load, isReported, othersInFlight, atMs: nowMs, usesLeft: uses });
    if (isReported) this.reportedCount++;
  }

  /** Takes the requests in flight of an answer, for their weight, into the quantile; of very many answers, some. */
  learn(load: number, nowMs: number): void {
    if (this.loadCount >= LOADS_MAX && nowMs - this.learnedAtMs < LEARN_EVERY_MS) return;
    this.learnedAtMs = nowMs;
    this.loads[this.loadCount++ % LOADS_MAX] = load;
    const count = Math.min(this.loadCount, LOADS_MAX);
    const sorted = this.sortedLoads.subarray(0, count);
    sorted.set(this.loads.subarray(0, count));
    sorted.sort();
    this.hotAbove = sorted[Math.floor(HOT_QUANTILE * (count - 1))] as number;
  }

  /** To be called with each answer when there are more hosts than entries. Where all are in the pool, newer answers replace older ones. */
  thinOut(worst: () => PoolEntry<H> | undefined): void {
    if (++this.answers % ANSWERS_PER_REMOVAL !== 0 || this.entries.length <= 2) return;
    const entry = this.removesOldest ? this.entries[0] : worst();
    this.removesOldest = !this.removesOldest;
    if (entry !== undefined) this.remove(entry.member);
  }

  /** How often an entry may be used so that there is another one in time, when `perPick` answers come for each request. */
  static reuse(perPick: number, hosts: number): number {
    const gain = perPick * (1 - Math.min(POOL_MAX, hosts) / hosts - 1 / ANSWERS_PER_REMOVAL);
    return gain > 0 ? Math.max(1, 2 / gain) : Number.POSITIVE_INFINITY;
  }

  expire(nowMs: number): void {
    while (this.entries.length > 0 && nowMs - (this.entries[0] as PoolEntry<H>).atMs > POOL_AGE_MAX_MS) this.removeAt(0);
  }

  used(entry: PoolEntry<H>): void {
    if (--entry.usesLeft <= 0) this.remove(entry.member);
  }

  remove(member: Member<H>): void {
    const { entries } = this;
    for (let index = 0; index < entries.length; index++)
      if ((entries[index] as PoolEntry<H>).member === member) return this.removeAt(index);
  }

  find(member: Member<H>): PoolEntry<H> | undefined {
    return this.entries.find((entry) => entry.member === member);
  }

  retain(members: ReadonlySet<Member<H>>): void {
    for (let index = this.entries.length - 1; index >= 0; index--) {
      if (!members.has((this.entries[index] as PoolEntry<H>).member)) this.removeAt(index);
    }
  }

  private removeAt(index: number): void {
    const [entry] = this.entries.splice(index, 1);
    if (entry?.isReported) this.reportedCount--;
  }
}
