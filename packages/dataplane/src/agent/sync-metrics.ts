// What the configuration stream tells about itself.
import { CONFIGURATION_METRICS } from '@heddle/core';
import type { Clock, Counter, Gauge, Metrics } from '@heddle/runtime';

export class SyncMetrics {
  readonly connected: Gauge;
  /** Updates that could not be applied. */
  readonly refused: Counter;

  /** `syncedMs`: when the control plane last proved that what is applied is what it says, Unix time; 0: never. */
  constructor(metrics: Metrics, clock: Clock, syncedMs: () => number) {
    this.connected = metrics.gauge(CONFIGURATION_METRICS.connected);
    this.refused = metrics.counter(CONFIGURATION_METRICS.rejections);
    const age = metrics.gauge(CONFIGURATION_METRICS.age);
    metrics.onExpose(() => {
      const at = syncedMs();
      // By the wall clock: a machine that slept has an old configuration when it wakes.
      age.set(at === 0 ? -1 : Math.max(0, Math.round(clock.wallMs() - at) / 1_000));
    });
  }
}
