// Endpoints of a cluster that are left out for a while on this data plane's own evidence. The detector decides; here are its timer, its words in
// the log, and its numbers.
import { OutlierDetector, UPSTREAM_METRICS } from '@heddle/core';
import type { Endpoint, OutlierPolicy, TryResult } from '@heddle/core';
import type { Gauge } from '@heddle/runtime';
import type { Context } from '../stack/context.ts';
import { Timed } from '../stack/deadlines.ts';
import type { UpstreamHost } from './host.ts';

/** In metrics. */
type EjectionKind = 'failures-in-a-row' | 'compared-with-others';

export class ClusterOutliers extends Timed {
  private readonly context: Context;
  private readonly cluster: string;
  private readonly detector: OutlierDetector<Endpoint>;
  private readonly onChange: () => void;
  /** Its series is made when there is something to say. */
  private ejected: Gauge | undefined;
  private hosts: readonly UpstreamHost[] = [];

  /** @param onChange hosts have another health than before. */
  constructor(context: Context, cluster: string, policy: OutlierPolicy, onChange: () => void) {
    super();
    this.context = context;
    this.cluster = cluster;
    this.detector = new OutlierDetector(policy);
    this.onChange = onChange;
  }

  update(hosts: readonly UpstreamHost[], nowMs: number): void {
    this.hosts = hosts;
    this.detector.update(
      hosts.map(({ listed }) => listed),
      nowMs,
    );
    for (const host of hosts) this.follow(host, 'compared-with-others', nowMs);
    this.settle();
  }

  /** A try at the host ended. */
  ended(host: UpstreamHost, result: TryResult, elapsedMs: number, nowMs: number): void {
    const { detector } = this;
    if (detector.ended(host.listed, result, elapsedMs, nowMs)) {
      this.follow(host, 'failures-in-a-row', nowMs);
      this.settle();
      this.onChange();
      return;
    }
    const atMs = detector.nextTimeoutMs();
    if (atMs !== undefined && atMs < this.deadlineMs) this.context.deadlines.set(this, atMs);
  }

  override onDeadline(nowMs: number): void {
    const isChanged = this.detector.handleTimeout(nowMs);
    if (isChanged) for (const host of this.hosts) this.follow(host, 'compared-with-others', nowMs);
    this.settle();
    if (isChanged) this.onChange();
  }

  /** The policy is another one, or the cluster is gone: nobody is left out any more. */
  close(): void {
    this.context.deadlines.remove(this);
    let isChanged = false;
    for (const host of this.hosts) isChanged = host.setEjected(false) || isChanged;
    this.ejected?.set(0);
    if (isChanged) this.onChange();
  }

  describe(host: UpstreamHost): object | undefined {
    const status = this.detector.describe(host.listed);
    if (status === undefined) return undefined;
    const { untilMs, ...rest } = status;
    return { ...rest, ...(status.ejected && { forMs: Math.max(0, Math.round(untilMs - this.context.clock.nowMs())) }) };
  }

  private follow(host: UpstreamHost, kind: EjectionKind, nowMs: number): void {
    const isEjected = this.detector.isEjected(host.listed);
    if (!host.setEjected(isEjected)) return;
    const { logger, metrics } = this.context;
    const { cluster } = this;
    const { instance } = host;
    if (!isEjected) return logger.info({ cluster, instance }, 'the instance gets requests again');
    metrics.counter(UPSTREAM_METRICS.ejections, { cluster, reason: kind }).add(1);
    const { reason = '', untilMs = nowMs } = this.detector.describe(host.listed) ?? {};
    logger.warn({ cluster, instance, reason, forMs: Math.round(untilMs - nowMs) }, 'the instance gets no requests for a while');
  }

  private settle(): void {
    const { ejectedCount } = this.detector;
    if (ejectedCount > 0) {
      const { metrics } = this.context;
      this.ejected ??= metrics.gauge(UPSTREAM_METRICS.ejected, { cluster: this.cluster });
    }
    this.ejected?.set(ejectedCount);
    const atMs = this.detector.nextTimeoutMs();
    if (atMs !== undefined && atMs < this.deadlineMs) this.context.deadlines.set(this, atMs);
  }
}
