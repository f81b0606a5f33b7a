// Sets of rules by their number, 32 to a word: what one property of a request leaves possible. Sets of several properties are joined word by
// word.

export type Bits = Uint32Array;

export function noBits(count: number): Bits {
  return new Uint32Array((count + 31) >>> 5);
}

export function allBits(count: number): Bits {
  const bits = noBits(count);
  for (let number = 0; number < count; number++) addBit(bits, number);
  return bits;
}

export function addBit(bits: Bits, number: number): void {
  (bits[number >>> 5] as number) |= 1 << (number & 31);
}

export function addBits(bits: Bits, others: Bits): void {
  for (let word = 0; word < bits.length; word++) (bits[word] as number) |= others[word] as number;
}
