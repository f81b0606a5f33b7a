// Metrics as plain values: what one process tells another, and the text that Prometheus reads: its text exposition format 0.0.4, or
// OpenMetrics 1.0, which names counters without `_total` in their descriptions, has units, and traces as examples of a bucket.
import type { MetricType } from '@heddle/core';
import type { MetricsFormat } from '../ports/metrics.ts';

export interface FamilyDescription {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  /** Of a histogram, ascending, without +Inf; else empty. */
  readonly bounds: ArrayLike<number>;
  /** Those of them that are shown in text. */
  readonly shownBounds: ArrayLike<number>;
  /** What values of several processes come to. */
  readonly across: 'sum' | 'max';
}

/** A value of a histogram that a recorded trace belongs to. */
export interface Exemplar {
  readonly traceId: string;
  readonly value: number;
  /** Unix time. */
  readonly wallMs: number;
}

export interface FamilyValues extends FamilyDescription {
  /** By labels as they are written, for example `a="b",c="d"`. One value; of a histogram one for each bound, one for +Inf, the sum. */
  readonly series: ReadonlyMap<string, Float64Array>;
  /** By labels, then by the place of the shown bound (the last is +Inf): the latest of each. Absent: there are none. */
  readonly exemplars?: ReadonlyMap<string, ReadonlyMap<number, Exemplar>>;
}

/** What a process tells of its metrics. Families are numbered in the order in which they are described, from its first report on. */
export interface MetricsReport {
  readonly families: readonly FamilyDescription[];
  /** New ones. Their numbers ascend, from report to report too. */
  readonly series: readonly { readonly index: number; readonly family: number; readonly labels: string }[];
  /** Numbers of series that are no more: they have no values in this report or later ones. */
  readonly forgotten: readonly number[];
  /** Of all series that are left, also those described in earlier reports, in their order. */
  readonly values: Float64Array;
  /** Since the report before. `series`: its number. */
  readonly exemplars: readonly { readonly series: number; readonly bucket: number; readonly exemplar: Exemplar }[];
}

export const METRICS_CONTENT_TYPE = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
} as const satisfies Record<MetricsFormat, string>;

/** @param accept of the request. OpenMetrics only for who names it and does not like the other better: browsers and people take all. */
export function metricsFormatFor(accept: string): MetricsFormat {
  let open = 0;
  let plain = 0;
  for (const range of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    const quality = Number(parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? 1);
    const version = parameters.find((parameter) => parameter.startsWith('version='))?.slice('version='.length) ?? '1.0.0';
    if (type === 'application/openmetrics-text' && version === '1.0.0') open = Math.max(open, quality);
    if (type === 'text/plain') plain = Math.max(plain, quality);
  }
  return open > 0 && open >= plain ? 'openmetrics' : 'text';
}

export function exposeFamilies(families: Iterable<FamilyValues>, format: MetricsFormat = 'text'): string {
  const lines: string[] = [];
  const isOpen = format === 'openmetrics';
  for (const family of families) {
    const { name, type, series } = family;
    // A family without a series says nothing.
    if (series.size === 0) continue;
    describe(family, isOpen, lines);
    for (const [labels, values] of series) {
      if (type === 'histogram') exposeHistogram(family, labels, values, isOpen, lines);
      else lines.push(`${name}${labels === '' ? '' : `{${labels}}`} ${number(values[0] ?? 0)}`);
    }
  }
  if (isOpen) lines.push('# EOF');
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

function describe({ name, type, help }: FamilyValues, isOpen: boolean, lines: string[]): void {
  const family = isOpen && type === 'counter' ? name.replace(/_total$/, '') : name;
  const text = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  lines.push(`# HELP ${family} ${isOpen ? text.replaceAll('"', '\\"') : text}`, `# TYPE ${family} ${type}`);
  const unit = /_(seconds|bytes|ratio)$/.exec(family)?.[1];
  if (isOpen && unit !== undefined) lines.push(`# UNIT ${family} ${unit}`);
}

/** Each observation is counted in one bucket only, of which there are more than are shown; they are summed up here. */
function exposeHistogram(family: FamilyValues, labels: string, values: Float64Array, isOpen: boolean, lines: string[]): void {
  const { name, bounds, shownBounds } = family;
  const open = labels === '' ? '{' : `{${labels},`;
  const exemplars = isOpen ? family.exemplars?.get(labels) : undefined;
  let total = 0;
  let at = 0;
  for (let shown = 0; shown <= shownBounds.length; shown++) {
    const bound = shown < shownBounds.length ? shownBounds[shown]! : Infinity;
    for (; at <= bounds.length && (at === bounds.length ? Infinity : bounds[at]!) <= bound; at++) total += values[at] ?? 0;
    const exemplar = exemplars?.get(shown);
    const example = exemplar === undefined ? '' : ` # {trace_id="${exemplar.traceId}"} ${exemplar.value} ${exemplar.wallMs / 1_000}`;
    lines.push(`${name}_bucket${open}le="${isOpen ? floatOf(bound) : number(bound)}"} ${total}${example}`);
  }
  const suffix = labels === '' ? '' : `{${labels}}`;
  lines.push(`${name}_sum${suffix} ${number(values[bounds.length + 1] ?? 0)}`, `${name}_count${suffix} ${total}`);
}

function number(value: number): string {
  return value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
}

/** OpenMetrics 1.0, canonical numbers: a bound always has a point. */
function floatOf(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : number(value);
}
