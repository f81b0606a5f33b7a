// Blocks that consist of indices only come again, byte for byte, with nearly every request of the same kind (calls of one gRPC method). As
// long as the table is unchanged, the same bytes mean the same fields, so both decoding and what the reader makes of it can be kept.

import { IndexedBlock, type FieldList } from './field.ts';

/** Longer blocks hardly ever consist of indices only. */
const BLOCK_BYTES_MAX = 64;
/** Kept blocks per connection. A power of two. */
const PLACES = 16;

/** A hash of a block in which every field is an index of one byte (RFC 7541 §6.1), 0 for every other block. */
export function hashOfIndices(bytes: Buffer, start: number, end: number): number {
  if (end - start > BLOCK_BYTES_MAX) return 0;
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    // Longer indices end with such a byte, too; index 0 is a fault, and blocks with faults are not kept.
    if (byte < 0x80) return 0;
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return hash;
}

export class IndexedBlocks {
  private readonly hashes = new Int32Array(PLACES);
  private readonly blocks: (IndexedBlock | undefined)[] = new Array<undefined>(PLACES).fill(undefined);
  private isEmpty = true;

  /** The kept block of these bytes. */
  find(hash: number, bytes: Buffer, start: number, end: number): IndexedBlock | undefined {
    const block = this.blocks[placeOf(hash)];
    if (block === undefined || this.hashes[placeOf(hash)] !== hash) return undefined;
    const kept = block.bytes;
    if (kept.length !== end - start) return undefined;
    for (let at = 0; at < kept.length; at++) if (kept[at] !== bytes[start + at]) return undefined;
    return block;
  }

  /** A block was decoded that `find` did not know. Keeps it when it has come twice. */
  note(hash: number, bytes: Buffer, start: number, end: number, list: FieldList): void {
    const place = placeOf(hash);
    this.isEmpty = false;
    if (this.hashes[place] === hash) {
      const block = new IndexedBlock(new Uint8Array(bytes.subarray(start, end)), list.fields.slice(0, list.count), list.size);
      this.blocks[place] = block;
      list.block = block;
    } else {
      this.hashes[place] = hash;
      this.blocks[place] = undefined;
    }
  }

  /** The table has changed: indices mean something else. */
  clear(): void {
    if (this.isEmpty) return;
    this.isEmpty = true;
    this.hashes.fill(0);
    this.blocks.fill(undefined);
  }
}

function placeOf(hash: number): number {
  return (hash ^ (hash >>> 13)) & (PLACES - 1);
}
