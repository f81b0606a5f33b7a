// Metrics of the instances that are called. They come and go, so their series do too: several clusters may have the same instance (subsets
// do), and the last one that lets go of it takes the series along.
import { INSTANCE_METRICS } from '@heddle/core';
import type { TryResult } from '@heddle/core';
import type { Counter, Histogram, Metrics } from '@heddle/runtime';

const RESULTS = ['success', 'server-error', 'gateway-error', 'local-error', 'cancelled'] as const satisfies readonly TryResult[];

export class InstanceMetrics {
  /** How many hold it. */
  holders = 0;
  private readonly metrics: Metrics;
  private readonly labels: { readonly destination: string; readonly destination_instance: string };
  private readonly byResult = new Map<TryResult, Counter>();
  private duration: Histogram | undefined;

  constructor(metrics: Metrics, destination: string, instance: string) {
    this.metrics = metrics;
    this.labels = { destination, destination_instance: instance };
    // Begins with zero, so that the first try is a difference.
    this.counterOf('success');
  }

  /** @param elapsedMs until the head of the answer; without one, until the end. */
  ended(result: TryResult, elapsedMs: number): void {
    (this.byResult.get(result) ?? this.counterOf(result)).add(1);
    if (result === 'cancelled') return;
    this.duration ??= this.metrics.histogram(INSTANCE_METRICS.duration, this.labels);
    this.duration.observe(elapsedMs / 1_000);
  }

  forget(): void {
    for (const result of RESULTS) this.metrics.forget(INSTANCE_METRICS.tries, { ...this.labels, result });
    this.metrics.forget(INSTANCE_METRICS.duration, this.labels);
  }

  private counterOf(result: TryResult): Counter {
    const counter = this.metrics.counter(INSTANCE_METRICS.tries, { ...this.labels, result });
    this.byResult.set(result, counter);
    return counter;
  }
}

/** Of one data plane. */
export class InstanceMetricsTable {
  private readonly metrics: Metrics;
  private readonly byName = new Map<string, InstanceMetrics>();

  constructor(metrics: Metrics) {
    this.metrics = metrics;
  }

  /** Until `release` is called as often. */
  hold(destination: string, instance: string): InstanceMetrics {
    const key = `${destination} ${instance}`;
    let held = this.byName.get(key);
    if (held === undefined) {
      held = new InstanceMetrics(this.metrics, destination, instance);
      this.byName.set(key, held);
    }
    held.holders += 1;
    return held;
  }

  release(destination: string, instance: string): void {
    const key = `${destination} ${instance}`;
    const held = this.byName.get(key);
    if (held === undefined) return;
    held.holders -= 1;
    if (held.holders > 0) return;
    this.byName.delete(key);
    held.forget();
  }
}
