// Least request: of two hosts by chance the one with fewer requests in flight for its weight (power of two choices, M. Mitzenmacher 2001).
// Both are drawn in proportion to weights and the first wins a tie, so that at rest shares are those of the weights.
import type { BalancedHost, PickRequest } from './balancer.ts';
import { isAvoided } from './balancer.ts';
import type { Member, Picker } from './member.ts';
import { WeightedDraw } from './weighted-draw.ts';

export class LeastRequest<H extends BalancedHost> implements Picker<H> {
  private readonly members: WeightedDraw<H>;

  constructor(random: () => number) {
    this.members = new WeightedDraw(random);
  }

  update(members: readonly Member<H>[], nowMs: number): void {
    this.members.update(members, nowMs);
  }

  pick(request: PickRequest<H>): Member<H> | undefined {
    const first = this.members.draw(request.nowMs);
    if (first === undefined || this.members.members.length === 1) return first;
    return lessLoaded(first, this.members.drawBeside(first, request.nowMs), request.nowMs);
  }

  pickAgain(request: PickRequest<H>): Member<H> | undefined {
    const first = this.members.drawAgain(request.avoid, request.nowMs);
    if (first === undefined || this.members.members.length === 1) return first;
    const second = this.members.drawBeside(first, request.nowMs);
    return isAvoided(second.host, request.avoid) ? first : lessLoaded(first, second, request.nowMs);
  }

  describe(member: Member<H>, nowMs: number): Readonly<Record<string, string | number>> {
    return { loadPerWeight: member.inFlight / member.effectiveWeight(nowMs) };
  }
}

function lessLoaded<H extends BalancedHost>(first: Member<H>, second: Member<H>, nowMs: number): Member<H> {
  return second.inFlight * first.effectiveWeight(nowMs) < first.inFlight * second.effectiveWeight(nowMs) ? second : first;
}
