// Fields to header blocks (RFC 7541 §3). Every block that was begun must reach the peer, in order: it changes the peer's table.

import { LocalProtocolError } from '../http1/errors.ts';
import type { BlockWriter } from './block-writer.ts';
import { DEFAULT_TABLE_BYTES } from './dynamic-table.ts';
import { EncoderTable } from './encoder-table.ts';
import { FIELD_OVERHEAD_BYTES, type HeaderField } from './field.ts';
import { CODED_BYTES_PER_BYTE_MAX, huffmanEncode, huffmanLength } from './huffman-encode.ts';
import { SeenFields, TREATMENT, treatmentOf, type Indexing, type Treatment } from './indexing.ts';
import { INTEGER_BYTES_MAX, writeInteger } from './integer.ts';

export interface HpackEncoderOptions {
  /** Upper bound of our dynamic table, whatever the peer allows. Default 4,096: more hardly compresses better, and costs memory on both
   *  sides. */
  readonly tableBytesMax?: number;
  /** Huffman-code strings that do not get longer by it. Default true; false takes a quarter more bytes and less time on both sides. */
  readonly huffman?: boolean;
  /** `adaptive` (default): values that usually vary enter the table when they come again. `always`: every field enters. `never`: none. */
  readonly indexing?: Indexing;
}

const INDEXED = 0x80;
const WITH_INDEXING = 0x40;
const SIZE_UPDATE = 0x20;
const NEVER_INDEXED = 0x10;
const WITHOUT_INDEXING = 0x00;

/** Two strings below 127 bytes with the longest codes, and three integers. */
const ROOM_FOR_SHORT = 2 * 0x7f * CODED_BYTES_PER_BYTE_MAX + 3 * INTEGER_BYTES_MAX;

/** The string that is being coded: never more than one at a time, in any encoder. */
let scratch: Buffer = Buffer.allocUnsafeSlow(1_024);

/** Entries above this share of the table would push out nearly all others. */
const ENTRY_SHARE_MAX = 0.75;

/** Tells encoders apart in fields without holding on to them. */
let encoders = 0;

export class HpackEncoder {
  private readonly id: number = ++encoders;
  private readonly table = new EncoderTable();
  private readonly tableBytesMax: number;
  private readonly huffman: boolean;
  private readonly indexing: Indexing;
  private readonly seen = new SeenFields();
  /** Size updates to be told: the smallest table since the last block, and the table from now on. */
  private smallest = Number.POSITIVE_INFINITY;
  private chosen: number = DEFAULT_TABLE_BYTES;
  private into: BlockWriter | undefined;

  /** One per connection. */
  constructor(options: HpackEncoderOptions = {}) {
    this.tableBytesMax = options.tableBytesMax ?? DEFAULT_TABLE_BYTES;
    this.huffman = options.huffman ?? true;
    this.indexing = options.indexing ?? 'adaptive';
    this.setTableLimit(DEFAULT_TABLE_BYTES);
  }

  /** What the dynamic table takes, by the measure of RFC 7541 §4.1. */
  get tableSize(): number {
    return this.table.size;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE; 4,096 until it comes. A change is told with the next block (RFC 7541 §4.2). */
  setTableLimit(bytes: number): void {
    this.chosen = Math.min(bytes, this.tableBytesMax);
    if (this.chosen < this.smallest) this.smallest = this.chosen;
  }

  /** Starts a block: it is written to the end of `into`, up to the next `begin`. */
  begin(into: BlockWriter): void {
    this.into = into;
    const { table, smallest, chosen } = this;
    if (smallest === Number.POSITIVE_INFINITY) return;
    if (smallest < table.sizeMax) this.sizeUpdate(smallest);
    if (chosen !== table.sizeMax) this.sizeUpdate(chosen);
    this.smallest = Number.POSITIVE_INFINITY;
  }

  /**
   * Appends a field. `name` in lower case; both are latin1, one byte per character, as everything that came from bytes (of other characters
   * only the low byte is sent). `neverIndexed`: it was received so, or nobody after us may keep it (RFC 7541 §7.1.3); the encoder adds
   * this to credentials itself.
   */
  field(name: string, value: string, neverIndexed: boolean = false): void {
    const { table } = this;
    if (neverIndexed) return this.literal(NEVER_INDEXED, 0x0f, name, value, table.findName(name));
    const index = table.find(name, value);
    if (index > 0) return this.index(index);
    const { nameIndex } = table;
    const treatment = treatmentOf(table.treatment, value);
    if (treatment === TREATMENT.secret) return this.literal(NEVER_INDEXED, 0x0f, name, value, nameIndex);
    if (!this.isWorthIndexing(name, value, treatment)) {
      return this.literal(WITHOUT_INDEXING, 0x0f, name, value, nameIndex);
    }
    this.literal(WITH_INDEXING, 0x3f, name, value, nameIndex);
    table.insert(name, value);
  }

  /** Appends a field as it was received, never-indexed ones as such. A field that comes again as the same object, which those of a decoder's
   *  table do, costs next to nothing. */
  pass(field: HeaderField): void {
    const { table } = this;
    // The static table is the same for all encoders.
    if (field.place < 0) return this.index(-field.place);
    if (field.encoderId === this.id) {
      const index = table.indexOf(field.place);
      if (index > 0) return this.index(index);
    }
    table.place = 0;
    this.field(field.name, field.value, field.neverIndexed);
    field.encoderId = this.id;
    field.place = table.place;
  }

  private isWorthIndexing(name: string, value: string, treatment: Treatment): boolean {
    if (this.indexing !== 'adaptive') return this.indexing === 'always';
    if (treatment === TREATMENT.unique && this.table.nameIndex > 0) return false;
    if (name.length + value.length + FIELD_OVERHEAD_BYTES > this.table.sizeMax * ENTRY_SHARE_MAX) return false;
    if (treatment === TREATMENT.stable) return true;
    // A name that came before is worth a place even if its values differ: from then on an index stands for it.
    return this.table.nameIndex === 0 ? this.seen.seenBefore(name, name) : this.seen.seenBefore(name, value);
  }

  /** RFC 7541 §6.1. */
  private index(index: number): void {
    const into = this.writer();
    into.reserve(INTEGER_BYTES_MAX);
    if (index < 0x7f) into.bytes[into.length++] = INDEXED | index;
    else into.length = writeInteger(into.bytes, into.length, INDEXED, 0x7f, index);
  }

  /** RFC 7541 §6.2. */
  private literal(kind: number, mask: number, name: string, value: string, nameIndex: number): void {
    const into = this.writer();
    into.reserve(ROOM_FOR_SHORT + name.length + value.length);
    into.length = writeInteger(into.bytes, into.length, kind, mask, nameIndex);
    if (nameIndex === 0) this.string(into, name);
    this.string(into, value);
  }

  /** RFC 7541 §6.3. */
  private sizeUpdate(bytes: number): void {
    this.table.resize(bytes);
    const into = this.writer();
    into.reserve(INTEGER_BYTES_MAX);
    into.length = writeInteger(into.bytes, into.length, SIZE_UPDATE, 0x1f, bytes);
  }

  /** RFC 7541 §5.2. There is room for it, even where Huffman coding makes it longer. */
  private string(into: BlockWriter, text: string): void {
    const { bytes } = into;
    const { length } = text;
    const from = into.length;
    if (this.huffman && length > 0) {
      if (length > scratch.length) scratch = Buffer.allocUnsafeSlow(length * 2);
      scratch.write(text, 0, 'latin1');
      if (length < 0x7f) {
        // The length takes one byte in either case, so there is no need to know it in advance.
        const to = huffmanEncode(scratch, length, bytes, from + 1);
        const coded = to - from - 1;
        if (coded <= length) {
          bytes[from] = 0x80 | coded;
          into.length = to;
          return;
        }
      } else {
        const coded = huffmanLength(scratch, length);
        if (coded <= length) {
          into.length = huffmanEncode(scratch, length, bytes, writeInteger(bytes, from, 0x80, 0x7f, coded));
          return;
        }
      }
    }
    const at = writeInteger(bytes, from, 0x00, 0x7f, length);
    into.length = at + bytes.write(text, at, 'latin1');
  }

  private writer(): BlockWriter {
    if (this.into === undefined) throw new LocalProtocolError('WRONG_STATE', 'Call begin() before adding fields to a header block.');
    return this.into;
  }
}
