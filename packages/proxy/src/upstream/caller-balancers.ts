// A balancer for each workload that calls a cluster from this data plane. What one caller does moves no other's turn: each sees
// the exact rotation, as if it had a proxy of its own.
import type { Balancer } from '@heddle/core';
import type { UpstreamHost } from './host.ts';

export class CallerBalancers {
  private create: () => Balancer<UpstreamHost>;
  private hosts: readonly UpstreamHost[] = [];
  private readonly byCaller = new Map<string, Balancer<UpstreamHost>>();

  constructor(create: () => Balancer<UpstreamHost>) {
    this.create = create;
  }

  of(workload: string): Balancer<UpstreamHost> {
    const known = this.byCaller.get(workload);
    if (known !== undefined) return known;
    const balancer = this.create();
    balancer.update(this.hosts);
    this.byCaller.set(workload, balancer);
    return balancer;
  }

  /** Another policy: what was learnt under the old one is forgotten. */
  replace(create: () => Balancer<UpstreamHost>): void {
    this.create = create;
    this.byCaller.clear();
  }

  update(hosts: readonly UpstreamHost[]): void {
    this.hosts = hosts;
    for (const balancer of this.byCaller.values()) balancer.update(hosts);
  }

  /** Forgets callers that are gone. */
  retain(isCaller: (workload: string) => boolean): void {
    for (const workload of this.byCaller.keys()) if (!isCaller(workload)) this.byCaller.delete(workload);
  }
}
