// Hashes for consistent hashing and splits: 32 bits, unsigned, every bit of which depends on every character. Not for secrets, and not against
// people who choose keys on purpose: whom they can hurt is the instance that their own requests go to.

/**
 * MurmurHash3 (x86, 32 bits; A. Appleby) over the UTF-16 code units, two to a block.
 * @param seed another one gives another, independent hash of the same text.
 */
export function hashText(text: string, seed = 0): number {
  const length = text.length;
  const even = length & ~1;
  let hash = seed | 0;
  for (let index = 0; index < even; index += 2) {
    hash ^= scramble(text.charCodeAt(index) | (text.charCodeAt(index + 1) << 16));
    hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64;
  }
  if (even !== length) hash ^= scramble(text.charCodeAt(even));
  return mixHash(hash ^ (length << 1));
}

/** One hash of two; their order counts. For requests with several hash sources start with 0. */
export function combineHashes(first: number, second: number): number {
  const hash = first ^ scramble(second);
  return mixHash(Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64);
}

/** Another number for each number, that has nothing to do with it to the eye: a second hash of what was hashed. */
export function mixHash(value: number): number {
  let hash = value ^ (value >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function scramble(block: number): number {
  const mixed = Math.imul(block, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}
