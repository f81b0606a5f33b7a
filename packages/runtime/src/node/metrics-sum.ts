// The metrics of several processes as one: values of the same series are added. What a process that has ended counted stays in the sum,
// so that counters never go back; its gauges go with it. A series that all have forgotten is gone.
import type { MetricsFormat } from '../ports/metrics.ts';
import { type Exemplar, exposeFamilies, type FamilyDescription, type FamilyValues, type MetricsReport } from './metrics-text.ts';
import type { ReportingMetrics } from './metrics.ts';

interface ReportedSeries {
  readonly family: FamilyDescription;
  readonly labels: string;
  values: Float64Array;
}

interface Reporter {
  readonly families: FamilyDescription[];
  /** By number, ascending. */
  readonly series: Map<number, ReportedSeries>;
}

interface SummedFamily extends FamilyDescription {
  readonly series: Map<string, Float64Array>;
  readonly exemplars: Map<string, Map<number, Exemplar>>;
}

export class MetricsSum {
  private readonly own: Pick<ReportingMetrics, 'families'>;
  private readonly reporters = new Map<string, Reporter>();
  /** What processes counted that have ended, or that have forgotten the series while others have not. */
  private readonly ended = new Map<string, SummedFamily>();
  /** The latest ones, by family. */
  private readonly exemplars = new Map<string, Map<string, Map<number, Exemplar>>>();

  /** @param own of this process. */
  constructor(own: Pick<ReportingMetrics, 'families'>) {
    this.own = own;
  }

  /** Reports of one process come in order, the first one first. */
  take(reporter: string, report: MetricsReport): void {
    const known = getOr(this.reporters, reporter, () => ({ families: [], series: new Map() }));
    known.families.push(...report.families);
    for (const { index, family, labels } of report.series)
      known.series.set(index, { family: known.families[family]!, labels, values: EMPTY });
    if (report.forgotten.length > 0) this.forget(known, report.forgotten);
    let at = 0;
    for (const series of known.series.values()) {
      const { type, bounds } = series.family;
      const length = type === 'histogram' ? bounds.length + 2 : 1;
      series.values = report.values.subarray(at, at + length);
      at += length;
    }
    for (const { series: index, bucket, exemplar } of report.exemplars) {
      const series = known.series.get(index);
      if (series === undefined) continue;
      const ofFamily = getOr(this.exemplars, series.family.name, () => new Map<string, Map<number, Exemplar>>());
      getOr(ofFamily, series.labels, () => new Map<number, Exemplar>()).set(bucket, exemplar);
    }
  }

  /** The process is gone; what it last reported counts on. */
  end(reporter: string): void {
    const gone = this.reporters.get(reporter);
    this.reporters.delete(reporter);
    if (gone !== undefined) for (const series of gone.series.values()) this.keep(series);
  }

  expose(format: MetricsFormat = 'text'): string {
    return exposeFamilies(this.families(), format);
  }

  /** Up to date with what was reported. */
  families(): Iterable<FamilyValues> {
    const sum = new Map<string, SummedFamily>();
    for (const family of this.own.families()) {
      for (const [labels, values] of family.series) add(sum, family, labels, values);
      for (const [labels, exemplars] of family.exemplars ?? []) sum.get(family.name)?.exemplars.set(labels, new Map(exemplars));
    }
    for (const { series } of this.reporters.values())
      for (const { family, labels, values } of series.values()) add(sum, family, labels, values);
    for (const family of this.ended.values()) for (const [labels, values] of family.series) add(sum, family, labels, values);
    for (const [name, family] of sum) {
      for (const [labels, exemplars] of this.exemplars.get(name) ?? []) {
        const all = getOr(family.exemplars, labels, () => new Map<number, Exemplar>());
        for (const [bucket, exemplar] of exemplars) if (exemplar.wallMs >= (all.get(bucket)?.wallMs ?? 0)) all.set(bucket, exemplar);
      }
    }
    return sum.values();
  }

  /** While others have a series, what this one counted stays in their sum. */
  private forget({ series }: Reporter, indexes: readonly number[]): void {
    const gone: ReportedSeries[] = [];
    for (const index of indexes) {
      const one = series.get(index);
      if (one !== undefined) gone.push(one);
      series.delete(index);
    }
    // Looked at once for all: with a service, thousands of series go.
    const left = new Set([...this.reporters.values()].flatMap((reporter) => Array.from(reporter.series.values(), nameOf)));
    for (const one of gone) {
      this.keep(one);
      if (left.has(nameOf(one))) continue;
      const { family, labels } = one;
      this.ended.get(family.name)?.series.delete(labels);
      this.exemplars.get(family.name)?.delete(labels);
    }
  }

  private keep({ family, labels, values }: ReportedSeries): void {
    if (family.type !== 'gauge' && values.length > 0) add(this.ended, family, labels, values);
  }
}

const EMPTY = new Float64Array(0);

function nameOf({ family, labels }: ReportedSeries): string {
  return `${family.name} ${labels}`;
}

function add(sum: Map<string, SummedFamily>, family: FamilyDescription, labels: string, values: Float64Array): void {
  const { name, type, help, bounds, shownBounds, across } = family;
  const total = getOr(sum, name, () => ({ name, type, help, bounds, shownBounds, across, series: new Map(), exemplars: new Map() }));
  const known = total.series.get(labels);
  if (known === undefined) total.series.set(labels, Float64Array.from(values));
  else if (across === 'max') known[0] = Math.max(known[0]!, values[0] ?? 0);
  else for (let i = 0; i < known.length; i++) known[i]! += values[i] ?? 0;
}

function getOr<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
