// Metrics as plain values: what one process tells another, and the text that Prometheus reads (text exposition format 0.0.4).

export interface FamilyDescription {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** Of a histogram, ascending, without +Inf; else empty. */
  readonly bounds: ArrayLike<number>;
}

export interface FamilyValues extends FamilyDescription {
  /** By labels as they are written, for example `a="b",c="d"`. One value; of a histogram one for each bound, one for +Inf, the sum. */
  readonly series: ReadonlyMap<string, Float64Array>;
}

/** What a process tells of its metrics. Numbers of families and series count from its first report on. */
export interface MetricsReport {
  readonly families: readonly FamilyDescription[];
  readonly series: readonly { readonly family: number; readonly labels: string }[];
  /** Of all series, also those described in earlier reports, in their order. */
  readonly values: Float64Array;
}

export function exposeFamilies(families: Iterable<FamilyValues>): string {
  const lines: string[] = [];
  for (const { name, type, help, bounds, series } of families) {
    lines.push(`# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`, `# TYPE ${name} ${type}`);
    for (const [labels, values] of series) {
      if (type === 'histogram') exposeHistogram(name, labels, bounds, values, lines);
      else lines.push(`${name}${labels === '' ? '' : `{${labels}}`} ${number(values[0] ?? 0)}`);
    }
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** Each observation is counted in one bucket only; they are summed up here. */
function exposeHistogram(name: string, labels: string, bounds: ArrayLike<number>, values: Float64Array, lines: string[]): void {
  const open = labels === '' ? '{' : `{${labels},`;
  let total = 0;
  for (let i = 0; i <= bounds.length; i++) {
    total += values[i] ?? 0;
    lines.push(`${name}_bucket${open}le="${i === bounds.length ? '+Inf' : number(bounds[i] ?? 0)}"} ${total}`);
  }
  const suffix = labels === '' ? '' : `{${labels}}`;
  lines.push(`${name}_sum${suffix} ${number(values[bounds.length + 1] ?? 0)}`, `${name}_count${suffix} ${total}`);
}

function number(value: number): string {
  return value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
}
