// HTTP/2 connections to one endpoint for one calling workload. As few as possible: a connection is used until it has no room, since what
// many requests say together costs one write and one TLS record. Requests wait only while a connection is being made.
import type { BalancedHost, ErrorCode } from '@heddle/core';
import type { ConnectionHandler, NetworkError, TlsContext } from '@heddle/runtime';
import type { Http2Limits, LoadAnswer } from '@heddle/wire';
import { Http2Upstream } from './http2-upstream.ts';
import type { Http2PoolUser, Http2UpstreamOwner } from './http2-upstream.ts';
import { LoadProbe } from './load-probe.ts';
import type { LoadAsker, ProbedPool } from './load-probe.ts';
import type { PoolUser } from './pool.ts';
import { Tunnel } from './tunnel.ts';
import type { TunnelPool } from './tunnel.ts';
import { WaitingLine } from './waiting-line.ts';

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

export class Http2Pool extends WaitingLine<Http2PoolUser> implements Http2UpstreamOwner, TunnelPool, ProbedPool {
  /** Those that take calls, the oldest first: it is filled before the next one is used. */
  readonly usable: Http2Upstream[] = [];
  private probe: LoadProbe | undefined;
  /** The first of the connections there are was opened for a question. */
  private isForProbe = false;

  get http2Limits(): Partial<Http2Limits> {
    return this.cluster.http2Limits;
  }

  get mayPing(): boolean {
    return this.cluster.tls.leadsToPeers;
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

  /** How loaded the endpoint is. */
  askLoad(host: BalancedHost, asker: LoadAsker, nowMs: number): void {
    this.probe ??= new LoadProbe(this.context, this, this.cluster.loadProbes);
    this.probe.ask(host, asker, nowMs);
  }

  /** The newest answer. */
  describeLoad(nowMs: number): object | undefined {
    return this.probe?.describe(nowMs);
  }

  /** @internal */
  loadAnswered(answer: LoadAnswer): void {
    this.probe?.answered(answer);
  }

  /** @internal */
  connectForProbe(): boolean {
    if (this.connecting > 0) return true;
    if (this.retired || !this.hasRoom || this.identityFault() !== undefined) return false;
    if (this.open === 0) {
      if (!this.cluster.loadProbes.admitConnection()) return false;
      this.isForProbe = true;
    }
    this.openOne();
    return true;
  }

  cancel(user: PoolUser): void {
    this.forget(this.pending.findIndex((waiting) => waiting instanceof WaitingCall && waiting.user === user));
  }

  cancelTunnel(tunnel: Tunnel): void {
    this.forget(this.pending.indexOf(tunnel));
  }

  dropIdle(): void {
    for (const upstream of this.usable.splice(0)) upstream.retire();
  }

  get counts(): { open: number; idle: number; pending: number } {
    const idle = this.usable.filter((upstream) => upstream.streamCount === 0).length;
    return { open: this.open, idle, pending: this.pending.length };
  }

  /** @internal */
  connected(upstream: Http2Upstream): void {
    this.connectedOne();
    this.usable.push(upstream);
    this.serve(upstream);
    if (this.retired) upstream.retire();
  }

  /** @internal */
  connectFailed(_upstream: Http2Upstream, error: NetworkError | undefined): void {
    const { code, detail } = this.connectFailedOne(error);
    // All who wait asked for this connection.
    for (const waiting of this.takePending()) waiting.onNoConnection(code, detail);
  }

  protected override closedOne(): void {
    super.closedOne();
    if (!this.isForProbe || this.open > 0) return;
    this.isForProbe = false;
    this.cluster.loadProbes.connectionEnded();
  }

  /** @internal */
  changed(upstream: Http2Upstream): void {
    this.probe?.send();
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

  /** One at a time: what it brings is room for many. */
  protected override connectIfNeeded(): void {
    if (this.pending.length === 0 || this.connecting > 0 || this.retired) return;
    if (!this.hasRoom) return;
    const fault = this.identityFault();
    if (fault === undefined) this.openOne();
    else for (const waiting of this.takePending()) waiting.onNoConnection('NO_IDENTITY', fault);
  }

  protected override connect(address: string, port: number, tls: TlsContext | undefined): void {
    new Http2Upstream(this.context, this, address, port, tls, this.cluster.config.connectTimeoutMs);
  }

  private withRoom(fresh: boolean): Http2Upstream | undefined {
    const { usable } = this;
    for (let at = 0; at < usable.length; at++) {
      const upstream = usable[at]!;
      if (upstream.capacity > 0 && !(fresh && upstream.requests > 0)) return upstream;
    }
    return undefined;
  }

  private serve(upstream: Http2Upstream): void {
    while (this.pending.length > 0 && upstream.capacity > 0) this.next()!.onConnection(upstream, upstream.requests > 0);
  }

  private isWorn({ requests, resets, tls }: Http2Upstream): boolean {
    const { requestsPerConnectionMax, resetsPerConnectionMax } = this.context.limits;
    return requests >= requestsPerConnectionMax || resets >= resetsPerConnectionMax || !this.cluster.tls.isCurrent(tls, this.workload);
  }

  private drop(upstream: Http2Upstream): void {
    const at = this.usable.indexOf(upstream);
    if (at !== -1) this.usable.splice(at, 1);
  }
}
