// What callers saw in one run. A request that failed has cost its caller as much as one that never came back: it counts with the time limit, so that an
// instance that fails fast does not look fast.

export interface Figures {
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** Failed or timed out, 0 to 1. */
  readonly errorRate: number;
}

export class Outcomes {
  private readonly timeoutMs: number;
  private readonly latenciesMs: number[] = [];
  private errors = 0;

  constructor(timeoutMs: number) {
    this.timeoutMs = timeoutMs;
  }

  add(latencyMs: number, outcome: 'answered' | 'failed' | 'timed-out'): void {
    if (outcome !== 'answered') this.errors += 1;
    this.latenciesMs.push(outcome === 'answered' ? latencyMs : this.timeoutMs);
  }

  figures(): Figures {
    const sorted = Float64Array.from(this.latenciesMs).sort();
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
    return {
      requests: sorted.length,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      p999Ms: at(0.999),
      errorRate: sorted.length === 0 ? 0 : this.errors / sorted.length,
    };
  }
}

/** Of several runs: the median of each figure. */
export function medianOf(runs: readonly Figures[]): Figures {
  const median = (pick: (figures: Figures) => number): number => {
    const sorted = runs.map(pick).sort((a, b) => a - b);
    return sorted[(sorted.length - 1) >> 1] ?? Number.NaN;
  };
  return {
    requests: median(({ requests }) => requests),
    p50Ms: median(({ p50Ms }) => p50Ms),
    p99Ms: median(({ p99Ms }) => p99Ms),
    p999Ms: median(({ p999Ms }) => p999Ms),
    errorRate: median(({ errorRate }) => errorRate),
  };
}
