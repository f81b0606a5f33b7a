// Lines on their way to a file or the standard output: put together, written in one piece, and lost, which is counted, where they come faster than they go out.
import { EXPORT_METRICS } from '@heddle/core';
import type { LineOutput } from '@heddle/runtime';
import type { Counter, Timer } from '@heddle/runtime';
import type { Context } from '../../stack/context.ts';

/** A person who follows the file waits so long, at most. */
const DELAY_MS = 250;
/** From one write to the next, while lines keep coming. */
const STEADY_MS = 1_000;
const CHUNK_CHARS = 32_768;

export class LineWriter {
  private readonly to: string;
  private readonly output: LineOutput;
  private readonly deps: Pick<Context, 'clock' | 'logger' | 'limits'>;
  private readonly written: Counter;
  private readonly full: Counter;
  private readonly failed: Counter;
  private lines: string[] = [];
  private chars = 0;
  private timer: Timer | undefined;
  private begunMs = -Infinity;
  private isWriting = false;
  private isFailing = false;
  private whenIdle: (() => void) | undefined;

  constructor(to: string, output: LineOutput, deps: Pick<Context, 'clock' | 'logger' | 'metrics' | 'limits'>) {
    this.to = to;
    this.output = output;
    this.deps = deps;
    this.written = deps.metrics.counter(EXPORT_METRICS.accessLogLines);
    const lost = (reason: string): Counter => deps.metrics.counter(EXPORT_METRICS.accessLogDropped, { reason });
    this.full = lost('full');
    this.failed = lost('failed');
  }

  add(line: string): void {
    if (this.chars + line.length > this.deps.limits.accessLogQueueBytesMax) return this.full.add(1);
    this.lines.push(line);
    this.chars += line.length;
    if (this.isWriting) return;
    if (this.chars >= CHUNK_CHARS) this.write();
    else this.schedule();
  }

  /** Writes what waits, as long as there is time. */
  async end(timeoutMs: number): Promise<void> {
    const isOver = Promise.withResolvers<void>();
    const timer = this.deps.clock.after(timeoutMs, () => isOver.resolve());
    if (this.isWriting || this.lines.length > 0) {
      const idle = new Promise<void>((resolve) => (this.whenIdle = resolve));
      if (!this.isWriting) this.write();
      await Promise.race([idle, isOver.promise]);
    }
    timer.cancel();
    this.close();
  }

  close(): void {
    this.timer?.cancel();
    this.timer = undefined;
    if (this.lines.length > 0) this.failed.add(this.lines.length);
    this.lines = [];
    this.output.close();
  }

  private schedule(): void {
    const { clock } = this.deps;
    this.timer ??= clock.after(Math.max(DELAY_MS, this.begunMs + STEADY_MS - clock.nowMs()), () => this.write());
  }

  private write(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.begunMs = this.deps.clock.nowMs();
    const { lines } = this;
    this.lines = [];
    this.chars = 0;
    this.isWriting = true;
    this.output.write(Buffer.from(lines.join(''), 'utf8'), (error) => this.done(lines.length, error));
  }

  private done(count: number, error: Error | undefined): void {
    this.isWriting = false;
    if (error === undefined) this.written.add(count);
    else this.failed.add(count);
    this.tell(error);
    if (this.chars >= CHUNK_CHARS || (this.whenIdle !== undefined && this.lines.length > 0)) return this.write();
    if (this.lines.length > 0) this.schedule();
    else this.whenIdle?.();
  }

  /** Once, until it works again. */
  private tell(error: Error | undefined): void {
    const { logger } = this.deps;
    if (error !== undefined && !this.isFailing)
      logger.error({ to: this.to, reason: error.message }, 'the access log cannot be written; its lines are lost');
    else if (error === undefined && this.isFailing) logger.info({ to: this.to }, 'the access log is written again');
    this.isFailing = error !== undefined;
  }
}
