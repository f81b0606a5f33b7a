// For tests: blocks from lists of fields and back, as plain data.

import { BlockWriter } from './block-writer.ts';
import type { HpackDecoder } from './decoder.ts';
import type { HpackEncoder } from './encoder.ts';
import { FieldList } from './field.ts';
import type { HpackViolationCode } from './violations.ts';

/** Name, value, and whether the field is never indexed. */
export type Triple = readonly [name: string, value: string, neverIndexed: boolean];

export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
}

export function triples(pairs: readonly (readonly [name: string, value: string])[]): Triple[] {
  return pairs.map(([name, value]) => [name, value, false]);
}

export function encodeBlock(encoder: HpackEncoder, fields: readonly (readonly [name: string, value: string, never?: boolean])[]): Buffer {
  const writer = new BlockWriter();
  encoder.begin(writer);
  for (const [name, value, never] of fields) encoder.field(name, value, never);
  return writer.copy();
}

export interface Decoded {
  fields: Triple[];
  fault: HpackViolationCode | undefined;
  tooLarge: boolean;
  size: number;
}

function snapshot(list: FieldList, fault: HpackViolationCode | undefined): Decoded {
  const fields = list.fields.slice(0, list.count).map(({ name, value, neverIndexed }): Triple => [name, value, neverIndexed]);
  return { fields, fault, tooLarge: list.tooLarge, size: list.size };
}

/** Decodes a block that came at once. */
export function decodeBlock(decoder: HpackDecoder, block: Buffer, list: FieldList = new FieldList()): Decoded {
  // Between other bytes, so that looking beyond the range would show.
  const framed = Buffer.concat([Buffer.of(0x82), block, Buffer.of(0x82)]);
  return snapshot(list, decoder.decode(framed, 1, 1 + block.length, list));
}

/** Decodes a block that came in these pieces. */
export function decodePieces(decoder: HpackDecoder, pieces: readonly Buffer[], list: FieldList = new FieldList()): Decoded {
  let fault: HpackViolationCode | undefined;
  for (const piece of pieces) {
    fault = decoder.push(piece, 0, piece.length, list);
    // What was pushed may be overwritten afterwards.
    piece.fill(0xff);
  }
  return snapshot(list, decoder.finish(list) ?? fault);
}
