// LRS: data planes report how much they send where. What they say is bounded and belongs to who they are: a workload reports for its own
// service, and only the operator's data planes, which host many services, may tell sources apart. Who floods is cut off.
import { status } from '@grpc/grpc-js';
import type { Server, ServerDuplexStream } from '@grpc/grpc-js';
import { lrs } from '@heddle/api';
import { CONTROL_LIMITS, LoadTable, serviceKey } from '@heddle/core';
import type { Load, LoadContributor, LoadCounts, Service } from '@heddle/core';
import type { Clock, Logger } from '@heddle/runtime';
import { subsetsOf } from '../compiler/labels.ts';
import { outboundName, serviceOfCluster } from '../compiler/names.ts';
import type { Registry } from '../registry/registry.ts';
import { callerOf } from '../server/access.ts';
import { hasRole } from '../server/caller.ts';
import type { Caller } from '../server/caller.ts';
import { answerEach } from '../server/answer-each.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { CallError } from '../server/status.ts';
import { ownServiceOf, type TrafficBook } from '../telemetry/traffic-book.ts';
import type { ConnectedProxy, ReportedState } from './applied.ts';

/** One for each data plane; each holds what it reported last. */
const STREAMS_MAX = 5_000;
/** Envoy and gRPC report once per interval; this leaves room for those that report when something changes. */
const REPORTS_PER_INTERVAL_MAX = 20;
/** How often load and traffic are reported, unless it is said otherwise: the width of a small step of what is kept. */
export const REPORT_INTERVAL_MS = CONTROL_LIMITS.trafficStepMs.value;
/** Reports are missed when a machine is busy; three in a row are not. */
const EXPIRY_INTERVALS = 3.5;

export function loadTable(intervalMs: number): LoadTable {
  return new LoadTable({ expiryMs: intervalMs * EXPIRY_INTERVALS });
}

export interface LoadServerOptions {
  readonly registry: Pick<Registry, 'snapshot' | 'service' | 'revision'>;
  readonly streams: OpenStreams;
  /** What is reported now. */
  readonly table: LoadTable;
  /** What was reported, over time. */
  readonly book: Pick<TrafficBook, 'reportLoad'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How often data planes are to report. */
  readonly intervalMs: number;
}

type Call = ServerDuplexStream<lrs.LoadStatsRequest, lrs.LoadStatsResponse>;

export class LoadServer {
  readonly #options: LoadServerOptions;
  readonly #open = new Set<LoadStream>();
  /** Streams of data planes that say what they have applied. */
  readonly #byNode = new Map<string, LoadStream>();

  constructor(options: LoadServerOptions) {
    this.#options = options;
  }

  addTo(server: Server): void {
    server.addService(lrs.LoadReportingService, { streamLoadStats: (call: Call) => void this.#serve(call) });
  }

  /** Sorted by source and destination. `node`: only what this data plane reports. */
  loads(node?: string): Load[] {
    return this.#options.table.list(this.#nowMs(), node);
  }

  /** What the data plane itself says that it has; undefined where it does not say so. */
  reported({ identity, node }: Pick<ConnectedProxy, 'identity' | 'node'>): ReportedState | undefined {
    return this.#byNode.get(keyOf(identity, node))?.reported;
  }

  async #serve(call: Call): Promise<void> {
    const { streams, logger } = this.#options;
    const caller = callerOf(call.metadata);
    let stream: LoadStream | undefined;
    await answerEach(call, streams, logger, (request: lrs.LoadStatsRequest): lrs.LoadStatsResponse | undefined => {
      const node = lrs.readReportingNode(request);
      stream ??= this.#join(caller, node);
      return stream.receive(request, node, this.#nowMs());
    });
    if (stream !== undefined) this.#leave(stream);
  }

  #join(caller: Caller, node: lrs.ReportingNode): LoadStream {
    if (node.id === '') throw new CallError(status.INVALID_ARGUMENT, 'the first request must say in `node.id` which data plane reports');
    // Heddle's data planes have names of their own: a second stream is the same one, which came back. Of others many may have one name.
    const key = node.stateHash === undefined ? undefined : keyOf(caller.kind === 'anonymous' ? '' : caller.uri, node.id);
    const before = key === undefined ? undefined : this.#byNode.get(key);
    if (before !== undefined) this.#leave(before);
    if (this.#open.size >= STREAMS_MAX)
      throw new CallError(status.RESOURCE_EXHAUSTED, `${STREAMS_MAX} data planes report their load, the limit of one control plane`);
    const stream = new LoadStream({ ...this.#options, caller, node, key });
    this.#open.add(stream);
    if (key !== undefined) this.#byNode.set(key, stream);
    return stream;
  }

  #leave(stream: LoadStream): void {
    stream.leave();
    this.#open.delete(stream);
    if (stream.key !== undefined && this.#byNode.get(stream.key) === stream) this.#byNode.delete(stream.key);
  }

  #nowMs(): number {
    return Math.floor(this.#options.clock.wallMs());
  }
}

function keyOf(identity: string, node: string): string {
  return `${identity} ${node}`;
}

interface LoadStreamOptions extends Omit<LoadServerOptions, 'streams'> {
  readonly caller: Caller;
  readonly node: lrs.ReportingNode;
  /** Under which it is known; undefined: under none. */
  readonly key: string | undefined;
}

class LoadStream {
  readonly #options: LoadStreamOptions;
  readonly #contributor: LoadContributor;
  readonly #ownSource: string;
  reported: ReportedState | undefined;
  #told: string | undefined;
  #toldAt: number | undefined;
  #lastMs: number | undefined;
  #windowMs = 0;
  #windowReports = 0;
  #warned = false;
  #hasLeft = false;

  constructor(options: LoadStreamOptions) {
    this.#options = options;
    const { caller, table, node } = options;
    this.#contributor = table.join(node.id);
    this.#ownSource = ownServiceOf(caller);
  }

  /** What is to be told to the data plane: at first, and when the clusters to report have changed. Throws CallError, InvalidMessageError. */
  receive(request: lrs.LoadStatsRequest, { stateHash }: lrs.ReportingNode, nowMs: number): lrs.LoadStatsResponse | undefined {
    if (this.#hasLeft) throw new CallError(status.ABORTED, 'another stream reports for this data plane by now');
    this.#count(nowMs);
    if (stateHash !== undefined) this.reported = { hash: stateHash, ms: nowMs };
    const sinceMs = nowMs - (this.#lastMs ?? nowMs - this.#options.intervalMs);
    for (const [destination, load] of byDestination(lrs.readLoad(request))) this.#take(destination, load, Math.max(sinceMs, 1), nowMs);
    this.#lastMs = nowMs;
    return this.#instruct();
  }

  get key(): string | undefined {
    return this.#options.key;
  }

  leave(): void {
    this.#hasLeft = true;
    this.#options.table.leave(this.#contributor);
    this.reported = undefined;
  }

  #count(nowMs: number): void {
    const { intervalMs } = this.#options;
    if (nowMs - this.#windowMs >= intervalMs) {
      this.#windowMs = nowMs;
      this.#windowReports = 0;
    }
    this.#windowReports += 1;
    if (this.#windowReports > REPORTS_PER_INTERVAL_MAX)
      throw new CallError(
        status.RESOURCE_EXHAUSTED,
        `more than ${REPORTS_PER_INTERVAL_MAX} load reports came within ${intervalMs} ms; one is asked for`,
      );
  }

  #take(destination: string, { cluster: _, bySource, intervalMs, ...counts }: lrs.ClusterLoad, sinceMs: number, nowMs: number): void {
    const { caller, registry } = this.#options;
    if (registry.service(destination) === undefined) return;
    const rest = { ...counts };
    if (hasRole(caller, 'operator')) {
      for (const [source, part] of bySource) {
        if (!this.#isOtherSource(source)) continue;
        this.#keep(source, destination, part, intervalMs ?? sinceMs, nowMs);
        subtract(rest, part);
      }
    }
    this.#keep(this.#ownSource, destination, rest, intervalMs ?? sinceMs, nowMs);
  }

  /** What nobody is behind, or the reporter itself is, stays with the rest. */
  #isOtherSource(source: string): boolean {
    return source !== this.#ownSource && this.#options.registry.service(source) !== undefined;
  }

  #keep(source: string, destination: string, counts: LoadCounts, intervalMs: number, nowMs: number): void {
    const { table, book, clock, node, logger } = this.#options;
    book.reportLoad(source, destination, counts, intervalMs, clock.nowMs());
    if (table.report(this.#contributor, { source, destination, ...counts, intervalMs }, nowMs) || this.#warned) return;
    this.#warned = true;
    logger.warn(
      { node: node.id },
      'load reports of a data plane are only kept in part: it names more pairs of services than there is room for',
    );
  }

  #instruct(): lrs.LoadStatsResponse | undefined {
    const { node, registry, intervalMs, caller } = this.#options;
    if (this.#toldAt !== undefined && (node.sendsAllClusters || this.#toldAt === registry.revision)) return undefined;
    this.#toldAt = registry.revision;
    const clusters = node.sendsAllClusters
      ? ('all' as const)
      : clustersOf(Array.from(registry.snapshot().services.values(), ({ service }) => service));
    const told = clusters === 'all' ? clusters : clusters.join();
    if (told === this.#told) return undefined;
    this.#told = told;
    return lrs.instructionToMessage({ clusters, intervalMs, inParts: hasRole(caller, 'operator') });
  }
}

/** All that lead to a service, to some of its instances too. */
function clustersOf(services: readonly Service[]): string[] {
  const subsets = subsetsOf(services);
  return services.flatMap((service) => [
    outboundName(service),
    ...Array.from(subsets.get(serviceKey(service))?.values() ?? [], (labels) => outboundName(service, labels)),
  ]);
}

/**
 * Clusters of the same service taken together, whichever of its instances they have. Those that lead to no service of the mesh are the data
 * plane's own affair: its application, its control plane.
 */
function byDestination(loads: readonly lrs.ClusterLoad[]): Map<string, lrs.ClusterLoad> {
  const all = new Map<string, lrs.ClusterLoad>();
  for (const load of loads) {
    const destination = serviceOfCluster(load.cluster);
    if (destination === undefined) continue;
    const other = all.get(destination);
    all.set(destination, other === undefined ? load : sumOf(other, load));
  }
  return all;
}

function sumOf(a: lrs.ClusterLoad, b: lrs.ClusterLoad): lrs.ClusterLoad {
  const bySource = new Map(a.bySource);
  for (const [source, counts] of b.bySource) {
    const other = bySource.get(source);
    bySource.set(source, other === undefined ? counts : sumOfCounts(other, counts));
  }
  return { cluster: a.cluster, ...sumOfCounts(a, b), bySource, intervalMs: a.intervalMs ?? b.intervalMs };
}

function sumOfCounts(a: LoadCounts, b: LoadCounts): LoadCounts {
  return {
    issued: a.issued + b.issued,
    succeeded: a.succeeded + b.succeeded,
    failed: a.failed + b.failed,
    inProgress: a.inProgress + b.inProgress,
    dropped: a.dropped + b.dropped,
  };
}

/** What is left when a part is told apart. A reporter whose parts are more than the whole has nothing left. */
function subtract(rest: { -readonly [K in keyof LoadCounts]: number }, part: LoadCounts): void {
  rest.issued = Math.max(0, rest.issued - part.issued);
  rest.succeeded = Math.max(0, rest.succeeded - part.succeeded);
  rest.failed = Math.max(0, rest.failed - part.failed);
  rest.inProgress = Math.max(0, rest.inProgress - part.inProgress);
}
