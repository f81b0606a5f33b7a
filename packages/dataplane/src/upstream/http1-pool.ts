// HTTP/1.1 connections to one endpoint for one calling workload: idle ones are reused last in, first out, so that surplus ones grow old and
// close. A request that finds none waits in line.
import type { NetworkError, TlsContext } from '@heddle/runtime';
import type { Http1Limits } from '@heddle/wire';
import { Http1Upstream } from './http1-upstream.ts';
import type { UpstreamOwner } from './http1-upstream.ts';
import type { PoolUser } from './pool.ts';
import { WaitingLine } from './waiting-line.ts';

export class Http1Pool extends WaitingLine<PoolUser> implements UpstreamOwner {
  private readonly idle: Http1Upstream[] = [];

  get parserLimits(): Partial<Http1Limits> {
    return this.cluster.parserLimits;
  }

  acquire(user: PoolUser, fresh: boolean): void {
    let upstream = fresh ? undefined : this.idle.pop();
    // One that broke a moment ago, whose close has not been told yet.
    while (upstream?.isDestroyed === true) upstream = this.idle.pop();
    if (upstream === undefined) this.wait(user);
    else user.onReady(upstream, true);
  }

  cancel(user: PoolUser): void {
    this.forget(this.pending.indexOf(user));
  }

  dropIdle(): void {
    for (const upstream of this.idle.splice(0)) upstream.destroy();
  }

  get counts(): { open: number; idle: number; pending: number } {
    return { open: this.open, idle: this.idle.length, pending: this.pending.length };
  }

  /** @internal */
  connected(upstream: Http1Upstream): void {
    this.connectedOne();
    this.offer(upstream, false);
  }

  /** @internal */
  connectFailed(error: NetworkError | undefined): void {
    const { code, detail } = this.connectFailedOne(error);
    this.failNext(code, detail);
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
    if (this.retired || worn || !this.cluster.tls.isCurrent(upstream.tls, this.workload)) upstream.destroy();
    else this.offer(upstream, true);
  }

  protected override connectIfNeeded(): void {
    while (this.pending.length > this.connecting && this.hasRoom) {
      if (this.retired) return;
      const fault = this.identityFault();
      if (fault === undefined) this.openOne();
      else this.failNext('NO_IDENTITY', fault);
    }
  }

  protected override connect(address: string, port: number, tls: TlsContext | undefined): void {
    new Http1Upstream(this.context, this, address, port, tls, this.cluster.config.connectTimeoutMs);
  }

  private offer(upstream: Http1Upstream, reused: boolean): void {
    const user = this.next();
    if (user !== undefined) {
      user.onReady(upstream, reused);
    } else if (this.retired) {
      upstream.destroy();
    } else {
      this.idle.push(upstream);
      this.context.deadlines.set(upstream, this.context.clock.nowMs() + upstream.idleMs);
    }
  }
}
