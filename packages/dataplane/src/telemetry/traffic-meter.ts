// The traffic of this data plane, for reports: read from metrics that the data path keeps anyway, as the difference to the report before.
// Nothing of it runs while requests do.
import {
  CONFIGURATION_METRICS,
  DOWNSTREAM_METRICS,
  durationBucket,
  IDENTITY_METRICS,
  INSTANCE_METRICS,
  type InstanceCounts,
  type PairInProgress,
  PROCESS_METRICS,
  type ProcessFacts,
  REQUEST_METRICS,
  type SparseDurations,
  STREAM_METRICS,
  type TrafficCounts,
  type TrafficReport,
  UPSTREAM_METRICS,
} from '@heddle/core';
import type { FamilyValues } from '@heddle/runtime/node';
import { readLabels, type SeriesLabels } from './metric-labels.ts';

/** Clusters that lead to services of the mesh are named so, with `<namespace>/<service>` behind it. */
const CLUSTER_PREFIX = 'outbound/';
/** Nobody waits for what was cut off by its own client. */
const CLIENT_GONE = 'CLIENT_GONE';
const FAILED_RESULTS: readonly string[] = ['server-error', 'gateway-error', 'local-error'];

type Counts = Map<number, number>;

interface Traffic extends Pick<TrafficCounts, 'side' | 'source' | 'destination' | 'route' | 'protocol'> {
  requests: number;
  readonly classes: Record<string, number>;
  readonly errors: Record<string, number>;
  readonly durations: Counts;
  requestBytes: number;
  responseBytes: number;
  retries: number;
}

interface Instance extends Pick<InstanceCounts, 'destination' | 'instance'> {
  requests: number;
  failures: number;
  readonly durations: Counts;
}

/** What one reading comes to. */
class Reading {
  readonly traffic = new Map<string, Traffic>();
  readonly instances = new Map<string, Instance>();
  readonly active = new Map<string, { readonly source: string; readonly destination: string; requests: number }>();
  readonly process: { -readonly [K in keyof ProcessFacts]: number } = {};

  trafficOf({ direction, source = '', destination = '', route = 'default', protocol = 'http1' }: SeriesLabels): Traffic {
    const side = direction === 'inbound' ? 'inbound' : 'outbound';
    return getOr(this.traffic, `${side} ${source} ${destination} ${route} ${protocol}`, () => ({
      ...{ side, source, destination, route, protocol, requests: 0, classes: {}, errors: {}, durations: new Map() },
      ...{ requestBytes: 0, responseBytes: 0, retries: 0 },
    }));
  }

  instanceOf({ destination = '', destination_instance: instance = '' }: SeriesLabels): Instance {
    return getOr(this.instances, `${destination} ${instance}`, () => ({
      destination,
      instance,
      requests: 0,
      failures: 0,
      durations: new Map(),
    }));
  }

  addActive(source: string, destination: string, requests: number): void {
    getOr(this.active, `${source} ${destination}`, () => ({ source, destination, requests: 0 })).requests += requests;
  }
}

/** Takes what has grown since the last reading: one number, of a histogram one for each bucket. */
type Take = (reading: Reading, grown: ArrayLike<number>, buckets: readonly number[]) => void;

interface Family {
  /** A gauge: it is read as it stands. */
  readonly isGauge?: true;
  /** Undefined: this series does not count. */
  readonly take: (labels: SeriesLabels) => Take | undefined;
}

/** Between services, as the side that counts has seen it; nobody counts copies. */
function pair(
  labels: SeriesLabels,
  take: (traffic: Traffic, grown: ArrayLike<number>, buckets: readonly number[]) => void,
): Take | undefined {
  const { direction, source = '', destination = '' } = labels;
  const isCounted =
    (direction === 'outbound' || direction === 'inbound') && source !== '' && destination !== '' && destination !== 'unknown';
  return isCounted ? (reading, grown, buckets) => take(reading.trafficOf(labels), grown, buckets) : undefined;
}

const gaugeOf = (keep: (process: Reading['process'], value: number) => void): Family => ({
  isGauge: true,
  take: () => (reading, now) => keep(reading.process, now[0]!),
});

const FAMILIES: Readonly<Record<string, Family>> = {
  [REQUEST_METRICS.requests.name]: { take: (labels) => pair(labels, (traffic, grown) => countEnded(traffic, labels, grown[0]!)) },
  [REQUEST_METRICS.duration.name]: {
    take: (labels) => pair(labels, ({ durations }, grown, buckets) => addBuckets(durations, grown, buckets)),
  },
  [REQUEST_METRICS.requestBytes.name]: { take: (labels) => pair(labels, (traffic, grown) => void (traffic.requestBytes += grown[0]!)) },
  [REQUEST_METRICS.responseBytes.name]: { take: (labels) => pair(labels, (traffic, grown) => void (traffic.responseBytes += grown[0]!)) },
  [REQUEST_METRICS.retries.name]: { take: (labels) => pair(labels, (traffic, grown) => void (traffic.retries += grown[0]!)) },
  [REQUEST_METRICS.active.name]: {
    isGauge: true,
    take: ({ direction, source = '', destination = '', protocol }) =>
      direction === 'outbound' && protocol !== 'tcp' ? (reading, now) => reading.addActive(source, destination, now[0]!) : undefined,
  },
  [STREAM_METRICS.clusterOpen.name]: {
    isGauge: true,
    take: ({ cluster = '', source = '' }) =>
      cluster.startsWith(CLUSTER_PREFIX) ? (reading, now) => reading.addActive(source, serviceOfCluster(cluster), now[0]!) : undefined,
  },
  [INSTANCE_METRICS.tries.name]: {
    take: (labels) => (reading, grown) => {
      if (labels['result'] === 'cancelled') return;
      const instance = reading.instanceOf(labels);
      instance.requests += grown[0]!;
      if (FAILED_RESULTS.includes(labels['result'] ?? '')) instance.failures += grown[0]!;
    },
  },
  [INSTANCE_METRICS.duration.name]: {
    take: (labels) => (reading, grown, buckets) => addBuckets(reading.instanceOf(labels).durations, grown, buckets),
  },
  [IDENTITY_METRICS.left.name]: gaugeOf((process, left) => {
    // 0 is a workload without a certificate.
    if (left !== 0) process.certificateSecondsLeft = Math.min(left, process.certificateSecondsLeft ?? Infinity);
  }),
  [CONFIGURATION_METRICS.age.name]: gaugeOf((process, age) => {
    if (age >= 0) process.snapshotAgeMs = age * 1_000;
  }),
  [DOWNSTREAM_METRICS.open.name]: gaugeOf((process, open) => void (process.openConnections = (process.openConnections ?? 0) + open)),
  [UPSTREAM_METRICS.open.name]: gaugeOf((process, open) => void (process.openConnections = (process.openConnections ?? 0) + open)),
  [PROCESS_METRICS.memory.name]: gaugeOf((process, bytes) => void (process.residentBytes = bytes)),
  [PROCESS_METRICS.loopDelayMax.name]: gaugeOf((process, delay) => void (process.eventLoopDelayMaxMs = delay * 1_000)),
};

function countEnded(traffic: Traffic, { class: responseClass = 'other', error = '' }: SeriesLabels, count: number): void {
  traffic.requests += count;
  traffic.classes[responseClass] = (traffic.classes[responseClass] ?? 0) + count;
  const code = error === '' ? (responseClass === '5xx' ? '5xx' : '') : error === CLIENT_GONE ? '' : error;
  if (code !== '') traffic.errors[code] = (traffic.errors[code] ?? 0) + count;
}

/** The last cell of a histogram is the sum. */
function addBuckets(into: Counts, grown: ArrayLike<number>, buckets: readonly number[]): void {
  for (let at = 0; at < buckets.length; at += 1) if (grown[at]! > 0) into.set(buckets[at]!, (into.get(buckets[at]!) ?? 0) + grown[at]!);
}

interface Known {
  /** Undefined: it does not count. */
  readonly take: Take | undefined;
  values: Float64Array;
}

export class TrafficMeter {
  /** By family, then by labels as they are written. */
  readonly #known = new Map<string, Map<string, Known>>();

  /** What has happened since the call before; what has not changed is left out. */
  take(families: Iterable<FamilyValues>, intervalMs: number): TrafficReport {
    const reading = new Reading();
    for (const family of families) {
      const ours = FAMILIES[family.name];
      if (ours !== undefined) this.#read(reading, family, ours);
    }
    return {
      intervalMs,
      traffic: Array.from(reading.traffic.values(), ({ durations, ...rest }) => ({ ...rest, durations: sparse(durations) })),
      instances: Array.from(reading.instances.values(), ({ durations, ...rest }) => ({ ...rest, durations: sparse(durations) })),
      inProgress: [...reading.active.values()].filter(
        ({ requests, destination }) => requests > 0 && destination.includes('/'),
      ) satisfies PairInProgress[],
      process: reading.process,
    };
  }

  #read(reading: Reading, { name, bounds, series }: FamilyValues, { isGauge, take }: Family): void {
    const known = getOr(this.#known, name, () => new Map<string, Known>());
    const buckets = [...Array.from(bounds, durationBucket), durationBucket(Infinity)];
    for (const [labels, values] of series) {
      const one = getOr(known, labels, () => ({ take: take(readLabels(labels)), values: new Float64Array(values.length) }));
      if (one.take === undefined) continue;
      if (isGauge === true) {
        one.take(reading, values, buckets);
        continue;
      }
      const grown = difference(values, one.values);
      if (grown === undefined) continue;
      one.take(reading, grown, buckets);
      one.values = Float64Array.from(values);
    }
    // What is no more counts from its beginning when it comes again.
    if (known.size > series.size) for (const labels of known.keys()) if (!series.has(labels)) known.delete(labels);
  }
}

/** Undefined: nothing has changed. What is less than before began anew. */
function difference(now: Float64Array, before: Float64Array): Float64Array | undefined {
  if (now.every((value, at) => value === before[at])) return undefined;
  const began = now.some((value, at) => value < before[at]!);
  return now.map((value, at) => (began ? value : value - before[at]!));
}

function sparse(counts: Counts): SparseDurations {
  const sorted = [...counts].sort(([a], [b]) => a - b);
  return { indexes: sorted.map(([index]) => index), counts: sorted.map(([, count]) => count) };
}

/** Also of a part of its instances: `outbound/<namespace>/<service>{…}`. */
function serviceOfCluster(cluster: string): string {
  const end = cluster.indexOf('{');
  return cluster.slice(CLUSTER_PREFIX.length, end === -1 ? undefined : end);
}

function getOr<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
