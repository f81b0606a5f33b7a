// Protobuf as it is written: fields one after the other, and messages inside of messages, whose length stands in front of them. Only what OTLP needs.

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;
const TWO_32 = 2 ** 32;
/** Of texts whose length is one byte on the wire. */
const SHORT = 127;

export class ProtoWriter {
  private buffer: Buffer;
  private end = 0;

  /** @param size bytes that it begins with; it grows. */
  constructor(size: number) {
    this.buffer = Buffer.allocUnsafe(size);
  }

  /** Bytes. */
  get length(): number {
    return this.end;
  }

  /** All of it, until more is written. */
  get written(): Buffer {
    return this.buffer.subarray(0, this.end);
  }

  /** What is written next begins anew, in the same memory. */
  clear(): void {
    this.end = 0;
  }

  /** At least 0. */
  varint(field: number, value: number): void {
    this.tag(field, VARINT);
    this.number(value);
  }

  /** Of a number that is a multiple of 1,000: numbers alone are exact up to 2^53. */
  thousands64(field: number, thousands: number): void {
    const low = (thousands % TWO_32) * 1_000;
    this.tag(field, FIXED64);
    this.room(8);
    this.end = this.buffer.writeUInt32LE(low % TWO_32, this.end);
    this.end = this.buffer.writeUInt32LE(Math.floor(thousands / TWO_32) * 1_000 + Math.floor(low / TWO_32), this.end);
  }

  fixed32(field: number, value: number): void {
    this.tag(field, FIXED32);
    this.room(4);
    this.end = this.buffer.writeUInt32LE(value, this.end);
  }

  double(field: number, value: number): void {
    this.tag(field, FIXED64);
    this.room(8);
    this.end = this.buffer.writeDoubleLE(value, this.end);
  }

  /** Fields that were written elsewhere. */
  raw(fields: Uint8Array): void {
    this.room(fields.length);
    this.buffer.set(fields, this.end);
    this.end += fields.length;
  }

  /** @param digits hexadecimal, two for each byte. */
  hex(field: number, digits: string): void {
    this.tag(field, LENGTH);
    this.number(digits.length / 2);
    this.room(digits.length / 2);
    this.end += this.buffer.write(digits, this.end, 'hex');
  }

  text(field: number, text: string): void {
    if (text.length <= SHORT && this.shortText(field, text)) return;
    const length = Buffer.byteLength(text);
    this.tag(field, LENGTH);
    this.number(length);
    this.room(length);
    this.end += this.buffer.write(text, this.end);
  }

  /** Without a call out of the engine, which costs more than some twenty letters. False: it is not ASCII, and nothing was written. */
  private shortText(field: number, text: string): boolean {
    this.room(SHORT + 10);
    const { buffer } = this;
    const { length } = text;
    const start = this.end;
    this.tag(field, LENGTH);
    buffer[this.end++] = length;
    let at = this.end;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code > 127) {
        this.end = start;
        return false;
      }
      buffer[at++] = code;
    }
    this.end = at;
    return true;
  }

  /** A message begins, which ends with `close` of the result. */
  open(field: number): number {
    this.tag(field, LENGTH);
    this.room(1);
    return ++this.end;
  }

  close(start: number): void {
    const length = this.end - start;
    const extra = sizeOf(length) - 1;
    if (extra > 0) {
      this.room(extra);
      this.buffer.copyWithin(start + extra, start, this.end);
    }
    this.end = start - 1;
    this.number(length);
    this.end += length;
  }

  private tag(field: number, type: number): void {
    this.number((field << 3) | type);
  }

  private number(value: number): void {
    this.room(10);
    let rest = value;
    while (rest > 127) {
      this.buffer[this.end++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.buffer[this.end++] = rest;
  }

  private room(bytes: number): void {
    if (this.end + bytes <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.end + bytes));
    this.buffer.copy(larger, 0, 0, this.end);
    this.buffer = larger;
  }
}

/** As a varint. */
function sizeOf(length: number): number {
  let size = 1;
  for (let rest = length; rest > 127; rest = Math.floor(rest / 128)) size += 1;
  return size;
}
