// What a metric is, before anything is counted: name, unit, labels and meaning. Whoever counts takes the definition from here, and the
// reference page is made of the same rows. Names follow Prometheus: the unit is the last word, counters end with `_total`.

export type MetricType = 'counter' | 'gauge' | 'histogram';

/** Who shows it: `proxy` is `heddle proxy`, `application` the data plane inside a Node process. */
export type MetricSource = 'proxy' | 'application' | 'control plane';

export interface MetricDefinition<T extends MetricType = MetricType, L extends string = string> {
  readonly name: string;
  readonly type: T;
  readonly help: string;
  readonly labels: readonly L[];
  readonly of: readonly MetricSource[];
  /** Of a histogram, in its unit: ascending, without +Inf. */
  readonly bounds?: readonly number[];
  /** Those of the bounds that are shown to Prometheus. Absent: all. */
  readonly shownBounds?: readonly number[];
  /** Of a gauge: what several processes of one data plane come to. Default `sum`. */
  readonly across?: 'sum' | 'max';
}

export type CounterDefinition<L extends string = string> = MetricDefinition<'counter', L>;
export type GaugeDefinition<L extends string = string> = MetricDefinition<'gauge', L>;
export type HistogramDefinition<L extends string = string> = MetricDefinition<'histogram', L> & { readonly bounds: readonly number[] };

interface Definers {
  readonly counter: <const L extends string = never>(name: string, help: string, ...labels: L[]) => CounterDefinition<L>;
  readonly gauge: <const L extends string = never>(name: string, help: string, ...labels: L[]) => GaugeDefinition<L>;
  /** A gauge of which the highest counts where there are several processes. */
  readonly highest: <const L extends string = never>(name: string, help: string, ...labels: L[]) => GaugeDefinition<L>;
  readonly histogram: <const L extends string = never>(
    name: string,
    help: string,
    bounds: { readonly all: readonly number[]; readonly shown?: readonly number[] },
    ...labels: L[]
  ) => HistogramDefinition<L>;
}

/** Definitions of what these show. */
export function metricsOf(...of: readonly MetricSource[]): Definers {
  return {
    counter: (name, help, ...labels) => ({ name, type: 'counter', help, labels, of }),
    gauge: (name, help, ...labels) => ({ name, type: 'gauge', help, labels, of }),
    highest: (name, help, ...labels) => ({ name, type: 'gauge', help, labels, of, across: 'max' }),
    histogram: (name, help, { all, shown }, ...labels) => ({
      name,
      type: 'histogram',
      help,
      labels,
      of,
      bounds: all,
      ...(shown && { shownBounds: shown }),
    }),
  };
}
