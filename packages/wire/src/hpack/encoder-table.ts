// An encoder's view of the tables: from name and value to an index. The dynamic table is a ring of insertions numbered from 1; a map leads
// from a name to its newest insertion, and each insertion to the one before it with the same name. No keys are put together.

import { DEFAULT_TABLE_BYTES } from './dynamic-table.ts';
import { FIELD_OVERHEAD_BYTES } from './field.ts';
import { TREATMENT, TREATMENTS, type Treatment } from './indexing.ts';
import { STATIC_COUNT, STATIC_FIELDS } from './static-table.ts';

const INITIAL_ENTRIES = 16;

/** Values of one name that are compared: more make a field dearer than they save. */
const CANDIDATES_MAX = 32;

/** A name of the static table, or one that is treated in its own way: one look-up tells all of it. */
interface KnownName {
  /** Counts the names. */
  readonly id: number;
  /** Index of the static table's first field of this name, 0 when there is none. */
  readonly index: number;
  /** Values of the fields from there on. */
  readonly values: string[];
  readonly treatment: Treatment;
}

const KNOWN_NAMES: ReadonlyMap<string, KnownName> = knownNames();

export class EncoderTable {
  count = 0;
  size = 0;
  sizeMax: number = DEFAULT_TABLE_BYTES;
  /** Result of `find`: an index whose name is the same, 0 when there is none. */
  nameIndex = 0;
  /** Result of `find` and `insert`: where the field stands, below 0 in the static table, above 0 the number of its insertion, 0 nowhere. */
  place = 0;
  /** Result of `find`: how the name is treated. */
  treatment: Treatment = TREATMENT.varying;
  /** Number of the newest insertion. A float counts to 2^53 of them. */
  private inserted = 0;
  private names: string[] = [];
  private values: string[] = [];
  /** The insertion of the same name before this one; it may have been evicted since. */
  private olders: number[] = [];
  /** Newest insertion of each name: of known ones by `id` (one look-up less for nearly every field), of all others. Neither takes memory
   *  before it is needed. */
  private readonly newestKnown: number[] = [];
  private readonly newest = new Map<string, number>();

  /** The index of what stands in this place, 0 when it was evicted. */
  indexOf(place: number): number {
    if (place < 0) return -place;
    return place > this.inserted - this.count ? STATIC_COUNT + 1 + this.inserted - place : 0;
  }

  /** The index of a field, 0 when there is none; sets `nameIndex` and `place`. */
  find(name: string, value: string): number {
    this.nameIndex = 0;
    this.place = 0;
    const known = KNOWN_NAMES.get(name);
    this.treatment = TREATMENT.varying;
    if (known !== undefined) {
      this.nameIndex = known.index;
      this.treatment = known.treatment;
      const { values } = known;
      for (let at = 0; at < values.length; at++) {
        if (values[at] !== value) continue;
        this.place = -(known.index + at);
        return known.index + at;
      }
    }
    const newest = known === undefined ? (this.newest.get(name) ?? 0) : this.newestOf(known.id);
    const { inserted, values, olders } = this;
    const mask = values.length - 1;
    const oldest = inserted - this.count;
    let candidates = CANDIDATES_MAX;
    for (let number = newest; number > oldest && candidates-- > 0; number = olders[number & mask]!) {
      if (values[number & mask] !== value) continue;
      this.place = number;
      return STATIC_COUNT + 1 + inserted - number;
    }
    if (this.nameIndex === 0 && newest > oldest) this.nameIndex = STATIC_COUNT + 1 + inserted - newest;
    return 0;
  }

  /** An index whose name is the same, 0 when there is none. */
  findName(name: string): number {
    const known = KNOWN_NAMES.get(name);
    if (known !== undefined && known.index > 0) return known.index;
    const newest = known === undefined ? (this.newest.get(name) ?? 0) : this.newestOf(known.id);
    return newest > this.inserted - this.count ? STATIC_COUNT + 1 + this.inserted - newest : 0;
  }

  /** Newest insertion of a known name, 0 when there was none; it may have been evicted since. */
  private newestOf(id: number): number {
    const { newestKnown } = this;
    while (newestKnown.length <= id) newestKnown.push(0);
    return newestKnown[id]!;
  }

  /** RFC 7541 §4.4. */
  insert(name: string, value: string): void {
    const bytes = name.length + value.length + FIELD_OVERHEAD_BYTES;
    this.shrinkTo(this.sizeMax - bytes);
    if (bytes > this.sizeMax) return;
    if (this.count === this.names.length) this.grow();
    const number = ++this.inserted;
    this.place = number;
    const slot = number & (this.names.length - 1);
    this.names[slot] = name;
    this.values[slot] = value;
    const known = KNOWN_NAMES.get(name);
    if (known === undefined) {
      this.olders[slot] = this.newest.get(name) ?? 0;
      this.newest.set(name, number);
    } else {
      this.olders[slot] = this.newestOf(known.id);
      this.newestKnown[known.id] = number;
    }
    this.count++;
    this.size += bytes;
  }

  /** RFC 7541 §4.3. */
  resize(sizeMax: number): void {
    this.sizeMax = sizeMax;
    this.shrinkTo(sizeMax);
  }

  private shrinkTo(bytes: number): void {
    const { names, values } = this;
    while (this.count > 0 && this.size > bytes) {
      const number = this.inserted - this.count + 1;
      const slot = number & (names.length - 1);
      const name = names[slot]!;
      this.size -= name.length + values[slot]!.length + FIELD_OVERHEAD_BYTES;
      if (this.newest.get(name) === number) this.newest.delete(name);
      names[slot] = '';
      values[slot] = '';
      this.count--;
    }
  }

  private grow(): void {
    const { names, values, olders } = this;
    const from = names.length - 1;
    const to = Math.max(INITIAL_ENTRIES, names.length * 2) - 1;
    this.names = new Array<string>(to + 1).fill('');
    this.values = new Array<string>(to + 1).fill('');
    this.olders = new Array<number>(to + 1).fill(0);
    for (let number = this.inserted - this.count + 1; number <= this.inserted; number++) {
      this.names[number & to] = names[number & from]!;
      this.values[number & to] = values[number & from]!;
      this.olders[number & to] = olders[number & from]!;
    }
  }
}

function knownNames(): Map<string, KnownName> {
  const names = new Map<string, KnownName>();
  for (let index = 1; index <= STATIC_COUNT; index++) {
    const { name, value } = STATIC_FIELDS[index]!;
    const known = names.get(name);
    if (known !== undefined) known.values.push(value);
    else names.set(name, { id: names.size, index, values: [value], treatment: TREATMENTS.get(name) ?? TREATMENT.varying });
  }
  for (const [name, treatment] of TREATMENTS) if (!names.has(name)) names.set(name, { id: names.size, index: 0, values: [], treatment });
  return names;
}
