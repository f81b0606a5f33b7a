// Who has changed what, and who was refused: one line each, on the disk before a change is answered, never rewritten. A change is not begun while
// nothing can be written. What is refused is bounded, so that nobody can drive out what was changed. Secrets never get here.
import type { Clock, Logger } from '@heddle/runtime';
import { AppendFile } from '@heddle/runtime/node';
import { Refusals } from './refusals.ts';
import { whoIs } from './entry.ts';
import type { AuditAction, AuditEntry, AuditFilter, Doer } from './entry.ts';

export interface AuditLogOptions {
  /** Undefined: it ends with the process. */
  readonly path: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Bytes of one file, after which it is set aside. Default 8 MiB: some 20,000 entries. */
  readonly bytesMax?: number;
  /** Files that were set aside and are kept. Default 9. */
  readonly kept?: number;
}

/** What a change was, for the log: both made JSON of, without secrets. */
export interface Changed<T> {
  readonly result: T;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** The log cannot be written. */
export class AuditError extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'AuditError';
  }
}

const BYTES_MAX = 8_388_608;
const KEPT = 9;
/** Entries of changes that were begun when the disk was found to be full: of the longest, seven. */
const RESERVE_BYTES = 262_144;
/** Lines of changes that were done and could not be written, in memory until they can. */
const UNWRITTEN_MAX = 1_000;
/** In memory, for those who ask for the newest. */
const NEWEST_MAX = 1_000;
const TEXT_CHARS_MAX = 500;
/** Of `before` and of `after`, as JSON. */
const VALUE_CHARS_MAX = 16_384;

/** Rejects with AuditError when the file cannot be used. */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const { path, bytesMax = BYTES_MAX, kept = KEPT } = options;
  if (path === undefined) return new AuditLog(options, undefined, []);
  try {
    const file = await AppendFile.open(path, { bytesMax, kept, reserveBytes: RESERVE_BYTES });
    const newest: AuditEntry[] = [];
    for await (const line of file.lines()) keepNewest(newest, readEntry(line));
    return new AuditLog(options, file, newest);
  } catch (error) {
    throw new AuditError(
      `the audit log ${path} cannot be written: ${(error as Error).message}; make room or give the file back to this user, and start again`,
      error,
    );
  }
}

interface Waiting {
  readonly line: string;
  readonly isDone: boolean;
  readonly done: () => void;
  readonly failed: (error: AuditError) => void;
}

export class AuditLog {
  readonly #options: AuditLogOptions;
  readonly #file: AppendFile | undefined;
  /** Oldest first. */
  readonly #newest: AuditEntry[];
  /** Of those who prove nothing, and of the others: many of the ones hide none of the others. */
  readonly #refusals: { readonly anonymous: Refusals; readonly known: Refusals };
  #lastId: number;
  /** Of changes that were done. */
  #unwritten: string[] = [];
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #resuming: Promise<void> | undefined;
  /** The last write failed. */
  #failure: AuditError | undefined;

  constructor(options: AuditLogOptions, file: AppendFile | undefined, newest: AuditEntry[]) {
    this.#options = options;
    this.#file = file;
    this.#newest = newest;
    this.#lastId = newest.at(-1)?.id ?? 0;
    const nowMs = options.clock.nowMs();
    this.#refusals = { anonymous: new Refusals(nowMs), known: new Refusals(nowMs) };
  }

  /**
   * Makes a change and notes it. What `run` rejects with is passed on, and nothing is noted: nothing was changed. Rejects with AuditError
   * when it cannot be noted: before the change, if that is known by then.
   */
  async change<T>(by: Doer, action: AuditAction, subject: string, run: () => Promise<Changed<T>>): Promise<T> {
    if (this.#failure !== undefined || this.#file?.hasReserve === false)
      await this.#resume(by).catch((error: Error) => {
        throw new AuditError(`nothing was changed: ${error.message}`, error);
      });
    const { result, before, after } = await run();
    await this.#write({ by, action, subject, outcome: 'done', before, after }).catch((error: AuditError) => {
      throw new AuditError(`it was done, but is not noted: ${error.message}`, error);
    });
    return result;
  }

  /** A full disk may have room again. Rejects with AuditError. */
  async #resume(by: Doer): Promise<void> {
    this.#resuming ??= this.#resumeNow(by).finally(() => {
      this.#resuming = undefined;
    });
    await this.#resuming;
  }

  async #resumeNow(by: Doer): Promise<void> {
    await this.#writing;
    await this.#file?.makeReserve().catch((error: Error) => {
      throw new AuditError(`the audit log has no room for it: ${error.message}`, error);
    });
    if (this.#failure !== undefined) await this.#write({ by, action: 'resume', subject: 'audit log', outcome: 'done' });
  }

  /** Notes an attempt that was refused. Never throws; when it cannot be written that is logged. */
  refused(by: Doer, action: AuditAction, subject: string, reason: string): void {
    const isKnown = by.caller === 'process' || by.caller.kind !== 'anonymous';
    const missed = this.#refusals[isKnown ? 'known' : 'anonymous'].take(this.#options.clock.nowMs());
    if (missed === undefined) return;
    const more = missed === 0 ? '' : ` (${missed} more attempts were refused before, too many to be noted one by one)`;
    void this.#write({ by, action, subject, outcome: 'refused', reason: `${reason}${more}` }).catch(() => {});
  }

  /** Oldest first; of more than `limit` the newest, or with `after` the first. */
  async list({ after = 0, limit = Infinity, ...wanted }: AuditFilter = {}): Promise<readonly AuditEntry[]> {
    await this.#writing;
    const found: AuditEntry[] = [];
    const take = (entry: AuditEntry | undefined): boolean => {
      if (entry === undefined || entry.id <= after || !fits(entry, wanted)) return true;
      found.push(entry);
      if (after > 0) return found.length < limit;
      if (found.length > limit) found.shift();
      return true;
    };
    const [oldest] = this.#newest;
    const enough = oldest === undefined || oldest.id === 1 || after >= oldest.id - 1;
    if (!enough) {
      // Those in memory may do, when only some are wanted.
      const inMemory = after > 0 ? [] : this.#newest.filter((entry) => fits(entry, wanted));
      if (inMemory.length < limit && this.#file !== undefined) {
        for await (const line of this.#file.lines()) if (!take(readEntry(line))) break;
        return found;
      }
    }
    for (const entry of this.#newest) if (!take(entry)) break;
    return found;
  }

  get lastId(): number {
    return this.#lastId;
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#file?.close();
  }

  /** Resolves when it is on the disk. Rejects with AuditError. */
  #write(
    what: Pick<AuditEntry, 'action' | 'subject' | 'outcome'> & Partial<Pick<AuditEntry, 'before' | 'after' | 'reason'>> & { by: Doer },
  ): Promise<void> {
    const { by, action, subject, outcome, before, after, reason = '' } = what;
    this.#lastId += 1;
    const entry: AuditEntry = {
      id: this.#lastId,
      timeMs: Math.floor(this.#options.clock.wallMs()),
      who: clean(whoIs(by.caller)),
      role: by.caller !== 'process' && by.caller.kind === 'administrator' ? by.caller.role : '',
      from: clean(by.from),
      action,
      subject: clean(subject),
      outcome,
      ...(before === undefined ? {} : { before: bounded(before) }),
      ...(after === undefined ? {} : { after: bounded(after) }),
      ...(reason === '' ? {} : { reason: clean(reason) }),
    };
    keepNewest(this.#newest, entry);
    if (this.#file === undefined) return Promise.resolve();
    const file = this.#file;
    return new Promise((done, failed) => {
      this.#waiting.push({ line: `${lineOf(entry)}\n`, isDone: outcome === 'done', done, failed });
      this.#writing ??= this.#writeAll(file);
    });
  }

  /** One write at a time, each with all that has come by then. Never rejects. */
  async #writeAll(file: AppendFile): Promise<void> {
    const { logger, path } = this.#options;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await file.append([...this.#unwritten, ...batch.map(({ line }) => line)].join(''));
        this.#unwritten = [];
        if (this.#failure !== undefined) logger.info({ path }, 'the audit log can be written again');
        this.#failure = undefined;
        for (const { done } of batch) done();
      } catch (error) {
        const failure = new AuditError(`the audit log cannot be written: ${(error as Error).message}`, error);
        if (this.#failure === undefined)
          logger.error({ path, error: failure.message }, 'nothing can be changed until the audit log can be written');
        this.#failure = failure;
        for (const { line, isDone } of batch) if (isDone && this.#unwritten.length < UNWRITTEN_MAX) this.#unwritten.push(line);
        for (const { failed } of batch) failed(failure);
      }
    }
    this.#writing = undefined;
  }
}

function fits(entry: AuditEntry, { who, action, subject, outcome, sinceMs }: Omit<AuditFilter, 'after' | 'limit'>): boolean {
  if (who !== undefined && !entry.who.includes(who)) return false;
  if (action !== undefined && entry.action !== action) return false;
  if (outcome !== undefined && entry.outcome !== outcome) return false;
  if (sinceMs !== undefined && entry.timeMs < sinceMs) return false;
  return subject === undefined || entry.subject === subject || entry.subject.startsWith(`${subject}/`);
}

function keepNewest(newest: AuditEntry[], entry: AuditEntry | undefined): void {
  if (entry === undefined) return;
  newest.push(entry);
  if (newest.length > NEWEST_MAX * 1.25) newest.splice(0, newest.length - NEWEST_MAX);
}

/** One line, which ends up on terminals: without what they act on, and what shows a text in another order. */
function clean(text: string): string {
  const line = text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim();
  return line.length <= TEXT_CHARS_MAX ? line : `${line.slice(0, TEXT_CHARS_MAX - 1).toWellFormed()}…`;
}

/** The same in values, which stay as they are but for how they are written. */
function lineOf(entry: AuditEntry): string {
  return JSON.stringify(entry).replaceAll(
    /[\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function bounded(value: unknown): unknown {
  const text = JSON.stringify(value) ?? 'null';
  return text.length <= VALUE_CHARS_MAX ? value : `${text.slice(0, VALUE_CHARS_MAX).toWellFormed()}…`;
}

/** A line that a crash has cut off is none. */
function readEntry(line: string): AuditEntry | undefined {
  try {
    const entry = JSON.parse(line) as AuditEntry;
    const texts = [entry.who, entry.role, entry.from, entry.action, entry.subject, entry.outcome];
    return Number.isSafeInteger(entry.id) && Number.isFinite(entry.timeMs) && texts.every((text) => typeof text === 'string')
      ? entry
      : undefined;
  } catch {
    return undefined;
  }
}
