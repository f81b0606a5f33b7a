// Integers with a prefix of a few bits (RFC 7541 §5.1).

/** Results of reading below zero. */
export const NEED_MORE = -1;
export const FAULT = -2;

/** 28 bits after the prefix: far above every table size and string length here, and still a small integer. */
const CONTINUATION_BYTES_MAX = 4;

/** Reads integers, and tells where it stopped. */
export class IntegerReader {
  /** Position after the integer. */
  at = 0;

  /** The integer that begins at bytes[from], of which `mask` covers the prefix bits; NEED_MORE when it is not complete before `end`; FAULT
   *  when it has more bytes than any sensible value. */
  read(bytes: Uint8Array, from: number, end: number, mask: number): number {
    if (from >= end) return NEED_MORE;
    let value = bytes[from]! & mask;
    let at = from + 1;
    if (value === mask) {
      for (let shift = 0; ; shift += 7) {
        if (shift === CONTINUATION_BYTES_MAX * 7) return FAULT;
        if (at >= end) return NEED_MORE;
        const byte = bytes[at++]!;
        value += (byte & 0x7f) << shift;
        if (byte < 0x80) break;
      }
    }
    this.at = at;
    return value;
  }
}

/** The most bytes that `writeInteger` writes: for values below 2^31. */
export const INTEGER_BYTES_MAX = 6;

/** Writes `value` at `to`, in the byte that begins with the bits of `first`, `mask` covering the prefix. Returns the position after it. */
export function writeInteger(bytes: Uint8Array, to: number, first: number, mask: number, value: number): number {
  let at = to;
  if (value < mask) {
    bytes[at++] = first | value;
    return at;
  }
  bytes[at++] = first | mask;
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
  bytes[at++] = rest;
  return at;
}
