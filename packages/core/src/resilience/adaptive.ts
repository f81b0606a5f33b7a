// A limit of requests under way that finds itself (gradient, as in Netflix's concurrency-limits and Envoy's adaptive concurrency): while
// latency stays near the best that was measured the limit grows, when requests queue at the called side it shrinks. The best is measured
// anew now and then with fewer requests under way, as it may have changed. Needs no timer: windows end with the requests that come after
// them.
import type { TryResult } from '../balancing/balancer.ts';
import type { AdaptiveConcurrencyPolicy } from '../model/resilience.ts';
import { LatencySketch } from '../telemetry/latency-sketch.ts';

export interface AdaptiveTuning {
  /** Of one sample window, at least; until it has `windowSamples` and took twice as long as a request. Default 100, as Envoy. */
  readonly windowMs: number;
  /** Default 20. */
  readonly windowSamples: number;
  /** Between measurements of the best latency. Default 30,000; Envoy has no default and mostly gets 60,000. */
  readonly measureEveryMs: number;
  /** The same while measurements still find much better latencies than those before, as at the beginning. Default 1,000. */
  readonly measureAgainMs: number;
  /** Intervals between measurements are up to such a share longer, so that not all measure at the same time. Default 0.15, as Envoy. */
  readonly jitter: number;
  /** Requests a measurement takes. Default 50, as Envoy. */
  readonly measureSamples: number;
  /** After this a measurement that has some samples ends with these, and one without is given up. Default 5,000. */
  readonly measureMaxMs: number;
  /** By such a share above the best, latency counts as good: requests may queue so much. Default 0.25, as Envoy. */
  readonly allowance: number;
  /** Share of the limit that is used while the best latency is measured. Default 0.25. */
  readonly measureShare: number;
  /** Where the limit begins, within its bounds. Default 20. */
  readonly initial: number;
}

export const ADAPTIVE_TUNING: AdaptiveTuning = Object.freeze({
  windowMs: 100,
  windowSamples: 20,
  measureEveryMs: 30_000,
  measureAgainMs: 1_000,
  jitter: 0.15,
  measureSamples: 50,
  measureMaxMs: 5_000,
  allowance: 0.25,
  measureShare: 0.25,
  initial: 20,
});

const MEDIAN = 0.5;
/** A median is off by 2 %, well within the allowance. */
const STEPS_PER_DOUBLING = 16;
const GRADIENT_MIN = 0.5;
const GRADIENT_MAX = 2;
/** So many windows in a row in which fewer requests did not help: then the best latency is out of date (as Envoy). */
const WINDOWS_IN_VAIN = 5;
const MEASURE_SAMPLES_MIN = 5;
/** A measurement lasts so many times as long as a request: of those that began in it the short ones end first, and would pass for all. */
const REQUESTS_PER_MEASUREMENT = 10;
const REQUESTS_PER_WINDOW = 2;
/** A measurement that gives less than such a share of the one before shows that there was a queue then, and may be one still. */
const MUCH_BETTER = 0.8;

/**
 * One per upstream. Differences from Envoy: a measurement uses a quarter of the limit, not the least that is allowed, so that a busy
 * service is not cut off every time, and is made again soon when it gives much less than the one before; the limit grows only while at
 * least half of it is used, so that a quiet time does not open it for the next rush; failures count only as far as they are slow: to fail
 * at once is no sign of room.
 */
export class AdaptiveLimit {
  #policy: AdaptiveConcurrencyPolicy;
  readonly #random: () => number;
  readonly #tuning: AdaptiveTuning;
  readonly #window = new LatencySketch(STEPS_PER_DOUBLING);
  /** Fractional, so that small steps add up. */
  #limit: number;
  #inFlight = 0;
  #mostInFlight = 0;
  #bestMs = 0;
  #isMeasuring = true;
  #windowStartMs: number;
  #nextMeasureMs = Infinity;
  #windowsInVain = 0;
  #latestMs = 0;
  #refused = 0;

  /** @param random uniform in [0, 1). */
  constructor(policy: AdaptiveConcurrencyPolicy, random: () => number, nowMs: number, tuning: AdaptiveTuning = ADAPTIVE_TUNING) {
    this.#policy = policy;
    this.#random = random;
    this.#tuning = tuning;
    this.#windowStartMs = nowMs;
    this.#limit = this.#bounded(tuning.initial);
  }

  /** What was measured stays. */
  setPolicy(policy: AdaptiveConcurrencyPolicy): void {
    this.#policy = policy;
    this.#limit = this.#bounded(this.#limit);
  }

  /** So many requests may be under way at present. */
  get limit(): number {
    // At the beginning there is no limit yet that could be divided.
    if (!this.#isMeasuring || this.#bestMs === 0) return Math.floor(this.#limit);
    return Math.max(this.#policy.minRequests, Math.floor(this.#limit * this.#tuning.measureShare));
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Refused since the beginning, for metrics. */
  get refused(): number {
    return this.#refused;
  }

  /** False: the request is to be refused with OVERLOADED. When admitted it counts until `ended`. */
  admit(): boolean {
    if (this.#inFlight >= this.limit) {
      this.#refused += 1;
      return false;
    }
    this.#inFlight += 1;
    if (this.#inFlight > this.#mostInFlight) this.#mostInFlight = this.#inFlight;
    return true;
  }

  /** An admitted request ended. `elapsedMs`: until the head of its response, or until it failed. */
  ended(result: TryResult, elapsedMs: number, nowMs: number): void {
    this.#inFlight -= 1;
    const counts = result === 'success' || (result !== 'cancelled' && !this.#isMeasuring && elapsedMs > this.#bestMs);
    // What began before a measurement says how things were with more requests under way.
    if (counts && (!this.#isMeasuring || nowMs - elapsedMs >= this.#windowStartMs)) this.#window.add(elapsedMs);
    if (this.#isMeasuring) this.#measure(nowMs);
    else this.#sample(nowMs);
  }

  /** For people. */
  describe(): Readonly<Record<string, string | number>> {
    return {
      limit: this.limit,
      inFlight: this.#inFlight,
      bestLatencyMs: round(this.#bestMs),
      latencyMs: round(this.#latestMs),
      phase: this.#isMeasuring ? 'measuring the best latency' : 'adapting',
    };
  }

  #measure(nowMs: number): void {
    const { measureSamples, measureMaxMs, measureEveryMs, measureAgainMs, jitter } = this.#tuning;
    const { count } = this.#window;
    const passedMs = nowMs - this.#windowStartMs;
    const isLate = passedMs >= measureMaxMs && (count >= MEASURE_SAMPLES_MIN || this.#bestMs > 0);
    // The median is looked for only now and then.
    if (!isLate && (count === 0 || count % measureSamples !== 0)) return;
    const medianMs = this.#window.quantileMs(MEDIAN);
    if (!isLate && passedMs < medianMs * REQUESTS_PER_MEASUREMENT) return;
    const before = this.#bestMs;
    if (count >= MEASURE_SAMPLES_MIN) this.#bestMs = medianMs;
    const isSettled = before > 0 && this.#bestMs >= before * MUCH_BETTER;
    this.#isMeasuring = false;
    this.#nextMeasureMs = nowMs + (isSettled ? measureEveryMs : measureAgainMs) * (1 + jitter * this.#random());
    this.#windowsInVain = 0;
    this.#beginWindow(nowMs);
  }

  #sample(nowMs: number): void {
    const { windowMs, windowSamples } = this.#tuning;
    const passedMs = nowMs - this.#windowStartMs;
    // Requests that a change of the limit has let in must have had time to end before the next change.
    if (this.#window.count < windowSamples || passedMs < windowMs || passedMs < this.#latestMs * REQUESTS_PER_WINDOW) return;
    this.#latestMs = this.#window.quantileMs(MEDIAN);
    this.#adapt();
    if (nowMs >= this.#nextMeasureMs || this.#windowsInVain >= WINDOWS_IN_VAIN) this.#isMeasuring = true;
    this.#beginWindow(nowMs);
  }

  /** gradient = best latency with its allowance ÷ latency now; the root of the limit is the queue that is allowed at the called side. */
  #adapt(): void {
    const gradient = (this.#bestMs * (1 + this.#tuning.allowance)) / this.#latestMs;
    const bounded = Math.min(GRADIENT_MAX, Math.max(GRADIENT_MIN, gradient));
    const next = this.#bounded(this.#limit * bounded + Math.sqrt(this.#limit));
    if (next < this.#limit || this.#mostInFlight * 2 >= this.#limit) this.#limit = next;
    const isInVain = this.#limit <= this.#policy.minRequests || gradient <= GRADIENT_MIN;
    this.#windowsInVain = isInVain ? this.#windowsInVain + 1 : 0;
  }

  #beginWindow(nowMs: number): void {
    this.#window.clear();
    this.#windowStartMs = nowMs;
    this.#mostInFlight = this.#inFlight;
  }

  #bounded(limit: number): number {
    return Math.min(this.#policy.maxRequests, Math.max(this.#policy.minRequests, limit));
  }
}

function round(latencyMs: number): number {
  return Number(latencyMs.toPrecision(3));
}
