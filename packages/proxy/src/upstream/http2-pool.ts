// HTTP/2 connections to one endpoint for one calling workload. As few as possible: a connection is used until it has no room, since what
// many requests say together costs one write and one TLS record. Requests wait only while a connection is being made.
import { serviceKey } from '@heddle/core';
import type { ErrorCode } from '@heddle/core';
import type { ConnectionHandler, NetworkError, TlsContext } from '@heddle/runtime';
import type { Http2Limits } from '@heddle/wire';
import type { Context } from '../stack/context.ts';
import { Http2Upstream } from './http2-upstream.ts';
import type { Http2PoolUser, Http2UpstreamOwner } from './http2-upstream.ts';
import { connectErrorCode } from './pool.ts';
import type { Pool, PoolCluster, PoolHost, PoolUser } from './pool.ts';
import { Tunnel } from './tunnel.ts';
import type { TunnelPool } from './tunnel.ts';

/** A request that waits. */
class WaitingCall implements Http2PoolUser {
  readonly user: PoolUser;

  constructor(user: PoolUser) {
    this.user = user;
  }

  onConnection(upstream: Http2Upstream, reused: boolean): void {
    this.user.onReady(upstream.call(), reused);
  }

  onNoConnection(code: ErrorCode, detail: string): void {
    this.user.onNoConnection(code, detail);
  }
}

export class Http2Pool implements Pool, Http2UpstreamOwner, TunnelPool {
  readonly http2Limits: Partial<Http2Limits>;
  readonly mayPing: boolean;
  private readonly context: Context;
  private readonly cluster: PoolCluster;
  private readonly host: PoolHost;
  private readonly workload: string;
  /** Those that take calls, the oldest first: it is filled before the next one is used. */
  private readonly usable: Http2Upstream[] = [];
  private readonly pending: Http2PoolUser[] = [];
  private open = 0;
  private connecting = 0;
  private retired = false;

  constructor(context: Context, cluster: PoolCluster, host: PoolHost, workload: string) {
    this.context = context;
    this.cluster = cluster;
    this.host = host;
    this.workload = workload;
    this.http2Limits = cluster.http2Limits;
    this.mayPing = (cluster.config.tls?.peerIds.length ?? 0) > 0;
  }

  acquire(user: PoolUser, fresh: boolean): void {
    const upstream = this.withRoom(fresh);
    if (upstream !== undefined) user.onReady(upstream.call(), upstream.requests > 1);
    else this.wait(new WaitingCall(user));
  }

  /** A connection whose bytes go to `authority` (`host:port`) behind the endpoint, by CONNECT. */
  openTunnel(authority: string, handler: ConnectionHandler, timeoutMs: number): Tunnel {
    const tunnel = new Tunnel(this.context, this, authority, handler, timeoutMs);
    const upstream = this.withRoom(false);
    if (upstream !== undefined) tunnel.onConnection(upstream);
    else this.wait(tunnel);
    return tunnel;
  }

  cancel(user: PoolUser): void {
    this.forget(this.pending.findIndex((waiting) => waiting instanceof WaitingCall && waiting.user === user));
  }

  cancelTunnel(tunnel: Tunnel): void {
    this.forget(this.pending.indexOf(tunnel));
  }

  retire(): void {
    this.retired = true;
    this.dropIdle();
    while (this.pending.length > 0) this.failNext('CONNECT_FAILED', `${this.host.instance} was removed`);
  }

  dropIdle(): void {
    for (const upstream of this.usable.splice(0)) upstream.retire();
  }

  get isUnused(): boolean {
    return this.open === 0 && this.pending.length === 0;
  }

  get counts(): { open: number; idle: number; pending: number } {
    const idle = this.usable.filter((upstream) => upstream.streamCount === 0).length;
    return { open: this.open, idle, pending: this.pending.length };
  }

  /** @internal */
  connected(upstream: Http2Upstream): void {
    this.connecting -= 1;
    this.cluster.metrics.opened.add(1);
    this.usable.push(upstream);
    this.serve(upstream);
    if (this.retired) upstream.retire();
  }

  /** @internal */
  connectFailed(_upstream: Http2Upstream, error: NetworkError | undefined): void {
    this.connecting -= 1;
    this.closedOne();
    if (error !== undefined) this.cluster.metrics.connectFailed(error.kind);
    const code = connectErrorCode(error, this.cluster.tls.isNeeded);
    const detail = `${this.host.instance} at ${this.host.address}:${this.host.port}: ${error?.message ?? 'the connection was closed'}`;
    // All who wait asked for this connection.
    for (const waiting of this.takePending()) waiting.onNoConnection(code, detail);
  }

  /** @internal */
  changed(upstream: Http2Upstream): void {
    if (upstream.isRetired) this.drop(upstream);
    else if (this.isWorn(upstream)) {
      this.drop(upstream);
      upstream.retire();
    } else this.serve(upstream);
    this.connectIfNeeded();
  }

  /** @internal */
  closed(upstream: Http2Upstream): void {
    this.drop(upstream);
    this.closedOne();
    this.connectIfNeeded();
  }

  private withRoom(fresh: boolean): Http2Upstream | undefined {
    const { usable } = this;
    for (let at = 0; at < usable.length; at++) {
      const upstream = usable[at]!;
      if (upstream.capacity > 0 && !(fresh && upstream.requests > 0)) return upstream;
    }
    return undefined;
  }

  private wait(user: Http2PoolUser): void {
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

  private serve(upstream: Http2Upstream): void {
    while (this.pending.length > 0 && upstream.capacity > 0) {
      const user = this.pending.shift()!;
      this.countPending(-1);
      user.onConnection(upstream, upstream.requests > 0);
    }
  }

  /** One at a time: what it brings is room for many. */
  private connectIfNeeded(): void {
    if (this.pending.length === 0 || this.connecting > 0 || this.retired) return;
    if (this.open >= this.context.limits.connectionsPerEndpointMax) return;
    const tls: TlsContext | undefined = this.cluster.tls.of(this.workload);
    if (this.cluster.tls.isNeeded && tls === undefined) {
      const detail = this.cluster.tls.missing(this.workload);
      for (const waiting of this.takePending()) waiting.onNoConnection('NO_IDENTITY', detail);
      return;
    }
    this.open += 1;
    this.connecting += 1;
    this.cluster.metrics.open.add(1);
    new Http2Upstream(this.context, this, this.host.address, this.host.port, tls, this.cluster.config.connectTimeoutMs);
  }

  private isWorn({ requests, resets, tls }: Http2Upstream): boolean {
    const { requestsPerConnectionMax, resetsPerConnectionMax } = this.context.limits;
    return requests >= requestsPerConnectionMax || resets >= resetsPerConnectionMax || tls !== this.cluster.tls.of(this.workload);
  }

  private drop(upstream: Http2Upstream): void {
    const at = this.usable.indexOf(upstream);
    if (at !== -1) this.usable.splice(at, 1);
  }

  private closedOne(): void {
    this.open -= 1;
    this.cluster.metrics.open.add(-1);
    this.host.forgetIfUnused(this.workload, this);
  }

  private takePending(): Http2PoolUser[] {
    const all = this.pending.splice(0);
    this.countPending(-all.length);
    return all;
  }

  private failNext(code: ErrorCode, detail: string): void {
    const user = this.pending.shift();
    if (user === undefined) return;
    this.countPending(-1);
    user.onNoConnection(code, detail);
  }

  private forget(at: number): void {
    if (at === -1) return;
    this.pending.splice(at, 1);
    this.countPending(-1);
  }

  private countPending(change: number): void {
    this.cluster.pending += change;
    this.cluster.metrics.pending.add(change);
  }
}
