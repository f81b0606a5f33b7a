// How the memory of a proxy went over a run, as a table to read and as figures to keep.

export interface MemorySample {
  /** Seconds, requests or whatever the run counts in. */
  readonly at: number;
  readonly residentMb: number;
  readonly note?: Readonly<Record<string, number>>;
}

/** By least squares over the second half of a run: what a leak would show, in MB per unit of `at`. */
export function slopeMb(samples: readonly MemorySample[]): number {
  const last = samples.at(-1)?.at ?? 0;
  return slope(samples.filter(({ at }) => at >= last / 2));
}

function slope(samples: readonly MemorySample[]): number {
  if (samples.length < 2) return 0;
  const mean = (of: (sample: MemorySample) => number): number => samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const [x, y] = [mean(({ at }) => at), mean(({ residentMb }) => residentMb)];
  const [above, below] = [mean(({ at, residentMb }) => (at - x) * (residentMb - y)), mean(({ at }) => (at - x) ** 2)];
  return below === 0 ? 0 : above / below;
}

export function table(unit: string, samples: readonly MemorySample[]): string {
  const names = Object.keys(samples[0]?.note ?? {});
  const rows = [
    [unit, 'MB', ...names],
    ...samples.map(({ at, residentMb, note = {} }) => [
      Math.round(at).toLocaleString('en-US'),
      residentMb.toFixed(1),
      ...names.map((name) => (note[name] ?? 0).toLocaleString('en-US')),
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => cell.padStart(widths[column]!)).join('  ')).join('\n');
}
