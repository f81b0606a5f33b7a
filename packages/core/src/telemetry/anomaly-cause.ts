// What a shift of a service's traffic comes from: the one instance, version, zone, route or caller that has most of it and differs from the rest.
// Pure.
import type { AnomalySignal } from './anomaly.ts';
import { DURATION_BUCKETS, durationBucket } from './duration-buckets.ts';
import type { TrafficSum } from './traffic-sum.ts';

export type PartKind = 'instance' | 'version' | 'zone' | 'route' | 'caller';

/** One of several into which the traffic of a service can be divided. */
export interface TrafficPart {
  readonly name: string;
  /** While it was as usual. */
  readonly before: TrafficSum;
  readonly now: TrafficSum;
}

export interface LikelyPart {
  readonly kind: PartKind;
  readonly name: string;
  /** Of all that is more than usual, 0 to 1. */
  readonly share: number;
  readonly parts: number;
}

/** It has most of what is too much, */
const SHARE_MIN = 0.6;
/** and for its size so many times as much as the rest. */
const TIMES_THE_REST = 3;
/** Where several would do: the first is the narrowest. */
const ORDER: readonly PartKind[] = ['instance', 'version', 'zone', 'route', 'caller'];
/** Balancing spreads what callers send: that instances have more is no cause. */
const OF_TRAFFIC: readonly PartKind[] = ['route', 'caller'];

interface Weighed {
  readonly name: string;
  /** Requests, now. */
  readonly size: number;
  /** Requests that are too slow, have failed, or are more than before. */
  readonly excess: number;
}

/** @param beforeToNow how many times as long the time of `now` is as that of `before`. Undefined: nothing stands out. */
export function likelyPart(
  signal: AnomalySignal,
  dimensions: Readonly<Partial<Record<PartKind, readonly TrafficPart[]>>>,
  beforeToNow: number,
): LikelyPart | undefined {
  let best: (LikelyPart & { readonly lift: number }) | undefined;
  for (const kind of ORDER) {
    const parts = dimensions[kind] ?? [];
    if (parts.length < 2 || (signal === 'traffic' && !OF_TRAFFIC.includes(kind))) continue;
    const found = standsOut(weigh(signal, parts, beforeToNow));
    if (found === undefined) continue;
    // What is a hundredth better is not better: the narrower one says more.
    if (best === undefined || found.lift > best.lift + 0.01) best = { kind, parts: parts.length, ...found };
  }
  if (best === undefined) return undefined;
  const { lift: _, ...part } = best;
  return part;
}

function weigh(signal: AnomalySignal, parts: readonly TrafficPart[], beforeToNow: number): Weighed[] {
  if (signal === 'traffic') {
    const weighed = parts.map(({ name, before, now }) => ({
      name,
      size: Math.max(1, before.requests * beforeToNow),
      excess: now.requests - before.requests * beforeToNow,
    }));
    // Of traffic that is missing, who sends less.
    const sign = Math.sign(weighed.reduce((sum, { excess }) => sum + excess, 0));
    return weighed.map(({ excess, ...rest }) => ({ ...rest, excess: excess * sign }));
  }
  const bad = signal === 'errors' ? (sum: TrafficSum): number => sum.errorCount : slowerThan(usualLimit(signal, parts));
  const measured = signal === 'errors' ? (sum: TrafficSum): number => sum.requests : slowerThan(-1);
  const before =
    parts.reduce((sum, part) => sum + bad(part.before), 0) /
    Math.max(
      1,
      parts.reduce((sum, part) => sum + measured(part.before), 0),
    );
  return parts.map(({ name, now }) => ({ name, size: measured(now), excess: bad(now) - before * measured(now) }));
}

/** The bucket below which nine of ten, or 99 of 100, requests were. */
function usualLimit(signal: 'p50' | 'p99', parts: readonly TrafficPart[]): number {
  const usual = new Float64Array(DURATION_BUCKETS);
  for (const { before } of parts) for (let at = 0; at < usual.length; at += 1) usual[at]! += before.durations[at]!;
  const total = usual.reduce((sum, count) => sum + count, 0);
  if (total === 0) return durationBucket(0);
  let left = Math.ceil((signal === 'p50' ? 0.9 : 0.99) * total);
  return usual.findIndex((count) => (left -= count) <= 0);
}

function slowerThan(bucket: number): (sum: TrafficSum) => number {
  return ({ durations }) => {
    let count = 0;
    for (let at = bucket + 1; at < durations.length; at += 1) count += durations[at]!;
    return count;
  };
}

function standsOut(parts: readonly Weighed[]): { readonly name: string; readonly share: number; readonly lift: number } | undefined {
  const sum = (of: (part: Weighed) => number): number => parts.reduce((total, part) => total + of(part), 0);
  const excess = sum((part) => Math.max(0, part.excess));
  const size = sum((part) => part.size);
  if (excess <= 0) return undefined;
  const worst = parts.reduce((a, b) => (b.excess > a.excess ? b : a));
  const share = worst.excess / excess;
  const restSize = size - worst.size;
  const rest = restSize <= 0 ? 0 : (excess - worst.excess) / restSize;
  const isDifferent = worst.size > 0 && worst.excess / worst.size >= TIMES_THE_REST * rest;
  if (share < SHARE_MIN || !isDifferent) return undefined;
  return { name: worst.name, share, lift: share - worst.size / size };
}
