// Least response time: of two hosts by chance the one where a request is expected to be done first: the peak EWMA of its response times, times
// the requests in flight and this one, by weight.
import type { BalancedHost, PickRequest, TryResult } from './balancer.ts';
import { isAvoided } from './balancer.ts';
import type { Member, Picker } from './member.ts';
import { penaltyMs, ResponseTimes } from './response-times.ts';
import { WeightedDraw } from './weighted-draw.ts';

/** Differences below 10 % are chance: the first stays, which was drawn by weight. */
const TIE = 0.9;

export class LeastResponseTime<H extends BalancedHost> implements Picker<H> {
  readonly members: WeightedDraw<H>;
  readonly times = new ResponseTimes<H>();
  private meanWeight = 1;

  constructor(random: () => number) {
    this.members = new WeightedDraw(random);
  }

  update(members: readonly Member<H>[], nowMs: number): void {
    this.members.update(members, nowMs);
    let sum = 0;
    for (const member of members) sum += member.weight;
    this.meanWeight = members.length === 0 ? 1 : sum / members.length;
  }

  pick(request: PickRequest<H>): Member<H> | undefined {
    const { nowMs } = request;
    const first = this.members.draw(nowMs);
    return first === undefined || this.members.members.length === 1
      ? first
      : this.faster(first, this.members.drawBeside(first, nowMs), nowMs);
  }

  pickAgain(request: PickRequest<H>): Member<H> | undefined {
    const { nowMs, avoid } = request;
    const first = this.members.drawAgain(avoid, nowMs);
    if (first === undefined || this.members.members.length === 1) return first;
    const second = this.members.drawBeside(first, nowMs);
    return isAvoided(second.host, avoid) ? first : this.faster(first, second, nowMs);
  }

  finished(member: Member<H>, result: TryResult, elapsedMs: number, nowMs: number): void {
    this.times.observe(member, result, elapsedMs, nowMs);
  }

  describe(member: Member<H>, nowMs: number): Readonly<Record<string, string | number>> {
    return {
      expectedMs: this.times.expectedMs(member, nowMs),
      failurePenaltyMs: penaltyMs(member, nowMs),
      cost: this.cost(member, nowMs),
    };
  }

  /** Weight in relation to the others'. */
  relativeWeight(member: Member<H>, nowMs: number): number {
    return member.effectiveWeight(nowMs) / this.meanWeight;
  }

  private faster(first: Member<H>, second: Member<H>, nowMs: number): Member<H> {
    return this.cost(second, nowMs) < TIE * this.cost(first, nowMs) ? second : first;
  }

  private cost(member: Member<H>, nowMs: number): number {
    const timeMs = this.times.expectedMs(member, nowMs) + penaltyMs(member, nowMs);
    return timeMs * (member.inFlight / this.relativeWeight(member, nowMs) + 1);
  }
}
