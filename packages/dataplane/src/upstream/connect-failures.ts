// Failed connections to endpoints that the configuration calls healthy, gathered by cluster and told a few times a second: evidence that
// the configuration is wrong. Nothing here is on the path of a request that succeeds.
import type { Clock, Timer } from '@heddle/runtime';

const TELL_EVERY_MS = 250;

export class ConnectFailures {
  /** Gets the number of failures by cluster. */
  onFailures: ((cluster: string, count: number) => void) | undefined;
  private readonly clock: Clock;
  /** Bounded by the number of clusters. */
  private counts = new Map<string, number>();
  private timer: Timer | undefined;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  add(cluster: string): void {
    if (this.onFailures === undefined) return;
    this.counts.set(cluster, (this.counts.get(cluster) ?? 0) + 1);
    this.timer ??= this.clock.after(TELL_EVERY_MS, () => this.tell());
  }

  close(): void {
    this.timer?.cancel();
    this.onFailures = undefined;
  }

  private tell(): void {
    this.timer = undefined;
    const counts = this.counts;
    this.counts = new Map();
    for (const [cluster, count] of counts) this.onFailures?.(cluster, count);
  }
}
