// Short blocks come again, byte for byte, with nearly every request of the same kind: indices, and a path that the peer does not index. As long as
// the table is unchanged, the same bytes mean the same fields: the same objects, so that whatever was found out about them still holds.

import type { FieldList, HeaderField } from './field.ts';

/** Longer blocks hardly ever come again. */
const BLOCK_BYTES_MAX = 64;
/** Kept blocks per connection. A power of two. */
const PLACES = 16;
/** After so many blocks in vain only one in so many is tried: looking for a block costs a tenth of decoding it. */
const VAIN_MAX = 64;
const TRIED_SHARE = 16;

interface RecentBlock {
  readonly bytes: Uint8Array;
  readonly fields: readonly HeaderField[];
  readonly size: number;
}

export class RecentBlocks {
  /** Counts the changes of the table: a block that makes one cannot be kept. */
  changes = 0;
  /** Of the blocks that came once, and where `blocks` has an entry twice. */
  private hashes: Int32Array | undefined;
  private blocks: (RecentBlock | undefined)[] = [];
  private vain = 0;

  /** A hash of the block if it is worth looking for, else 0. */
  hashOf(bytes: Buffer, start: number, end: number): number {
    if (end - start > BLOCK_BYTES_MAX) return 0;
    if (this.vain >= VAIN_MAX && ++this.vain % TRIED_SHARE !== 0) return 0;
    let hash = 0x811c9dc5;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
    return hash;
  }

  /** Whether a kept block has these bytes: its fields are in the empty list then. */
  show(hash: number, bytes: Buffer, start: number, end: number, list: FieldList): boolean {
    const block = this.blocks[placeOf(hash)];
    if (block === undefined || this.hashes![placeOf(hash)] !== hash) return this.miss();
    const kept = block.bytes;
    if (kept.length !== end - start) return this.miss();
    for (let at = 0; at < kept.length; at++) if (kept[at] !== bytes[start + at]) return this.miss();
    this.vain = 0;
    const { fields } = block;
    for (let at = 0; at < fields.length; at++) list.fields[at] = fields[at]!;
    list.count = fields.length;
    list.size = block.size;
    return true;
  }

  /** A block was decoded that `show` did not know, and the table is as before. Keeps it when it has come twice. */
  note(hash: number, bytes: Buffer, start: number, end: number, list: FieldList): void {
    const hashes = (this.hashes ??= new Int32Array(PLACES));
    if (this.blocks.length === 0) this.blocks = new Array<undefined>(PLACES).fill(undefined);
    const place = placeOf(hash);
    const again = hashes[place] === hash;
    hashes[place] = hash;
    this.blocks[place] = again
      ? { bytes: new Uint8Array(bytes.subarray(start, end)), fields: list.fields.slice(0, list.count), size: list.size }
      : undefined;
  }

  /** The table has changed: indices mean something else. */
  clear(): void {
    this.changes++;
    if (this.hashes === undefined) return;
    this.hashes.fill(0);
    this.blocks.fill(undefined);
  }

  private miss(): false {
    this.vain++;
    return false;
  }
}

function placeOf(hash: number): number {
  return (hash ^ (hash >>> 13)) & (PLACES - 1);
}
