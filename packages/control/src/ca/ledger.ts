// Every certificate that was issued, and which of them are valid and not replaced by newer ones: what a rotation waits for, and what is shown to
// people. The disk comes before the answer; a disk that is full is an alarm, and no reason to let a mesh run out of certificates.
import type { Clock, Logger } from '@heddle/runtime';
import { type IssuedRecord, LedgerFile } from './ledger-file.ts';

export type { IssuedRecord, IssueReason } from './ledger-file.ts';

/** Some 15 MB: far more than a mesh has workloads. Beyond it those that end first are counted by their end alone. */
const VALID_MAX = 50_000;
/** How often ended ones are looked for: that often as many have come. */
const SWEEP_EVERY = 1_000;

export interface LedgerOptions {
  readonly path: string;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly logger: Logger;
  /** Of the file. Default 64 MB. */
  readonly fileBytesMax?: number;
}

/** Rejects with an Error that names the file where it cannot be read. */
export async function openLedger(options: LedgerOptions): Promise<IssuedLedger> {
  const { path, logger, fileBytesMax } = options;
  const file = new LedgerFile(path, fileBytesMax);
  const { records, unreadable } = await file.read();
  if (unreadable > 0)
    logger.warn({ path, lines: unreadable }, 'lines in the log of issued certificates cannot be read; they are passed over');
  return new IssuedLedger(options, file, records);
}

export class IssuedLedger {
  readonly #options: LedgerOptions;
  readonly #file: LedgerFile;
  /** Neither ended, as of the last sweep, nor replaced; by serial number, oldest first. */
  readonly #valid = new Map<string, IssuedRecord>();
  readonly #byKey = new Map<string, string>();
  /** By root: when the last of those ends that are no longer remembered one by one. */
  readonly #forgottenUntilMs = new Map<string, number>();
  #sinceSweep = 0;
  #unwritten: IssuedRecord[] = [];
  /** Who waits for what is unwritten. */
  #waiting: (() => void)[] = [];
  #writing: Promise<void> | undefined;
  #isFailing = false;

  constructor(options: LedgerOptions, file: LedgerFile, records: readonly IssuedRecord[]) {
    this.#options = options;
    this.#file = file;
    for (const record of records) this.#take(record);
    this.#sweep();
  }

  /** What cannot be written is an alarm in `failing`. Resolves when it is on the disk, where a power cut leaves it, or cannot be now. */
  async record(record: IssuedRecord): Promise<void> {
    this.#take(record);
    this.#sinceSweep += 1;
    if (this.#sinceSweep >= SWEEP_EVERY || this.#valid.size > VALID_MAX) this.#sweep();
    this.#unwritten.push(record);
    await new Promise<void>((done) => {
      this.#waiting.push(done);
      this.#writing ??= this.#writeAll();
    });
  }

  /** Whether the log cannot be written at present. */
  get failing(): boolean {
    return this.#isFailing;
  }

  /** The valid one with this serial number. */
  of(serial: string): IssuedRecord | undefined {
    return this.#valid.get(serial);
  }

  /** Those that have neither ended nor been replaced, oldest first. */
  *valid(): Generator<IssuedRecord, undefined> {
    const nowMs = this.#options.clock.wallMs();
    for (const record of this.#valid.values()) if (record.untilMs > nowMs) yield record;
  }

  /** The same without those of the control plane itself. */
  validOfWorkloads(): IssuedRecord[] {
    return [...this.valid()].filter(({ why }) => why !== 'control');
  }

  /** When the last one of the root ends of those that `valid` has lost count of; 0: there is none. */
  forgottenUntilMs(root: string): number {
    const untilMs = this.#forgottenUntilMs.get(root) ?? 0;
    return untilMs > this.#options.clock.wallMs() ? untilMs : 0;
  }

  async close(): Promise<void> {
    await this.#writing;
  }

  #take(record: IssuedRecord): void {
    const { serial, keyPin, replaces } = record;
    if (replaces !== undefined) this.#drop(replaces);
    // Asked again with the same key, because the answer was lost.
    const sameKey = this.#byKey.get(keyPin);
    if (sameKey !== undefined) this.#drop(sameKey);
    this.#valid.set(serial, record);
    this.#byKey.set(keyPin, serial);
  }

  #drop(serial: string): void {
    const record = this.#valid.get(serial);
    if (record === undefined) return;
    this.#valid.delete(serial);
    if (this.#byKey.get(record.keyPin) === serial) this.#byKey.delete(record.keyPin);
  }

  #sweep(): void {
    this.#sinceSweep = 0;
    const nowMs = this.#options.clock.wallMs();
    for (const { serial, untilMs } of this.#valid.values()) if (untilMs <= nowMs) this.#drop(serial);
    if (this.#valid.size <= VALID_MAX) return;
    const surplus = [...this.#valid.values()].sort((a, b) => a.untilMs - b.untilMs).slice(0, this.#valid.size - VALID_MAX * 0.9);
    for (const { serial, root, untilMs } of surplus) {
      this.#forgottenUntilMs.set(root, Math.max(untilMs, this.#forgottenUntilMs.get(root) ?? 0));
      this.#drop(serial);
    }
  }

  /** One write at a time, each with all that has come by then: however many ask at once, the disk is waited for once. */
  async #writeAll(): Promise<void> {
    const { path, logger } = this.#options;
    // Those of one turn go together.
    await Promise.resolve();
    while (this.#unwritten.length > 0) {
      const [records, waiting] = [this.#unwritten, this.#waiting];
      this.#unwritten = [];
      this.#waiting = [];
      try {
        await this.#file.add(records, () => this.valid());
        if (this.#isFailing) logger.info({ path }, 'the log of issued certificates can be written again');
        this.#isFailing = false;
        for (const done of waiting) done();
      } catch (error) {
        // With the next one it is tried again. What is valid is what a restart needs most.
        this.#unwritten = [...records, ...this.#unwritten].slice(-VALID_MAX);
        if (!this.#isFailing)
          logger.error(
            { path, error: (error as Error).message },
            'ALARM: the log of issued certificates cannot be written; certificates are still issued',
          );
        this.#isFailing = true;
        for (const done of [...waiting, ...this.#waiting.splice(0)]) done();
        break;
      }
    }
    this.#writing = undefined;
  }
}
