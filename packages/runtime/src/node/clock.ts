// The real clock. The only file, with the other drivers beside it, that may ask the system for the time.
import type { Clock, Timer } from '../ports/clock.ts';

class NodeTimer implements Timer {
  private readonly handle: NodeJS.Timeout;

  constructor(delayMs: number, run: () => void) {
    this.handle = setTimeout(run, delayMs);
    this.handle.unref();
  }

  cancel(): void {
    clearTimeout(this.handle);
  }
}

export const nodeClock: Clock = {
  wallMs: () => Date.now(),
  nowMs: () => performance.now(),
  after: (delayMs, run) => new NodeTimer(delayMs, run),
};
