// The applied state of a data plane as its config dump tells it. Where there are workers, the configuration stands there once and each worker
// tells what it has made of the clusters: those are laid side by side, so that everything else need not know of workers.
import type { Cluster, EndpointSet, Endpoint, Listener, Locality, RouteConfig } from '@heddle/core';
import type { ListenerStatus } from '../data-plane-types.ts';

export type AppliedListener = Listener & { readonly status: ListenerStatus };

/** An endpoint as one process sees it: what `UpstreamCluster.describe` says of its hosts. */
export interface SeenHost {
  readonly instance: string;
  readonly address: string;
  readonly port: number;
  /** `unhealthy` also while it is left out on own evidence. */
  readonly health: Endpoint['health'];
  readonly weight: number;
  readonly locality?: Locality;
  readonly connections: { readonly open: number; readonly idle: number; readonly pending: number };
  readonly outlier?: { readonly ejected: boolean; readonly reason: string; readonly forMs?: number };
  /** What the balancer of each calling workload goes by. */
  readonly balancers: Readonly<Record<string, Readonly<Record<string, string | number>>>>;
}

/** A cluster as one process sees it. */
export interface SeenCluster extends Cluster {
  readonly underWay: number;
  readonly pending: number;
  /** Retries and hedges that may be sent now. */
  readonly retriesLeft?: number;
  readonly concurrency?: object;
  readonly hosts: readonly SeenHost[];
}

/** One cluster in all processes. */
export interface AppliedCluster {
  readonly config: Cluster;
  readonly views: readonly { readonly worker: number | null; readonly seen: SeenCluster }[];
}

export interface Applied {
  readonly node: string;
  readonly listeners: readonly AppliedListener[];
  readonly routes: ReadonlyMap<string, RouteConfig>;
  readonly clusters: ReadonlyMap<string, AppliedCluster>;
  readonly endpoints: ReadonlyMap<string, EndpointSet>;
  /** Workloads with a certificate. */
  readonly identities: readonly string[];
  readonly anonymousWorkload: string | null;
}

interface Dump {
  readonly node: string;
  readonly listeners: readonly AppliedListener[];
  readonly routes: readonly RouteConfig[];
  readonly clusters: readonly SeenCluster[];
  readonly endpoints: readonly EndpointSet[];
  readonly identities: readonly string[];
  readonly anonymousWorkload: string | null;
  readonly workers?: readonly {
    readonly worker: number;
    readonly status: { readonly listeners: readonly ListenerStatus[] } | null;
    readonly clusters: readonly SeenCluster[];
  }[];
}

/** @param dump of a data plane (`configDump`), of this process. */
export function readDump(dump: object): Applied {
  const { node, listeners, routes, clusters, endpoints, identities, anonymousWorkload, workers } = dump as Dump;
  // A worker that has just begun has not told anything yet.
  const told = workers?.filter((worker) => worker.clusters.length > 0) ?? [];
  const byWorker = told.map(({ worker, clusters: own }) => ({ worker, own: new Map(own.map((cluster) => [cluster.name, cluster])) }));
  const viewsOf = (cluster: SeenCluster): AppliedCluster['views'] => {
    const views = byWorker.flatMap(({ worker, own }) => {
      const seen = own.get(cluster.name);
      return seen === undefined ? [] : [{ worker, seen }];
    });
    return views.length > 0 ? views : [{ worker: null, seen: cluster }];
  };
  return {
    node,
    listeners: listeners.map((listener) => ({ ...listener, status: withWorkers(listener.status, workers) })),
    routes: new Map(routes.map((config) => [config.name, config])),
    clusters: new Map(clusters.map((cluster) => [cluster.name, { config: cluster, views: viewsOf(cluster) }])),
    endpoints: new Map(endpoints.map((set) => [set.cluster, set])),
    identities,
    anonymousWorkload,
  };
}

/** What is under way is so in the workers. */
function withWorkers(status: ListenerStatus, workers: Dump['workers'] = []): ListenerStatus {
  const same = workers.flatMap((worker) => worker.status?.listeners.filter(({ name }) => name === status.name) ?? []);
  return same.length === 0 ? status : { ...status, activeRequests: same.reduce((sum, { activeRequests }) => sum + activeRequests, 0) };
}

/** `<namespace>/<service>` of `<namespace>/<service>/<instance>`. */
export function serviceOf(workload: string): string {
  return workload.split('/').slice(0, 2).join('/');
}

/** `<instance>` of it. */
export function instanceOf(workload: string): string {
  return workload.split('/')[2] ?? '';
}
