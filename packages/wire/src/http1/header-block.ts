// A header section as one latin1 string plus offsets into it: nothing is sliced until somebody asks. Heads and trailers share it.
// The object is reused by its parser: what it shows is valid until the parser begins the next message.

import { equalsIgnoreCase } from '../bytes/chars.ts';
import { KIND, KIND_COUNT, kindOfName, type Kind } from './field-kind.ts';

/** Most messages have fewer lines; the table grows when needed, so an idle connection does not pay for the limit. */
const INITIAL_LINES = 32;

/** Offsets of each line: name start and end, value start and end (white space around the value excluded). */
export class FieldTable {
  count = 0;
  offsets = new Int32Array(INITIAL_LINES * 4);
  kinds = new Uint8Array(INITIAL_LINES);
  /** Bit per kind: present; present more than once. */
  seen = 0;
  repeated = 0;
  /** First line of each kind; meaningful where `seen` has its bit. */
  readonly first = new Uint16Array(KIND_COUNT);

  reset(): void {
    this.count = 0;
    this.seen = 0;
    this.repeated = 0;
  }

  add(nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, kind: Kind): void {
    const line = this.count++;
    if (line === this.kinds.length) this.grow();
    const at = line * 4;
    this.offsets[at] = nameStart;
    this.offsets[at + 1] = nameEnd;
    this.offsets[at + 2] = valueStart;
    this.offsets[at + 3] = valueEnd;
    this.kinds[line] = kind;
    if (kind !== KIND.other) this.note(line, kind);
  }

  /** Marks a line as named by Connection. */
  nominate(line: number): void {
    this.kinds[line] = KIND.nominated;
    this.seen |= 1 << KIND.nominated;
  }

  private note(line: number, kind: Kind): void {
    const bit = 1 << kind;
    if ((this.seen & bit) !== 0) {
      this.repeated |= bit;
    } else {
      this.seen |= bit;
      this.first[kind] = line;
    }
  }

  private grow(): void {
    const offsets = new Int32Array(this.offsets.length * 2);
    offsets.set(this.offsets);
    this.offsets = offsets;
    const kinds = new Uint8Array(this.kinds.length * 2);
    kinds.set(this.kinds);
    this.kinds = kinds;
  }
}

export class HeaderBlock {
  /** The section as received, one character per byte; for heads the start line comes first. */
  text = '';
  /** @internal */
  readonly fields: FieldTable = new FieldTable();
  /** Where the first header line begins in `text`, and where the last one ends (its line end included). */
  linesStart = 0;
  linesEnd = 0;

  /** Number of header lines. */
  get count(): number {
    return this.fields.count;
  }

  /** Name of a line as received; lines count from 0. */
  name(line: number): string {
    const { offsets } = this.fields;
    return this.text.slice(offsets[line * 4], offsets[line * 4 + 1]);
  }

  /** Value of a line without surrounding white space. */
  value(line: number): string {
    const { offsets } = this.fields;
    return this.text.slice(offsets[line * 4 + 2], offsets[line * 4 + 3]);
  }

  /** The first line from `from` on with this name (lower case), or -1. */
  find(name: string, from: number = 0): number {
    const { offsets, count } = this.fields;
    const length = name.length;
    for (let line = from; line < count; line++) {
      const start = offsets[line * 4]!;
      const end = offsets[line * 4 + 1]!;
      if (end - start === length && equalsIgnoreCase(this.text, start, end, name)) return line;
    }
    return -1;
  }

  /** Whether a header of this name (lower case) is present. */
  has(name: string): boolean {
    return this.find(name) !== -1;
  }

  /** Value of the first header of this name (lower case). Enough for headers that occur once; see `list` for the others. */
  get(name: string): string | undefined {
    const line = this.find(name);
    return line === -1 ? undefined : this.value(line);
  }

  /** All values of this name (lower case) joined with `, ` (RFC 9110 §5.3); undefined when there is none. */
  list(name: string): string | undefined {
    let line = this.find(name);
    if (line === -1) return undefined;
    let joined = this.value(line);
    while ((line = this.find(name, line + 1)) !== -1) joined += `, ${this.value(line)}`;
    return joined;
  }

  /** Name and value of each line, in order. For cold paths; hot ones count from 0 to `count`. */
  *[Symbol.iterator](): IterableIterator<[name: string, value: string]> {
    for (let line = 0; line < this.fields.count; line++) yield [this.name(line), this.value(line)];
  }

  /** @internal Value of the first line of a kind that the scanner has recognised. */
  known(kind: Kind): string | undefined {
    return (this.fields.seen & (1 << kind)) === 0 ? undefined : this.value(this.fields.first[kind]!);
  }
}

/** A set of header names, compiled once (per route) and asked for every line. */
export class HeaderNames {
  private readonly byLength: (readonly string[] | undefined)[] = [];
  /** Bit per name length below 32: most lines are ruled out by one test. */
  private readonly lengths: number = 0;
  /** Bit per kind, so that recognised headers can be dropped although their lines are skipped quickly. */
  readonly kinds: number = 0;

  /** Names in any letter case. */
  constructor(names: Iterable<string>) {
    for (const name of names) {
      const lower = name.toLowerCase();
      this.byLength[lower.length] = [...(this.byLength[lower.length] ?? []), lower];
      this.lengths |= 1 << Math.min(lower.length, 31);
      this.kinds |= 1 << kindOfName(lower);
    }
  }

  /** Whether text[start, end) is one of the names, ignoring letter case. */
  matches(text: string, start: number, end: number): boolean {
    const length = end - start;
    if ((this.lengths & (1 << Math.min(length, 31))) === 0) return false;
    const candidates = this.byLength[length];
    if (candidates === undefined) return false;
    for (const candidate of candidates) if (equalsIgnoreCase(text, start, end, candidate)) return true;
    return false;
  }
}
