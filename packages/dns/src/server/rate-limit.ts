// A token bucket for each client address, so that nobody can use this server to flood others (whose address was forged) or to starve its
// other clients. The table is bounded: the client that was silent longest goes first, and has a full bucket when it comes back.
import { ipBytes } from '@heddle/core';
import { isLoopback } from '../forward/resolvers.ts';

export interface RateLimits {
  readonly perSecond: number;
  readonly perSecondLocal: number;
  readonly clientsMax: number;
}

/** What a bucket holds when it is full, in seconds of its rate. */
const BURST_SECONDS = 2;

interface Bucket {
  tokens: number;
  filledMs: number;
  /** Queries beyond the limit. */
  excess: number;
}

export class RateLimiter {
  readonly #limits: RateLimits;
  /** In the order of last use. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: RateLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /**
   * What to do with a query. `cut`: answer that it should come by TCP, which a forged address cannot; of queries beyond the limit that is every
   * second one, so that answers are fewer than questions.
   */
  admit(address: string, nowMs: number): 'answer' | 'cut' | 'drop' {
    const rate = isLoopback(address) ? this.#limits.perSecondLocal : this.#limits.perSecond;
    const full = rate * BURST_SECONDS;
    const client = clientOf(address);
    const bucket = this.#buckets.get(client) ?? { tokens: full, filledMs: nowMs, excess: 0 };
    this.#buckets.delete(client);
    this.#buckets.set(client, bucket);
    if (this.#buckets.size > this.#limits.clientsMax) this.#forgetOldest();
    bucket.tokens = Math.min(full, bucket.tokens + ((nowMs - bucket.filledMs) * rate) / 1_000);
    bucket.filledMs = nowMs;
    return take(bucket);
  }

  #forgetOldest(): void {
    for (const oldest of this.#buckets.keys()) {
      this.#buckets.delete(oldest);
      return;
    }
  }
}

function take(bucket: Bucket): 'answer' | 'cut' | 'drop' {
  if (bucket.tokens >= 1) {
    bucket.tokens -= 1;
    return 'answer';
  }
  bucket.excess += 1;
  return bucket.excess % 2 === 1 ? 'cut' : 'drop';
}

/** Who has one IPv6 address has all of its /64. A socket for both kinds of addresses gives IPv4 ones as `::ffff:10.0.0.1`. */
function clientOf(address: string): string {
  if (address.startsWith('::ffff:')) return address.slice('::ffff:'.length);
  if (!address.includes(':')) return address;
  const bytes = ipBytes(address.split('%')[0] ?? '');
  return bytes === undefined ? address : Buffer.from(bytes.subarray(0, 8)).toString('hex');
}
