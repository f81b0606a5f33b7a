// Finding errors in the table, also by names that arrive from outside.
import type { ErrorCode, ErrorEntry } from './table.ts';
import { ERRORS } from './table.ts';

/** Every code, in the order of the table. */
export const errorCodes: readonly ErrorCode[] = Object.freeze(Object.keys(ERRORS) as ErrorCode[]);

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

/** The code that a peer's data plane names in `x-heddle-error`; undefined for anything else. */
export function parseErrorCode(text: string | undefined): ErrorCode | undefined {
  return text !== undefined && isErrorCode(text) ? text : undefined;
}

export function errorEntry(code: ErrorCode): ErrorEntry {
  return ERRORS[code];
}
