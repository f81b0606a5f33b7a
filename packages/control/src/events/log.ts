// The newest events, in memory and in a file of JSON lines, so that they are there after a restart. What cannot be written is logged and
// kept in memory: events are for people, and nothing may fail for them.
import type { Clock, Logger } from '@heddle/runtime';
import { appendTextFile, readTextFile, writeFileAtomic } from '@heddle/runtime/node';
import type { EventKind, EventSink } from './sink.ts';

export interface LoggedEvent {
  /** One more than the event before, over restarts. */
  readonly id: number;
  /** Unix time in milliseconds. */
  readonly timeMs: number;
  readonly kind: EventKind;
  readonly subject: string;
  /** One line. */
  readonly message: string;
}

export interface EventFilter {
  /** The first events after this one. Absent: the newest. */
  readonly after?: number | undefined;
  /** At most so many. */
  readonly limit?: number | undefined;
  readonly kind?: string | undefined;
  /** It, or what is below it: `default/orders` also means `default/orders/orders-1`. */
  readonly subject?: string | undefined;
}

export interface EventLogOptions {
  /** Undefined: the events end with the process. */
  readonly path: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Events that are kept. Default 2,000: some 400 kB, and some days of a mesh in which little happens. */
  readonly max?: number;
}

const MAX = 2_000;
/** Reasons come from error messages of other programs. */
const MESSAGE_CHARS_MAX = 500;
const SUBJECT_CHARS_MAX = 260;

/** Reads what an earlier process has left. Never rejects: a file that cannot be read is begun anew. */
export async function openEventLog(options: EventLogOptions): Promise<EventLog> {
  const { path, logger, max = MAX } = options;
  if (path === undefined) return new EventLog(options, [], 0);
  try {
    const lines = ((await readTextFile(path)) ?? '').split('\n');
    const unfinished = lines.pop() !== '';
    const events = readEvents(lines);
    const log = new EventLog(options, events.slice(-max), lines.length);
    // After a crash in the middle of a line the next one must not be added to it.
    if (unfinished || events.length !== lines.length) log.rewrite();
    return log;
  } catch (error) {
    logger.warn({ path, error: (error as Error).message }, 'the events of before cannot be read');
    return new EventLog(options, [], 0);
  }
}

export class EventLog implements EventSink {
  readonly #options: EventLogOptions;
  readonly #max: number;
  readonly #listeners = new Set<(event: LoggedEvent) => void>();
  /** Oldest first; longer than `#max` for a moment. */
  readonly #events: LoggedEvent[];
  #lastId: number;
  #linesInFile: number;
  /** Lines that are to be added to the file. */
  #unwritten: string[] = [];
  #rewriteDue = false;
  #writing: Promise<void> | undefined;
  #isFailing = false;

  constructor(options: EventLogOptions, events: readonly LoggedEvent[], linesInFile: number) {
    this.#options = options;
    this.#max = options.max ?? MAX;
    this.#events = [...events];
    this.#lastId = events.at(-1)?.id ?? 0;
    this.#linesInFile = linesInFile;
  }

  /** Of the newest event; 0 before the first. */
  get lastId(): number {
    return this.#lastId;
  }

  record(kind: EventKind, subject: string, message: string): void {
    this.#lastId += 1;
    const event: LoggedEvent = {
      id: this.#lastId,
      timeMs: Math.floor(this.#options.clock.wallMs()),
      kind,
      subject: clean(subject, SUBJECT_CHARS_MAX),
      message: clean(message, MESSAGE_CHARS_MAX),
    };
    this.#events.push(event);
    if (this.#events.length >= this.#max * 1.25) this.#events.splice(0, this.#events.length - this.#max);
    if (this.#options.path !== undefined) {
      this.#unwritten.push(`${JSON.stringify(event)}\n`);
      this.#writing ??= this.#write();
    }
    for (const listener of [...this.#listeners]) listener(event);
  }

  /** Oldest first. */
  list({ after, limit = Infinity, kind, subject }: EventFilter = {}): readonly LoggedEvent[] {
    const kept = this.#events.slice(-this.#max);
    const from = after === undefined ? 0 : Math.max(0, after + 1 - (kept[0]?.id ?? 0));
    const fitting = kept.slice(from).filter((event) => (kind === undefined || event.kind === kind) && isAbout(event, subject));
    return after === undefined ? fitting.slice(Math.max(0, fitting.length - limit)) : fitting.slice(0, limit);
  }

  /** Called after each event. */
  onEvent(listener: (event: LoggedEvent) => void): { close(): void } {
    this.#listeners.add(listener);
    return { close: () => this.#listeners.delete(listener) };
  }

  /** The file is made anew from what is in memory. */
  rewrite(): void {
    this.#rewriteDue = true;
    this.#writing ??= this.#write();
  }

  /** Resolves when everything is in the file, or cannot be now. */
  async close(): Promise<void> {
    this.#listeners.clear();
    await this.#writing;
  }

  /** One write at a time, each with all that has come by then. */
  async #write(): Promise<void> {
    const { path = '', logger } = this.#options;
    // The events of one turn go together.
    await Promise.resolve();
    try {
      while (this.#unwritten.length > 0 || this.#rewriteDue) await this.#writeOnce(path);
      if (this.#isFailing) logger.info({ path }, 'events can be written again');
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing)
        logger.error({ path, error: (error as Error).message }, 'events cannot be written; the newest are kept in memory');
      this.#isFailing = true;
      // With the next event it is tried again, whole: what has been written of this one nobody knows.
      this.#rewriteDue = true;
    } finally {
      this.#writing = undefined;
    }
  }

  async #writeOnce(path: string): Promise<void> {
    const lines = this.#unwritten;
    this.#unwritten = [];
    if (!this.#rewriteDue && this.#linesInFile + lines.length <= 2 * this.#max) {
      await appendTextFile(path, lines.join(''));
      this.#linesInFile += lines.length;
      return;
    }
    const kept = this.#events.slice(-this.#max);
    await writeFileAtomic(path, kept.map((event) => `${JSON.stringify(event)}\n`).join(''));
    this.#rewriteDue = false;
    this.#linesInFile = kept.length;
  }
}

function isAbout(event: LoggedEvent, subject: string | undefined): boolean {
  return subject === undefined || event.subject === subject || event.subject.startsWith(`${subject}/`);
}

/** Ends up on terminals: without control characters, and cut. */
function clean(text: string, charsMax: number): string {
  const line = text
    .toWellFormed()
    .replace(/\p{Cc}+/gu, ' ')
    .trim();
  return line.length <= charsMax ? line : `${line.slice(0, charsMax - 1).toWellFormed()}…`;
}

/** Those that can be read, with ids that grow. */
function readEvents(lines: readonly string[]): LoggedEvent[] {
  const events: LoggedEvent[] = [];
  for (const line of lines) {
    const event = readEvent(line);
    if (event === undefined) continue;
    // Ids without a gap are what `list` counts on.
    if (events.length > 0 && event.id !== events.at(-1)!.id + 1) events.length = 0;
    events.push(event);
  }
  return events;
}

function readEvent(line: string): LoggedEvent | undefined {
  try {
    const { id, timeMs, kind, subject, message } = JSON.parse(line) as Record<string, unknown>;
    const isEvent =
      Number.isSafeInteger(id) && Number.isFinite(timeMs) && [kind, subject, message].every((text) => typeof text === 'string');
    return isEvent ? ({ id, timeMs, kind, subject, message } as LoggedEvent) : undefined;
  } catch {
    return undefined;
  }
}
