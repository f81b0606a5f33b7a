// Metrics of connections, bound per listener or per cluster.
import { DOWNSTREAM_METRICS, STREAM_METRICS, UPSTREAM_METRICS } from '@heddle/core';
import type { Counter, Gauge, Metrics } from '@heddle/runtime';

export class DownstreamMetrics {
  readonly open: Gauge;
  readonly opened: Counter;
  /** Closed at once because a limit was reached. */
  readonly refused: Counter;
  private readonly metrics: Metrics;
  private readonly labels: { readonly listener: string };
  private handshakes: Counter | undefined;

  constructor(metrics: Metrics, listener: string) {
    const labels = { listener };
    this.metrics = metrics;
    this.labels = labels;
    this.open = metrics.gauge(DOWNSTREAM_METRICS.open, labels);
    this.opened = metrics.counter(DOWNSTREAM_METRICS.opened, labels);
    this.refused = metrics.counter(DOWNSTREAM_METRICS.refused, labels);
  }

  /** A TLS handshake ended well. */
  secured(): void {
    this.handshakes ??= this.metrics.counter(DOWNSTREAM_METRICS.handshakes, this.labels);
    this.handshakes.add(1);
  }
}

export class UpstreamMetrics {
  readonly open: Gauge;
  readonly opened: Counter;
  /** Requests waiting for a connection. */
  readonly pending: Gauge;
  private readonly metrics: Metrics;
  private readonly cluster: string;
  private handshakes: Counter | undefined;
  /** Gauges that tell nothing any more when the cluster is gone. */
  private readonly states = new Map<string, Gauge>();
  private readonly limits = new Map<string, Gauge>();
  private retriesLeft: Gauge | undefined;

  constructor(metrics: Metrics, cluster: string) {
    this.metrics = metrics;
    this.cluster = cluster;
    this.open = metrics.gauge(UPSTREAM_METRICS.open, { cluster });
    this.opened = metrics.counter(UPSTREAM_METRICS.opened, { cluster });
    this.pending = metrics.gauge(UPSTREAM_METRICS.pending, { cluster });
  }

  /** A connection is there. */
  connected(isSecured: boolean): void {
    this.opened.add(1);
    if (!isSecured) return;
    this.handshakes ??= this.metrics.counter(UPSTREAM_METRICS.handshakes, { cluster: this.cluster });
    this.handshakes.add(1);
  }

  /** A request was refused because of this limit of the cluster. */
  refused(limit: string): void {
    this.metrics.counter(UPSTREAM_METRICS.breakerRefusals, { cluster: this.cluster, limit }).add(1);
  }

  concurrency(limit: number): void {
    this.metrics.gauge(UPSTREAM_METRICS.concurrencyLimit, { cluster: this.cluster }).set(limit);
  }

  connectFailed(reason: string): void {
    this.metrics.counter(UPSTREAM_METRICS.connectFailures, { cluster: this.cluster, reason }).add(1);
  }

  endpoints(state: string, count: number): void {
    this.gaugeIn(this.states, state, () => this.metrics.gauge(UPSTREAM_METRICS.endpoints, { cluster: this.cluster, state })).set(count);
  }

  /** @param max 0: there is no such limit. */
  limitUsed(limit: string, used: number, max: number): void {
    if (max === 0 && !this.limits.has(limit)) return;
    const make = () => this.metrics.gauge(UPSTREAM_METRICS.breakerUse, { cluster: this.cluster, limit });
    this.gaugeIn(this.limits, limit, make).set(max === 0 ? 0 : used / max);
  }

  retryBudget(left: number): void {
    this.retriesLeft ??= this.metrics.gauge(UPSTREAM_METRICS.retriesLeft, { cluster: this.cluster });
    this.retriesLeft.set(left);
  }

  /** The cluster is no longer configured. Its connections may still be open. */
  forgetState(): void {
    const { cluster, metrics } = this;
    for (const state of this.states.keys()) metrics.forget(UPSTREAM_METRICS.endpoints, { cluster, state });
    for (const limit of this.limits.keys()) metrics.forget(UPSTREAM_METRICS.breakerUse, { cluster, limit });
    if (this.retriesLeft !== undefined) metrics.forget(UPSTREAM_METRICS.retriesLeft, { cluster });
    this.states.clear();
    this.limits.clear();
    this.retriesLeft = undefined;
  }

  private gaugeIn(gauges: Map<string, Gauge>, key: string, make: () => Gauge): Gauge {
    let gauge = gauges.get(key);
    if (gauge === undefined) gauges.set(key, (gauge = make()));
    return gauge;
  }
}

export class StreamMetrics {
  readonly open: Gauge;
  readonly total: Counter;
  readonly sentBytes: Counter;
  readonly receivedBytes: Counter;

  constructor(metrics: Metrics, listener: string) {
    const labels = { listener };
    this.open = metrics.gauge(STREAM_METRICS.open, labels);
    this.total = metrics.counter(STREAM_METRICS.total, labels);
    this.sentBytes = metrics.counter(STREAM_METRICS.sentBytes, labels);
    this.receivedBytes = metrics.counter(STREAM_METRICS.receivedBytes, labels);
  }
}
