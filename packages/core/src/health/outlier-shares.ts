// Which instances stand out in one interval, by their share of failures or their latency, compared with the others (Envoy's success rate
// and failure percentage; latency is ours). Only instances with enough requests are compared, and only when there are enough of these.
import type { OutlierPolicy } from '../model/balance.ts';
import type { LatencySketch } from '../telemetry/latency-sketch.ts';

/** Of one instance in one interval. */
export interface IntervalCounts {
  readonly requests: number;
  readonly failures: number;
  /** Of its successful requests; present when the policy looks at latency. */
  readonly latency: LatencySketch | undefined;
}

interface Outlier<C> {
  readonly counts: C;
  /** For people. */
  readonly reason: string;
}

/** Between latencies closer than this nobody is to be chosen: at a fraction of a millisecond, three times as much is chance. */
const LATENCY_DIFFERENCE_MS = 5;

/** Those that stand out, each once, the worst of each kind first. */
export function findOutliers<C extends IntervalCounts>(policy: OutlierPolicy, all: readonly C[]): Outlier<C>[] {
  const judged = all.filter(({ requests }) => requests >= Math.max(1, policy.minimumRequests));
  if (judged.length < policy.minimumInstances) return [];
  const found = new Map<C, Outlier<C>>();
  const kinds = [bySuccessRate(policy, judged), byFailures(policy, judged), byLatency(policy, judged)];
  for (const outlier of kinds.flat()) if (!found.has(outlier.counts)) found.set(outlier.counts, outlier);
  return [...found.values()];
}

/** Below mean − factor × standard deviation of the population. With n instances none is further below than √(n−1) deviations. */
function bySuccessRate<C extends IntervalCounts>({ successRateFactor }: OutlierPolicy, judged: readonly C[]): Outlier<C>[] {
  if (successRateFactor === 0) return [];
  const rates = judged.map(successPercent);
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const deviation = Math.sqrt(rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length);
  const threshold = mean - successRateFactor * deviation;
  const outliers = judged.filter((counts) => successPercent(counts) < threshold).sort((a, b) => successPercent(a) - successPercent(b));
  const others = `of all instances' ${percent(mean)}; below ${percent(threshold)} it is out`;
  return outliers.map((counts) => ({ counts, reason: `${percent(successPercent(counts))} of its requests succeeded, ${others}` }));
}

function byFailures<C extends IntervalCounts>({ failurePercent }: OutlierPolicy, judged: readonly C[]): Outlier<C>[] {
  if (failurePercent === 0) return [];
  const share = (counts: IntervalCounts): number => 100 - successPercent(counts);
  const outliers = judged.filter((counts) => share(counts) >= failurePercent).sort((a, b) => share(b) - share(a));
  return outliers.map((counts) => ({
    counts,
    reason: `${percent(share(counts))} of its requests failed; from ${percent(failurePercent)} on it is out`,
  }));
}

/** The median of all is that of the instances' medians, so that a slow instance does not hide behind the many requests it has. */
function byLatency<C extends IntervalCounts>({ latencyFactor, minimumInstances }: OutlierPolicy, judged: readonly C[]): Outlier<C>[] {
  if (latencyFactor === 0) return [];
  const medians = judged
    .filter(({ latency }) => latency !== undefined && latency.count > 0)
    .map((counts) => ({ counts, medianMs: counts.latency?.quantileMs(0.5) ?? 0 }))
    .sort((a, b) => b.medianMs - a.medianMs);
  if (medians.length < minimumInstances) return [];
  // Of an even number the lower one: of two the faster one is what the other is compared with.
  const ofAllMs = medians[Math.floor(medians.length / 2)]?.medianMs ?? 0;
  const limitMs = Math.max(latencyFactor * ofAllMs, ofAllMs + LATENCY_DIFFERENCE_MS);
  const others = `with most instances ${milliseconds(ofAllMs)}; above ${latencyFactor} times that it is out`;
  return medians
    .filter(({ medianMs }) => medianMs > limitMs)
    .map(({ counts, medianMs }) => ({ counts, reason: `half of its requests took ${milliseconds(medianMs)} or more, ${others}` }));
}

function successPercent({ requests, failures }: IntervalCounts): number {
  return (100 * (requests - failures)) / requests;
}

function percent(value: number): string {
  return `${Number(value.toFixed(1))} %`;
}

function milliseconds(value: number): string {
  return `${Number(value.toPrecision(2))} ms`;
}
