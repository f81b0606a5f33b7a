// Turns by weight, spread evenly in time (earliest deadline first): a host of weight w has its turns 1 / w apart in a virtual time that stands
// at the turn taken last. Hosts begin spread over their first turn, from a point by chance, so that neither they nor callers march in step.
import type { BalancedHost, PickRequest } from './balancer.ts';
import type { Member } from './member.ts';
import { WeightedDraw } from './weighted-draw.ts';

/** Beyond it the virtual time is set back to 0, so that turns keep their precision. */
const VIRTUAL_TIME_MAX = 1e9;

export class TurnQueue<H extends BalancedHost> {
  /** Binary heap by turn. */
  private readonly heap: Member<H>[] = [];
  private readonly random: () => number;
  private readonly draws: WeightedDraw<H>;
  private virtualTime = 0;

  /** @param first index of the member whose turn comes first, as far as weights allow: the others follow in order. */
  constructor(members: readonly Member<H>[], first: number, nowMs: number, random: () => number) {
    this.random = random;
    this.draws = new WeightedDraw(random);
    const count = members.length;
    const start = random();
    for (let index = 0; index < count; index++) {
      const member = members[index] as Member<H>;
      const place = index >= first ? index - first : index - first + count;
      this.setTurn(member, (place + start) / count / member.effectiveWeight(nowMs), nowMs);
    }
    this.update(members, nowMs);
  }

  update(members: readonly Member<H>[], nowMs: number): void {
    this.draws.update(members, nowMs);
    const { heap } = this;
    const rebase = this.virtualTime > VIRTUAL_TIME_MAX ? this.virtualTime : 0;
    this.virtualTime -= rebase;
    heap.length = 0;
    for (const member of members) {
      member.turn -= rebase;
      const weight = member.effectiveWeight(nowMs);
      // New here, or back after turns that it did not get.
      if (member.turnOwner !== this || member.turn < this.virtualTime)
        this.setTurn(member, this.virtualTime + this.random() / weight, nowMs);
      else if (member.turnWeight !== weight) {
        this.setTurn(member, this.virtualTime + ((member.turn - this.virtualTime) * member.turnWeight) / weight, nowMs);
      }
      heap.push(member);
    }
    for (let index = (heap.length >> 1) - 1; index >= 0; index--) this.sink(index);
  }

  next(): Member<H> | undefined {
    return this.heap[0];
  }

  take(nowMs: number): Member<H> | undefined {
    const member = this.heap[0];
    if (member === undefined) return undefined;
    this.virtualTime = member.turn;
    this.setTurn(member, member.turn + 1 / member.effectiveWeight(nowMs), nowMs);
    this.sink(0);
    return member;
  }

  pickAgain(request: PickRequest<H>): Member<H> | undefined {
    return this.draws.drawAgain(request.avoid, request.nowMs);
  }

  private setTurn(member: Member<H>, turn: number, nowMs: number): void {
    member.turn = turn;
    member.turnWeight = member.effectiveWeight(nowMs);
    member.turnOwner = this;
  }

  private sink(start: number): void {
    const { heap } = this;
    const count = heap.length;
    const member = heap[start] as Member<H>;
    let index = start;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= count) break;
      if (child + 1 < count && (heap[child + 1] as Member<H>).turn < (heap[child] as Member<H>).turn) child++;
      const lower = heap[child] as Member<H>;
      if (lower.turn >= member.turn) break;
      heap[index] = lower;
      index = child;
    }
    heap[index] = member;
  }
}
