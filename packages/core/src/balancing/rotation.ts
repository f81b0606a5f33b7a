// Round robin and weighted: each host in its turn. With equal weights the turns go around in the fixed order, exactly: whatever comes and
// goes, the numbers of picks of two hosts that stay never differ by more than one. With others, or while a host is in slow start, turns are
// spread in time by weight (`TurnQueue`). Retries go around by themselves, so that a host that fails gets its own turn only.
import type { BalancedHost, PickRequest } from './balancer.ts';
import { compareHosts, isAvoided } from './balancer.ts';
import type { Member, Picker } from './member.ts';
import { rampsUntil } from './member.ts';
import { TurnQueue } from './turn-queue.ts';

export class Rotation<H extends BalancedHost> implements Picker<H> {
  private members: readonly Member<H>[] = [];
  private readonly random: () => number;
  /** Present while turns are not alike. */
  private queue: TurnQueue<H> | undefined;
  /** Slow starts are over then. */
  private rampsUntilMs = 0;
  /** Whose turn it is; while there are no members, whose it was. */
  private turn: Member<H> | undefined;
  private cursor = 0;
  /** Where the search for a host that is not to be avoided begins. */
  private retryCursor = 0;
  private begun = false;

  constructor(random: () => number) {
    this.random = random;
  }

  update(members: readonly Member<H>[], nowMs: number): void {
    this.turn = this.queue?.next() ?? this.members[this.cursor] ?? this.turn;
    this.members = members;
    this.rampsUntilMs = rampsUntil(members, nowMs);
    if (members.length === 0) {
      this.cursor = 0;
      this.queue = undefined;
      return;
    }
    this.cursor = this.firstTurn();
    const weight = (members[0] as Member<H>).weight;
    if (this.rampsUntilMs === 0 && members.every((member) => member.weight === weight)) this.queue = undefined;
    else if (this.queue === undefined) this.queue = new TurnQueue(members, this.cursor, nowMs, this.random);
    else this.queue.update(members, nowMs);
  }

  pick(request: PickRequest<H>): Member<H> | undefined {
    const { members } = this;
    if (this.queue !== undefined) {
      if (this.rampsUntilMs === 0 || request.nowMs < this.rampsUntilMs) return this.queue.take(request.nowMs);
      // The slow starts are over: weights may be alike now.
      this.update(members, request.nowMs);
      if (this.queue !== undefined) return this.queue.take(request.nowMs);
    }
    const count = members.length;
    if (count === 0) return undefined;
    const index = this.cursor;
    this.cursor = index + 1 === count ? 0 : index + 1;
    return members[index];
  }

  pickAgain(request: PickRequest<H>): Member<H> | undefined {
    const { members } = this;
    const count = members.length;
    if (this.queue !== undefined) return this.queue.pickAgain(request);
    let index = this.retryCursor < count ? this.retryCursor : 0;
    // Among avoid.length + 1 hosts in a row one is not to be avoided, unless all are.
    for (let steps = Math.min(count, request.avoid.length + 1); steps > 0; steps--) {
      const member = members[index] as Member<H>;
      index = index + 1 === count ? 0 : index + 1;
      if (isAvoided(member.host, request.avoid)) continue;
      this.retryCursor = index;
      return member;
    }
    return undefined;
  }

  /** The first that stays at or after the one whose turn it is; past the last one the round begins again. */
  private firstTurn(): number {
    const { members, turn } = this;
    if (!this.begun) {
      this.begun = true;
      return Math.floor(this.random() * members.length);
    }
    if (turn === undefined) return 0;
    let low = 0;
    let high = members.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareHosts((members[middle] as Member<H>).host, turn.host) < 0) low = middle + 1;
      else high = middle;
    }
    return low === members.length ? 0 : low;
  }
}
