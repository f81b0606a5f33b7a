// A cluster at run time: its endpoints, the balancer over them, its TLS contexts, its metrics. Endpoints that stay keep their pools and
// their place in the rotation when lists change.
import { createBalancer, serviceKey } from '@heddle/core';
import type { Balancer, Cluster, Endpoint, PickRequest } from '@heddle/core';
import type { Http1Limits, Http2Limits } from '@heddle/wire';
import { type Context, serviceOfWorkload } from '../stack/context.ts';
import { RequestMetrics } from '../telemetry/requests.ts';
import { UpstreamMetrics } from '../telemetry/connections.ts';
import { StreamLoad } from '../telemetry/stream-load.ts';
import { CallerBalancers } from './caller-balancers.ts';
import { UpstreamHost } from './host.ts';
import type { PoolCluster } from './pool.ts';
import { ClusterTls } from './cluster-tls.ts';
import type { Identities } from './identities.ts';

export class UpstreamCluster implements PoolCluster {
  config: Cluster;
  readonly name: string;
  readonly destination: string;
  readonly metrics: UpstreamMetrics;
  readonly parserLimits: Partial<Http1Limits>;
  readonly http2Limits: Partial<Http2Limits>;
  tls: ClusterTls;
  /** Requests under way that are at their second try or beyond. */
  repeats = 0;
  pending = 0;
  private readonly context: Context;
  private readonly identities: Identities;
  private hosts = new Map<string, UpstreamHost>();
  private readonly balancers: CallerBalancers;
  private readonly requestMetrics = new Map<string, RequestMetrics>();
  private readonly streamLoads = new Map<string, StreamLoad>();

  constructor(context: Context, identities: Identities, config: Cluster) {
    this.context = context;
    this.identities = identities;
    this.config = config;
    this.name = config.name;
    this.destination = serviceKey(config.service);
    this.metrics = new UpstreamMetrics(context.metrics, config.name);
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
    this.tls = new ClusterTls(context.network, identities, config.tls);
    this.balancers = new CallerBalancers(this.balancerOf(config));
    if (config.endpoints.kind === 'static') this.setEndpoints(config.endpoints.endpoints);
  }

  private balancerOf({ balance }: Cluster): () => Balancer<UpstreamHost> {
    return () => createBalancer<UpstreamHost>(balance, () => this.context.random.next());
  }

  /** A new version of the same cluster. */
  update(config: Cluster): void {
    const before = this.config;
    this.config = config;
    if (before.balance !== config.balance) {
      this.balancers.replace(this.balancerOf(config));
    }
    if (before.http !== config.http) for (const host of this.hosts.values()) host.renewPools();
    if (JSON.stringify(before.tls) !== JSON.stringify(config.tls)) {
      this.tls = new ClusterTls(this.context.network, this.identities, config.tls);
      for (const host of this.hosts.values()) host.dropIdle();
    }
    if (config.endpoints.kind === 'static') this.setEndpoints(config.endpoints.endpoints);
    else if (before.endpoints.kind === 'static') this.setEndpoints([]);
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
    this.balancers.update([...next.values()]);
    for (const [key, host] of before) if (!next.has(key)) host.remove();
  }

  pick(workload: string, request: PickRequest<UpstreamHost>): UpstreamHost | undefined {
    return this.balancers.of(workload).pick(request);
  }

  started(workload: string, host: UpstreamHost, nowMs: number): void {
    this.balancers.of(workload).started(host, nowMs);
  }

  finished(workload: string, host: UpstreamHost, succeeded: boolean, elapsedMs: number, nowMs: number): void {
    this.balancers.of(workload).finished(host, succeeded, elapsedMs, nowMs);
  }

  healthyCount(workload: string): number {
    return this.balancers.of(workload).healthyCount;
  }

  get endpointCount(): number {
    return this.hosts.size;
  }

  /** Identities or roots have changed. */
  identityChanged(): void {
    this.tls.forget();
    if (this.tls.showsWorkload) this.balancers.retain((workload) => this.identities.of(workload) !== undefined);
    if (this.tls.isNeeded) for (const host of this.hosts.values()) host.dropIdle();
  }

  requestsFrom(source: string, direction: 'inbound' | 'outbound'): RequestMetrics {
    const key = `${direction} ${source}`;
    let metrics = this.requestMetrics.get(key);
    if (metrics === undefined) {
      metrics = new RequestMetrics(this.context.metrics, { direction, source, destination: this.destination });
      this.requestMetrics.set(key, metrics);
    }
    return metrics;
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
  }

  describe(): object {
    return { ...this.config, hosts: [...this.hosts.values()].map((host) => host.describe()) };
  }
}
