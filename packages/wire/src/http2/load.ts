// LOAD, a frame between data planes (RFC 9113 §5.5 lets both sides agree on one): a client asks how loaded the server is, without a request of
// its own. A question holds a number of the client's; the answer repeats it and adds what is under way and how long a request takes.
//
//   question  flags 0:  number (32)
//   answer    flags 1:  number (32), requests in flight (32), latency in µs (32), 0: not known

import { readUint32 } from './frame.ts';

export const LOAD_QUESTION_BYTES = 4;
export const LOAD_ANSWER_BYTES = 12;

/** The largest number that a frame can hold: what is more is said to be so much. */
const UINT32_MAX = 0xffffffff;

export interface LoadAnswer {
  readonly number: number;
  readonly inFlight: number;
  /** Microseconds; 0: not known. */
  readonly latencyMicros: number;
}

/** @internal The content of an answer at `start`. */
export function readLoadAnswer(bytes: Buffer, start: number): LoadAnswer {
  return { number: readUint32(bytes, start), inFlight: readUint32(bytes, start + 4), latencyMicros: readUint32(bytes, start + 8) };
}

/** @internal */
export function clampUint32(value: number): number {
  return Math.min(UINT32_MAX, Math.max(0, Math.round(value)));
}
