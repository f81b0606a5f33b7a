// One short text for a set of resources: equal sets have equal digests, in whatever order and by whatever changes they came about. Each
// change costs one entry, not the set. Against mistakes, not against forgery: who reports a digest can always report another one.
import type { ResourceKind } from '@heddle/core';

/** What entries add up to: two sums modulo 2^32. */
export interface Digest {
  readonly low: number;
  readonly high: number;
}

/** A map of resources by name that always knows the digest of the names and versions it holds. */
export class DigestMap<Held> extends Map<string, Held> {
  readonly #versionOf: (held: Held) => string;
  #low = 0;
  #high = 0;

  constructor(versionOf: (held: Held) => string) {
    super();
    this.#versionOf = versionOf;
  }

  get digest(): Digest {
    return { low: this.#low, high: this.#high };
  }

  override set(name: string, held: Held): this {
    const before = this.get(name);
    if (before !== undefined) this.#add(name, before, -1);
    this.#add(name, held, 1);
    return super.set(name, held);
  }

  override delete(name: string): boolean {
    const before = this.get(name);
    if (before !== undefined) this.#add(name, before, -1);
    return super.delete(name);
  }

  override clear(): void {
    this.#low = 0;
    this.#high = 0;
    super.clear();
  }

  #add(name: string, held: Held, sign: 1 | -1): void {
    const entry = digestOf(name, this.#versionOf(held));
    this.#low = (this.#low + sign * entry.low) | 0;
    this.#high = (this.#high + sign * entry.high) | 0;
  }
}

/** The digest of a set in which one entry has another version. Undefined: the entry is not in the set, before or after. */
export function replaced(digest: Digest, name: string, before: string | undefined, after: string | undefined): Digest {
  let { low, high } = digest;
  if (before !== undefined) {
    const entry = digestOf(name, before);
    low = (low - entry.low) | 0;
    high = (high - entry.high) | 0;
  }
  if (after !== undefined) {
    const entry = digestOf(name, after);
    low = (low + entry.low) | 0;
    high = (high + entry.high) | 0;
  }
  return { low, high };
}

/** 16 hexadecimal digits; all zero for an empty set. */
export function digestText({ low, high }: Digest): string {
  return (high >>> 0).toString(16).padStart(8, '0') + (low >>> 0).toString(16).padStart(8, '0');
}

/** One text for a whole data plane: of each kind its digest. Kinds of which there is nothing do not count. */
export function stateHash(kinds: Iterable<{ readonly kind: ResourceKind; readonly hash: string }>): string {
  let sum: Digest = { low: 0, high: 0 };
  for (const { kind, hash } of kinds) if (hash !== EMPTY) sum = replaced(sum, kind, undefined, hash);
  return digestText(sum);
}

const EMPTY = digestText({ low: 0, high: 0 });

/** Of one entry. Two multiplicative hashes with different multipliers, whose bits are mixed once more at the end. */
function digestOf(name: string, version: string): Digest {
  let low = 0x2545f491;
  let high = 0x6c8e9cf5;
  for (let index = 0; index < name.length; index += 1) {
    const code = name.charCodeAt(index);
    low = Math.imul(low ^ code, 0x5bd1e995);
    high = Math.imul(high ^ code, 0x2c1b3c6d);
  }
  // No character is this large, so that no name with a version is another name with another version.
  low = Math.imul(low ^ 0x10000, 0x5bd1e995);
  high = Math.imul(high ^ 0x10000, 0x2c1b3c6d);
  for (let index = 0; index < version.length; index += 1) {
    const code = version.charCodeAt(index);
    low = Math.imul(low ^ code, 0x5bd1e995);
    high = Math.imul(high ^ code, 0x2c1b3c6d);
  }
  return { low: spread(low ^ (high >>> 7)), high: spread(high ^ (low >>> 9)) };
}

function spread(bits: number): number {
  let mixed = Math.imul(bits ^ (bits >>> 16), 0x7feb352d);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b);
  return (mixed ^ (mixed >>> 16)) | 0;
}
