// The load of this data plane, for reports: read from counters that the data path keeps anyway, as the difference to the report before.
// Nothing of it runs while requests do.
import type { lrs } from '@heddle/api';
import type { LoadCounts } from '@heddle/core';
import type { FamilyValues } from '@heddle/runtime/node';

/** Clusters that lead to services of the mesh are named so, with `<namespace>/<service>` behind it. */
const CLUSTER_PREFIX = 'outbound/';

interface Totals {
  /** Requests. */
  succeeded: number;
  failed: number;
  ended: number;
  active: number;
  /** Opaque streams. */
  begun: number;
  lost: number;
  open: number;
}
type Field = keyof Totals;

/** Which pair a series belongs to, and what it counts. */
interface Place {
  readonly source: string;
  readonly cluster: string;
  readonly fields: readonly Field[];
}

const FAMILIES: Readonly<Record<string, (labels: Labels) => Place | undefined>> = {
  heddle_requests_total: (labels) => outbound(labels, requestFields(labels)),
  heddle_requests_active: (labels) => outbound(labels, ['active']),
  heddle_upstream_streams: (labels) => toCluster(labels, ['open']),
  heddle_upstream_streams_total: (labels) => toCluster(labels, ['begun']),
  heddle_upstream_streams_failed_total: (labels) => toCluster(labels, ['lost']),
};

type Labels = Readonly<Record<string, string>>;

/** Failed as the contract has it: 5xx, or no answer. Who was given up by its own client has neither failed nor succeeded. */
function requestFields({ class: responseClass = '', error = '' }: Labels): Field[] {
  if (error === 'CLIENT_GONE') return ['ended'];
  return [error !== '' || responseClass === '5xx' ? 'failed' : 'succeeded', 'ended'];
}

/** Streams of bytes have metrics of their own, which know of them before they end. */
function outbound({ direction, source = '', destination = '', protocol }: Labels, fields: readonly Field[]): Place | undefined {
  return direction === 'outbound' && protocol !== 'tcp' && destination.includes('/')
    ? { source, cluster: CLUSTER_PREFIX + destination, fields }
    : undefined;
}

function toCluster({ cluster = '', source = '' }: Labels, fields: readonly Field[]): Place | undefined {
  return cluster.startsWith(CLUSTER_PREFIX) ? { source, cluster, fields } : undefined;
}

export class LoadMeter {
  /** By family and labels, as they are written. Undefined: it does not count. */
  readonly #places = new Map<string, Place | undefined>();
  /** By cluster, then by source. */
  #before = new Map<string, Map<string, Totals>>();

  /** What has happened since the call before; clusters to which nothing went are left out. */
  take(families: Iterable<FamilyValues>, intervalMs: number): lrs.ClusterLoad[] {
    const now = this.#read(families);
    const loads: lrs.ClusterLoad[] = [];
    for (const [cluster, sources] of now) {
      const sum = { issued: 0, succeeded: 0, failed: 0, inProgress: 0, dropped: 0 };
      const bySource = new Map<string, LoadCounts>();
      for (const [source, totals] of sources) {
        const part = difference(totals, this.#before.get(cluster)?.get(source));
        if (part.issued + part.succeeded + part.failed + part.inProgress === 0) continue;
        bySource.set(source, part);
        for (const key of ['issued', 'succeeded', 'failed', 'inProgress'] as const) sum[key] += part[key];
      }
      if (bySource.size > 0) loads.push({ cluster, ...sum, intervalMs, bySource });
    }
    this.#before = now;
    return loads;
  }

  #read(families: Iterable<FamilyValues>): Map<string, Map<string, Totals>> {
    const totals = new Map<string, Map<string, Totals>>();
    for (const { name, series } of families) {
      const placeOf = FAMILIES[name];
      if (placeOf === undefined) continue;
      for (const [labels, values] of series) {
        const place = this.#place(name, labels, placeOf);
        if (place === undefined) continue;
        const sources = getOr(totals, place.cluster, () => new Map<string, Totals>());
        const sum = getOr(sources, place.source, () => ({ succeeded: 0, failed: 0, ended: 0, active: 0, begun: 0, lost: 0, open: 0 }));
        for (const field of place.fields) sum[field] += values[0] ?? 0;
      }
    }
    return totals;
  }

  #place(name: string, labels: string, placeOf: (labels: Labels) => Place | undefined): Place | undefined {
    const key = `${name} ${labels}`;
    if (!this.#places.has(key)) this.#places.set(key, placeOf(readLabels(labels)));
    return this.#places.get(key);
  }
}

/**
 * Requests are counted when they end, streams when they begin; the rest follows from those under way. A worker that ended took what was under
 * way with it: no difference is below zero.
 */
function difference(now: Totals, before: Totals | undefined): LoadCounts {
  const since = (field: Field): number => now[field] - (before?.[field] ?? 0);
  const grown = (field: Field): number => Math.max(0, since(field));
  const streamsEnded = Math.max(0, grown('begun') - since('open') - grown('lost'));
  return {
    issued: Math.max(0, grown('ended') + since('active')) + grown('begun'),
    succeeded: grown('succeeded') + streamsEnded,
    failed: grown('failed') + grown('lost'),
    inProgress: Math.max(0, now.active) + Math.max(0, now.open),
    dropped: 0,
  };
}

function readLabels(text: string): Labels {
  const labels: Record<string, string> = {};
  for (const [, name = '', value = ''] of text.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g))
    labels[name] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
  return labels;
}

function getOr<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
