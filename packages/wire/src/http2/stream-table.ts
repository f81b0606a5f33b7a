// The open streams of a connection by id: a hash table with linear probing. Ids ascend in steps of two, so that streams hardly ever meet, and
// opening and closing one costs a third of what it does with a Map.

import type { Http2Stream } from './stream.ts';

const INITIAL_SLOTS = 16;
/** A table that grew beyond this is given back once it is empty. */
const KEPT_SLOTS = 128;

export class StreamTable {
  size = 0;
  /** At most half full, so every search ends. A power of two, or nothing before the first stream. */
  private slots: (Http2Stream | undefined)[] = [];

  get(id: number): Http2Stream | undefined {
    const { slots } = this;
    const mask = slots.length - 1;
    if (mask < 0) return undefined;
    for (let at = (id >>> 1) & mask; ; at = (at + 1) & mask) {
      const stream = slots[at];
      if (stream === undefined || stream.id === id) return stream;
    }
  }

  /** Its id must be new. */
  add(stream: Http2Stream): void {
    if (this.size * 2 >= this.slots.length) this.grow();
    this.place(stream);
    this.size++;
  }

  /** Without effect when it is not there. */
  delete(stream: Http2Stream): void {
    const { slots } = this;
    const mask = slots.length - 1;
    if (mask < 0) return;
    let hole = (stream.id >>> 1) & mask;
    for (; slots[hole] !== stream; hole = (hole + 1) & mask) if (slots[hole] === undefined) return;
    // What was pushed past the hole moves back, unless its place lies behind the hole.
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const next = slots[at];
      if (next === undefined) break;
      if (((at - (next.id >>> 1)) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = next;
      hole = at;
    }
    slots[hole] = undefined;
    this.size--;
    if (this.size === 0 && slots.length > KEPT_SLOTS) this.slots = [];
  }

  clear(): void {
    this.slots = [];
    this.size = 0;
  }

  /** A list of its own, by ascending id. For cold paths: a stream of the list may be closed before its turn comes. */
  list(): Http2Stream[] {
    return this.slots.filter((stream) => stream !== undefined).sort((a, b) => a.id - b.id);
  }

  private place(stream: Http2Stream): void {
    const { slots } = this;
    const mask = slots.length - 1;
    let at = (stream.id >>> 1) & mask;
    while (slots[at] !== undefined) at = (at + 1) & mask;
    slots[at] = stream;
  }

  private grow(): void {
    const { slots } = this;
    this.slots = new Array<Http2Stream | undefined>(Math.max(INITIAL_SLOTS, slots.length * 2)).fill(undefined);
    for (const stream of slots) if (stream !== undefined) this.place(stream);
  }
}
