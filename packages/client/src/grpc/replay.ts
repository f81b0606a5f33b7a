// What a call that waits for readiness has sent, so that it can be made again where nobody has seen it.
import type { DirectCall } from '@heddle/dataplane/direct';

/** A call that sends more is made once. */
const KEPT_BYTES_MAX = 262_144;
const PAUSE_MS = 50;
const PAUSE_MS_MAX = 1_000;

export class Replay {
  private readonly sent: Buffer[] = [];
  private bytes = 0;
  private isEnded = false;
  private pauseMs = PAUSE_MS;

  /** Whether everything that was sent is here. */
  get isWhole(): boolean {
    return this.bytes <= KEPT_BYTES_MAX;
  }

  keep(bytes: Buffer, isLast: boolean): void {
    this.bytes += bytes.length;
    this.isEnded = isLast;
    if (this.isWhole) this.sent.push(bytes);
    else this.sent.length = 0;
  }

  keepEnd(): void {
    this.isEnded = true;
  }

  /** True: the request is complete by that. */
  sendTo(call: DirectCall): boolean {
    for (const bytes of this.sent) call.write(bytes, false);
    if (this.isEnded) call.end();
    return this.isEnded;
  }

  /** Each time twice as long as before, up to a second. */
  nextPauseMs(): number {
    const { pauseMs } = this;
    this.pauseMs = Math.min(PAUSE_MS_MAX, pauseMs * 2);
    return pauseMs;
  }
}
