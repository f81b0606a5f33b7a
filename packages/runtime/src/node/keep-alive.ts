// Nothing of the data plane keeps the process from ending, as no socket pool does. A call that somebody waits for must, though.

const LONG_MS = 2_147_483_647;

export class KeepAlive {
  private readonly timer: NodeJS.Timeout;
  private held = 0;

  constructor() {
    this.timer = setInterval(() => {}, LONG_MS);
    this.timer.unref();
  }

  hold(): void {
    this.held += 1;
    if (this.held === 1) this.timer.ref();
  }

  release(): void {
    this.held -= 1;
    if (this.held === 0) this.timer.unref();
  }

  close(): void {
    clearInterval(this.timer);
  }
}
