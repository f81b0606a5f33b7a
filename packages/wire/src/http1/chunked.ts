// The chunked coding (RFC 9112 §7.1) as a byte machine that keeps its place between pushes. It consumes framing only; the data bytes
// between are handed on by the parser, uncopied.

import { CR, HEX_VALUE, HTAB, IS_FIELD_VALUE, LF, SEMICOLON, SP } from '../bytes/chars.ts';
import type { ViolationCode } from './errors.ts';

const FIRST_DIGIT = 0;
const DIGITS = 1;
const SPACE = 2;
const EXTENSION = 3;
const SIZE_LF = 4;
const DATA = 5;
const DATA_CR = 6;
const DATA_LF = 7;
const TRAILERS = 8;

/** 16^13 bytes is below 2^53; leading zeros count, so that a size line is bounded. */
const SIZE_DIGITS_MAX = 13;

export class ChunkedReader {
  /** The violated rule; undefined while all is well. */
  fault: ViolationCode | undefined;
  /** Data bytes of the current chunk still to come. */
  remaining = 0;
  private phase = FIRST_DIGIT;
  private digits = 0;
  private extensionBytes = 0;
  private extensionBytesMax = 0;

  begin(extensionBytesMax: number): void {
    this.fault = undefined;
    this.remaining = 0;
    this.phase = FIRST_DIGIT;
    this.extensionBytes = 0;
    this.extensionBytesMax = extensionBytesMax;
  }

  /** The last chunk's size line is behind us: the trailer section follows. */
  get atTrailers(): boolean {
    return this.phase === TRAILERS;
  }

  /** Consumes framing from `from` on until data or trailers begin, the bytes end, or a rule is violated. Returns the new position. */
  skipFraming(bytes: Buffer, from: number): number {
    const end = bytes.length;
    let at = from;
    while (at < end && this.phase !== DATA && this.phase !== TRAILERS) {
      if (!this.take(bytes[at]!)) return at;
      at++;
    }
    return at;
  }

  /** Counts data bytes that were handed on. */
  consume(dataBytes: number): void {
    this.remaining -= dataBytes;
    if (this.remaining === 0) this.phase = DATA_CR;
  }

  /** One byte of framing; false after a fault. */
  private take(byte: number): boolean {
    switch (this.phase) {
      case FIRST_DIGIT:
        this.digits = 0;
        return HEX_VALUE[byte] === 255 ? this.fail('BAD_CHUNK_SIZE') : this.takeDigit(byte);
      case DIGITS:
        return HEX_VALUE[byte] === 255 ? this.endSize(byte) : this.takeDigit(byte);
      case SPACE:
        // RFC 9112 §7.1.1: bad white space is only tolerated before the semicolon of an extension.
        if (byte === SEMICOLON) this.phase = EXTENSION;
        else if (byte !== SP && byte !== HTAB) return this.fail('BAD_CHUNK_SIZE');
        return this.countExtension();
      case EXTENSION:
        if (byte === CR) this.phase = SIZE_LF;
        else if (byte === LF) return this.fail('BARE_LF');
        else if (IS_FIELD_VALUE[byte] === 0) return this.fail('BAD_CHUNK_EXTENSION');
        else return this.countExtension();
        return true;
      case SIZE_LF:
        if (byte !== LF) return this.fail('BARE_CR');
        this.phase = this.remaining === 0 ? TRAILERS : DATA;
        return true;
      case DATA_CR:
        this.phase = DATA_LF;
        return byte === CR || this.fail('BAD_CHUNK_END');
      default:
        this.phase = FIRST_DIGIT;
        return byte === LF || this.fail('BAD_CHUNK_END');
    }
  }

  private takeDigit(byte: number): boolean {
    if (++this.digits > SIZE_DIGITS_MAX) return this.fail('BAD_CHUNK_SIZE');
    this.remaining = this.remaining * 16 + HEX_VALUE[byte]!;
    this.phase = DIGITS;
    return true;
  }

  private endSize(byte: number): boolean {
    if (byte === CR) {
      this.phase = SIZE_LF;
      return true;
    }
    if (byte === LF) return this.fail('BARE_LF');
    if (byte === SEMICOLON) this.phase = EXTENSION;
    else if (byte === SP || byte === HTAB) this.phase = SPACE;
    else return this.fail('BAD_CHUNK_SIZE');
    return this.countExtension();
  }

  private countExtension(): boolean {
    return ++this.extensionBytes <= this.extensionBytesMax || this.fail('CHUNK_EXTENSIONS_TOO_LARGE');
  }

  private fail(fault: ViolationCode): false {
    this.fault = fault;
    return false;
  }
}
