// Huffman coding (RFC 7541 §5.2).

import { HUFFMAN_BITS, HUFFMAN_CODES } from './huffman-code.ts';

/** Bits of the longest code, in bytes. */
export const CODED_BYTES_PER_BYTE_MAX = 4;

/** How many bytes bytes[0, length) take coded. */
export function huffmanLength(bytes: Uint8Array, length: number): number {
  let bits = 0;
  for (let at = 0; at < length; at++) bits += HUFFMAN_BITS[bytes[at]!]!;
  return (bits + 7) >>> 3;
}

/** Codes of at most 15 bits with their length in the lowest four: one load for nearly every byte. 0 for longer codes. */
const SHORT_CODES = new Int32Array(256);
for (let symbol = 0; symbol < 256; symbol++) {
  const bits = HUFFMAN_BITS[symbol]!;
  if (bits <= 15) SHORT_CODES[symbol] = (HUFFMAN_CODES[symbol]! << 4) | bits;
}

/** Writes bytes[0, length) coded to `out` at `to`, where there must be room. Returns the position after it. */
export function huffmanEncode(bytes: Uint8Array, length: number, out: Uint8Array, to: number): number {
  let at = to;
  // The lowest `pending` bits of `held` are still to be written: fewer than 16 before each symbol.
  let held = 0;
  let pending = 0;
  for (let index = 0; index < length; index++) {
    const symbol = bytes[index]!;
    let code = SHORT_CODES[symbol]!;
    if (code === 0) {
      // Beside what is pending there is room for 16 bits in the arithmetic of 32, and no code has more than 30.
      const upper = HUFFMAN_BITS[symbol]! - 15;
      held = (held << upper) | (HUFFMAN_CODES[symbol]! >>> 15);
      pending += upper;
      if (pending >= 16) {
        pending -= 16;
        out[at++] = held >> (pending + 8);
        out[at++] = held >> pending;
      }
      code = ((HUFFMAN_CODES[symbol]! & 0x7fff) << 4) | 15;
    }
    const bits = code & 0x0f;
    held = (held << bits) | (code >> 4);
    pending += bits;
    if (pending >= 16) {
      pending -= 16;
      out[at++] = held >> (pending + 8);
      out[at++] = held >> pending;
    }
  }
  if (pending >= 8) out[at++] = held >> (pending -= 8);
  if (pending > 0) out[at++] = (held << (8 - pending)) | (0xff >> pending);
  return at;
}
