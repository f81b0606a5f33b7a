// Answers of other servers, kept for as long as these allow, and a while longer for when none of them can be reached (RFC 8767). Bounded in
// number and in bytes; what was used longest ago goes first.
import type { Reply } from './reply.ts';

/** How long beyond its time an answer may still stand in (RFC 8767 §5 suggests one to three days; names of services move sooner). */
const STALE_SECONDS_MAX = 3_600;
/** What others may keep such an answer for (RFC 8767 §4). */
export const STALE_TTL_SECONDS = 30;
/** Of an entry besides the message. */
const ENTRY_BYTES = 200;

export interface CacheLimits {
  readonly entriesMax: number;
  readonly bytesMax: number;
}

interface Entry {
  readonly reply: Reply;
  readonly storedMs: number;
  readonly bytes: number;
}

export interface CacheHit {
  readonly reply: Reply;
  readonly ageSeconds: number;
  readonly isStale: boolean;
}

export class Cache {
  readonly #limits: CacheLimits;
  /** In the order of last use. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(limits: CacheLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(key: string, nowMs: number): CacheHit | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const ageSeconds = Math.floor((nowMs - entry.storedMs) / 1_000);
    if (ageSeconds >= entry.reply.ttlSeconds + STALE_SECONDS_MAX) {
      this.#delete(key, entry);
      return undefined;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return { reply: entry.reply, ageSeconds, isStale: ageSeconds >= entry.reply.ttlSeconds };
  }

  put(key: string, reply: Reply, nowMs: number): void {
    const old = this.#entries.get(key);
    if (old !== undefined) this.#delete(key, old);
    const bytes = ENTRY_BYTES + 2 * key.length + reply.message.length + 8 * reply.ttlOffsets.length;
    if (reply.ttlSeconds === 0 || bytes > this.#limits.bytesMax) return;
    this.#entries.set(key, { reply, storedMs: nowMs, bytes });
    this.#bytes += bytes;
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= this.#limits.entriesMax && this.#bytes <= this.#limits.bytesMax) return;
      this.#delete(oldest, entry);
    }
  }

  #delete(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}
