// Durations of requests as counts of buckets between the bounds of the metrics: which bucket, and what share of them stays below what.
import { DURATION_BOUNDS } from './metrics/bounds.ts';

/** One bucket for each bound, and one above them all. */
export const DURATION_BUCKETS = DURATION_BOUNDS.length + 1;

/** The bucket of a duration: the first whose bound it does not exceed. */
export function durationBucket(seconds: number): number {
  let low = 0;
  let high = DURATION_BOUNDS.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (DURATION_BOUNDS[middle]! < seconds) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * What the share `quantile` (0 to 1) stays at or below, in milliseconds: in the bucket of the true value, interpolated. So it is off by 28 %
 * at most, between 0.1 ms and 100 s. Undefined: nothing was counted.
 */
export function durationQuantileMs(counts: ArrayLike<number>, quantile: number): number | undefined {
  let total = 0;
  for (let at = 0; at < counts.length; at += 1) total += counts[at]!;
  if (total === 0) return undefined;
  const rank = Math.max(1, Math.ceil(quantile * total));
  let below = 0;
  for (let at = 0; at < DURATION_BOUNDS.length; at += 1) {
    const count = counts[at] ?? 0;
    if (below + count >= rank) {
      const upper = DURATION_BOUNDS[at]!;
      const lower = at === 0 ? 0 : DURATION_BOUNDS[at - 1]!;
      return (lower + (upper - lower) * ((rank - below) / count)) * 1_000;
    }
    below += count;
  }
  return DURATION_BOUNDS.at(-1)! * 1_000;
}

/** A histogram in which what is empty is left out. */
export interface SparseDurations {
  /** Ascending. */
  readonly indexes: readonly number[];
  /** Of each of these. */
  readonly counts: readonly number[];
}

export const NO_DURATIONS: SparseDurations = { indexes: [], counts: [] };
