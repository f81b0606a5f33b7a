// Connections to one endpoint for one calling workload: idle ones are reused last in, first out, so that surplus ones grow old and close.
// A request that finds none waits in line; the connections to an endpoint and the lines of a cluster together are bounded.
import { serviceKey } from '@heddle/core';
import type { ErrorCode } from '@heddle/core';
import type { NetworkError, TlsContext } from '@heddle/runtime';
import type { Http1Limits } from '@heddle/wire';
import type { Context } from '../stack/context.ts';
import { Http1Upstream } from './http1-upstream.ts';
import type { UpstreamOwner } from './http1-upstream.ts';
import { connectErrorCode } from './pool.ts';
import type { Pool, PoolCluster, PoolHost, PoolUser } from './pool.ts';

export class Http1Pool implements Pool, UpstreamOwner {
  readonly parserLimits: Partial<Http1Limits>;
  private readonly context: Context;
  private readonly cluster: PoolCluster;
  private readonly host: PoolHost;
  private readonly workload: string;
  private readonly idle: Http1Upstream[] = [];
  private readonly pending: PoolUser[] = [];
  private open = 0;
  private connecting = 0;
  private retired = false;

  constructor(context: Context, cluster: PoolCluster, host: PoolHost, workload: string) {
    this.context = context;
    this.cluster = cluster;
    this.host = host;
    this.workload = workload;
    this.parserLimits = cluster.parserLimits;
  }

  acquire(user: PoolUser, fresh: boolean): void {
    if (!fresh) {
      let upstream = this.idle.pop();
      // One that broke a moment ago, whose close has not been told yet.
      while (upstream?.isDestroyed === true) upstream = this.idle.pop();
      if (upstream !== undefined) {
        user.onReady(upstream, true);
        return;
      }
    }
    const { cluster } = this;
    if (cluster.pending >= this.context.limits.pendingRequestsPerClusterMax) {
      user.onNoConnection(
        'OVERLOADED',
        `${cluster.pending} requests wait for a connection to ${serviceKey(cluster.config.service)} already`,
      );
      return;
    }
    this.pending.push(user);
    this.countPending(1);
    this.connectIfNeeded();
  }

  cancel(user: PoolUser): void {
    const at = this.pending.indexOf(user);
    if (at === -1) return;
    this.pending.splice(at, 1);
    this.countPending(-1);
  }

  retire(): void {
    this.retired = true;
    this.dropIdle();
    while (this.pending.length > 0) this.failNext('CONNECT_FAILED', `${this.host.instance} was removed`);
  }

  dropIdle(): void {
    for (const upstream of this.idle.splice(0)) upstream.destroy();
  }

  get isUnused(): boolean {
    return this.open === 0 && this.pending.length === 0;
  }

  get counts(): { open: number; idle: number; pending: number } {
    return { open: this.open, idle: this.idle.length, pending: this.pending.length };
  }

  /** @internal */
  connected(upstream: Http1Upstream): void {
    this.connecting -= 1;
    this.cluster.metrics.opened.add(1);
    this.offer(upstream, false);
  }

  /** @internal */
  connectFailed(error: NetworkError | undefined): void {
    this.connecting -= 1;
    this.closedOne();
    if (error !== undefined) this.cluster.metrics.connectFailed(error.kind);
    this.failNext(
      this.codeFor(error),
      `${this.host.instance} at ${this.host.address}:${this.host.port}: ${error?.message ?? 'the connection was closed'}`,
    );
    this.connectIfNeeded();
  }

  /** @internal */
  closed(upstream: Http1Upstream): void {
    this.closedOne();
    const at = this.idle.indexOf(upstream);
    if (at !== -1) this.idle.splice(at, 1);
    this.connectIfNeeded();
  }

  /** @internal */
  released(upstream: Http1Upstream): void {
    const worn = upstream.requests >= this.context.limits.requestsPerConnectionMax;
    if (this.retired || worn || upstream.tls !== this.cluster.tls.of(this.workload)) upstream.destroy();
    else this.offer(upstream, true);
  }

  private offer(upstream: Http1Upstream, reused: boolean): void {
    const user = this.pending.shift();
    if (user !== undefined) {
      this.countPending(-1);
      user.onReady(upstream, reused);
    } else if (this.retired) {
      upstream.destroy();
    } else {
      this.idle.push(upstream);
      this.context.deadlines.set(upstream, this.context.clock.nowMs() + upstream.idleMs);
    }
  }

  private connectIfNeeded(): void {
    while (this.pending.length > this.connecting && this.open < this.context.limits.connectionsPerEndpointMax) {
      if (this.retired) return;
      const tls: TlsContext | undefined = this.cluster.tls.of(this.workload);
      if (this.cluster.tls.isNeeded && tls === undefined) {
        this.failNext('NO_IDENTITY', this.cluster.tls.missing(this.workload));
        continue;
      }
      this.open += 1;
      this.connecting += 1;
      this.cluster.metrics.open.add(1);
      new Http1Upstream(this.context, this, this.host.address, this.host.port, tls, this.cluster.config.connectTimeoutMs);
    }
  }

  private closedOne(): void {
    this.open -= 1;
    this.cluster.metrics.open.add(-1);
    this.host.forgetIfUnused(this.workload, this);
  }

  private failNext(code: ErrorCode, detail: string): void {
    const user = this.pending.shift();
    if (user === undefined) return;
    this.countPending(-1);
    user.onNoConnection(code, detail);
  }

  private countPending(change: 1 | -1): void {
    this.cluster.pending += change;
    this.cluster.metrics.pending.add(change);
  }

  private codeFor(error: NetworkError | undefined): ErrorCode {
    return connectErrorCode(error, this.cluster.tls.isNeeded);
  }
}
