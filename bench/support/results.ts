// From what the load generator says to figures, and from the figures of several rounds to what is printed. No input or output.

export interface Load {
  readonly requests: number;
  readonly p99Ms: number;
}

/** Reads what `wrk --latency` printed. Throws when a request failed, or when it is not such a text. */
export function readWrk(text: string): Load {
  const failed = /^\s*(Socket errors: .*|Non-2xx .*)$/m.exec(text);
  if (failed !== null) throw new Error(`requests failed: ${failed[1]}`);
  const requests = /(\d+) requests in /.exec(text);
  const p99 = /^\s*99%\s+([\d.]+)(us|ms|s|m)$/m.exec(text);
  if (requests === null || p99 === null || requests[1] === '0') throw new Error(`wrk measured nothing:\n${text}`);
  const unitMs = { us: 0.001, ms: 1, s: 1000, m: 60_000 }[p99[2] as 'us' | 'ms' | 's' | 'm'];
  return { requests: Number(requests[1]), p99Ms: Number(p99[1]) * unitMs };
}

/** One contestant in one round. */
export interface Round {
  readonly requestsPerSecond: number;
  /** User and system time of all its processes. */
  readonly cpuUsPerRequest: number;
  readonly p99Ms: number;
  /** Of all its processes together, at the end of the round. */
  readonly residentMb: number;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

/** Round by round, since what else the machine does changes from one to the next, and both contestants of a round share it. */
export function ratios(ours: readonly Round[], theirs: readonly Round[], of: (round: Round) => number): number[] {
  return ours.slice(0, theirs.length).map((round, index) => of(round) / of(theirs[index]!));
}

export function roundLine({ requestsPerSecond, cpuUsPerRequest, p99Ms, residentMb }: Round): string {
  const parts = [
    `${requestsPerSecond.toFixed(0).padStart(7)} requests/s`,
    `${cpuUsPerRequest.toFixed(1).padStart(6)} CPU µs/request`,
    `p99 ${p99Ms.toFixed(1)} ms`,
    `${residentMb.toFixed(0)} MB`,
  ];
  return parts.join('  ');
}

export function spreadText({ median, min, max }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)} – ${max.toFixed(digits)})`;
}
