// Sends what one tap has collected, now and then. Who cannot be told just then is told later, and how much was lost meanwhile.
import { TapCollector, type TapOrder, type TapRecord, type TapTold } from '@heddle/core';
import type { Clock, Timer } from '@heddle/runtime';

/** How long a record waits for others at most; people look at them. */
const FLUSH_MS = 250;

/** False: it was not sent. */
export type TellTap = (told: TapTold) => boolean;

export class TapSender {
  readonly #id: string;
  readonly #clock: Clock;
  readonly #tell: TellTap;
  readonly #collector: TapCollector;
  readonly #end: Timer;
  #flush: Timer | undefined;
  #isClosed = false;

  /** @param onEnd its time is over; that is told after it. */
  constructor({ id, perSecond, forMs }: TapOrder, clock: Clock, tell: TellTap, onEnd: () => void) {
    this.#id = id;
    this.#clock = clock;
    this.#tell = tell;
    this.#collector = new TapCollector(perSecond, clock.nowMs());
    this.#end = clock.after(forMs, () => {
      onEnd();
      tell({ kind: 'ended', id, reason: 'its time is over' });
    });
  }

  /** Whether one more may be added. */
  admits(): boolean {
    this.#flush ??= this.#clock.after(FLUSH_MS, () => this.#send());
    return this.#collector.admits(this.#clock.nowMs());
  }

  add(record: TapRecord): void {
    this.#collector.add(record);
  }

  /** What others have collected. */
  take(records: readonly TapRecord[], lost: number): void {
    for (const record of records) if (this.admits()) this.add(record);
    this.#collector.addLost(lost);
    this.#flush ??= this.#clock.after(FLUSH_MS, () => this.#send());
  }

  /** Sends what waits. */
  close(): void {
    this.#isClosed = true;
    this.#end.cancel();
    this.#send();
  }

  #send(): void {
    this.#flush?.cancel();
    this.#flush = undefined;
    const batch = this.#collector.take();
    if (batch === undefined || this.#tell({ kind: 'records', id: this.#id, ...batch }) || this.#isClosed) return;
    this.#collector.giveBack(batch);
    this.#flush = this.#clock.after(FLUSH_MS, () => this.#send());
  }
}
