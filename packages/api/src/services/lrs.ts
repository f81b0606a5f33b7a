// The door to LRS, by which data planes report how much they send where (envoy.service.load_stats.v3). Reports come from peers: every number
// is checked here, and what comes out are plain counts.
import { LOAD_COUNT_MAX, type LoadCounts } from '@heddle/core';
import type { Node } from '../gen/envoy/envoy/config/core/v3/base.ts';
import type { ClusterStats, UpstreamEndpointStats, UpstreamLocalityStats } from '../gen/envoy/envoy/config/endpoint/v3/load_report.ts';
import { LoadStatsRequest as Message, LoadStatsResponse } from '../gen/envoy/envoy/service/load_stats/v3/lrs.ts';
import type { Duration } from '../gen/envoy/google/protobuf/duration.ts';
import { InvalidMessageError } from './invalid.ts';
import { bidiMethod } from './method.ts';

export type { LoadStatsResponse };

export interface LoadStatsRequest extends Message {
  /** Why it is no message: counts beyond what can be counted, for example. The client gets to know. */
  readonly unreadable?: string;
}

const STREAM = bidiMethod<LoadStatsRequest, LoadStatsResponse>(
  '/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats',
  { encode: (request) => Message.encode(request), decode: readable },
  LoadStatsResponse,
);

/** A report of 1,000 clusters in 10 parts each has half of it. Messages grow a hundredfold when they are read, so this comes first. */
const REPORT_BYTES_MAX = 1024 * 1024;

function readable(bytes: Uint8Array): LoadStatsRequest {
  if (bytes.length > REPORT_BYTES_MAX) return { unreadable: `it has ${bytes.length} bytes; at most ${REPORT_BYTES_MAX} are read` };
  try {
    return Message.decode(bytes);
  } catch (error) {
    return { unreadable: error instanceof Error ? error.message : String(error) };
  }
}

/** For `Server.addService`, and for calls. */
export const LoadReportingService = { streamLoadStats: STREAM } as const;

/** By this name in `client_features` a client says that it reports every cluster when it is asked to. */
export const SENDS_ALL_CLUSTERS = 'envoy.lrs.supports_send_all_clusters';

/** Clusters in one report: more than a mesh of the size aimed at has services, sources told apart. */
const CLUSTERS_MAX = 20_000;
/** Localities and endpoints of one cluster. */
const PARTS_MAX = 10_000;
const NAME_LENGTH_MAX = 2_048;
const INTERVAL_MS_MAX = 3_600_000;

export interface ClusterLoad extends LoadCounts {
  readonly cluster: string;
  /** Undefined: the report does not say, or says something that cannot be. */
  readonly intervalMs: number | undefined;
  /** The part of each calling service, `<namespace>/<service>`, where the reporter tells them apart. Its own data planes do. */
  readonly bySource: ReadonlyMap<string, LoadCounts>;
}

/** Throws InvalidMessageError. */
export function readLoad(request: LoadStatsRequest): ClusterLoad[] {
  const stats = request.clusterStats ?? [];
  if (stats.length > CLUSTERS_MAX)
    throw new InvalidMessageError('cluster_stats', `${stats.length} clusters; at most ${CLUSTERS_MAX} in one report`);
  return stats.map((cluster, index) => readCluster(cluster, `cluster_stats[${index}]`));
}

function readCluster(stats: ClusterStats, path: string): ClusterLoad {
  const cluster = stats.clusterName ?? '';
  if (cluster === '' || cluster.length > NAME_LENGTH_MAX)
    throw new InvalidMessageError(`${path}.cluster_name`, `must have 1 to ${NAME_LENGTH_MAX} characters`);
  const localities = stats.upstreamLocalityStats ?? [];
  const parts = localities.reduce((sum, { upstreamEndpointStats }) => sum + 1 + (upstreamEndpointStats?.length ?? 0), 0);
  if (parts > PARTS_MAX)
    throw new InvalidMessageError(
      `${path}.upstream_locality_stats`,
      `${parts} localities and endpoints; at most ${PARTS_MAX} of one cluster`,
    );
  const sum = {
    issued: 0,
    succeeded: 0,
    failed: 0,
    inProgress: 0,
    dropped: count(stats.totalDroppedRequests, `${path}.total_dropped_requests`),
  };
  const bySource = new Map<string, LoadCounts>();
  for (const [index, locality] of localities.entries()) {
    const at = `${path}.upstream_locality_stats[${index}]`;
    add(sum, readCounts(locality, at));
    for (const [place, endpoint] of (locality.upstreamEndpointStats ?? []).entries()) {
      const counts = readCounts(endpoint, `${at}.upstream_endpoint_stats[${place}]`);
      const source: unknown = (endpoint.metadata as { heddle?: { source?: unknown } } | undefined)?.heddle?.source;
      if (typeof source !== 'string') continue;
      const known = bySource.get(source);
      bySource.set(source, known === undefined ? counts : add({ ...known }, counts));
    }
  }
  return { cluster, ...sum, intervalMs: readInterval(stats.loadReportInterval), bySource };
}

type Counted = Pick<
  UpstreamLocalityStats & UpstreamEndpointStats,
  'totalIssuedRequests' | 'totalSuccessfulRequests' | 'totalErrorRequests' | 'totalRequestsInProgress'
>;

function readCounts(stats: Counted, path: string): LoadCounts {
  const succeeded = count(stats.totalSuccessfulRequests, `${path}.total_successful_requests`);
  const failed = count(stats.totalErrorRequests, `${path}.total_error_requests`);
  const inProgress = count(stats.totalRequestsInProgress, `${path}.total_requests_in_progress`);
  // Older clients do not say how many they have begun.
  const issued = count(stats.totalIssuedRequests, `${path}.total_issued_requests`) || succeeded + failed;
  return { issued, succeeded, failed, inProgress, dropped: 0 };
}

function count(value: number | undefined, path: string): number {
  if (value === undefined) return 0;
  if (value <= LOAD_COUNT_MAX) return value;
  throw new InvalidMessageError(path, `${value} requests cannot be; at most ${LOAD_COUNT_MAX} are believed in one report`);
}

function add(sum: { -readonly [K in keyof LoadCounts]: number }, more: LoadCounts): LoadCounts {
  sum.issued = Math.min(sum.issued + more.issued, LOAD_COUNT_MAX);
  sum.succeeded = Math.min(sum.succeeded + more.succeeded, LOAD_COUNT_MAX);
  sum.failed = Math.min(sum.failed + more.failed, LOAD_COUNT_MAX);
  sum.inProgress = Math.min(sum.inProgress + more.inProgress, LOAD_COUNT_MAX);
  sum.dropped = Math.min(sum.dropped + more.dropped, LOAD_COUNT_MAX);
  return sum;
}

function readInterval(duration: Duration | undefined): number | undefined {
  if (duration === undefined) return undefined;
  const intervalMs = (duration.seconds ?? 0) * 1_000 + (duration.nanos ?? 0) / 1e6;
  return intervalMs >= 100 && intervalMs <= INTERVAL_MS_MAX ? intervalMs : undefined;
}

function duration(ms: number): Duration {
  return { seconds: Math.floor(ms / 1_000), nanos: Math.round((ms % 1_000) * 1e6) };
}

export interface LoadInstruction {
  /** `all`: every cluster that the client knows; only for clients that say they can (`SENDS_ALL_CLUSTERS`). */
  readonly clusters: 'all' | readonly string[];
  readonly intervalMs: number;
  /** Whether the parts of a cluster's load are wanted, too. */
  readonly inParts: boolean;
}

export function instructionToMessage({ clusters, intervalMs, inParts }: LoadInstruction): LoadStatsResponse {
  return {
    ...(clusters === 'all' ? { sendAllClusters: true } : { clusters: [...clusters] }),
    loadReportingInterval: duration(intervalMs),
    reportEndpointGranularity: inParts,
  };
}

/** Undefined where the server does not say anything that can be followed. */
export function instructionFromMessage(message: LoadStatsResponse): LoadInstruction {
  const intervalMs = readInterval(message.loadReportingInterval) ?? 10_000;
  const clusters = message.sendAllClusters === true ? 'all' : (message.clusters ?? []);
  return { clusters, intervalMs, inParts: message.reportEndpointGranularity === true };
}

/** What a Heddle data plane says about itself with each report. */
export interface LoadReporterNode {
  readonly id: string;
  readonly version?: string;
  /** See `stateHash`. */
  readonly stateHash: string;
}

export function loadMessage({ id, version = '', stateHash }: LoadReporterNode, loads: readonly ClusterLoad[]): LoadStatsRequest {
  const node: Node = {
    id,
    userAgentName: 'heddle',
    userAgentVersionType: { $case: 'userAgentVersion', value: version },
    clientFeatures: [SENDS_ALL_CLUSTERS],
    metadata: { heddle: { stateHash } },
  };
  return { node, clusterStats: loads.map(clusterToMessage) };
}

function clusterToMessage({ cluster, intervalMs, bySource, dropped, ...counts }: ClusterLoad): ClusterStats {
  return {
    clusterName: cluster,
    totalDroppedRequests: dropped,
    loadReportInterval: duration(intervalMs ?? 0),
    upstreamLocalityStats: [
      {
        ...countsToMessage(counts),
        upstreamEndpointStats: [...bySource].map(([source, part]) => ({ ...countsToMessage(part), metadata: { heddle: { source } } })),
      },
    ],
  };
}

function countsToMessage({ issued, succeeded, failed, inProgress }: Omit<LoadCounts, 'dropped'>): Counted {
  return {
    totalIssuedRequests: issued,
    totalSuccessfulRequests: succeeded,
    totalErrorRequests: failed,
    totalRequestsInProgress: inProgress,
  };
}

/** What a report says about who makes it. */
export interface ReportingNode {
  readonly id: string;
  readonly sendsAllClusters: boolean;
  /** Only Heddle's own data planes say it; otherwise undefined. */
  readonly stateHash: string | undefined;
}

/** Throws InvalidMessageError where the request is no message. */
export function readReportingNode({ node, unreadable }: LoadStatsRequest): ReportingNode {
  if (unreadable !== undefined) throw new InvalidMessageError('request', `is not a valid LoadStatsRequest: ${unreadable}`);
  const hash: unknown = (node?.metadata as { heddle?: { stateHash?: unknown } } | undefined)?.heddle?.stateHash;
  return {
    id: (node?.id ?? '').slice(0, NAME_LENGTH_MAX),
    sendsAllClusters: node?.clientFeatures?.includes(SENDS_ALL_CLUSTERS) === true,
    stateHash: typeof hash === 'string' && /^[0-9a-f]{16}$/.test(hash) ? hash : undefined,
  };
}
