// Memory for the traffic of the past: pages of one size from a fixed amount. A page holds points of one series in the order of time, as short
// numbers (7 bits to a byte, the last one without the high bit). What there is room for is known beforehand, whatever is reported.
import { DURATION_BUCKETS } from './duration-buckets.ts';
import type { TrafficSum } from './traffic-sum.ts';

export const PAGE_BYTES = 512;
const SLAB_PAGES = 2_048;
/** A step and a count of bytes come before the points. */
const HEAD_BYTES = 6;
const POINT_BYTES_MAX = PAGE_BYTES - HEAD_BYTES;
/** A count of a bucket or an error in one point: four bytes. More are cut off; 50 million requests a second reach it. */
const COUNT_MAX = 2 ** 28 - 1;
/** Of one point; the rest counts as one more. */
const ERRORS_MAX = 16;

export class PagePool {
  readonly #slabs: Uint8Array[] = [];
  readonly #free: number[] = [];
  readonly #pagesMax: number;
  #made = 0;

  constructor(bytesMax: number) {
    this.#pagesMax = Math.max(1, Math.floor(bytesMax / PAGE_BYTES));
  }

  /** Pages that hold something. */
  get used(): number {
    return this.#made - this.#free.length;
  }

  /** Undefined: there is none left. */
  take(): number | undefined {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#made >= this.#pagesMax) return undefined;
    if (this.#made % SLAB_PAGES === 0) {
      const pages = Math.min(SLAB_PAGES, this.#pagesMax - this.#made);
      this.#slabs.push(new Uint8Array(pages * PAGE_BYTES));
    }
    return this.#made++;
  }

  give(page: number): void {
    this.#free.push(page);
  }

  bytes(page: number): Uint8Array {
    const at = (page % SLAB_PAGES) * PAGE_BYTES;
    return this.#slabs[Math.floor(page / SLAB_PAGES)]!.subarray(at, at + PAGE_BYTES);
  }
}

/** Codes of errors as numbers, for all series of one store. What peers make up beyond the room there is counts as `OTHER`. */
export class ErrorCodes {
  readonly #names: string[] = ['OTHER'];
  readonly #numbers = new Map<string, number>([['OTHER', 0]]);

  number(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    if (this.#names.length > 127) return 0;
    this.#names.push(name);
    this.#numbers.set(name, this.#names.length - 1);
    return this.#names.length - 1;
  }

  name(number: number): string {
    return this.#names[number] ?? 'OTHER';
  }
}

const scratch: Uint8Array = new Uint8Array(2 * PAGE_BYTES);
let cursor = 0;

function put(value: number): void {
  let left = Math.max(0, Math.round(value));
  while (left > 127) {
    scratch[cursor++] = (left % 128) | 128;
    left = Math.floor(left / 128);
  }
  scratch[cursor++] = left;
}

/** @param gap steps since the point before in the page. @returns how many bytes of `scratch` it takes. */
function encodePoint(sum: TrafficSum, gap: number, codes: ErrorCodes): number {
  cursor = 0;
  put(gap);
  put(sum.requests);
  put(sum.bytes);
  put(sum.retries);
  putErrors(sum, codes);
  let filled = 0;
  for (const count of sum.durations) if (count > 0) filled += 1;
  put(filled);
  let before = 0;
  for (let index = 0; index < sum.durations.length; index += 1) {
    const count = sum.durations[index]!;
    if (count === 0) continue;
    put(index - before);
    put(Math.min(count, COUNT_MAX));
    before = index;
  }
  return cursor;
}

function putErrors({ errors }: TrafficSum, codes: ErrorCodes): void {
  const counts = new Map<number, number>();
  if (errors !== undefined) {
    for (const [name, count] of errors) {
      const number = counts.size >= ERRORS_MAX ? 0 : codes.number(name);
      counts.set(number, (counts.get(number) ?? 0) + count);
    }
  }
  put(counts.size);
  for (const [number, count] of counts) {
    put(number);
    put(Math.min(count, COUNT_MAX));
  }
}

let source: Uint8Array = scratch;

function get(): number {
  let value = 0;
  let factor = 1;
  for (;;) {
    const byte = source[cursor++]!;
    value += (byte & 127) * factor;
    if (byte < 128) return value;
    factor *= 128;
  }
}

/** Adds one point to a sum, or passes over it. */
function decodePoint(into: TrafficSum | undefined, codes: ErrorCodes): void {
  const [requests, bytes, retries] = [get(), get(), get()];
  if (into !== undefined) {
    into.requests += requests;
    into.bytes += bytes;
    into.retries += retries;
  }
  for (let left = get(); left > 0; left -= 1) {
    const number = get();
    const count = get();
    into?.addError(codes.name(number), count);
  }
  let index = 0;
  for (let left = get(); left > 0; left -= 1) {
    index += get();
    const count = get();
    if (into !== undefined && index < DURATION_BUCKETS) into.durations[index]! += count;
  }
}

/** The points of one series at one width of steps, oldest first; steps count from any beginning, and only grow. */
export class PointLog {
  /** Oldest first. */
  readonly pages: number[] = [];
  #lastStep = -1;
  readonly #pool: PagePool;
  readonly #codes: ErrorCodes;

  constructor(pool: PagePool, codes: ErrorCodes) {
    this.#pool = pool;
    this.#codes = codes;
  }

  /** @param more gets a page back when there is none left; false: it cannot. False: the point is lost. */
  append(step: number, sum: TrafficSum, more: () => boolean): boolean {
    let page = this.pages.at(-1);
    let size = page === undefined ? POINT_BYTES_MAX + 1 : encodePoint(sum, step - this.#lastStep, this.#codes);
    let used = page === undefined ? 0 : usedOf(this.#pool.bytes(page));
    if (page === undefined || HEAD_BYTES + used + size > PAGE_BYTES) {
      page = this.#pool.take() ?? (more() ? this.#pool.take() : undefined);
      if (page === undefined) return false;
      this.pages.push(page);
      const bytes = this.#pool.bytes(page);
      new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, step);
      used = 0;
      size = encodePoint(sum, 0, this.#codes);
    }
    const bytes = this.#pool.bytes(page);
    bytes.set(scratch.subarray(0, size), HEAD_BYTES + used);
    new DataView(bytes.buffer, bytes.byteOffset).setUint16(4, used + size);
    this.#lastStep = step;
    return true;
  }

  /** Points of the steps `from` ≤ step < `to`; `into` gives the sum that a step is to be added to. */
  read(from: number, to: number, into: (step: number) => TrafficSum | undefined): void {
    for (let index = this.#pageOf(from); index < this.pages.length; index += 1) {
      const bytes = this.#pool.bytes(this.pages[index]!);
      let step = firstStepOf(bytes);
      if (step >= to) return;
      const end = HEAD_BYTES + usedOf(bytes);
      cursor = HEAD_BYTES;
      source = bytes;
      while (cursor < end) {
        step += get();
        if (step >= to) return;
        decodePoint(step >= from ? into(step) : undefined, this.#codes);
      }
    }
  }

  /** Gives back pages all of whose points lie before the step. */
  forgetBefore(step: number): void {
    while (this.pages.length > 0) {
      const next = this.pages[1];
      const isOld = next === undefined ? this.#lastStep < step : firstStepOf(this.#pool.bytes(next)) <= step;
      if (!isOld) return;
      this.dropOldest();
    }
  }

  dropOldest(): void {
    const page = this.pages.shift();
    if (page !== undefined) this.#pool.give(page);
  }

  /** The last page that begins at or before the step. */
  #pageOf(step: number): number {
    let at = this.pages.length - 1;
    while (at > 0 && firstStepOf(this.#pool.bytes(this.pages[at]!)) > step) at -= 1;
    return Math.max(0, at);
  }
}

function firstStepOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

function usedOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint16(4);
}
