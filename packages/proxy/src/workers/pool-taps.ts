// Live requests of several workers as those of one data plane: each looks at its own, and the limits hold for what they tell together.
import { type TapOrder, tapRefusal, type TapTold } from '@heddle/core';
import { type TapPort, TapSender } from '@heddle/dataplane';
import type { Clock } from '@heddle/runtime';
import type { ToWorker } from './messages.ts';

interface PoolTap {
  readonly order: TapOrder;
  readonly endMs: number;
  readonly sender: TapSender;
}

export class PoolTaps implements TapPort {
  readonly #clock: Clock;
  readonly #tellAll: (message: ToWorker) => void;
  readonly #taps = new Map<string, PoolTap>();

  constructor(clock: Clock, tellAll: (message: ToWorker) => void) {
    this.#clock = clock;
    this.#tellAll = tellAll;
  }

  start(order: TapOrder, tell: (told: TapTold) => boolean): void {
    const { id, forMs } = order;
    this.stop(id);
    const reason = tapRefusal(order, this.#taps.size);
    if (reason !== undefined) return void tell({ kind: 'ended', id, reason });
    const sender = new TapSender(order, this.#clock, tell, () => this.stop(id));
    this.#taps.set(id, { order, endMs: this.#clock.nowMs() + forMs, sender });
    this.#tellAll({ type: 'tap', order });
  }

  stop(id: string): void {
    const tap = this.#taps.get(id);
    if (tap === undefined) return;
    this.#taps.delete(id);
    this.#tellAll({ type: 'tap-stop', id });
    tap.sender.close();
  }

  stopAll(): void {
    for (const id of [...this.#taps.keys()]) this.stop(id);
  }

  /** For a worker that begins meanwhile. */
  messages(): ToWorker[] {
    const nowMs = this.#clock.nowMs();
    return [...this.#taps.values()].map(({ order, endMs }) => ({
      type: 'tap',
      order: { ...order, forMs: Math.max(1, Math.floor(endMs - nowMs)) },
    }));
  }

  /** Of a worker. What each of them says of the end was known here before. */
  tapped(told: TapTold): void {
    if (told.kind === 'records') this.#taps.get(told.id)?.sender.take(told.records, told.lost);
  }
}
