// Maglev (Eisenbud et al., NSDI 2016): a table of prime size in which every host has as many entries as its weight asks for, to within one or
// two. Each host would like the entries in an order of its own and takes the next that is free when it is its turn. Looking up is one
// access; shares are more even than on a ring, and a change moves a little more. Built when it is first needed after a change.
import type { BalancedHost } from './balancer.ts';
import type { HashTable } from './hash-picker.ts';
import { hashText } from './hash-text.ts';
import type { Member } from './member.ts';

/** The paper's and Envoy's: prime, and 100 times the hosts for up to 650 of them. */
const TABLE_SIZE = 65_537;
const SECOND_HASH = 0x85ebca6b;

export class MaglevTable<H extends BalancedHost> implements HashTable<H> {
  private members: readonly Member<H>[] = [];
  /** Of `members`, when the table was built. */
  private weights: readonly number[] = [];
  private readonly table = new Int32Array(TABLE_SIZE);
  private isBuilt = false;

  update(members: readonly Member<H>[]): void {
    const before = this.members;
    this.isBuilt &&=
      before.length === members.length &&
      members.every((member, index) => member === before[index] && member.weight === this.weights[index]);
    this.members = members;
  }

  lookup(hash: number): Member<H> {
    if (!this.isBuilt) this.build();
    return this.members[this.table[hash % TABLE_SIZE] as number] as Member<H>;
  }

  private build(): void {
    const { members, table } = this;
    const count = members.length;
    this.isBuilt = true;
    this.weights = members.map(({ weight }) => weight);
    const meanWeight = this.weights.reduce((sum, weight) => sum + weight, 0) / count;
    const positions = new Int32Array(count);
    const steps = new Int32Array(count);
    const taken = new Int32Array(count);
    members.forEach((member, index) => {
      positions[index] = hashText(member.key) % TABLE_SIZE;
      steps[index] = (hashText(member.key, SECOND_HASH) % (TABLE_SIZE - 1)) + 1;
    });
    const perRound = this.weights.map((weight) => weight / meanWeight);
    table.fill(-1);
    let free = TABLE_SIZE;
    for (let round = 1; free > 0; round++) {
      for (let index = 0; index < count && free > 0; index++) {
        const due = round * (perRound[index] as number);
        let had = taken[index] as number;
        if (had + 1 > due) continue;
        let position = positions[index] as number;
        const step = steps[index] as number;
        for (; had + 1 <= due && free > 0; had++, free--) {
          while ((table[position] as number) >= 0) {
            position += step;
            if (position >= TABLE_SIZE) position -= TABLE_SIZE;
          }
          table[position] = index;
        }
        positions[index] = position;
        taken[index] = had;
      }
    }
  }
}
