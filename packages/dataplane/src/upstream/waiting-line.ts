// What the pools of both versions stand on: who waits for a connection, and how many connections there are. The lines of a cluster together
// and the connections to an endpoint are bounded.
import { serviceKey } from '@heddle/core';
import type { ErrorCode } from '@heddle/core';
import type { NetworkError, TlsContext } from '@heddle/runtime';
import type { Context } from '../stack/context.ts';
import type { ConnectFailure, Pool, PoolCluster, PoolHost, PoolUser } from './pool.ts';

/** Somebody who waits. */
export interface Waiting {
  onNoConnection(code: ErrorCode, detail: string): void;
}

export abstract class WaitingLine<User extends Waiting> implements Pool {
  protected readonly context: Context;
  protected readonly cluster: PoolCluster;
  protected readonly workload: string;
  protected readonly pending: User[] = [];
  protected open = 0;
  protected connecting = 0;
  protected retired = false;
  private readonly host: PoolHost;

  constructor(context: Context, cluster: PoolCluster, host: PoolHost, workload: string) {
    this.context = context;
    this.cluster = cluster;
    this.host = host;
    this.workload = workload;
  }

  abstract acquire(user: PoolUser, fresh: boolean): void;
  abstract cancel(user: PoolUser): void;
  abstract dropIdle(): void;
  abstract readonly counts: Pool['counts'];
  /** Makes connections for those who wait, as far as the limits let it. */
  protected abstract connectIfNeeded(): void;
  /** Begins to make one. */
  protected abstract connect(address: string, port: number, tls: TlsContext | undefined): void;

  retire(): void {
    this.retired = true;
    this.dropIdle();
    while (this.pending.length > 0) this.failNext('CONNECT_FAILED', `${this.host.instance} was removed`);
  }

  get isUnused(): boolean {
    return this.open === 0 && this.pending.length === 0;
  }

  protected wait(user: User): void {
    const { cluster } = this;
    const { breaker } = cluster;
    if (breaker.pending >= this.context.limits.pendingRequestsPerClusterMax) {
      user.onNoConnection(
        'OVERLOADED',
        `${breaker.pending} requests wait for a connection to ${serviceKey(cluster.config.service)} already`,
      );
      return;
    }
    if (breaker.admitWait() !== 'admitted') return user.onNoConnection('CIRCUIT_OPEN', cluster.refused('pending'));
    cluster.metrics.pending.add(1);
    this.pending.push(user);
    this.connectIfNeeded();
  }

  /** The first in line, who no longer waits. */
  protected next(): User | undefined {
    const user = this.pending.shift();
    if (user !== undefined) this.waitEnded(1);
    return user;
  }

  /** Everybody: nobody waits any more. */
  protected takePending(): User[] {
    const all = this.pending.splice(0);
    this.waitEnded(all.length);
    return all;
  }

  protected forget(at: number): void {
    if (at === -1) return;
    this.pending.splice(at, 1);
    this.waitEnded(1);
  }

  protected failNext(code: ErrorCode, detail: string): void {
    this.next()?.onNoConnection(code, detail);
  }

  /** Why there is no connection although one is needed: the workload has nothing to show. */
  protected identityFault(): string | undefined {
    const { tls } = this.cluster;
    return tls.isNeeded && tls.of(this.workload) === undefined ? tls.missing(this.workload) : undefined;
  }

  /** One more connection may be made. */
  protected get hasRoom(): boolean {
    const { connections } = this.cluster.config.breaker;
    const max = this.context.limits.connectionsPerEndpointMax;
    return this.open < (connections > 0 && connections < max ? connections : max);
  }

  protected openOne(): void {
    this.open += 1;
    this.connecting += 1;
    this.cluster.metrics.open.add(1);
    this.connect(this.host.address, this.host.port, this.cluster.tls.of(this.workload));
  }

  protected connectedOne(): void {
    this.connecting -= 1;
    this.cluster.metrics.connected(this.cluster.tls.isNeeded);
  }

  /** What those who wait are told of a connection that was not made. */
  protected connectFailedOne(error: NetworkError | undefined): ConnectFailure {
    const { host, cluster } = this;
    this.connecting -= 1;
    this.closedOne();
    host.connectFailed();
    return cluster.connectFailed(host, error);
  }

  protected closedOne(): void {
    this.open -= 1;
    this.cluster.metrics.open.add(-1);
    this.host.forgetIfUnused(this.workload, this);
  }

  private waitEnded(count: number): void {
    const { breaker, metrics } = this.cluster;
    for (let ended = 0; ended < count; ended++) breaker.waitEnded();
    metrics.pending.add(-count);
  }
}
