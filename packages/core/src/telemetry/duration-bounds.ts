// The buckets in which durations of requests are counted, in seconds: the series R10 of ISO 3, ten to each power of ten, so that neighbours
// differ by a quarter. What Prometheus is shown is a part of them, and one observation feeds both.

const R10 = [1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8];
const LEAST_EXPONENT = -4;
const GREATEST_EXPONENT = 2;

/** Upper bounds, ascending: from 0.1 ms to 100 s. */
export const FINE_DURATION_BOUNDS: readonly number[] = [
  ...Array.from({ length: GREATEST_EXPONENT - LEAST_EXPONENT }, (_, decade) =>
    R10.map((value) => Number(`${value}e${LEAST_EXPONENT + decade}`)),
  ).flat(),
  Number(`1e${GREATEST_EXPONENT}`),
];

/** Those of the fine bounds that a histogram in the exposition has. */
export const EXPOSED_DURATION_BOUNDS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50,
];

/** One bucket for each bound, and one above them all. */
export const DURATION_BUCKETS = FINE_DURATION_BOUNDS.length + 1;

/** The bucket of a duration: the first whose bound it does not exceed. */
export function durationBucket(seconds: number): number {
  let low = 0;
  let high = FINE_DURATION_BOUNDS.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (FINE_DURATION_BOUNDS[middle]! < seconds) low = middle + 1;
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
  for (let at = 0; at < FINE_DURATION_BOUNDS.length; at += 1) {
    const count = counts[at] ?? 0;
    if (below + count >= rank) {
      const upper = FINE_DURATION_BOUNDS[at]!;
      const lower = at === 0 ? 0 : FINE_DURATION_BOUNDS[at - 1]!;
      return (lower + (upper - lower) * ((rank - below) / count)) * 1_000;
    }
    below += count;
  }
  return FINE_DURATION_BOUNDS.at(-1)! * 1_000;
}

/** A histogram over the fine bounds in which what is empty is left out. */
export interface SparseDurations {
  /** Ascending. */
  readonly indexes: readonly number[];
  /** Of each of these. */
  readonly counts: readonly number[];
}

export const NO_DURATIONS: SparseDurations = { indexes: [], counts: [] };
