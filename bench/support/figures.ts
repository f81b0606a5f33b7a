// From what load generators print to figures, and from the figures of several rounds to medians and ratios. No input or output.

/** Requests that `wrk` made. Throws when one failed, or when it is no such text. */
export function readWrk(text: string): number {
  const failed = /^\s*(Socket errors: .*|Non-2xx .*)$/m.exec(text);
  if (failed !== null) throw new Error(`requests failed: ${failed[1]}`);
  const requests = Number(/(\d+) requests in /.exec(text)?.[1] ?? 0);
  if (requests === 0) throw new Error(`wrk measured nothing:\n${text}`);
  return requests;
}

/** Requests that `h2load` made. Throws when one failed, or when it is no such text. */
export function readH2load(text: string): number {
  const counts = /^requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout$/m.exec(text);
  const [done = 0, succeeded = 0] = (counts ?? []).slice(1).map(Number);
  if (succeeded === 0) throw new Error(`h2load measured nothing:\n${text}`);
  if (succeeded !== done) throw new Error(`requests failed: ${counts![0]}`);
  return succeeded;
}

/** Durations in µs of the lines of `h2load --log-file`: start, status, duration. Throws when a request failed. */
export function readH2loadLog(text: string, skippedMs: number): Float64Array {
  const lines = text.split('\n').filter((line) => line !== '');
  const rows = lines.map((line) => line.split('\t').map(Number));
  if (rows.length === 0) throw new Error('h2load logged nothing');
  const failed = rows.findIndex(([, status]) => status !== 200);
  if (failed !== -1) throw new Error(`requests failed: ${lines[failed]}`);
  const firstUs = rows.reduce((least, [start = 0]) => Math.min(least, start), Infinity);
  return Float64Array.from(rows.filter(([start = 0]) => start - firstUs >= skippedMs * 1000).map(([, , duration = 0]) => duration));
}

export interface Percentiles {
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
}

/** Nearest rank. */
export function percentiles(valuesUs: Float64Array): Percentiles {
  const sorted = valuesUs.toSorted();
  const at = (share: number) => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
  return { p50Us: at(0.5), p99Us: at(0.99), p999Us: at(0.999) };
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

/** Round by round, since what else the machine does changes from one to the next, and all contestants of a round share it. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.slice(0, theirs.length).map((value, round) => value / theirs[round]!);
}

export function number(value: number, digits: number): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function spreadText({ median, min, max }: Spread, digits: number): string {
  const [middle, least, most] = [median, min, max].map((value) => number(value, digits));
  return least === most ? middle! : `${middle} (${least} – ${most})`;
}
