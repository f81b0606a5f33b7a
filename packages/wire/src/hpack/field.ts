// What a decoder gives and an encoder takes. A field of the dynamic table is one object for as long as it stays there, so what a reader
// found out about it (valid? which kind?) can be kept in `note` and need not be found out again for each request.

/** RFC 7541 §4.1, RFC 9113 §10.5.1: what each field counts besides its name and value. */
export const FIELD_OVERHEAD_BYTES = 32;

export class HeaderField {
  /** One character per byte, as received: nothing is checked here (upper case, control bytes, empty names: see RFC 9113 §8.2.1). */
  readonly name: string;
  readonly value: string;
  /** A never-indexed literal (RFC 7541 §6.2.3): pass it on as one. */
  readonly neverIndexed: boolean;
  /** For the reader's use, 0 at first. Fields of tables are shared by all blocks of a connection, those of the static table by all
   *  connections: put only what follows from name and value. */
  note = 0;
  /** @internal The encoder that last passed the field on, and what its table made of it: see EncoderTable. */
  encoderId = 0;
  /** @internal */
  place = 0;

  constructor(name: string, value: string, neverIndexed: boolean) {
    this.name = name;
    this.value = value;
    this.neverIndexed = neverIndexed;
  }

  /** What the field counts in a table and in a header list, in bytes. */
  get size(): number {
    return this.name.length + this.value.length + FIELD_OVERHEAD_BYTES;
  }
}

/** More fields than this are dropped with the next block, so that a rare large one is not held for as long as the connection lives. */
const KEPT_FIELDS = 64;

/** The fields of one block, in order. Reused: a decoder empties it at the start of each block. */
export class FieldList {
  /** How many of `fields` belong to the block; what lies behind is left over. */
  count = 0;
  /** The reader's until the next block: it may take some out or put others in. */
  readonly fields: HeaderField[] = [];
  /** All fields of the block together (RFC 9113 §10.5.1), those left out included. */
  size = 0;
  /** A limit was passed: the fields after that are not in the list, but the block was decoded to its end, so that the connection can go
   *  on. Answer 431. */
  tooLarge = false;

  reset(): void {
    if (this.fields.length > KEPT_FIELDS) this.fields.length = KEPT_FIELDS;
    this.count = 0;
    this.size = 0;
    this.tooLarge = false;
  }

  /** Between `reset` and the next one. */
  add(field: HeaderField): void {
    this.fields[this.count++] = field;
  }

  /** Name and value of each field. For cold paths; hot ones count from 0 to `count`. */
  *[Symbol.iterator](): IterableIterator<[name: string, value: string]> {
    for (let at = 0; at < this.count; at++) yield [this.fields[at]!.name, this.fields[at]!.value];
  }
}
