// How much the event loop is held up: what a request that comes at any moment waits before code of the application runs for it. Node measures in native
// code, from tick to tick; it is read a few times a second, once for all who ask, and only while somebody does.
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

export interface LoopSignals {
  /** Mean time that something which comes at a random moment of the last second waited for the event loop. */
  readonly delayMs: number;
  /** Longest time between two ticks in the last 15 s, beyond what was due. */
  readonly longestMs: number;
  /** Share of the last interval in which the event loop was busy, from 0 to 1. */
  readonly utilization: number;
}

/** Between two ticks of Node's own measurement. */
const TICK_MS = 20;
export const SAMPLE_MS = 200;
/** Samples that count: a second of them. */
const SAMPLES = 5;
/** For the longest: metrics are read every 15 s. */
const LONGEST_SAMPLES = 75;
const NS_PER_MS = 1_000_000;

/** Of the times between ticks in one sample. */
interface Ticks {
  readonly sumMs: number;
  readonly squareSum: number;
}

/**
 * The waiting time of who comes at a random moment between ticks that are `d` apart is Σd² / 2Σd (the residual life of a renewal process): rare long
 * delays count by how many they hit. A loop that is never late leaves half a tick of that, which is only how it is measured.
 */
export function delayOf(samples: readonly Ticks[], tickMs: number): number {
  let sumMs = 0;
  let squareSum = 0;
  for (const sample of samples) {
    sumMs += sample.sumMs;
    squareSum += sample.squareSum;
  }
  return sumMs === 0 ? 0 : Math.max(0, squareSum / (2 * sumMs) - tickMs / 2);
}

export interface LoopWatch {
  signals(): LoopSignals;
  /** Again: nothing. */
  close(): void;
}

let shared: SharedWatch | undefined;

/** @param onSample called after each sample, every 200 ms, with the watch as it is then */
export function watchLoop(onSample?: (signals: LoopSignals) => void): LoopWatch {
  shared ??= new SharedWatch();
  return shared.open(onSample);
}

class SharedWatch {
  private readonly histogram = monitorEventLoopDelay({ resolution: TICK_MS });
  private readonly watchers = new Set<object & { readonly onSample?: ((signals: LoopSignals) => void) | undefined }>();
  private readonly timer: NodeJS.Timeout;
  private samples: Ticks[] = [];
  private last = performance.eventLoopUtilization();
  private current: LoopSignals = { delayMs: 0, longestMs: 0, utilization: 0 };
  private readonly longest = new Float64Array(LONGEST_SAMPLES);
  private sampled = 0;

  constructor() {
    this.histogram.enable();
    this.timer = setInterval(() => this.sample(), SAMPLE_MS);
    this.timer.unref();
  }

  open(onSample: ((signals: LoopSignals) => void) | undefined): LoopWatch {
    const watcher = { onSample };
    this.watchers.add(watcher);
    return {
      signals: () => this.current,
      close: () => {
        if (this.watchers.delete(watcher) && this.watchers.size === 0) this.end();
      },
    };
  }

  private sample(): void {
    const { histogram } = this;
    const meanMs = histogram.mean / NS_PER_MS;
    const deviationMs = histogram.stddev / NS_PER_MS;
    if (histogram.count > 0) {
      this.samples.push({ sumMs: histogram.count * meanMs, squareSum: histogram.count * (meanMs ** 2 + deviationMs ** 2) });
      if (this.samples.length > SAMPLES) this.samples.shift();
    }
    this.longest[this.sampled++ % LONGEST_SAMPLES] = histogram.count > 0 ? Math.max(0, histogram.max / NS_PER_MS - TICK_MS) : 0;
    histogram.reset();
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.last);
    this.last = now;
    this.current = {
      delayMs: delayOf(this.samples, TICK_MS),
      longestMs: Math.max(...this.longest),
      utilization: Number.isFinite(utilization) ? utilization : 0,
    };
    for (const { onSample } of this.watchers) onSample?.(this.current);
  }

  private end(): void {
    clearInterval(this.timer);
    this.histogram.disable();
    if (shared === this) shared = undefined;
  }
}
