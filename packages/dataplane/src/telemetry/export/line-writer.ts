// Lines on their way to a file or the standard output: put together, written in one piece, and lost, which is counted, where they come faster than they go out.
import { EXPORT_METRICS } from '@heddle/core';
import type { LineOutput } from '@heddle/runtime';
import type { Counter, Timer } from '@heddle/runtime';
import type { Context } from '../../stack/context.ts';
import type { EndedRequest } from '../../stack/ended-request.ts';
import type { LineFacts } from './access-line.ts';
import { HeldRequests } from './held-requests.ts';
import type { Tell } from './held-requests.ts';

/** A person who follows the file waits so long, at most. */
const DELAY_MS = 250;
/** From one write to the next, while lines keep coming. */
const STEADY_MS = 1_000;
const CHUNK_BYTES = 32_768;
/** What lines are gathered in, twice: one is filled while the other is written. It grows, and what has grown beyond twice as much is given back. */
const KEPT_BYTES = 65_536;
/** Of a character in UTF-8, for each of its one or two units in UTF-16. */
const BYTES_PER_UNIT_MAX = 3;

/** Lines one after the other, in memory that is used again: texts that wait would grow old, and so would keep the garbage collector busy. */
class GatheredLines {
  private buffer = Buffer.allocUnsafeSlow(KEPT_BYTES);
  count = 0;
  length = 0;

  add(line: string): void {
    const needed = this.length + line.length * BYTES_PER_UNIT_MAX;
    if (needed > this.buffer.length) this.grow(Math.max(needed, this.buffer.length * 2));
    this.length += this.buffer.write(line, this.length);
    this.count += 1;
  }

  /** Until they are cleared. */
  get bytes(): Buffer {
    return this.buffer.subarray(0, this.length);
  }

  clear(): void {
    this.length = 0;
    this.count = 0;
    if (this.buffer.length > KEPT_BYTES * 2) this.buffer = Buffer.allocUnsafeSlow(KEPT_BYTES);
  }

  private grow(bytes: number): void {
    const larger = Buffer.allocUnsafeSlow(bytes);
    this.buffer.copy(larger, 0, 0, this.length);
    this.buffer = larger;
  }
}

export class LineWriter {
  private readonly to: string;
  private readonly output: LineOutput;
  private readonly deps: Pick<Context, 'clock' | 'logger' | 'limits'>;
  private readonly written: Counter;
  private readonly full: Counter;
  private readonly failed: Counter;
  private readonly held = new HeldRequests<LineFacts>();
  private gathered = new GatheredLines();
  private spare = new GatheredLines();
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

  /** @param tell puts its line here when it is time to. */
  add(request: EndedRequest, facts: LineFacts, tell: Tell<LineFacts>): void {
    this.held.add(request, facts, tell);
    if (this.held.isFull) this.held.tellAll();
    if (this.isWriting) return;
    if (this.gathered.length >= CHUNK_BYTES) this.write();
    else this.schedule();
  }

  /** What was added is written as this. */
  put(line: string): void {
    const { gathered } = this;
    if (gathered.length + line.length > this.deps.limits.accessLogQueueBytesMax) this.full.add(1);
    else gathered.add(line);
  }

  /** Writes what waits, as long as there is time. */
  async end(timeoutMs: number): Promise<void> {
    const isOver = Promise.withResolvers<void>();
    const timer = this.deps.clock.after(timeoutMs, () => isOver.resolve());
    if (this.isWriting || this.waiting > 0) {
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
    this.held.tellAll();
    if (this.gathered.count > 0) this.failed.add(this.gathered.count);
    this.gathered.clear();
    this.output.close();
  }

  private get waiting(): number {
    return this.held.count + this.gathered.count;
  }

  private schedule(): void {
    const { clock } = this.deps;
    this.timer ??= clock.after(Math.max(DELAY_MS, this.begunMs + STEADY_MS - clock.nowMs()), () => this.write());
  }

  private write(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.begunMs = this.deps.clock.nowMs();
    this.held.tellAll();
    const { gathered } = this;
    this.gathered = this.spare;
    this.spare = gathered;
    this.isWriting = true;
    this.output.write(gathered.bytes, (error) => this.done(error));
  }

  private done(error: Error | undefined): void {
    this.isWriting = false;
    (error === undefined ? this.written : this.failed).add(this.spare.count);
    this.spare.clear();
    this.tell(error);
    const { waiting } = this;
    if (this.gathered.length >= CHUNK_BYTES || (this.whenIdle !== undefined && waiting > 0)) return this.write();
    if (waiting > 0) this.schedule();
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
