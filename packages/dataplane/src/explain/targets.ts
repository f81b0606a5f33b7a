// The clusters of a route with their shares and instances.
import { cookieValue, serviceKey, Split } from '@heddle/core';
import type { ForwardAction, PlainRequest, WeightedCluster } from '@heddle/core';
import { candidatesOf, NO_CANDIDATES } from './candidates.ts';
import type { Applied, AppliedCluster } from './dump.ts';
import type { ClusterFacts, Mirrored, Target } from './types.ts';

/** @param hash of the request; null: it has none. */
export function forwardTargets(
  applied: Applied,
  { clusters, splitByHash }: ForwardAction,
  request: PlainRequest,
  workload: string,
  hash: number | null,
): Target[] {
  const sum = clusters.reduce((total, { weight }) => total + weight, 0);
  const byHash = splitByHash === true && hash !== null ? new Split(clusters).byHash(hash) : undefined;
  return clusters.map((weighted) => {
    const sharePercent = clusters.length === 1 ? 100 : (100 * weighted.weight) / sum;
    const taken = byHash !== undefined ? weighted === byHash : sharePercent === 100 ? true : sharePercent === 0 ? false : null;
    return targetOf(applied, weighted, { request, workload, hash, sharePercent, taken });
  });
}

/** The only one. */
export function singleTarget(applied: Applied, cluster: string, request: PlainRequest, workload: string, hash: number | null): Target {
  return targetOf(applied, { cluster, weight: 1 }, { request, workload, hash, sharePercent: 100, taken: true });
}

interface Chosen extends Pick<Target, 'sharePercent' | 'taken'> {
  readonly request: PlainRequest;
  readonly workload: string;
  readonly hash: number | null;
}

function targetOf(applied: Applied, weighted: WeightedCluster, { request, workload, hash, sharePercent, taken }: Chosen): Target {
  const { cluster: name, weight, requestHeaders, responseHeaders } = weighted;
  const cluster = applied.clusters.get(name);
  return {
    name,
    service: cluster === undefined ? '' : serviceKey(cluster.config.service),
    weight,
    sharePercent,
    taken,
    requestHeaders: requestHeaders ?? null,
    responseHeaders: responseHeaders ?? null,
    cluster: cluster === undefined ? null : clusterFacts(cluster, request),
    candidates: cluster === undefined ? NO_CANDIDATES : candidatesOf(applied, cluster, workload, hash),
  };
}

function clusterFacts({ config, views }: AppliedCluster, request: PlainRequest): ClusterFacts {
  const { balance, http, connectTimeoutMs, breaker, retryBudget, adaptiveConcurrency, outlier, session } = config;
  const left = views.flatMap(({ seen }) => (seen.retriesLeft === undefined ? [] : [seen.retriesLeft]));
  return {
    balance,
    http,
    connectTimeoutMs,
    breaker,
    underWay: views.reduce((sum, { seen }) => sum + seen.underWay, 0),
    pending: views.reduce((sum, { seen }) => sum + seen.pending, 0),
    retryBudget,
    retriesLeft: left.length === 0 ? null : left.reduce((sum, one) => sum + one, 0),
    adaptiveConcurrency: adaptiveConcurrency ?? null,
    concurrency: views.flatMap(({ seen }) => (seen.concurrency === undefined ? [] : [seen.concurrency])),
    outlier: outlier ?? null,
    session: session ?? null,
    hasSessionCookie: session !== undefined && cookieValue(request.header('cookie'), session.cookie) !== undefined,
  };
}

export function mirrorsOf(applied: Applied, { mirrors = [] }: ForwardAction, workload: string): Mirrored[] {
  return mirrors.map(({ cluster: name, percent }) => {
    const cluster = applied.clusters.get(name);
    const { all, canBePicked } = cluster === undefined ? NO_CANDIDATES : candidatesOf(applied, cluster, workload, null);
    return { cluster: name, percent, canBePicked, all };
  });
}
