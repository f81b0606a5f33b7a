// One endpoint of a cluster, as the balancer sees it, with a pool per calling workload: connections carry the caller's identity.
import type { BalancedHost, Endpoint, Locality } from '@heddle/core';
import type { ConnectionHandler } from '@heddle/runtime';
import type { Context } from '../stack/context.ts';
import { Http1Pool } from './http1-pool.ts';
import { Http2Pool } from './http2-pool.ts';
import type { InstanceMetrics } from '../telemetry/instances.ts';
import type { LoadAsker } from './load-probe.ts';
import type { Pool, PoolCluster, PoolHost } from './pool.ts';
import type { Tunnel } from './tunnel.ts';

/** What hosts ask of their cluster besides what pools do. */
interface HostCluster extends PoolCluster {
  /** Metrics of one of its instances, until they are released; undefined: nobody counts it. */
  holdInstance(instance: string): InstanceMetrics | undefined;
  releaseInstance(instance: string): void;
}

export class UpstreamHost implements BalancedHost, PoolHost {
  readonly address: string;
  readonly port: number;
  /** What the data plane is told of it. */
  listed: Endpoint;
  /** As listed, but for one that is left out on our own evidence: that counts as unhealthy. */
  health: Endpoint['health'];
  weight: number;
  locality: Locality | undefined;
  instance: string;
  /** Opaque streams that have a connection of their own to it. */
  streams = 0;
  metrics: InstanceMetrics | undefined;
  private isEjected = false;
  private readonly context: Context;
  private readonly cluster: HostCluster;
  private readonly pools = new Map<string, Pool>();
  private removed = false;

  constructor(context: Context, cluster: HostCluster, endpoint: Endpoint) {
    this.context = context;
    this.cluster = cluster;
    this.listed = endpoint;
    this.address = endpoint.address;
    this.port = endpoint.port;
    this.health = endpoint.health;
    this.weight = endpoint.weight;
    this.locality = endpoint.locality;
    this.instance = endpoint.instance;
    this.metrics = cluster.holdInstance(endpoint.instance);
  }

  pool(workload: string): Pool {
    const known = this.pools.get(workload);
    if (known !== undefined) return known;
    const PoolOfVersion = this.cluster.config.http === 'http2' ? Http2Pool : Http1Pool;
    const pool = new PoolOfVersion(this.context, this.cluster, this, workload);
    this.pools.set(workload, pool);
    if (this.removed) pool.retire();
    return pool;
  }

  /** A connection that leads to `authority` behind the endpoint. Undefined where the endpoint does not speak HTTP/2. */
  openTunnel(workload: string, authority: string, handler: ConnectionHandler, timeoutMs: number): Tunnel | undefined {
    const pool = this.pool(workload);
    return pool instanceof Http2Pool ? pool.openTunnel(authority, handler, timeoutMs) : undefined;
  }

  /** The endpoint speaks another version from now on. */
  renewPools(): void {
    for (const pool of this.pools.values()) pool.retire();
    this.pools.clear();
  }

  update(endpoint: Endpoint): void {
    this.listed = endpoint;
    this.health = this.isEjected && endpoint.health === 'healthy' ? 'unhealthy' : endpoint.health;
    this.weight = endpoint.weight;
    this.locality = endpoint.locality;
    this.rename(endpoint.instance);
    // What is not picked any more need not hold connections open.
    if (this.health !== 'healthy') this.dropIdle();
  }

  /** Another instance may come at the same address. */
  private rename(instance: string): void {
    if (instance === this.instance) return;
    this.cluster.releaseInstance(this.instance);
    this.instance = instance;
    this.metrics = this.cluster.holdInstance(instance);
  }

  /** True when that changes something. */
  setEjected(isEjected: boolean): boolean {
    if (isEjected === this.isEjected) return false;
    this.isEjected = isEjected;
    this.update(this.listed);
    return true;
  }

  /** How loaded it is, for the balancer of the workload: an answer goes to its `loadReported`, a question without one to `probeFailed`. */
  probeLoad(workload: string, asker: LoadAsker, nowMs: number): void {
    const { loadProbes, tls } = this.cluster;
    // Only data planes of the mesh answer; others need not be connected to for that.
    const pool = tls.leadsToPeers ? this.pool(workload) : undefined;
    if (!(pool instanceof Http2Pool)) return loadProbes.unsupported(this, asker, nowMs);
    pool.askLoad(this, asker, nowMs);
    this.forgetIfUnused(workload, pool);
  }

  /** The endpoint is no longer listed: requests in flight finish, nothing else goes there. */
  remove(): void {
    this.removed = true;
    this.cluster.releaseInstance(this.instance);
    this.metrics = undefined;
    for (const pool of this.pools.values()) pool.retire();
  }

  dropIdle(): void {
    for (const pool of this.pools.values()) pool.dropIdle();
  }

  /** @internal Of an endpoint that is known to be ill it says nothing new. */
  connectFailed(): void {
    const { config } = this.cluster;
    if (!this.removed && this.listed.health === 'healthy' && config.endpoints.kind === 'eds') this.context.connectFailures.add(config.name);
  }

  /** @internal */
  forgetIfUnused(workload: string, pool: Pool): void {
    if (pool.isUnused && this.pools.get(workload) === pool) this.pools.delete(workload);
  }

  describe(): object {
    const connections = { open: 0, idle: 0, pending: 0 };
    const loads: Record<string, object> = {};
    const nowMs = this.context.clock.nowMs();
    for (const [workload, pool] of this.pools) {
      const { counts } = pool;
      connections.open += counts.open;
      connections.idle += counts.idle;
      connections.pending += counts.pending;
      const load = pool instanceof Http2Pool ? pool.describeLoad(nowMs) : undefined;
      if (load !== undefined) loads[workload] = load;
    }
    const { instance, address, port, health, weight, locality } = this;
    return { instance, address, port, health, weight, ...(locality && { locality }), connections, loads };
  }
}
