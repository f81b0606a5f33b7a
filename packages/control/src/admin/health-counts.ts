// How many instances are in which state.
import type { Instance, InstanceHealth } from '@heddle/core';

export type HealthCounts = Record<InstanceHealth | 'total', number>;

export function countHealth(instances: Iterable<Instance>): HealthCounts {
  const counts: HealthCounts = { total: 0, healthy: 0, starting: 0, unhealthy: 0, draining: 0 };
  for (const { health } of instances) {
    counts.total += 1;
    counts[health] += 1;
  }
  return counts;
}
