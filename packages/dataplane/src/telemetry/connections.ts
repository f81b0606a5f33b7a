// Metrics of connections, bound per listener or per cluster.
import type { Counter, Gauge, Metrics } from '@heddle/runtime';

export class DownstreamMetrics {
  readonly open: Gauge;
  readonly opened: Counter;
  /** Closed at once because a limit was reached. */
  readonly refused: Counter;

  constructor(metrics: Metrics, listener: string) {
    const labels = { listener };
    this.open = metrics.gauge('heddle_downstream_connections', 'Open downstream connections.', labels);
    this.opened = metrics.counter('heddle_downstream_connections_total', 'Downstream connections accepted.', labels);
    this.refused = metrics.counter(
      'heddle_downstream_connections_refused_total',
      'Downstream connections closed at once because a limit was reached.',
      labels,
    );
  }
}

export class UpstreamMetrics {
  readonly open: Gauge;
  readonly opened: Counter;
  /** Requests waiting for a connection. */
  readonly pending: Gauge;
  private readonly metrics: Metrics;
  private readonly cluster: string;

  constructor(metrics: Metrics, cluster: string) {
    this.metrics = metrics;
    this.cluster = cluster;
    this.open = metrics.gauge('heddle_upstream_connections', 'Open upstream connections.', { cluster });
    this.opened = metrics.counter('heddle_upstream_connections_total', 'Upstream connections made.', { cluster });
    this.pending = metrics.gauge('heddle_upstream_pending_requests', 'Requests waiting for an upstream connection.', { cluster });
  }

  /** A request was refused because of this limit of the cluster. */
  refused(limit: string): void {
    this.metrics
      .counter('heddle_breaker_refusals_total', 'Requests and streams that were refused because a limit of the upstream was reached.', {
        cluster: this.cluster,
        limit,
      })
      .add(1);
  }

  concurrency(limit: number): void {
    this.metrics
      .gauge('heddle_concurrency_limit', 'Requests that may be under way at present, where the limit finds itself.', {
        cluster: this.cluster,
      })
      .set(limit);
  }

  connectFailed(reason: string): void {
    this.metrics
      .counter('heddle_upstream_connect_failures_total', 'Upstream connections that could not be made, by reason.', {
        cluster: this.cluster,
        reason,
      })
      .add(1);
  }
}

export class StreamMetrics {
  readonly open: Gauge;
  readonly total: Counter;
  readonly sentBytes: Counter;
  readonly receivedBytes: Counter;

  constructor(metrics: Metrics, listener: string) {
    const labels = { listener };
    this.open = metrics.gauge('heddle_tcp_streams', 'Open TCP streams.', labels);
    this.total = metrics.counter('heddle_tcp_streams_total', 'TCP streams begun.', labels);
    this.sentBytes = metrics.counter('heddle_tcp_sent_bytes_total', 'Bytes from the upstream passed to the downstream side.', labels);
    this.receivedBytes = metrics.counter(
      'heddle_tcp_received_bytes_total',
      'Bytes from the downstream passed to the upstream side.',
      labels,
    );
  }
}
