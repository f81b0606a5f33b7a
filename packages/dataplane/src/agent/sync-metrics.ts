// What the configuration stream tells about itself.
import type { Clock, Counter, Gauge, Metrics } from '@heddle/runtime';

export class SyncMetrics {
  readonly connected: Gauge;
  /** Updates that could not be applied. */
  readonly refused: Counter;

  /** `syncedMs`: when the control plane last proved that what is applied is what it says, Unix time; 0: never. */
  constructor(metrics: Metrics, clock: Clock, syncedMs: () => number) {
    this.connected = metrics.gauge('heddle_control_connected', '1 while the xDS stream to the control plane is up.');
    this.refused = metrics.counter(
      'heddle_xds_rejections_total',
      'Configuration updates that could not be applied; the last good one stayed.',
    );
    const age = metrics.gauge(
      'heddle_config_age_seconds',
      'Time since the control plane last proved that the applied configuration is what it says; -1 before the first time.',
    );
    metrics.onExpose(() => {
      const at = syncedMs();
      // By the wall clock: a machine that slept has an old configuration when it wakes.
      age.set(at === 0 ? -1 : Math.max(0, Math.round(clock.wallMs() - at) / 1_000));
    });
  }
}
