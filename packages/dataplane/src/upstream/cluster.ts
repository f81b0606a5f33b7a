// A cluster at run time: its endpoints, the balancer over them, its TLS contexts, its metrics. Endpoints that stay keep their pools and
// their place in the rotation when lists change.
import {
  AdaptiveLimit,
  Breaker,
  createBalancer,
  formatSpiffeId,
  hashText,
  parseSpiffeId,
  RetryBudgetMeter,
  serviceKey,
} from '@heddle/core';
import type { Balancer, Cluster, Endpoint, PickRequest, TryResult } from '@heddle/core';
import type { NetworkError, TlsRefusals } from '@heddle/runtime';
import type { Http1Limits, Http2Limits } from '@heddle/wire';
import { type Context, serviceOfWorkload } from '../stack/context.ts';
import type { InstanceMetrics } from '../telemetry/instances.ts';
import { CallerMetrics } from '../telemetry/requests.ts';
import type { PairLabels, PairMetrics } from '../telemetry/requests.ts';
import { UpstreamMetrics } from '../telemetry/connections.ts';
import { StreamLoad } from '../telemetry/stream-load.ts';
import { refusedInstances } from '../telemetry/tls-refusals.ts';
import { ClusterCallers } from './callers.ts';
import type { ClusterCaller } from './callers.ts';
import { UpstreamHost } from './host.ts';
import { LoadProbes } from './load-probe.ts';
import { ClusterOutliers } from './outliers.ts';
import { connectErrorCode } from './pool.ts';
import type { ConnectFailure, PoolCluster, PoolHost } from './pool.ts';
import { Sessions } from './sessions.ts';
import { ClusterTls } from './cluster-tls.ts';
import type { Identities } from './identities.ts';

/** Of clusters that lead to the application beside which this data plane stands. */
const LOCAL_PREFIX = 'local/';

export class UpstreamCluster implements PoolCluster {
  config: Cluster;
  readonly name: string;
  readonly destination: string;
  readonly metrics: UpstreamMetrics;
  readonly tlsRefusals: TlsRefusals;
  readonly loadProbes: LoadProbes;
  readonly parserLimits: Partial<Http1Limits>;
  readonly http2Limits: Partial<Http2Limits>;
  tls: ClusterTls;
  /** Requests under way that are at their second try or beyond. */
  repeats = 0;
  readonly retryBudget: RetryBudgetMeter;
  readonly breaker: Breaker;
  adaptive: AdaptiveLimit | undefined;
  sessions: Sessions | undefined;
  private readonly context: Context;
  private readonly identities: Identities;
  private hosts = new Map<string, UpstreamHost>();
  private readonly callers: ClusterCallers;
  private outliers: ClusterOutliers | undefined;
  private readonly requestMetrics: CallerMetrics;
  private readonly streamLoads = new Map<string, StreamLoad>();

  constructor(context: Context, identities: Identities, config: Cluster) {
    this.context = context;
    this.identities = identities;
    this.config = config;
    this.name = config.name;
    this.destination = serviceKey(config.service);
    this.metrics = new UpstreamMetrics(context.metrics, config.name);
    this.requestMetrics = new CallerMetrics(context.metrics, this.destination, context.limits.metricSourcesMax);
    this.tlsRefusals = refusedInstances(context, config.name);
    this.loadProbes = new LoadProbes(context.metrics, config.name);
    this.parserLimits = {
      headBytesMax: context.limits.headerBytesMax,
      headersMax: context.limits.headerCountMax,
      trailerBytesMax: context.limits.trailerBytesMax,
    };
    this.http2Limits = {
      headerListBytesMax: context.limits.headerBytesMax,
      fieldsMax: context.limits.headerCountMax,
      streamWindowBytes: context.limits.streamWindowBytes,
      connectionWindowBytes: context.limits.peerWindowBytes,
    };
    this.tls = new ClusterTls(context.network, identities, config);
    this.callers = new ClusterCallers(context.clock, this.balancerOf(config));
    this.retryBudget = new RetryBudgetMeter(config.retryBudget);
    this.breaker = new Breaker(config.breaker);
    this.usePolicies(undefined, config);
    const endpoints = ownEndpoints(config);
    if (endpoints !== undefined) this.setEndpoints(endpoints);
  }

  private balancerOf({ balance }: Cluster): (workload: string) => Balancer<UpstreamHost> {
    const { random, locality, zonesOf } = this.context;
    return (workload) => {
      const local = this.identities.localityOf(workload) ?? locality;
      const callers = zonesOf && (() => zonesOf(workload));
      return createBalancer(balance, { random: () => random.next(), ...(local && { local }), ...(callers && { callers }) });
    };
  }

  /** What is measured under a policy that stays goes on. */
  private usePolicies(before: Cluster | undefined, { adaptiveConcurrency, outlier, session }: Cluster): void {
    const { random, clock } = this.context;
    if (adaptiveConcurrency === undefined) this.adaptive = undefined;
    else if (this.adaptive !== undefined) this.adaptive.setPolicy(adaptiveConcurrency);
    else this.adaptive = new AdaptiveLimit(adaptiveConcurrency, () => random.next(), clock.nowMs());
    if (!isSame(before?.outlier, outlier)) {
      this.outliers?.close();
      this.outliers = outlier && new ClusterOutliers(this.context, this.name, outlier, () => this.callers.update([...this.hosts.values()]));
      this.outliers?.update([...this.hosts.values()], clock.nowMs());
    }
    if (!isSame(before?.session, session)) {
      this.sessions = session && new Sessions(session);
      this.sessions?.update(this.hosts.values());
    }
  }

  /** A new version of the same cluster. */
  update(config: Cluster): void {
    const before = this.config;
    this.config = config;
    this.retryBudget.setPolicy(config.retryBudget);
    this.breaker.setPolicy(config.breaker);
    this.usePolicies(before, config);
    if (!isSame(before.balance, config.balance)) this.callers.replace(this.balancerOf(config));
    if (before.http !== config.http) for (const host of this.hosts.values()) host.renewPools();
    if (!isSame(before.tls, config.tls) || before.plainPeers !== config.plainPeers) {
      this.tls = new ClusterTls(this.context.network, this.identities, config);
      for (const host of this.hosts.values()) host.dropIdle();
    }
    const endpoints = ownEndpoints(config);
    if (endpoints !== undefined) this.setEndpoints(endpoints);
    else if (before.endpoints.kind !== 'eds') this.setEndpoints([]);
  }

  setEndpoints(endpoints: readonly Endpoint[]): void {
    const next = new Map<string, UpstreamHost>();
    for (const endpoint of endpoints) {
      const key = `${endpoint.address} ${endpoint.port}`;
      const known = next.get(key) ?? this.hosts.get(key);
      known?.update(endpoint);
      next.set(key, known ?? new UpstreamHost(this.context, this, endpoint));
    }
    const before = this.hosts;
    this.hosts = next;
    const hosts = [...next.values()];
    this.outliers?.update(hosts, this.context.clock.nowMs());
    this.sessions?.update(hosts);
    this.callers.update(hosts);
    for (const [key, host] of before) if (!next.has(key)) host.remove();
  }

  caller(workload: string): ClusterCaller {
    return this.callers.of(workload);
  }

  pick({ workload, balancer }: ClusterCaller, request: PickRequest<UpstreamHost>): UpstreamHost | undefined {
    const { nowMs } = request;
    const host = balancer.pick(request);
    let asked = balancer.probeDue?.(nowMs);
    while (asked !== undefined) {
      asked.probeLoad(workload, balancer, nowMs);
      asked = balancer.probeDue!(nowMs);
    }
    return host;
  }

  /** Any healthy host that fits, where the picked one does not. Looks at all. */
  find(fits: (host: UpstreamHost) => boolean): UpstreamHost | undefined {
    for (const host of this.hosts.values()) if (host.health === 'healthy' && fits(host)) return host;
    return undefined;
  }

  started({ balancer }: ClusterCaller, host: UpstreamHost, nowMs: number): void {
    balancer.started(host, nowMs);
  }

  /** `elapsedMs`: until the head of the answer, as the rest goes at the pace of the client; without an answer, until the end. */
  finished({ balancer }: ClusterCaller, host: UpstreamHost, result: TryResult, elapsedMs: number, nowMs: number): void {
    balancer.finished(host, result, elapsedMs, nowMs);
    host.metrics?.ended(result, elapsedMs);
    if (this.outliers !== undefined) this.outliers.ended(host, result, elapsedMs, nowMs);
  }

  /** An opaque stream has a connection, or none could be made: what that says about the host is not to wait for the end of the stream. */
  streamReached(host: UpstreamHost, result: TryResult, elapsedMs: number, nowMs: number): void {
    host.metrics?.ended(result, elapsedMs);
    this.outliers?.ended(host, result, elapsedMs, nowMs);
  }

  /** `elapsedMs`: until the connection was there. */
  streamEnded({ balancer }: ClusterCaller, host: UpstreamHost, result: TryResult, elapsedMs: number, nowMs: number): void {
    balancer.finished(host, result, elapsedMs, nowMs);
  }

  /** What the balancers of byte streams hash, which have nothing else to tell clients apart. */
  streamHash(clientAddress: string): number | undefined {
    const { algorithm } = this.config.balance;
    return algorithm === 'ring-hash' || algorithm === 'maglev' ? hashText(clientAddress) : undefined;
  }

  /** A connection could not be made: counts that, says it where it was for TLS, and tells what those who wait are told. */
  connectFailed({ instance, address, port }: PoolHost, error: NetworkError | undefined): ConnectFailure {
    if (error !== undefined) this.metrics.connectFailed(error.kind);
    const detail = `${instance} at ${address}:${port}: ${error?.message ?? 'the connection was closed'}`;
    if (error?.refusal !== undefined) this.tlsRefusals.add(error.refusal, { instance, peer: `${address}:${port}` }, error.message);
    return { code: connectErrorCode(error, this.tls.isNeeded || this.tls.leadsToPeers), detail };
  }

  /** Counts a refusal, and says why in words for people. */
  refused(limit: 'requests' | 'pending' | 'connections' | 'concurrency'): string {
    this.metrics.refused(limit);
    switch (limit) {
      case 'connections':
        return `each instance of ${this.destination} has ${this.config.breaker.connections} connections, as breaker.connections allows`;
      case 'concurrency':
        return `${this.adaptive?.inFlight} requests to ${this.destination} are under way; more were not answered well lately (concurrency)`;
      default:
        return this.breaker.describe(limit, this.destination);
    }
  }

  healthyCount({ balancer }: ClusterCaller): number {
    return balancer.healthyCount;
  }

  /** Why there is no host to pick. */
  whyNone(): string {
    const { destination } = this;
    const count = this.hosts.size;
    return count === 0 ? `${destination} has no instances` : `none of the ${count} instances of ${destination} is healthy`;
  }

  /** Identities or roots have changed. */
  identityChanged(): void {
    this.tls.forget();
    if (this.tls.showsWorkload) this.callers.retain((workload) => this.identities.of(workload) !== undefined);
    if (this.tls.isNeeded) for (const host of this.hosts.values()) host.dropIdle();
  }

  /** Values that are cheaper to read now than to keep current. */
  beforeExpose(): void {
    const { metrics, breaker, config } = this;
    if (this.adaptive !== undefined) metrics.concurrency(this.adaptive.limit);
    const states = { healthy: 0, unhealthy: 0, draining: 0 };
    for (const { health } of this.hosts.values()) states[health] += 1;
    for (const [state, count] of Object.entries(states)) metrics.endpoints(state, count);
    metrics.limitUsed('requests', breaker.requests, config.breaker.requests);
    metrics.limitUsed('pending', breaker.pending, config.breaker.pending);
    if (this.adaptive !== undefined) metrics.limitUsed('concurrency', this.adaptive.inFlight, Math.max(1, Math.floor(this.adaptive.limit)));
    metrics.retryBudget(this.retriesLeft);
  }

  /** SPIFFE id by which the workload calls; empty: the cluster does not lead into the mesh. */
  identityOf(workload: string): string {
    const trustDomain = parseSpiffeId(this.config.tls?.peerIds[0] ?? '')?.trustDomain;
    const [namespace = '', name = ''] = serviceOfWorkload(workload).split('/');
    return trustDomain === undefined ? '' : formatSpiffeId({ trustDomain, namespace, name });
  }

  requestsFrom(source: string, direction: PairLabels['direction']): PairMetrics {
    return this.requestMetrics.from(source, direction);
  }

  /** Undefined for the cluster of the instance that this data plane stands beside: the others count it. */
  holdInstance(instance: string): InstanceMetrics | undefined {
    return this.name.startsWith(LOCAL_PREFIX) ? undefined : this.context.instances.hold(this.destination, instance);
  }

  releaseInstance(instance: string): void {
    if (!this.name.startsWith(LOCAL_PREFIX)) this.context.instances.release(this.destination, instance);
  }

  streamsFrom(workload: string): StreamLoad {
    let load = this.streamLoads.get(workload);
    if (load === undefined) {
      load = new StreamLoad(this.context.metrics, this.name, serviceOfWorkload(workload));
      this.streamLoads.set(workload, load);
    }
    return load;
  }

  /** The cluster is no longer configured: requests in flight finish. */
  remove(): void {
    this.setEndpoints([]);
    this.outliers?.close();
    this.metrics.forgetState();
  }

  private get retriesLeft(): number {
    return Math.max(0, Math.floor(this.retryBudget.left(this.context.clock.nowMs())));
  }

  describe(): object {
    const { adaptive, breaker } = this;
    return {
      ...this.config,
      underWay: breaker.requests,
      pending: breaker.pending,
      retriesLeft: this.retriesLeft,
      ...(adaptive && { concurrency: adaptive.describe() }),
      hosts: [...this.hosts.values()].map((host) => this.describeHost(host)),
    };
  }

  /** With what each calling workload's balancer goes by. */
  private describeHost(host: UpstreamHost): object {
    const nowMs = this.context.clock.nowMs();
    const outlier = this.outliers?.describe(host);
    const balancers = Object.fromEntries([...this.callers].map(({ workload, balancer }) => [workload, balancer.describe(host, nowMs)]));
    return { ...host.describe(), ...(outlier && { outlier }), balancers };
  }
}

/** Endpoints that the cluster has by itself; undefined where they come by EDS. */
function ownEndpoints({ endpoints }: Cluster): readonly Endpoint[] | undefined {
  switch (endpoints.kind) {
    case 'static':
      return endpoints.endpoints;
    case 'dns':
      // Looked up with each connection: the name is its address.
      return [
        { address: endpoints.host, port: endpoints.port, health: 'healthy', weight: 1, instance: `${endpoints.host}:${endpoints.port}` },
      ];
    default:
      return undefined;
  }
}

/** Of plain data, by what it says. */
function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
