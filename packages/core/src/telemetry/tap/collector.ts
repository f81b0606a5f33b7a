// Records of one tap on their way: no more than so many a second, no more than so many that wait, and what is left out is counted.
import { TokenBucket } from '../../ratelimit/index.ts';
import type { BucketRate } from '../../ratelimit/index.ts';
import { TAP_LIMITS, type TapRecord } from './order.ts';

export interface TapBatch {
  readonly records: readonly TapRecord[];
  readonly lost: number;
}

export class TapCollector {
  readonly #rate: BucketRate;
  readonly #bucket: TokenBucket;
  #records: TapRecord[] = [];
  #chars = 0;
  #lost = 0;

  constructor(perSecond: number, nowMs: number) {
    const requests = Math.min(Math.max(1, Math.floor(perSecond)), TAP_LIMITS.perSecond);
    this.#rate = { requests, perMs: 1_000, burst: requests };
    this.#bucket = new TokenBucket(this.#rate, nowMs);
  }

  /** Whether there is room for one more; if not it is counted as lost. A record is made only then. */
  admits(nowMs: number): boolean {
    const isFull = this.#records.length >= TAP_LIMITS.waiting || this.#chars >= TAP_LIMITS.waitingChars;
    if (!isFull && this.#bucket.tryTake(this.#rate, nowMs)) return true;
    this.#lost += 1;
    return false;
  }

  add(record: TapRecord): void {
    this.#records.push(record);
    this.#chars += record.path.length + record.headers.reduce((sum, { name, value }) => sum + name.length + value.length, 0);
  }

  /** So many more have fitted, and were left out elsewhere. */
  addLost(count: number): void {
    this.#lost += count;
  }

  /** What was not there since the last time; undefined: nothing. */
  take(): TapBatch | undefined {
    if (this.#records.length === 0 && this.#lost === 0) return undefined;
    const batch = { records: this.#records, lost: this.#lost };
    this.#records = [];
    this.#chars = 0;
    this.#lost = 0;
    return batch;
  }

  /** They could not be sent. */
  giveBack({ records, lost }: TapBatch): void {
    this.#lost += lost + records.length;
  }
}
