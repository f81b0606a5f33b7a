// A decoder's dynamic table (RFC 7541 §2.3.2, §4) as a ring: the newest entry has index 0, inserting moves nothing.

import { FIELD_OVERHEAD_BYTES, type HeaderField } from './field.ts';

/** What both sides begin with (RFC 9113 §6.5.2). */
export const DEFAULT_TABLE_BYTES = 4_096;
/** Entries of the first ring, which comes with the first entry; it doubles when needed, so an idle connection does not pay for the limit. A
 *  power of two. */
const INITIAL_ENTRIES = 16;

export class DynamicTable {
  /** Entries in the table. */
  count = 0;
  /** What they take by the measure of RFC 7541 §4.1. */
  size = 0;
  /** The most they may take. */
  sizeMax: number = DEFAULT_TABLE_BYTES;
  private ring: (HeaderField | undefined)[] = [];
  /** Where the next entry goes. */
  private next = 0;

  /** The entry of this index, counted from the newest, 0; undefined when there is none. */
  at(index: number): HeaderField | undefined {
    if (index >= this.count) return undefined;
    const { ring } = this;
    return ring[(this.next - 1 - index) & (ring.length - 1)];
  }

  /** RFC 7541 §4.4: makes room first; a field that is larger than the table leaves it empty. */
  insert(field: HeaderField): void {
    const bytes = field.name.length + field.value.length + FIELD_OVERHEAD_BYTES;
    this.shrinkTo(this.sizeMax - bytes);
    if (bytes > this.sizeMax) return;
    if (this.count === this.ring.length) this.grow();
    this.ring[this.next] = field;
    this.next = (this.next + 1) & (this.ring.length - 1);
    this.count++;
    this.size += bytes;
  }

  /** RFC 7541 §4.3. */
  resize(sizeMax: number): void {
    this.sizeMax = sizeMax;
    this.shrinkTo(sizeMax);
  }

  /** Evicts the oldest entries until at most so many bytes are taken. */
  private shrinkTo(bytes: number): void {
    const { ring } = this;
    const mask = ring.length - 1;
    while (this.count > 0 && this.size > bytes) {
      const oldest = (this.next - this.count) & mask;
      const field = ring[oldest]!;
      this.size -= field.name.length + field.value.length + FIELD_OVERHEAD_BYTES;
      ring[oldest] = undefined;
      this.count--;
    }
  }

  private grow(): void {
    const { ring, next, count } = this;
    const grown = new Array<HeaderField | undefined>(Math.max(INITIAL_ENTRIES, ring.length * 2)).fill(undefined);
    for (let age = 0; age < count; age++) grown[count - 1 - age] = ring[(next - 1 - age) & (ring.length - 1)];
    this.ring = grown;
    this.next = count;
  }
}
