// Metrics whose updates cost nanoseconds: a handle is bound to its label values once and then only counts.

export type Labels = Readonly<Record<string, string>>;

export interface Counter {
  add(amount: number): void;
}

export interface Gauge {
  set(value: number): void;
  add(amount: number): void;
}

export interface Histogram {
  /** In the unit that the metric's name ends with. */
  observe(value: number): void;
}

export interface Metrics {
  /** The same name and labels give the same handle. Names follow Prometheus: `heddle_requests_total`. */
  counter(name: string, help: string, labels?: Labels): Counter;
  gauge(name: string, help: string, labels?: Labels): Gauge;
  /** Bounds ascending, without +Inf. */
  histogram(name: string, help: string, bounds: readonly number[], labels?: Labels): Histogram;
  /** `update` runs before each exposition, for values that are cheaper to read then than to keep current. */
  onExpose(update: () => void): void;
  /** Prometheus text exposition format 0.0.4. */
  expose(): string;
}
