// Scans `method SP request-target SP HTTP-version CRLF` (RFC 9112 §3). Only single spaces, only CR LF: anything lenient here is read
// differently by the next server, which is how requests are smuggled.

import { CR, IS_TARGET, IS_TOKEN, LF, SP } from '../bytes/chars.ts';
import type { ViolationCode } from './errors.ts';
import { FAULT, NEED_MORE, type StartLineScanner } from './scan.ts';

const METHOD = 0;
const TARGET = 1;
/** From here on the phase counts through `HTTP/1.1\r\n`. */
const VERSION = 2;

const MAJOR_AT = 5;
const MINOR_AT = 7;
const TLS_HANDSHAKE = 0x16;
const VERSION_PATTERN = Buffer.from('HTTP/1.1\r\n', 'latin1');

export class RequestLineScanner implements StartLineScanner {
  fault: ViolationCode = 'BAD_METHOD';
  /** Offsets of the parts, complete after a scan that reached the end of the line. The method begins at 0. */
  methodEnd = 0;
  targetEnd = 0;
  minorVersion: 0 | 1 = 1;
  private phase = METHOD;

  begin(): void {
    this.phase = METHOD;
  }

  /** Where the target begins: one space after the method. */
  get targetStart(): number {
    return this.methodEnd + 1;
  }

  scan(bytes: Buffer, base: number, from: number, end: number): number {
    let at = from;
    if (this.phase === METHOD) {
      while (at < end && IS_TOKEN[bytes[at]!] !== 0) at++;
      if (at === end) return NEED_MORE;
      if (bytes[at] !== SP || at === base) return this.failMethod(bytes[at]!, at === base);
      this.methodEnd = at++ - base;
      this.phase = TARGET;
    }
    if (this.phase === TARGET) {
      while (at < end && IS_TARGET[bytes[at]!] !== 0) at++;
      if (at === end) return NEED_MORE;
      if (bytes[at] !== SP || at === base + this.targetStart) return this.failTarget(bytes[at]!);
      this.targetEnd = at++ - base;
      this.phase = VERSION;
    }
    return this.scanVersion(bytes, base, at, end);
  }

  private scanVersion(bytes: Buffer, base: number, from: number, end: number): number {
    for (let at = from; at < end; at++) {
      const byte = bytes[at]!;
      const index = this.phase - VERSION;
      if (index === MINOR_AT) {
        // RFC 9110 §2.5: a higher minor version is to be read as the highest one known.
        if (byte < 0x30 || byte > 0x39) return this.fail(byte === LF ? 'BARE_LF' : 'BAD_VERSION');
        this.minorVersion = byte === 0x30 ? 0 : 1;
      } else if (byte !== VERSION_PATTERN[index]) {
        return this.failVersion(bytes, base, byte, index);
      }
      this.phase++;
      if (index === VERSION_PATTERN.length - 1) return at + 1;
    }
    return NEED_MORE;
  }

  private failMethod(byte: number, isFirst: boolean): number {
    if (byte === LF) return this.fail('BARE_LF');
    return this.fail(isFirst && byte === TLS_HANDSHAKE ? 'TLS_ON_PLAINTEXT' : 'BAD_METHOD');
  }

  private failTarget(byte: number): number {
    if (byte === LF) return this.fail('BARE_LF');
    // `GET /` without a version is HTTP/0.9, which nobody may speak to a proxy (RFC 9112 §2.3).
    return this.fail(byte === CR ? 'BAD_VERSION' : 'BAD_TARGET');
  }

  private failVersion(bytes: Buffer, base: number, byte: number, index: number): number {
    if (index === VERSION_PATTERN.length - 1) return this.fail('BARE_CR');
    if (byte === LF) return this.fail('BARE_LF');
    if (index !== MAJOR_AT || byte < 0x30 || byte > 0x39) return this.fail('BAD_VERSION');
    const isPreface = this.methodEnd === 3 && bytes.toString('latin1', base, base + 3) === 'PRI';
    return this.fail(isPreface ? 'HTTP2_PREFACE' : 'UNSUPPORTED_VERSION');
  }

  private fail(fault: ViolationCode): number {
    this.fault = fault;
    return FAULT;
  }
}
