// Metrics in typed arrays: a handle is a place in a block of numbers, and an update touches nothing else. Text is made only when
// asked for.
import type { Counter, Gauge, Histogram, Labels, Metrics } from '../ports/metrics.ts';
import { type FamilyDescription, type FamilyValues, exposeFamilies, type MetricsReport } from './metrics-text.ts';

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
/** Cells that are allocated together, so that neighbours share cache lines and few arrays exist. */
const BLOCK_CELLS = 1024;
/** Series of one metric: beyond it labels are being made from something a peer controls, which is our bug. */
const SERIES_MAX = 20_000;

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
  private readonly block: Float64Array;
  private readonly at: number;
  private readonly bounds: Float64Array;

  constructor(block: Float64Array, at: number, bounds: Float64Array) {
    this.block = block;
    this.at = at;
    this.bounds = bounds;
  }

  observe(value: number): void {
    const { bounds, block, at } = this;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (bounds[middle]! < value) low = middle + 1;
      else high = middle;
    }
    block[at + low]! += 1;
    block[at + bounds.length + 1]! += value;
  }

  /** A view of its cells. */
  get values(): Float64Array {
    return this.block.subarray(this.at, this.at + this.bounds.length + 2);
  }
}

interface Family extends FamilyDescription {
  readonly index: number;
  readonly bounds: Float64Array;
  readonly series: Map<string, Cell | Buckets>;
}

/** Metrics that can be sent to another process, to be summed up there. */
export interface ReportingMetrics extends Metrics {
  /** Brings everything up to date and tells all values, describing what is new since the last report. Read by one reader. */
  report(): MetricsReport;
  /** For `exposeFamilies`, up to date. */
  families(): readonly FamilyValues[];
}

const NO_BOUNDS = new Float64Array(0);

class NodeMetrics implements ReportingMetrics {
  private readonly byName = new Map<string, Family>();
  /** In the order in which they were made. */
  private readonly all: { readonly family: Family; readonly labels: string; readonly series: Cell | Buckets }[] = [];
  private reportedFamilies = 0;
  private reportedSeries = 0;
  private block = new Float64Array(BLOCK_CELLS);
  private used = 0;
  private readonly updates: (() => void)[] = [];

  onExpose(update: () => void): void {
    this.updates.push(update);
  }

  counter(name: string, help: string, labels?: Labels): Counter {
    return this.series(name, 'counter', help, NO_BOUNDS, labels) as Cell;
  }

  gauge(name: string, help: string, labels?: Labels): Gauge {
    return this.series(name, 'gauge', help, NO_BOUNDS, labels) as Cell;
  }

  histogram(name: string, help: string, bounds: readonly number[], labels?: Labels): Histogram {
    for (let i = 1; i < bounds.length; i++) if (!(bounds[i]! > bounds[i - 1]!)) throw new Error(`metric ${name}: bounds must ascend`);
    return this.series(name, 'histogram', help, Float64Array.from(bounds), labels) as Buckets;
  }

  expose(): string {
    return exposeFamilies(this.families());
  }

  families(): FamilyValues[] {
    for (const update of this.updates) update();
    return [...this.byName].map(([name, { type, help, bounds, series }]) => ({
      name,
      type,
      help,
      bounds: [...bounds],
      series: new Map([...series].map(([labels, { values }]) => [labels, values])),
    }));
  }

  report(): MetricsReport {
    for (const update of this.updates) update();
    const families = [...this.byName].slice(this.reportedFamilies).map(([name, { type, help, bounds }]) => ({
      name,
      type,
      help,
      bounds: [...bounds],
    }));
    const series = this.all.slice(this.reportedSeries).map(({ family, labels }) => ({ family: family.index, labels }));
    this.reportedFamilies = this.byName.size;
    this.reportedSeries = this.all.length;
    let length = 0;
    for (const each of this.all) length += each.series.values.length;
    const values = new Float64Array(length);
    let at = 0;
    for (const { series: cells } of this.all) {
      values.set(cells.values, at);
      at += cells.values.length;
    }
    return { families, series, values };
  }

  private series(name: string, type: Family['type'], help: string, bounds: Float64Array, labels: Labels = {}): Cell | Buckets {
    const family = this.family(name, type, help, bounds);
    const key = labelText(name, labels);
    const known = family.series.get(key);
    if (known !== undefined) return known;
    if (family.series.size >= SERIES_MAX) throw new Error(`metric ${name}: more than ${SERIES_MAX} series`);
    const cells = type === 'histogram' ? bounds.length + 2 : 1;
    if (this.used + cells > this.block.length) {
      this.block = new Float64Array(Math.max(BLOCK_CELLS, cells));
      this.used = 0;
    }
    const made = type === 'histogram' ? new Buckets(this.block, this.used, family.bounds) : new Cell(this.block, this.used);
    this.used += cells;
    family.series.set(key, made);
    this.all.push({ family, labels: key, series: made });
    return made;
  }

  private family(name: string, type: Family['type'], help: string, bounds: Float64Array): Family {
    const known = this.byName.get(name);
    if (known === undefined) {
      if (!NAME.test(name)) throw new Error(`metric name ${JSON.stringify(name)} is not valid`);
      const made: Family = { name, index: this.byName.size, type, help, bounds, series: new Map() };
      this.byName.set(name, made);
      return made;
    }
    if (known.type !== type) throw new Error(`metric ${name} is a ${known.type}, not a ${type}`);
    if (known.bounds.length !== bounds.length || bounds.some((bound, i) => bound !== known.bounds[i]))
      throw new Error(`metric ${name}: other bounds than before`);
    return known;
  }
}

export function createMetrics(): ReportingMetrics {
  return new NodeMetrics();
}

function labelText(name: string, labels: Labels): string {
  return Object.keys(labels)
    .sort()
    .map((key) => {
      if (!LABEL_NAME.test(key)) throw new Error(`metric ${name}: label name ${JSON.stringify(key)} is not valid`);
      return `${key}="${labels[key]!.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
    })
    .join(',');
}
