// Metrics in typed arrays: a handle is a place in a block of numbers, and an update touches nothing else. Text is made only when
// asked for.
import { foldedLabels, LIMITS, PROCESS_METRICS } from '@heddle/core';
import type { CounterDefinition, GaugeDefinition, HistogramDefinition, MetricDefinition } from '@heddle/core';
import type { Counter, Gauge, Histogram, LabelValues, Metrics, MetricsFormat } from '../ports/metrics.ts';
import { type Exemplar, type FamilyDescription, type FamilyValues, exposeFamilies, type MetricsReport } from './metrics-text.ts';

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
/** Cells that are allocated together, so that neighbours share cache lines and few arrays exist. */
const BLOCK_CELLS = 1024;

class Cell implements Counter, Gauge {
  private readonly block: Float64Array;
  private readonly at: number;

  constructor(block: Float64Array, at: number) {
    this.block = block;
    this.at = at;
  }

  add(amount: number): void {
    this.block[this.at]! += amount;
  }

  set(value: number): void {
    this.block[this.at] = value;
  }

  /** A view of its cells. */
  get values(): Float64Array {
    return this.block.subarray(this.at, this.at + 1);
  }
}

/** Cells: one for each bound, one for +Inf, the sum. Each observation counts in one bucket; they are summed up when exposed. */
class Buckets implements Histogram {
  /** By the place of the shown bound: the latest, and those that nobody was told of yet. */
  exemplars: Map<number, Exemplar> | undefined;
  readonly untold = new Set<number>();
  private readonly block: Float64Array;
  private readonly at: number;
  private readonly bounds: Float64Array;
  private readonly shownBounds: Float64Array;

  constructor(block: Float64Array, at: number, { bounds, shownBounds }: Family) {
    this.block = block;
    this.at = at;
    this.bounds = bounds;
    this.shownBounds = shownBounds;
  }

  observe(value: number, traceId?: string): void {
    const { bounds, block, at } = this;
    block[at + placeIn(bounds, value)]! += 1;
    block[at + bounds.length + 1]! += value;
    if (traceId !== undefined && traceId !== '') this.exemplify(value, traceId);
  }

  private exemplify(value: number, traceId: string): void {
    const bucket = placeIn(this.shownBounds, value);
    this.exemplars ??= new Map();
    this.exemplars.set(bucket, { traceId, value, wallMs: Date.now() });
    this.untold.add(bucket);
  }

  /** A view of its cells. */
  get values(): Float64Array {
    return this.block.subarray(this.at, this.at + this.bounds.length + 2);
  }
}

/** Of the first bound that is not below the value. */
function placeIn(bounds: Float64Array, value: number): number {
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (bounds[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface Family extends FamilyDescription {
  readonly index: number;
  readonly labels: readonly string[];
  readonly bounds: Float64Array;
  readonly shownBounds: Float64Array;
  readonly series: Map<string, Series>;
}

interface Series {
  /** Counted from the first one of this process. */
  readonly index: number;
  readonly family: Family;
  readonly labels: string;
  readonly cells: Cell | Buckets;
}

/** Metrics that can be sent to another process, to be summed up there. */
export interface ReportingMetrics extends Metrics {
  /** Brings everything up to date and tells all values, describing what is new since the last report. Read by one reader. */
  report(): MetricsReport;
  /** For `exposeFamilies`, up to date. */
  families(): readonly FamilyValues[];
}

export interface MetricsOptions {
  /** Series of one metric: see `metricSeriesMax` among the limits. */
  readonly seriesMax?: number;
}

class NodeMetrics implements ReportingMetrics {
  private readonly byName = new Map<string, Family>();
  /** In the order in which they were made. */
  private readonly all = new Set<Series>();
  private readonly seriesMax: number;
  private made = 0;
  private reportedFamilies = 0;
  private reportedSeries = 0;
  private forgotten: number[] = [];
  private block = new Float64Array(BLOCK_CELLS);
  private used = 0;
  private readonly updates: (() => void)[] = [];

  constructor({ seriesMax = LIMITS.metricSeriesMax.value }: MetricsOptions) {
    this.seriesMax = seriesMax;
  }

  onExpose(update: () => void): void {
    this.updates.push(update);
  }

  counter<L extends string>(definition: CounterDefinition<L>, labels?: LabelValues<L>): Counter {
    return this.series(definition, labels) as Cell;
  }

  gauge<L extends string>(definition: GaugeDefinition<L>, labels?: LabelValues<L>): Gauge {
    return this.series(definition, labels) as Cell;
  }

  histogram<L extends string>(definition: HistogramDefinition<L>, labels?: LabelValues<L>): Histogram {
    return this.series(definition, labels) as Buckets;
  }

  forget({ name }: MetricDefinition, labels: LabelValues<string>): void {
    const family = this.byName.get(name);
    const series = family?.series.get(labelText(labels));
    if (family === undefined || series === undefined) return;
    family.series.delete(series.labels);
    this.all.delete(series);
    // Where nobody reads reports, none is ever told.
    if (series.index < this.reportedSeries) this.forgotten.push(series.index);
  }

  expose(format: MetricsFormat = 'text'): string {
    return exposeFamilies(this.families(), format);
  }

  families(): FamilyValues[] {
    for (const update of this.updates) update();
    return [...this.byName.values()].map((family) => ({
      ...descriptionOf(family),
      series: new Map([...family.series].map(([labels, { cells }]) => [labels, cells.values])),
      ...(family.type === 'histogram' && { exemplars: exemplarsOf(family) }),
    }));
  }

  report(): MetricsReport {
    for (const update of this.updates) update();
    const families = [...this.byName.values()].slice(this.reportedFamilies).map(descriptionOf);
    const series = [];
    const exemplars = [];
    let length = 0;
    for (const { cells } of this.all) length += cells.values.length;
    const values = new Float64Array(length);
    let at = 0;
    for (const { index, family, labels, cells } of this.all) {
      if (index >= this.reportedSeries) series.push({ index, family: family.index, labels });
      values.set(cells.values, at);
      at += cells.values.length;
      if (cells instanceof Cell || cells.untold.size === 0) continue;
      for (const bucket of cells.untold) exemplars.push({ series: index, bucket, exemplar: cells.exemplars!.get(bucket)! });
      cells.untold.clear();
    }
    const { forgotten } = this;
    this.forgotten = [];
    this.reportedFamilies = this.byName.size;
    this.reportedSeries = this.made;
    return { families, series, forgotten, values, exemplars };
  }

  private series(definition: MetricDefinition, labels: Readonly<Record<string, string>> = {}): Cell | Buckets {
    const family = this.family(definition);
    const { name } = family;
    checkLabels(family, labels);
    let key = labelText(labels);
    let known = family.series.get(key);
    if (known !== undefined) return known.cells;
    if (family.series.size >= this.seriesMax) {
      this.counter(PROCESS_METRICS.folded, { metric: name }).add(1);
      key = labelText(foldedLabels(labels));
      known = family.series.get(key);
      if (known !== undefined) return known.cells;
    }
    const cells = this.cellsOf(family);
    const series = { index: this.made++, family, labels: key, cells };
    family.series.set(key, series);
    this.all.add(series);
    return cells;
  }

  private cellsOf(family: Family): Cell | Buckets {
    const count = family.type === 'histogram' ? family.bounds.length + 2 : 1;
    if (this.used + count > this.block.length) {
      this.block = new Float64Array(Math.max(BLOCK_CELLS, count));
      this.used = 0;
    }
    const at = this.used;
    this.used += count;
    return family.type === 'histogram' ? new Buckets(this.block, at, family) : new Cell(this.block, at);
  }

  private family(definition: MetricDefinition): Family {
    const { name, type } = definition;
    const known = this.byName.get(name);
    if (known === undefined) {
      const made = familyOf(definition, this.byName.size);
      this.byName.set(name, made);
      return made;
    }
    if (known.type !== type) throw new Error(`metric ${name} is a ${known.type}, not a ${type}`);
    const { bounds = [] } = definition;
    if (known.bounds.length !== bounds.length || bounds.some((bound, i) => bound !== known.bounds[i]))
      throw new Error(`metric ${name}: other bounds than before`);
    return known;
  }
}

export function createMetrics(options: MetricsOptions = {}): ReportingMetrics {
  return new NodeMetrics(options);
}

function familyOf(definition: MetricDefinition, index: number): Family {
  const { name, type, help, labels, bounds = [], shownBounds = bounds, across = 'sum' } = definition;
  if (!NAME.test(name)) throw new Error(`metric name ${JSON.stringify(name)} is not valid`);
  for (const label of labels)
    if (!LABEL_NAME.test(label)) throw new Error(`metric ${name}: label name ${JSON.stringify(label)} is not valid`);
  for (let i = 1; i < bounds.length; i++) if (!(bounds[i]! > bounds[i - 1]!)) throw new Error(`metric ${name}: bounds must ascend`);
  for (const bound of shownBounds) if (!bounds.includes(bound)) throw new Error(`metric ${name}: ${bound} is shown and none of its bounds`);
  return {
    name,
    index,
    type,
    help,
    labels,
    across,
    bounds: Float64Array.from(bounds),
    shownBounds: Float64Array.from(shownBounds),
    series: new Map(),
  };
}

function descriptionOf({ name, type, help, bounds, shownBounds, across }: Family): FamilyDescription {
  return { name, type, help, bounds: [...bounds], shownBounds: [...shownBounds], across };
}

function exemplarsOf({ series }: Family): Map<string, Map<number, Exemplar>> {
  const all = new Map<string, Map<number, Exemplar>>();
  for (const [labels, { cells }] of series) if (cells instanceof Buckets && cells.exemplars !== undefined) all.set(labels, cells.exemplars);
  return all;
}

function checkLabels({ name, labels }: Family, given: Readonly<Record<string, string>>): void {
  const names = Object.keys(given);
  if (names.length !== labels.length || !labels.every((label) => given[label] !== undefined))
    throw new Error(`metric ${name} has the labels ${labels.join(', ') || 'none'}, not ${names.join(', ') || 'none'}`);
}

function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.keys(labels)
    .sort()
    .map((key) => `${key}="${labels[key]!.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`)
    .join(',');
}
