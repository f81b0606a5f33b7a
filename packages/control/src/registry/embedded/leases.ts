// When leases end. Deadlines live in memory only: after a restart each lease has its full time again, so that nobody is
// removed for a heartbeat that the control plane itself could not hear. Keeping a lease alive costs one Map write.
import type { Clock, Timer } from '@heddle/runtime';

/** A timer this late means that the process stood still (paused, starved): heartbeats may be waiting unread in the sockets. */
const STALL_MS = 500;
/** What a lease gets in that case before it ends. */
const STALL_GRACE_MS = 1_000;

interface Lease {
  readonly ttlMs: number;
  deadlineMs: number;
  timer: Timer | undefined;
  graced: boolean;
}

export class LeaseClock {
  readonly #clock: Clock;
  readonly #onEnd: (lease: string) => void;
  readonly #leases = new Map<string, Lease>();

  /** `onEnd` is called once per lease whose time is over; the lease is forgotten by then. */
  constructor(clock: Clock, onEnd: (lease: string) => void) {
    this.#clock = clock;
    this.#onEnd = onEnd;
  }

  start(id: string, ttlMs: number): void {
    const lease: Lease = { ttlMs, deadlineMs: this.#clock.nowMs() + ttlMs, timer: undefined, graced: false };
    this.#leases.set(id, lease);
    this.#arm(id, lease, ttlMs);
  }

  has(id: string): boolean {
    return this.#leases.has(id);
  }

  /** False when the lease has ended. The timer stays as it is and looks at the deadline when it fires. */
  keepAlive(id: string): boolean {
    const lease = this.#leases.get(id);
    if (lease === undefined) return false;
    lease.deadlineMs = this.#clock.nowMs() + lease.ttlMs;
    lease.graced = false;
    return true;
  }

  /** Forgets the lease without calling `onEnd`. False when there was none. */
  stop(id: string): boolean {
    this.#leases.get(id)?.timer?.cancel();
    return this.#leases.delete(id);
  }

  stopAll(): void {
    for (const lease of this.#leases.values()) lease.timer?.cancel();
    this.#leases.clear();
  }

  #arm(id: string, lease: Lease, delayMs: number): void {
    lease.timer = this.#clock.after(delayMs, () => this.#fired(id, lease));
  }

  #fired(id: string, lease: Lease): void {
    const leftMs = lease.deadlineMs - this.#clock.nowMs();
    if (leftMs > 0) {
      // Timers count whole milliseconds: rounding up keeps a rest of microseconds from spinning.
      this.#arm(id, lease, Math.ceil(leftMs));
    } else if (leftMs < -STALL_MS && !lease.graced) {
      lease.graced = true;
      this.#arm(id, lease, Math.min(STALL_GRACE_MS, lease.ttlMs));
    } else {
      this.#leases.delete(id);
      this.#onEnd(id);
    }
  }
}
