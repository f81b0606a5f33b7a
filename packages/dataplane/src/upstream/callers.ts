// The workloads that call a cluster from this data plane, each with a balancer of its own. What one caller does moves no other's turn: each
// sees the exact rotation, as if it had a proxy of its own.
import type { Balancer } from '@heddle/core';
import type { Clock } from '@heddle/runtime';
import type { UpstreamHost } from './host.ts';

/** One workload as the caller of one cluster. Valid for a request; a longer life may see it replaced. */
export interface ClusterCaller {
  readonly workload: string;
  readonly balancer: Balancer<UpstreamHost>;
}

type CreateBalancer = (workload: string) => Balancer<UpstreamHost>;

export class ClusterCallers {
  private readonly clock: Clock;
  private create: CreateBalancer;
  private hosts: readonly UpstreamHost[] = [];
  private readonly byWorkload = new Map<string, ClusterCaller>();

  constructor(clock: Clock, create: CreateBalancer) {
    this.clock = clock;
    this.create = create;
  }

  of(workload: string): ClusterCaller {
    const known = this.byWorkload.get(workload);
    if (known !== undefined) return known;
    const balancer = this.create(workload);
    balancer.update(this.hosts, this.clock.nowMs());
    const caller = { workload, balancer };
    this.byWorkload.set(workload, caller);
    return caller;
  }

  [Symbol.iterator](): IterableIterator<ClusterCaller> {
    return this.byWorkload.values();
  }

  /** Another policy: what was learnt under the old one is forgotten. */
  replace(create: CreateBalancer): void {
    this.create = create;
    this.byWorkload.clear();
  }

  update(hosts: readonly UpstreamHost[]): void {
    this.hosts = hosts;
    const nowMs = this.clock.nowMs();
    for (const { balancer } of this.byWorkload.values()) balancer.update(hosts, nowMs);
  }

  /** Forgets callers that are gone. */
  retain(isCaller: (workload: string) => boolean): void {
    for (const workload of this.byWorkload.keys()) if (!isCaller(workload)) this.byWorkload.delete(workload);
  }
}
