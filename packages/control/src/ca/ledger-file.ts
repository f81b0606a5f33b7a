// The log of issued certificates on disk: lines of JSON, added at the end, readable by the owner only. When the file is large it is set aside, and
// a new one begins with what is still valid; a few old ones are kept.
import { appendDurably, moveFile, readTextFile, restrictToOwner } from '@heddle/runtime/node';

/** Why a certificate was issued. `control`: for the control plane's own server. */
export type IssueReason = 'token' | 'renewal' | 'late-renewal' | 'control';

export interface IssuedRecord {
  /** When, Unix time. */
  readonly timeMs: number;
  /** Hexadecimal digits. */
  readonly serial: string;
  readonly id: string;
  /** base64url SHA-256 of the key's SubjectPublicKeyInfo. */
  readonly keyPin: string;
  /** End of the certificate, Unix time. */
  readonly untilMs: number;
  readonly why: IssueReason;
  /** The same of the key of the root that it leads to. */
  readonly root: string;
  /** Serial number of the certificate in whose place it stands. */
  readonly replaces?: string;
}

/** Some 300 bytes a line: a month of 500 workloads, with certificates of an hour. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;
const OLD_FILES_MAX = 4;

export class LedgerFile {
  readonly #path: string;
  readonly #bytesMax: number;
  #bytes = 0;
  /** The last write may have left a part of a line. */
  #isTorn = false;

  constructor(path: string, bytesMax = FILE_BYTES_MAX) {
    this.#path = path;
    this.#bytesMax = bytesMax;
  }

  /** Those that can be read, in their order, and how many lines cannot. Rejects with the file system's error. */
  async read(): Promise<{ records: IssuedRecord[]; unreadable: number }> {
    const text = await readTextFile(this.#path);
    if (text === undefined) return { records: [], unreadable: 0 };
    await restrictToOwner(this.#path);
    this.#bytes = Buffer.byteLength(text);
    const lines = text.split('\n');
    // After a crash in the middle of a line the next one must not be added to it.
    if (lines.pop() !== '') await this.#append('\n');
    const records = lines.filter((line) => line !== '').map(readLine);
    return {
      records: records.filter((record) => record !== undefined),
      unreadable: records.filter((record) => record === undefined).length,
    };
  }

  /** Resolves when they are on the disk. @param valid all records that a new file begins with, where one is due. Rejects with the file system's error. */
  async add(records: readonly IssuedRecord[], valid: () => Iterable<IssuedRecord>): Promise<void> {
    if (this.#bytes < this.#bytesMax) return this.#append(records.map(lineOf).join(''));
    for (let number = OLD_FILES_MAX - 1; number > 0; number -= 1) await moveFile(`${this.#path}.${number}`, `${this.#path}.${number + 1}`);
    await moveFile(this.#path, `${this.#path}.1`);
    this.#bytes = 0;
    await this.#append(Array.from(new Set([...valid(), ...records]), lineOf).join(''));
  }

  async #append(text: string): Promise<void> {
    // What follows half a line must not be added to it.
    const whole = this.#isTorn ? `\n${text}` : text;
    this.#isTorn = true;
    await appendDurably(this.#path, whole);
    this.#isTorn = false;
    this.#bytes += Buffer.byteLength(whole);
  }
}

function lineOf({ timeMs, serial, id, keyPin, untilMs, why, root, replaces }: IssuedRecord): string {
  const line = { time: isoTime(timeMs), serial, id, key: keyPin, until: isoTime(untilMs), why, root, replaces };
  return `${JSON.stringify(line)}\n`;
}

const isoTime = (unixMs: number): string => new Date(unixMs).toISOString();

function readLine(line: string): IssuedRecord | undefined {
  try {
    const { time, serial, id, key, until, why, root, replaces } = JSON.parse(line) as Record<string, string>;
    const timeMs = Date.parse(time ?? '');
    const untilMs = Date.parse(until ?? '');
    const texts = [serial, id, key, why, root];
    if (Number.isNaN(timeMs + untilMs) || texts.some((text) => typeof text !== 'string')) return undefined;
    const record = { timeMs, serial, id, keyPin: key, untilMs, why, root } as IssuedRecord;
    return typeof replaces === 'string' ? { ...record, replaces } : record;
  } catch {
    return undefined;
  }
}
