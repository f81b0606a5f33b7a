// How many opaque streams each service has to each cluster: with the counts of requests they are the load that a data plane reports.
import type { Counter, Gauge, Metrics } from '@heddle/runtime';

export class StreamLoad {
  readonly open: Gauge;
  readonly total: Counter;
  /** No endpoint could be reached. */
  readonly failed: Counter;

  constructor(metrics: Metrics, cluster: string, source: string) {
    const labels = { cluster, source };
    this.open = metrics.gauge('heddle_upstream_streams', 'Open opaque streams to the cluster, by calling service.', labels);
    this.total = metrics.counter('heddle_upstream_streams_total', 'Opaque streams to the cluster that were begun.', labels);
    this.failed = metrics.counter('heddle_upstream_streams_failed_total', 'Opaque streams for which no endpoint could be reached.', labels);
  }
}
