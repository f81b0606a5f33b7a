// One rate limit at one data plane: a bucket for all requests, or one for each caller or header value. Buckets are bounded in number; of
// more, the one used longest ago is forgotten. A key that comes back begins with a full bucket: whoever can make up keys without an end
// gets a bucket for each anyway, and a bucket that was not used for long is full by itself.
import { formatDuration } from '../config/duration.ts';
import { DEFAULT_LIMITS } from '../limits/table.ts';
import type { RateLimit } from '../model/resilience.ts';
import { TokenBucket } from './token-bucket.ts';

/** Longer keys are kept shortened: what a client sends in a header must not fill the memory. */
const KEY_CHARS_MAX = 128;
const KEY_HEAD_CHARS = 64;

interface Entry {
  readonly key: string;
  readonly bucket: TokenBucket;
  /** Towards the one used last. */
  newer: Entry | undefined;
  older: Entry | undefined;
}

export class RateLimiter {
  readonly limit: RateLimit;
  readonly #keysMax: number;
  /** Of requests without a key. */
  readonly #shared: TokenBucket;
  readonly #entries = new Map<string, Entry>();
  #newest: Entry | undefined;
  #oldest: Entry | undefined;

  /** @param keysMax Default: `rateLimitKeysMax` of the limits. */
  constructor(limit: RateLimit, nowMs: number, keysMax: number = DEFAULT_LIMITS.rateLimitKeysMax) {
    this.limit = limit;
    this.#keysMax = keysMax;
    this.#shared = new TokenBucket(limit, nowMs);
  }

  /** Keys that have a bucket at present. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Takes a token for the request.
   * @param key The caller's identity, or the value of the header; undefined when the limit is `by` all or the request has none: such
   * requests share a bucket.
   */
  tryTake(key: string | undefined, nowMs: number): boolean {
    return this.#bucketOf(key, nowMs).tryTake(this.limit, nowMs);
  }

  /** Whether `tryTake` would give one. */
  has(key: string | undefined, nowMs: number): boolean {
    return this.#bucketOf(key, nowMs).has(this.limit, nowMs);
  }

  /** Until `tryTake` would give one, if nobody else takes it; 0: now. */
  retryAfterMs(key: string | undefined, nowMs: number): number {
    return this.#bucketOf(key, nowMs).waitMs(this.limit, nowMs);
  }

  #bucketOf(key: string | undefined, nowMs: number): TokenBucket {
    if (key === undefined || this.limit.by.kind === 'all') return this.#shared;
    const short = key.length > KEY_CHARS_MAX ? shorten(key) : key;
    const entry = this.#entries.get(short) ?? this.#add(short, nowMs);
    if (entry !== this.#newest) this.#touch(entry);
    return entry.bucket;
  }

  #add(key: string, nowMs: number): Entry {
    if (this.#entries.size >= this.#keysMax) this.#dropOldest();
    const entry: Entry = { key, bucket: new TokenBucket(this.limit, nowMs), newer: undefined, older: this.#newest };
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
    this.#entries.set(key, entry);
    return entry;
  }

  #touch(entry: Entry): void {
    const { newer, older } = entry;
    if (newer !== undefined) newer.older = older;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    entry.older = this.#newest;
    entry.newer = undefined;
    if (this.#newest !== undefined) this.#newest.newer = entry;
    this.#newest = entry;
  }

  #dropOldest(): void {
    const oldest = this.#oldest;
    if (oldest === undefined) return;
    this.#entries.delete(oldest.key);
    this.#oldest = oldest.newer;
    if (this.#oldest === undefined) this.#newest = undefined;
    else this.#oldest.older = undefined;
  }
}

/**
 * A token of each limit, or of none: a request that one limit refuses must not use up the others.
 * @param keys The request's key for each of the limits, in their order.
 * @returns The index of the limit that refuses; -1: all tokens are taken.
 */
export function takeOfEach(limiters: readonly RateLimiter[], keys: readonly (string | undefined)[], nowMs: number): number {
  for (let at = 0; at < limiters.length; at += 1) if (!limiters[at]!.has(keys[at], nowMs)) return at;
  for (let at = 0; at < limiters.length; at += 1) limiters[at]!.tryTake(keys[at], nowMs);
  return -1;
}

/** The detail of RATE_LIMITED, for people. */
export function describeRateLimit({ requests, perMs, burst, by }: RateLimit): string {
  const whose = by.kind === 'all' ? 'all callers together' : by.kind === 'identity' ? 'each caller' : `each value of ${by.name}`;
  return `${whose} may make ${requests} requests per ${formatDuration(perMs)}, ${burst} at once`;
}

/** Two long keys that begin alike share a bucket only if their hashes are the same too; who wants that limits only himself. */
function shorten(key: string): string {
  let low = 0x811c9dc5;
  let high = 0x1b873593;
  for (let at = KEY_HEAD_CHARS; at < key.length; at += 1) {
    const code = key.charCodeAt(at);
    low = Math.imul(low ^ code, 0x01000193);
    high = Math.imul(high ^ code, 0x85ebca6b) ^ (high >>> 13);
  }
  return `${key.slice(0, KEY_HEAD_CHARS)}…${key.length}.${(low >>> 0).toString(36)}.${(high >>> 0).toString(36)}`;
}
