// Ring hash (as ketama): each host has points on a circle of 2^32, by its weight, and a hash belongs to the first point at or after it. Where a
// host's points are depends on nothing but its address, and how many they are only on powers of two, so that callers with the same list
// agree and a host that comes or goes moves nothing between others. A change is merged into the ring: O(points), without sorting it again.
import type { BalancedHost } from './balancer.ts';
import type { HashTable } from './hash-picker.ts';
import { hashText, mixHash } from './hash-text.ts';
import type { Member } from './member.ts';

/** Of a host of mean weight. Shares then differ by some 6 % (1 / sqrt(256)). */
const HOST_POINTS = 256;
/** About 4 MB, merged in some 6 ms. Beyond 2,048 hosts each has half of the points, beyond 4,096 a quarter, and so on. */
const RING_POINTS_MAX = 2 ** 19;
/** The circle is cut into arcs of about so many points. */
const ARC_POINTS = 4;
const GOLDEN = 0x9e3779b9;

/** Points in order, and for each the index of its owner in `slots`. */
interface Points {
  readonly at: Uint32Array;
  readonly owners: Uint32Array;
}

export class HashRing<H extends BalancedHost> implements HashTable<H> {
  private ring: Points = emptyPoints(0);
  /** Index of the first point at or after the beginning of each arc. */
  private arcs = new Uint32Array(2);
  private arcShift = 31;
  private readonly slots: (Member<H> | undefined)[] = [];
  private readonly free: number[] = [];
  private readonly placed = new Map<Member<H>, { readonly slot: number; readonly points: number }>();

  update(members: readonly Member<H>[]): void {
    const perWeight = pointsPerWeight(members);
    const current = new Set(members);
    const cleared = new Uint8Array(this.slots.length);
    let clearedPoints = 0;
    for (const [member, { slot, points }] of this.placed) {
      if (current.has(member) && pointsOf(member, perWeight) === points) continue;
      cleared[slot] = 1;
      clearedPoints += points;
      this.placed.delete(member);
    }
    const added = members.filter((member) => !this.placed.has(member));
    if (added.length === 0 && clearedPoints === 0) return;
    this.ring = this.merge(cleared, clearedPoints, this.place(added, perWeight));
    // Only now: old points are told from new ones by their slot.
    for (let slot = 0; slot < cleared.length; slot++) {
      if (cleared[slot] === 0) continue;
      this.slots[slot] = undefined;
      this.free.push(slot);
    }
    this.arcShift = arcShift(this.ring.at.length);
    this.arcs = cut(this.ring.at, this.arcShift);
  }

  lookup(hash: number): Member<H> {
    const { at, owners } = this.ring;
    let index = this.arcs[hash >>> this.arcShift] as number;
    while (index < at.length && (at[index] as number) < hash) index++;
    return this.slots[owners[index === at.length ? 0 : index] as number] as Member<H>;
  }

  private place(members: readonly Member<H>[], perWeight: number): Points {
    let count = 0;
    for (const member of members) count += pointsOf(member, perWeight);
    const placed = emptyPoints(count);
    let next = 0;
    for (const member of members) {
      const slot = this.free.pop() ?? this.slots.length;
      this.slots[slot] = member;
      const points = pointsOf(member, perWeight);
      this.placed.set(member, { slot, points });
      const start = hashText(member.key);
      const step = hashText(member.key, GOLDEN) | 1;
      for (let index = 0; index < points; index++) {
        placed.at[next] = mixHash((start + Math.imul(index, step)) | 0);
        placed.owners[next++] = slot;
      }
    }
    const points = sorted(placed);
    this.settleTies(points);
    return points;
  }

  private merge(cleared: Uint8Array, clearedPoints: number, added: Points): Points {
    const before = this.ring;
    const beforeCount = before.at.length;
    const addedCount = added.at.length;
    if (beforeCount === clearedPoints) return added;
    const { at, owners } = emptyPoints(beforeCount - clearedPoints + addedCount);
    let next = 0;
    let add = 0;
    for (let index = 0; index < beforeCount; index++) {
      const owner = before.owners[index] as number;
      if (cleared[owner] === 1) continue;
      const point = before.at[index] as number;
      for (; add < addedCount && (added.at[add] as number) <= point; add++) {
        if (added.at[add] === point && this.keyOf(added.owners[add]) > this.keyOf(owner)) break;
        at[next] = added.at[add] as number;
        owners[next++] = added.owners[add] as number;
      }
      at[next] = point;
      owners[next++] = owner;
    }
    for (; add < addedCount; add++) {
      at[next] = added.at[add] as number;
      owners[next++] = added.owners[add] as number;
    }
    return { at, owners };
  }

  /** Points in the same place are in the order of their hosts, whichever came first. */
  private settleTies({ at, owners }: Points): void {
    for (let index = 1; index < at.length; index++) {
      for (let tie = index; tie > 0 && at[tie] === at[tie - 1] && this.keyOf(owners[tie]) < this.keyOf(owners[tie - 1]); tie--) {
        const owner = owners[tie] as number;
        owners[tie] = owners[tie - 1] as number;
        owners[tie - 1] = owner;
      }
    }
  }

  private keyOf(slot: number | undefined): string {
    return (this.slots[slot as number] as Member<H>).key;
  }
}

/** In powers of two: with each step the number of points of every host changes, and with it where much belongs. */
function pointsPerWeight<H extends BalancedHost>(members: readonly Member<H>[]): number {
  let weight = 0;
  for (const member of members) weight += member.weight;
  if (weight === 0) return 1;
  let hostPoints = HOST_POINTS;
  while (hostPoints > 1 && hostPoints * members.length > RING_POINTS_MAX) hostPoints /= 2;
  return hostPoints / 2 ** Math.round(Math.log2(weight / members.length));
}

function pointsOf<H extends BalancedHost>(member: Member<H>, perWeight: number): number {
  return Math.max(1, Math.round(member.weight * perWeight));
}

function emptyPoints(count: number): Points {
  return { at: new Uint32Array(count), owners: new Uint32Array(count) };
}

function arcShift(points: number): number {
  return 32 - Math.max(1, Math.ceil(Math.log2(Math.max(1, points / ARC_POINTS))));
}

function cut(at: Uint32Array, shift: number): Uint32Array<ArrayBuffer> {
  const arcs = new Uint32Array(2 ** (32 - shift));
  let next = 0;
  for (let index = 0; index < at.length; index++) {
    for (const arc = (at[index] as number) >>> shift; next <= arc; next++) arcs[next] = index;
  }
  arcs.fill(at.length, next);
  return arcs;
}

/** Points are spread evenly: those that begin with the same bits are brought together first, and few are left to put in order. */
function sorted(points: Points): Points {
  const count = points.at.length;
  const shift = arcShift(count);
  const ends = new Uint32Array(2 ** (32 - shift) + 1);
  for (const point of points.at) ends[(point >>> shift) + 1] = (ends[(point >>> shift) + 1] as number) + 1;
  for (let bucket = 1; bucket < ends.length; bucket++) ends[bucket] = (ends[bucket] as number) + (ends[bucket - 1] as number);
  const { at, owners } = emptyPoints(count);
  for (let index = 0; index < count; index++) {
    const point = points.at[index] as number;
    const place = ends[point >>> shift] as number;
    ends[point >>> shift] = place + 1;
    at[place] = point;
    owners[place] = points.owners[index] as number;
  }
  for (let index = 1; index < count; index++) {
    const point = at[index] as number;
    const owner = owners[index] as number;
    let place = index;
    for (; place > 0 && (at[place - 1] as number) > point; place--) {
      at[place] = at[place - 1] as number;
      owners[place] = owners[place - 1] as number;
    }
    at[place] = point;
    owners[place] = owner;
  }
  return { at, owners };
}
