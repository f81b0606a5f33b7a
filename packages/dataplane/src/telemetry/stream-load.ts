// How many opaque streams each service has to each cluster: with the counts of requests they are the load that a data plane reports.
import { STREAM_METRICS } from '@heddle/core';
import type { Counter, Gauge, Metrics } from '@heddle/runtime';

export class StreamLoad {
  readonly open: Gauge;
  readonly total: Counter;
  /** No endpoint could be reached. */
  readonly failed: Counter;

  constructor(metrics: Metrics, cluster: string, source: string) {
    const labels = { cluster, source };
    this.open = metrics.gauge(STREAM_METRICS.clusterOpen, labels);
    this.total = metrics.counter(STREAM_METRICS.clusterTotal, labels);
    this.failed = metrics.counter(STREAM_METRICS.clusterFailed, labels);
  }
}
