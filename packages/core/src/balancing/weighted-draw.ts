// Draws members by chance, in proportion to their weights, in constant time (alias method, A. J. Walker 1974, built as M. Vose 1991 has it).
// A member in slow start is drawn as before and then refused by chance, so that its growing weight costs no new table.
import type { BalancedHost } from './balancer.ts';
import { isAvoided } from './balancer.ts';
import type { Member } from './member.ts';
import { rampsUntil } from './member.ts';

/** Members in slow start are refused at most so often: with one at 10 % or more it is done after 10 draws on average. */
const REFUSALS_MAX = 32;

export class WeightedDraw<H extends BalancedHost> {
  members: readonly Member<H>[] = [];
  private readonly random: () => number;
  private areEqual = true;
  /** Of the column: below it the member itself is drawn, else its alias. */
  private thresholds = new Float64Array(0);
  private aliases = new Int32Array(0);
  private rampsUntilMs = 0;

  constructor(random: () => number) {
    this.random = random;
  }

  update(members: readonly Member<H>[], nowMs: number): void {
    this.rampsUntilMs = rampsUntil(members, nowMs);
    this.members = members;
    const first = members[0];
    this.areEqual = first === undefined || members.every((member) => member.weight === first.weight);
    if (!this.areEqual) this.build();
  }

  draw(nowMs: number): Member<H> | undefined {
    const { members } = this;
    if (members.length < 2) return members[0];
    let member = this.drawByWeight();
    if (nowMs >= this.rampsUntilMs) return member;
    for (let refusals = 0; refusals < REFUSALS_MAX && this.random() >= member.rampFactor(nowMs); refusals++) member = this.drawByWeight();
    return member;
  }

  /** One that is not `other`; `other` itself only when there is nothing else. */
  drawBeside(other: Member<H>, nowMs: number): Member<H> {
    const { members } = this;
    for (let draws = 0; draws < 4; draws++) {
      const member = this.draw(nowMs) as Member<H>;
      if (member !== other) return member;
    }
    // Weights leave nearly no room for others: any of them.
    const index = Math.floor(this.random() * members.length);
    const member = members[index] as Member<H>;
    return member !== other ? member : (members[index + 1 === members.length ? 0 : index + 1] as Member<H>);
  }

  /** One that is not to be avoided; undefined: all are. */
  drawAgain(avoid: readonly H[], nowMs: number): Member<H> | undefined {
    const { members } = this;
    const count = members.length;
    if (count === 0) return undefined;
    for (let draws = 0; draws < 8; draws++) {
      const member = this.draw(nowMs) as Member<H>;
      if (!isAvoided(member.host, avoid)) return member;
    }
    let index = Math.floor(this.random() * count);
    for (let step = 0; step < count; step++) {
      const member = members[index] as Member<H>;
      if (!isAvoided(member.host, avoid)) return member;
      index = index + 1 === count ? 0 : index + 1;
    }
    return undefined;
  }

  private drawByWeight(): Member<H> {
    const { members } = this;
    const position = this.random() * members.length;
    const column = Math.floor(position);
    if (this.areEqual || position - column < (this.thresholds[column] as number)) return members[column] as Member<H>;
    return members[this.aliases[column] as number] as Member<H>;
  }

  private build(): void {
    const { members } = this;
    const count = members.length;
    const thresholds = new Float64Array(count);
    const aliases = new Int32Array(count);
    this.thresholds = thresholds;
    this.aliases = aliases;
    let sum = 0;
    for (const member of members) sum += member.weight;
    const light: number[] = [];
    const heavy: number[] = [];
    for (let index = 0; index < count; index++) {
      const scaled = ((members[index] as Member<H>).weight * count) / sum;
      thresholds[index] = scaled;
      aliases[index] = index;
      (scaled < 1 ? light : heavy).push(index);
    }
    while (light.length > 0 && heavy.length > 0) {
      const filled = light.pop() as number;
      const giver = heavy[heavy.length - 1] as number;
      aliases[filled] = giver;
      const left = (thresholds[giver] as number) - (1 - (thresholds[filled] as number));
      thresholds[giver] = left;
      if (left < 1) light.push(heavy.pop() as number);
    }
    // What is left is full but for rounding.
    for (const index of light) thresholds[index] = 1;
    for (const index of heavy) thresholds[index] = 1;
  }
}
