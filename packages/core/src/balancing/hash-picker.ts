// Consistent hashing: what has the same hash goes to the same host, from every caller, and when hosts come or go only little moves. A request
// that may not go to its host (retries, a part of them in slow start) is hashed again, so that what one host leaves is spread over all.
// Requests without a hash go by chance.
import type { BalancedHost, PickRequest } from './balancer.ts';
import { isAvoided } from './balancer.ts';
import { combineHashes } from './hash-text.ts';
import type { Member, Picker } from './member.ts';
import { WeightedDraw } from './weighted-draw.ts';

/** Where each of 2^32 hashes belongs. */
export interface HashTable<H extends BalancedHost> {
  update(members: readonly Member<H>[]): void;
  /** There is at least one member. */
  lookup(hash: number): Member<H>;
}

const HASHES_MAX = 16;
/** Sets the hash for slow start apart from those for other places. */
const RAMP = 0x9e3779b9;

export class HashPicker<H extends BalancedHost> implements Picker<H> {
  private readonly table: HashTable<H>;
  private readonly random: () => number;
  private readonly draws: WeightedDraw<H>;

  constructor(table: HashTable<H>, random: () => number) {
    this.table = table;
    this.random = random;
    this.draws = new WeightedDraw(random);
  }

  update(members: readonly Member<H>[], nowMs: number): void {
    this.draws.update(members, nowMs);
    this.table.update(members);
  }

  pick(request: PickRequest<H>): Member<H> | undefined {
    if (this.draws.members.length < 2) return this.draws.members[0];
    const hash = this.hashOf(request);
    const member = this.table.lookup(hash);
    return member.rampUntilMs === 0 || this.isRamped(member, hash, request.nowMs) ? member : this.next(hash, request);
  }

  pickAgain(request: PickRequest<H>): Member<H> | undefined {
    if (this.draws.members.length === 0) return undefined;
    const hash = this.hashOf(request);
    const member = this.table.lookup(hash);
    return !isAvoided(member.host, request.avoid) && this.isRamped(member, hash, request.nowMs) ? member : this.next(hash, request);
  }

  /** The first of its further hashes that leads to a host which it may go to. */
  private next(first: number, request: PickRequest<H>): Member<H> | undefined {
    const { avoid, nowMs } = request;
    for (let count = 1, hash = first; count < HASHES_MAX; count++) {
      hash = combineHashes(hash, count);
      const member = this.table.lookup(hash);
      if (!isAvoided(member.host, avoid) && this.isRamped(member, hash, nowMs)) return member;
    }
    return this.draws.drawAgain(avoid, nowMs);
  }

  /** In slow start a host gets a growing part of its hashes, always with those that it had. */
  private isRamped(member: Member<H>, hash: number, nowMs: number): boolean {
    return member.rampUntilMs === 0 || combineHashes(RAMP, hash) < member.rampFactor(nowMs) * 2 ** 32;
  }

  private hashOf(request: PickRequest<H>): number {
    return request.hash ?? Math.floor(this.random() * 2 ** 32);
  }
}
