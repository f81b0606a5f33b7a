// Random: each request by chance, in proportion to weights. It needs no memory and no agreement, so that any number of callers spread alike.
import type { BalancedHost, PickRequest } from './balancer.ts';
import type { Member, Picker } from './member.ts';
import { WeightedDraw } from './weighted-draw.ts';

export class RandomPicker<H extends BalancedHost> implements Picker<H> {
  private readonly members: WeightedDraw<H>;

  constructor(random: () => number) {
    this.members = new WeightedDraw(random);
  }

  update(members: readonly Member<H>[], nowMs: number): void {
    this.members.update(members, nowMs);
  }

  pick(request: PickRequest<H>): Member<H> | undefined {
    return this.members.draw(request.nowMs);
  }

  pickAgain(request: PickRequest<H>): Member<H> | undefined {
    return this.members.drawAgain(request.avoid, request.nowMs);
  }
}
