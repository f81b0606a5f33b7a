// What the resumable scanners share. A scanner stops where the bytes end and goes on there when more have come, so a head costs about the
// same whether it arrives at once or byte by byte, and an error is found at the same byte in either case.

import type { ViolationCode } from './errors.ts';

/** Results of a scan below zero; any other result is the position after what was scanned. */
export const NEED_MORE = -1;
export const FAULT = -2;

/** Scans bytes[from, end) of a section that began at `base` in the same buffer. Offsets that are kept are relative to `base`. */
export interface Scanner {
  /** The violated rule after FAULT. */
  fault: ViolationCode;
  scan(bytes: Buffer, base: number, from: number, end: number): number;
}

export interface StartLineScanner extends Scanner {
  /** Before each start line. */
  begin(): void;
}
