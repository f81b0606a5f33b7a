// What is remembered of tokens, by a digest of each: who reads the memory of a data plane finds no token that can be used. Bounded in count and size; the
// oldest is forgotten first, and then checked again.
import { hash } from 'node:crypto';

/** @param place where it was found: the same token may count in one place and not in another. */
export function digestOf(token: string, place: string | number): string {
  return `${hash('sha256', token, 'base64')}${place}`;
}

interface Entry<V> {
  readonly value: V;
  /** Unix time. */
  readonly endMs: number;
  readonly bytes: number;
}

export class TokenCache<V> {
  private readonly entries = new Map<string, Entry<V>>();
  private readonly countMax: number;
  private readonly bytesMax: number;
  private bytes = 0;

  constructor(countMax: number, bytesMax: number) {
    this.countMax = countMax;
    this.bytesMax = bytesMax;
  }

  get size(): number {
    return this.entries.size;
  }

  /** Undefined: not known, or ended. @param nowMs Unix time. */
  get(digest: string, nowMs: number): V | undefined {
    const entry = this.entries.get(digest);
    if (entry === undefined) return undefined;
    if (nowMs < entry.endMs) return entry.value;
    this.delete(digest);
    return undefined;
  }

  /** @param bytes about what it needs. */
  set(digest: string, value: V, endMs: number, bytes: number): void {
    this.delete(digest);
    if (bytes > this.bytesMax) return;
    this.entries.set(digest, { value, endMs, bytes });
    this.bytes += bytes;
    for (const oldest of this.entries.keys()) {
      if (this.entries.size <= this.countMax && this.bytes <= this.bytesMax) break;
      this.delete(oldest);
    }
  }

  delete(digest: string): void {
    const entry = this.entries.get(digest);
    if (entry === undefined) return;
    this.entries.delete(digest);
    this.bytes -= entry.bytes;
  }
}
