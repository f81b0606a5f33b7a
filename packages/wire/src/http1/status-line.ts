// Scans `HTTP-version SP status-code SP [reason-phrase] CRLF` (RFC 9112 §4). The space before an empty reason may be missing, as many
// servers leave it out.

import { CR, IS_FIELD_VALUE, LF, SP } from '../bytes/chars.ts';
import type { ViolationCode } from './errors.ts';
import { FAULT, NEED_MORE, type StartLineScanner } from './scan.ts';

/** The phase counts through `HTTP/1.1 200`, then goes on with these. */
const AFTER_STATUS = 12;
const REASON = 13;
const LINE_LF = 14;

const MAJOR_AT = 5;
const MINOR_AT = 7;
const STATUS_AT = 9;
const VERSION_PATTERN = Buffer.from('HTTP/1.1 ', 'latin1');

export class StatusLineScanner implements StartLineScanner {
  fault: ViolationCode = 'BAD_STATUS_LINE';
  status = 0;
  minorVersion: 0 | 1 = 1;
  /** Offsets of the reason phrase; equal when it is empty. */
  reasonStart = 0;
  reasonEnd = 0;
  private phase = 0;

  begin(): void {
    this.phase = 0;
    this.status = 0;
  }

  scan(bytes: Buffer, base: number, from: number, end: number): number {
    let at = from;
    while (at < end && this.phase < AFTER_STATUS) {
      if (!this.takePrefix(bytes[at]!)) return FAULT;
      this.phase++;
      at++;
    }
    if (at < end && this.phase === AFTER_STATUS) {
      const byte = bytes[at]!;
      if (byte !== SP && byte !== CR) return this.fail(byte === LF ? 'BARE_LF' : 'BAD_STATUS_LINE');
      this.phase = byte === SP ? REASON : LINE_LF;
      at++;
      this.reasonStart = at - base;
      this.reasonEnd = this.reasonStart;
    }
    if (at < end && this.phase === REASON) {
      while (at < end && IS_FIELD_VALUE[bytes[at]!] !== 0) at++;
      if (at === end) return NEED_MORE;
      if (bytes[at] !== CR) return this.fail(bytes[at] === LF ? 'BARE_LF' : 'BAD_STATUS_LINE');
      this.reasonEnd = at++ - base;
      this.phase = LINE_LF;
    }
    if (at === end) return NEED_MORE;
    return bytes[at] === LF ? at + 1 : this.fail('BARE_CR');
  }

  /** One byte of `HTTP/1.1 200`; false after a fault. */
  private takePrefix(byte: number): boolean {
    const index = this.phase;
    const isDigit = byte >= 0x30 && byte <= 0x39;
    if (index >= STATUS_AT) {
      // RFC 9110 §15: the first digit is the class, and there is no class 0.
      if (!isDigit || (index === STATUS_AT && byte === 0x30)) {
        this.fault = 'BAD_STATUS_LINE';
        return false;
      }
      this.status = this.status * 10 + byte - 0x30;
      return true;
    }
    if (index === MINOR_AT && isDigit) {
      this.minorVersion = byte === 0x30 ? 0 : 1;
      return true;
    }
    if (byte === VERSION_PATTERN[index]) return true;
    this.fault = index === MAJOR_AT && isDigit ? 'UNSUPPORTED_VERSION' : 'BAD_STATUS_LINE';
    return false;
  }

  private fail(fault: ViolationCode): number {
    this.fault = fault;
    return FAULT;
  }
}
