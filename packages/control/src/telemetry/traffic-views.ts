// What the API tells of traffic: the graph of who calls whom, one service with its callers, routes and instances, and how it went over time.
import { type TrafficSeries, type TrafficStore, TrafficSum } from '@heddle/core';
import { countHealth } from '../admin/health-counts.ts';
import { selectServices } from '../admin/selection.ts';
import type { Registry } from '../registry/registry.ts';
import type { Edge, Graph, GraphNode, SeriesPoints, ServiceTraffic } from '../rest/schema/traffic.ts';
import { OPERATOR, OUTSIDE, type TrafficBook } from './traffic-book.ts';

export interface TrafficViewsOptions {
  readonly registry: Pick<Registry, 'snapshot' | 'service' | 'revision'>;
  readonly book: TrafficBook;
  readonly clock: { nowMs(): number; wallMs(): number };
}

/** What is asked of the past; a part of the mesh's traffic. */
export interface SeriesQuestion {
  readonly source?: string | undefined;
  readonly destination?: string | undefined;
  readonly route?: string | undefined;
  readonly instance?: string | undefined;
}

/** Tries at one instance. */
export type InstanceTraffic = ServiceTraffic['instances'][number] & { readonly service: string };

/** Why it makes no sense; undefined: it does. */
export function seriesProblem({ source, destination, route, instance }: SeriesQuestion): string | undefined {
  const parts = [source, route, instance].filter((part) => part !== undefined);
  if ((route === undefined && instance === undefined) || (destination !== undefined && parts.length === 1)) return undefined;
  return 'a route or an instance is of its `destination`, and is asked about without anything else';
}

/** From one time to another, and how long that is in which anything is known. */
interface Window {
  readonly fromMs: number;
  readonly toMs: number;
  readonly seconds: number;
}

/** Points of a picture of an hour: each of three small steps. */
const POINTS_MAX = 300;

export class TrafficViews {
  readonly #options: TrafficViewsOptions;
  /** Does not change when the clock is set. */
  readonly #since: string;
  #cached: { readonly key: string; readonly graph: Graph } | undefined;

  constructor(options: TrafficViewsOptions) {
    this.#options = options;
    this.#since = this.#wallTime(options.book.store.startMs);
  }

  graph(windowMs: number, namespace?: string): Graph {
    const { registry } = this.#options;
    const window = this.#window(windowMs);
    const key = `${windowMs} ${namespace ?? ''} ${window.toMs} ${registry.revision}`;
    if (this.#cached?.key === key) return this.#cached.graph;
    const graph = this.#makeGraph(windowMs, window, namespace);
    this.#cached = { key, graph };
    return graph;
  }

  /** Undefined: there is no such service. */
  service(key: string, windowMs: number): ServiceTraffic | undefined {
    const { registry, book } = this.#options;
    const view = registry.service(key);
    if (view === undefined) return undefined;
    const window = this.#window(windowMs);
    const edges = [...book.store.list('edge')].filter(({ destination, part }) => destination === key || part === key);
    const told = edges.flatMap((series) => this.#edge(series, window) ?? []).sort(byName);
    const parts = (kind: 'route' | 'instance') =>
      [...book.store.list(kind)]
        .filter(({ destination }) => destination === key)
        .map((series) => ({ name: series.part, sum: book.store.sum(series, window.fromMs, window.toMs) }))
        .filter(({ sum }) => sum.requests > 0)
        .map(({ name, sum }) => ({ name, ...golden(sum, window.seconds) }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    return {
      ...this.#head(windowMs, window),
      callers: told.filter(({ destination }) => destination === key),
      callees: told.filter(({ source }) => source === key),
      routes: parts('route').map(({ name, ...rest }) => ({ route: name, ...rest })),
      instances: parts('instance').map(({ name, ...rest }) => ({ instance: name, ...rest })),
    };
  }

  /** Of all services, sorted by service and name: what had any traffic. */
  instances(windowMs: number): InstanceTraffic[] {
    const { registry, book } = this.#options;
    const window = this.#window(windowMs);
    const all: InstanceTraffic[] = [];
    for (const series of book.store.list('instance')) {
      const { destination: service, part: instance } = series;
      if (registry.service(service) === undefined) continue;
      const sum = book.store.sum(series, window.fromMs, window.toMs);
      if (sum.requests > 0) all.push({ service, instance, ...golden(sum, window.seconds) });
    }
    const name = ({ service, instance }: InstanceTraffic): string => `${service} ${instance}`;
    return all.sort((a, b) => (name(a) < name(b) ? -1 : 1));
  }

  /** Oldest first; null where nothing is known, or there was nothing. */
  series(question: SeriesQuestion, rangeMs: number): SeriesPoints {
    const { book, clock } = this.#options;
    const { stepMs: smallMs, stepsPerLarge, steps } = book.store.options;
    const width = rangeMs > smallMs * steps ? 'large' : 'small';
    const unitMs = width === 'small' ? smallMs : smallMs * stepsPerLarge;
    const stepMs = unitMs * Math.max(1, Math.ceil(rangeMs / unitMs / POINTS_MAX));
    const endMs = book.store.settledMs(clock.nowMs());
    const toMs = alignedEnd(book.store, endMs, stepMs);
    const count = Math.max(1, Math.floor(rangeMs / stepMs));
    const fromMs = toMs - count * stepMs;
    const sums = Array.from({ length: count }, () => new TrafficSum());
    for (const series of seriesOf(book.store, question))
      book.store.read(series, width, Math.max(fromMs, book.store.startMs), endMs, (ms) => sums[Math.floor((ms - fromMs) / stepMs)]);
    // The first and the last may be known in part.
    const seconds = sums.map((_, index) => {
      const beginMs = fromMs + index * stepMs;
      return (Math.min(beginMs + stepMs, endMs) - Math.max(beginMs, book.store.startMs)) / 1_000;
    });
    const each = (value: (sum: TrafficSum) => number | null): (number | null)[] =>
      sums.map((sum, index) => (seconds[index]! > 0 ? value(sum) : null));
    const rate = (value: (sum: TrafficSum) => number): (number | null)[] =>
      sums.map((sum, index) => (seconds[index]! > 0 ? value(sum) / seconds[index]! : null));
    return {
      stepMs,
      start: this.#wallTime(fromMs),
      from: 'memory',
      since: this.#since,
      note: '',
      points: {
        requestsPerSecond: rate((sum) => sum.requests),
        errorsPerSecond: rate((sum) => sum.errorCount),
        p50Ms: each((sum) => sum.quantileMs(0.5) ?? null),
        p90Ms: each((sum) => sum.quantileMs(0.9) ?? null),
        p99Ms: each((sum) => sum.quantileMs(0.99) ?? null),
        bytesPerSecond: rate((sum) => sum.bytes),
      },
    };
  }

  #makeGraph(windowMs: number, window: Window, namespace: string | undefined): Graph {
    const { registry, book } = this.#options;
    const edges: Edge[] = [];
    const into = new Map<string, TrafficSum>();
    const mentioned = new Set<string>();
    for (const series of book.store.list('edge')) {
      const { destination, part: source } = series;
      if (namespace !== undefined && namespaceOf(source) !== namespace && namespaceOf(destination) !== namespace) continue;
      const sum = book.store.sum(series, window.fromMs, window.toMs);
      if (sum.isEmpty) continue;
      edges.push(edgeOf(series, sum, window.seconds));
      getOr(into, destination, () => new TrafficSum()).addSum(sum);
      mentioned.add(source).add(destination);
    }
    const nodes: GraphNode[] = [];
    for (const view of selectServices(registry.snapshot(), undefined)) {
      const { namespace: own, name, protocol } = view.service;
      const id = `${own}/${name}`;
      if (namespace !== undefined && own !== namespace && !mentioned.has(id)) continue;
      mentioned.delete(id);
      nodes.push({ id, kind: 'service', protocol, instances: countHealth(view.instances), ...golden(into.get(id), window.seconds) });
    }
    for (const id of [...mentioned].sort()) {
      // A service that is gone by now has left its traffic.
      const kind = id === OUTSIDE ? 'outside' : id === OPERATOR ? 'operator' : book.egressNames().has(id) ? 'egress' : 'service';
      nodes.push({ id, kind, protocol: null, instances: countHealth([]), ...golden(into.get(id), window.seconds) });
    }
    return { revision: registry.revision, ...this.#head(windowMs, window), nodes, edges: edges.sort(byName) };
  }

  #edge(series: TrafficSeries, window: Window): Edge | undefined {
    const sum = this.#options.book.store.sum(series, window.fromMs, window.toMs);
    return sum.isEmpty ? undefined : edgeOf(series, sum, window.seconds);
  }

  #head(windowMs: number, { toMs }: Window) {
    return { windowMs, updated: this.#wallTime(toMs), since: this.#since };
  }

  /** It ends where everything has been reported. */
  #window(windowMs: number): Window {
    const { book, clock } = this.#options;
    const toMs = book.store.settledMs(clock.nowMs());
    const fromMs = Math.max(book.store.startMs, toMs - windowMs);
    return { fromMs, toMs, seconds: Math.max(toMs - fromMs, book.store.options.stepMs) / 1_000 };
  }

  #wallTime(ms: number): string {
    const { clock } = this.#options;
    return new Date(Math.floor(clock.wallMs() - (clock.nowMs() - ms))).toISOString();
  }
}

/** The series that together are what is asked for. */
export function* seriesOf(store: TrafficStore, { source, destination, route, instance }: SeriesQuestion): Iterable<TrafficSeries> {
  const part = route ?? instance;
  if (part !== undefined) {
    const one = store.get(route === undefined ? 'instance' : 'route', destination ?? '', part);
    if (one !== undefined) yield one;
    return;
  }
  for (const series of store.list('edge')) {
    const fits = (source === undefined || series.part === source) && (destination === undefined || series.destination === destination);
    if (fits) yield series;
  }
}

/** Steps of a picture lie where they lay in the one before. */
function alignedEnd(store: TrafficStore, ms: number, stepMs: number): number {
  return store.startMs + Math.ceil((ms - store.startMs) / stepMs) * stepMs;
}

function edgeOf({ destination, part: source, protocol }: TrafficSeries, sum: TrafficSum, seconds: number): Edge {
  const { requestsPerSecond, errorsPerSecond, p50Ms, p99Ms } = golden(sum, seconds);
  return {
    ...{ source, destination, protocol: protocol === '' ? null : protocol, requestsPerSecond, errorsPerSecond },
    ...{ bytesPerSecond: sum.bytes / seconds, retriesPerSecond: sum.retries / seconds },
    ...{ p50Ms, p90Ms: sum.quantileMs(0.9) ?? null, p99Ms },
    errors: Object.fromEntries(
      [...(sum.errors ?? [])].sort(([a], [b]) => (a < b ? -1 : 1)).map(([code, count]) => [code, count / seconds]),
    ),
  };
}

function golden(sum: TrafficSum | undefined, seconds: number) {
  return {
    requestsPerSecond: (sum?.requests ?? 0) / seconds,
    errorsPerSecond: (sum?.errorCount ?? 0) / seconds,
    p50Ms: sum?.quantileMs(0.5) ?? null,
    p99Ms: sum?.quantileMs(0.99) ?? null,
  };
}

function byName(a: Edge, b: Edge): number {
  return a.source === b.source ? (a.destination < b.destination ? -1 : 1) : a.source < b.source ? -1 : 1;
}

function namespaceOf(id: string): string {
  return id.slice(0, Math.max(0, id.indexOf('/')));
}

function getOr<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
