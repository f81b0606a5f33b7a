// The metrics of several processes as one: values of the same series are added. What a process that has ended counted stays in the sum,
// so that counters never go back; its gauges go with it.
import { exposeFamilies, type FamilyDescription, type FamilyValues, type MetricsReport } from './metrics-text.ts';
import type { ReportingMetrics } from './metrics.ts';

interface Reporter {
  readonly families: FamilyDescription[];
  readonly series: { readonly family: number; readonly labels: string }[];
  values: Float64Array;
}

interface SummedFamily extends FamilyDescription {
  readonly series: Map<string, Float64Array>;
}

export class MetricsSum {
  private readonly own: Pick<ReportingMetrics, 'families'>;
  private readonly reporters = new Map<string, Reporter>();
  private readonly ended = new Map<string, SummedFamily>();

  /** @param own of this process. */
  constructor(own: Pick<ReportingMetrics, 'families'>) {
    this.own = own;
  }

  /** Reports of one process come in order, the first one first. */
  take(reporter: string, report: MetricsReport): void {
    let known = this.reporters.get(reporter);
    if (known === undefined) {
      known = { families: [], series: [], values: report.values };
      this.reporters.set(reporter, known);
    }
    known.families.push(...report.families);
    known.series.push(...report.series);
    known.values = report.values;
  }

  /** The process is gone; what it last reported counts on. */
  end(reporter: string): void {
    const gone = this.reporters.get(reporter);
    this.reporters.delete(reporter);
    if (gone !== undefined) add(this.ended, familiesOf(gone), ({ type }) => type !== 'gauge');
  }

  expose(): string {
    return exposeFamilies(this.families());
  }

  /** Up to date with what was reported. */
  families(): Iterable<FamilyValues> {
    const sum = new Map<string, SummedFamily>();
    add(sum, this.own.families());
    for (const reporter of this.reporters.values()) add(sum, familiesOf(reporter));
    add(sum, this.ended.values());
    return sum.values();
  }
}

function* familiesOf({ families, series, values }: Reporter): Iterable<FamilyValues> {
  const bySeries = families.map((family) => ({ ...family, series: new Map<string, Float64Array>() }));
  let at = 0;
  for (const { family, labels } of series) {
    const owner = bySeries[family];
    if (owner === undefined) continue;
    const length = owner.type === 'histogram' ? owner.bounds.length + 2 : 1;
    owner.series.set(labels, values.subarray(at, at + length));
    at += length;
  }
  yield* bySeries;
}

function add(
  sum: Map<string, SummedFamily>,
  families: Iterable<FamilyValues>,
  isWanted: (family: FamilyValues) => boolean = () => true,
): void {
  for (const family of families) {
    if (!isWanted(family)) continue;
    let total = sum.get(family.name);
    if (total === undefined) {
      total = { name: family.name, type: family.type, help: family.help, bounds: family.bounds, series: new Map() };
      sum.set(family.name, total);
    }
    for (const [labels, values] of family.series) {
      const known = total.series.get(labels);
      if (known === undefined) total.series.set(labels, Float64Array.from(values));
      else for (let i = 0; i < known.length; i++) known[i]! += values[i] ?? 0;
    }
  }
}
