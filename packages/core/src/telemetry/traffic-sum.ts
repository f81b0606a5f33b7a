// Traffic added up: what several reports, steps of time or edges come to together.
import { DURATION_BUCKETS, durationQuantileMs, type SparseDurations } from './duration-buckets.ts';

/** What can be added. */
export interface CountedTraffic {
  readonly requests: number;
  /** By code. */
  readonly errors: Iterable<readonly [code: string, count: number]>;
  readonly durations: SparseDurations;
  readonly bytes: number;
  readonly retries: number;
}

export class TrafficSum {
  requests = 0;
  bytes = 0;
  retries = 0;
  /** By code; made with the first. */
  errors: Map<string, number> | undefined;
  /** One for each fine bucket. */
  readonly durations: Float64Array | Uint32Array;

  /** @param durations 32 bits are enough for a step of time. */
  constructor(durations: Float64Array | Uint32Array = new Float64Array(DURATION_BUCKETS)) {
    this.durations = durations;
  }

  get errorCount(): number {
    let count = 0;
    if (this.errors !== undefined) for (const each of this.errors.values()) count += each;
    return count;
  }

  addError(code: string, count: number): void {
    if (count === 0) return;
    this.errors ??= new Map();
    this.errors.set(code, (this.errors.get(code) ?? 0) + count);
  }

  /**
   * The part of the traffic between two shares of its time, 0 ≤ `from` ≤ `to` ≤ 1. Counts stay whole: parts that follow one another and
   * together are everything come to the counts exactly.
   */
  addPart({ requests, bytes, retries, errors, durations: { indexes, counts } }: CountedTraffic, from: number, to: number): void {
    this.requests += part(requests, from, to);
    this.bytes += part(bytes, from, to);
    this.retries += part(retries, from, to);
    for (const [code, count] of errors) this.addError(code, part(count, from, to));
    for (let at = 0; at < indexes.length; at += 1) this.durations[indexes[at]!]! += part(counts[at]!, from, to);
  }

  addSum({ requests, bytes, retries, errors, durations }: TrafficSum): void {
    this.requests += requests;
    this.bytes += bytes;
    this.retries += retries;
    if (errors !== undefined) for (const [code, count] of errors) this.addError(code, count);
    for (let at = 0; at < durations.length; at += 1) this.durations[at]! += durations[at]!;
  }

  /** In milliseconds; undefined: no duration is known. See `durationQuantileMs` for how exact. */
  quantileMs(quantile: number): number | undefined {
    return durationQuantileMs(this.durations, quantile);
  }

  get isEmpty(): boolean {
    return (
      this.requests === 0 && this.bytes === 0 && this.retries === 0 && this.errors === undefined && this.durations.every((n) => n === 0)
    );
  }

  clear(): void {
    this.requests = 0;
    this.bytes = 0;
    this.retries = 0;
    this.errors = undefined;
    this.durations.fill(0);
  }
}

function part(count: number, from: number, to: number): number {
  return Math.round(count * to) - Math.round(count * from);
}
