// Header blocks to fields (RFC 7541 §3). A block may come in pieces: whole representations are decoded where they lie, and only the last,
// unfinished one is copied. The peer's table must be followed to the end of every block, so limits stop the keeping, not the decoding.

import { DEFAULT_TABLE_BYTES, DynamicTable } from './dynamic-table.ts';
import { FIELD_OVERHEAD_BYTES, HeaderField, type FieldList } from './field.ts';
import { decodedBytesMax, huffmanDecode } from './huffman-decode.ts';
import { FAULT, IntegerReader, NEED_MORE } from './integer.ts';
import { DEFAULT_HPACK_LIMITS, type HpackLimits } from './limits.ts';
import { RecentBlocks } from './recent-blocks.ts';
import { STATIC_COUNT, STATIC_FIELDS } from './static-table.ts';
import type { HpackViolationCode } from './violations.ts';

const NOTHING = Buffer.alloc(0);
const CARRY_BYTES = 512;

/** Where strings are decoded: never more than one at a time, in any decoder. */
let scratch: Buffer = Buffer.allocUnsafeSlow(1_024);

export class HpackDecoder {
  private readonly limits: HpackLimits;
  private readonly table = new DynamicTable();
  private readonly recentBlocks = new RecentBlocks();
  private readonly integers = new IntegerReader();
  /** The largest table that the peer may choose. */
  private tableLimit: number = DEFAULT_TABLE_BYTES;
  private sizeUpdateDue = false;
  private fault: HpackViolationCode | undefined;
  /** The block that comes in pieces: has begun; its bytes so far. */
  private inBlock = false;
  private blockBytes = 0;
  /** A field of this block was read: too late for a size update. */
  private fieldsBegan = false;
  /** The unfinished representation, and how many bytes it needs at least to be worth another look. */
  private carry: Buffer = NOTHING;
  private carried = 0;
  private needed = 0;

  /** One per connection. `limits`: what differs from DEFAULT_HPACK_LIMITS. */
  constructor(limits?: Partial<HpackLimits>) {
    this.limits = limits === undefined ? DEFAULT_HPACK_LIMITS : { ...DEFAULT_HPACK_LIMITS, ...limits };
  }

  /** What the dynamic table takes, by the measure of RFC 7541 §4.1. */
  get tableSize(): number {
    return this.table.size;
  }

  /** Our SETTINGS_HEADER_TABLE_SIZE, once the peer has acknowledged it; 4,096 until then. When the table is above it, the next block must
   *  begin with a size update (RFC 7541 §4.2). */
  setTableLimit(bytes: number): void {
    this.tableLimit = bytes;
    if (bytes < this.table.sizeMax) this.sizeUpdateDue = true;
  }

  /** Decodes bytes[start, end), a whole block, into `list`, which is emptied first. Returns the violated rule: after that the connection is
   *  over. The bytes are not kept. */
  decode(bytes: Buffer, start: number, end: number, list: FieldList): HpackViolationCode | undefined {
    list.reset();
    if (this.fault !== undefined) return this.fault;
    if (end - start > this.limits.blockBytesMax) return this.fail('BLOCK_TOO_LARGE');
    const { recentBlocks } = this;
    const { changes } = recentBlocks;
    const hash = this.sizeUpdateDue ? 0 : recentBlocks.hashOf(bytes, start, end);
    if (hash !== 0 && recentBlocks.show(hash, bytes, start, end, list)) return undefined;
    this.fieldsBegan = false;
    const to = this.read(bytes, start, end, list);
    if (to !== end) return this.fail('TRUNCATED_BLOCK');
    if (hash !== 0 && changes === recentBlocks.changes && !list.tooLarge) recentBlocks.note(hash, bytes, start, end, list);
    return undefined;
  }

  /** One piece of a block (HEADERS or CONTINUATION), as it arrives; `finish` follows the last one. Returns the violated rule. */
  push(bytes: Buffer, start: number, end: number, list: FieldList): HpackViolationCode | undefined {
    if (!this.inBlock) this.beginPieces(list);
    this.blockBytes += end - start;
    if (this.fault === undefined && this.blockBytes > this.limits.blockBytesMax) this.fail('BLOCK_TOO_LARGE');
    if (this.fault !== undefined) return this.fault;
    if (this.carried === 0) {
      const to = this.read(bytes, start, end, list);
      if (to >= 0 && to < end) this.keep(bytes, to, end);
    } else {
      this.keep(bytes, start, end);
      if (this.carried < this.needed) return undefined;
      const to = this.read(this.carry, 0, this.carried, list);
      if (to > 0) {
        this.carry.copyWithin(0, to, this.carried);
        this.carried -= to;
      }
    }
    return this.fault;
  }

  /** The block that came by `push` is complete. Returns the violated rule. */
  finish(list: FieldList): HpackViolationCode | undefined {
    if (!this.inBlock) this.beginPieces(list);
    this.inBlock = false;
    if (this.carried > 0) this.fail('TRUNCATED_BLOCK');
    this.carry = NOTHING;
    this.carried = 0;
    return this.fault;
  }

  private beginPieces(list: FieldList): void {
    list.reset();
    this.inBlock = true;
    this.fieldsBegan = false;
    this.blockBytes = 0;
  }

  /** Reads representations up to the last complete one and returns the position after it, or FAULT. */
  private read(bytes: Buffer, start: number, end: number, list: FieldList): number {
    const { table } = this;
    let at = start;
    while (at < end) {
      const byte = bytes[at]!;
      if ((byte & 0xe0) === 0x20) {
        const to = this.readSizeUpdate(bytes, at, end);
        if (to < 0) return to === NEED_MORE ? at : FAULT;
        at = to;
        continue;
      }
      if (this.sizeUpdateDue) return this.refuse('MISSING_SIZE_UPDATE');
      this.fieldsBegan = true;
      if (byte < 0x80) {
        const to = this.readLiteral(bytes, at, end, byte, list);
        if (to < 0) return to === NEED_MORE ? at : FAULT;
        at = to;
        continue;
      }
      // RFC 7541 §6.1. One byte is enough for the static table and most of the dynamic one.
      let index = byte & 0x7f;
      let to = at + 1;
      if (index === 0x7f) {
        index = this.readInteger(bytes, at, end, at, 0x7f);
        if (index < 0) return index === NEED_MORE ? at : FAULT;
        to = this.integers.at;
      }
      const field = index <= STATIC_COUNT ? STATIC_FIELDS[index] : table.at(index - STATIC_COUNT - 1);
      if (field === undefined) return this.refuse('BAD_INDEX');
      this.take(field, list);
      at = to;
    }
    return at;
  }

  /** RFC 7541 §6.3. */
  private readSizeUpdate(bytes: Buffer, at: number, end: number): number {
    if (this.fieldsBegan) return this.refuse('LATE_SIZE_UPDATE');
    const size = this.readInteger(bytes, at, end, at, 0x1f);
    if (size < 0) return size;
    if (size > this.tableLimit) return this.refuse('BAD_SIZE_UPDATE');
    this.table.resize(size);
    this.recentBlocks.clear();
    this.sizeUpdateDue = false;
    return this.integers.at;
  }

  /** RFC 7541 §6.2: with incremental indexing 01…, without 0000, never indexed 0001. */
  private readLiteral(bytes: Buffer, at: number, end: number, byte: number, list: FieldList): number {
    const { integers } = this;
    const indexed = byte >= 0x40;
    const nameIndex = this.readInteger(bytes, at, end, at, indexed ? 0x3f : 0x0f);
    if (nameIndex < 0) return nameIndex;
    let name: string | undefined;
    if (nameIndex === 0) {
      const lengthAt = integers.at;
      const length = this.readInteger(bytes, lengthAt, end, at, 0x7f);
      if (length < 0) return length;
      const from = integers.at;
      // The value's length follows, so one more byte is needed anyway.
      if (from + length >= end) return this.needs(from + length + 1 - at);
      name = stringOf(bytes, from, length, bytes[lengthAt]! >= 0x80);
      integers.at = from + length;
    } else {
      const field = nameIndex <= STATIC_COUNT ? STATIC_FIELDS[nameIndex] : this.table.at(nameIndex - STATIC_COUNT - 1);
      if (field === undefined) return this.refuse('BAD_INDEX');
      name = field.name;
    }
    const valueAt = integers.at;
    const length = this.readInteger(bytes, valueAt, end, at, 0x7f);
    if (length < 0) return length;
    const from = integers.at;
    if (from + length > end) return this.needs(from + length - at);
    const value = stringOf(bytes, from, length, bytes[valueAt]! >= 0x80);
    if (name === undefined || value === undefined) return this.refuse('BAD_HUFFMAN');
    const field = new HeaderField(name, value, !indexed && byte >= 0x10);
    if (indexed) {
      this.table.insert(field);
      this.recentBlocks.clear();
    }
    this.take(field, list);
    return from + length;
  }

  /** Enters a field into the list, unless a limit was passed. */
  private take(field: HeaderField, list: FieldList): void {
    const { limits } = this;
    const nameBytes = field.name.length;
    const valueBytes = field.value.length;
    list.size += nameBytes + valueBytes + FIELD_OVERHEAD_BYTES;
    if (
      list.size > limits.listBytesMax ||
      list.count >= limits.fieldsMax ||
      nameBytes > limits.stringBytesMax ||
      valueBytes > limits.stringBytesMax
    ) {
      list.tooLarge = true;
    }
    if (!list.tooLarge) list.add(field);
  }

  /** Reads an integer of the representation that began at `base`. */
  private readInteger(bytes: Buffer, from: number, end: number, base: number, mask: number): number {
    const value = this.integers.read(bytes, from, end, mask);
    if (value >= 0) return value;
    return value === NEED_MORE ? this.needs(end - base + 1) : this.refuse('BAD_INTEGER');
  }

  /** The representation is incomplete. A block that cannot hold it needs no waiting for. */
  private needs(bytes: number): number {
    this.needed = bytes;
    return bytes > this.limits.blockBytesMax ? this.refuse('BLOCK_TOO_LARGE') : NEED_MORE;
  }

  private refuse(code: HpackViolationCode): number {
    this.fail(code);
    return FAULT;
  }

  /** The first fault stays. */
  private fail(code: HpackViolationCode): HpackViolationCode {
    return (this.fault ??= code);
  }

  private keep(bytes: Buffer, from: number, to: number): void {
    const needed = this.carried + to - from;
    if (needed > this.carry.length) {
      const grown = Buffer.allocUnsafe(Math.max(CARRY_BYTES, needed * 2));
      this.carry.copy(grown, 0, 0, this.carried);
      this.carry = grown;
    }
    bytes.copy(this.carry, this.carried, from, to);
    this.carried = needed;
  }
}

/** RFC 7541 §5.2; undefined when the Huffman coding is wrong. */
function stringOf(bytes: Buffer, from: number, length: number, coded: boolean): string | undefined {
  if (!coded) return bytes.toString('latin1', from, from + length);
  const room = decodedBytesMax(length);
  if (room > scratch.length) scratch = Buffer.allocUnsafeSlow(room);
  const decoded = huffmanDecode(bytes, from, from + length, scratch);
  return decoded < 0 ? undefined : scratch.toString('latin1', 0, decoded);
}
