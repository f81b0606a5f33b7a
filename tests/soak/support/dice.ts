// Random numbers that come again: everything that a run throws at the proxy follows from its seed.

export class Dice {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  /** Several numbers name one of many independent sequences: the seed of the run, what it is for, and which one of these. */
  constructor(...seeds: readonly number[]) {
    [this.a, this.b, this.c, this.d] = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 1];
    for (const seed of seeds) {
      this.a ^= seed >>> 0;
      this.b ^= Math.floor(seed / 2 ** 32) >>> 0;
      for (let i = 0; i < 12; i++) this.word();
    }
  }

  /** A whole number from 0 to 2^32 - 1 (sfc32). */
  word(): number {
    const sum = (((this.a + this.b) | 0) + this.d) | 0;
    this.d = (this.d + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** Both ends are possible. */
  int(from: number, to: number): number {
    return from + Math.floor((this.word() / 2 ** 32) * (to - from + 1));
  }

  /** Small numbers mostly, large ones now and then: each power of two up to the limit is as likely as the others. */
  size(to: number): number {
    return Math.min(to, Math.floor(2 ** ((this.word() / 2 ** 32) * Math.log2(to + 1))));
  }

  chance(probability: number): boolean {
    return this.word() / 2 ** 32 < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)]!;
  }

  /** By weights, which need not add up to anything. */
  weighted<T>(list: readonly (readonly [weight: number, value: T])[]): T {
    let left = (this.word() / 2 ** 32) * list.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, value] of list) {
      left -= weight;
      if (left < 0) return value;
    }
    return list.at(-1)![1];
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    let at = 0;
    for (; at + 4 <= length; at += 4) bytes.writeUInt32LE(this.word(), at);
    for (; at < length; at++) bytes[at] = this.word() & 0xff;
    return bytes;
  }
}
