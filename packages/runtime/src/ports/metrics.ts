// Metrics whose updates cost nanoseconds: a handle is bound to its label values once and then only counts. What there is to count is defined
// in `core/telemetry/metrics`.
import type { CounterDefinition, GaugeDefinition, HistogramDefinition } from '@heddle/core';

export type LabelValues<L extends string> = Readonly<Record<L, string>>;

export interface Counter {
  add(amount: number): void;
}

export interface Gauge {
  set(value: number): void;
  add(amount: number): void;
}

export interface Histogram {
  /**
   * @param value in the unit that the metric's name ends with.
   * @param traceId of a recorded trace that the value belongs to, as 32 hexadecimal digits: it is shown as an example. Default: none.
   */
  observe(value: number, traceId?: string): void;
}

export interface Metrics {
  /**
   * The same definition and labels give the same handle. Beyond the number of series that a metric may have, names in labels become `other`,
   * and `heddle_metrics_folded_total` counts. Throws for labels that are not the definition's.
   */
  counter<L extends string>(definition: CounterDefinition<L>, labels?: LabelValues<L>): Counter;
  gauge<L extends string>(definition: GaugeDefinition<L>, labels?: LabelValues<L>): Gauge;
  histogram<L extends string>(definition: HistogramDefinition<L>, labels?: LabelValues<L>): Histogram;
  /** The series is shown no more; handles of it count into nothing. For names that come and go. */
  forget<L extends string>(definition: CounterDefinition<L> | GaugeDefinition<L> | HistogramDefinition<L>, labels: LabelValues<L>): void;
  /** `update` runs before each exposition, for values that are cheaper to read then than to keep current. */
  onExpose(update: () => void): void;
  /** Default: Prometheus text exposition format 0.0.4. */
  expose(format?: MetricsFormat): string;
}

/** `openmetrics`: OpenMetrics 1.0, which has trace ids as examples. */
export type MetricsFormat = 'text' | 'openmetrics';
