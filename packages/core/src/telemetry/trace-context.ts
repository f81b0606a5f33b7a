// W3C Trace Context (Level 1, with the random flag of Level 2): read strictly, so that nothing malformed spreads, and without an object for each request.

export const TRACEPARENT = 'traceparent';
export const TRACESTATE = 'tracestate';

const LENGTH = 55;
const DASH = 0x2d;
/** Of traceparent's flags. */
export const SAMPLED = 1;
const RANDOM = 2;
/** Of the rest nobody knows what they mean. */
const KNOWN_FLAGS = SAMPLED | RANDOM;
/** W3C Trace Context §3.3.1.5: what has to be passed on at least. */
const STATE_LENGTH_MAX = 512;
const STATE_MEMBERS_MAX = 32;
const STATE_MEMBER =
  /^(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;
/** Of the last 56 bits, which are random in every trace id (Level 2, §3.2.2.3). */
const RANDOM_VALUES = 2 ** 56;

const DIGITS = Buffer.from('0123456789abcdef', 'latin1');
const TRACE_AT = 3;
const PARENT_AT = 36;
const FLAGS_AT = 53;

/** The flags that are known of a `traceparent`; -1: it is malformed, and must be taken as if it were not there (§3.2.2). */
export function traceFlags(value: string): number {
  if (value.length < LENGTH || value.charCodeAt(2) !== DASH || value.charCodeAt(35) !== DASH || value.charCodeAt(52) !== DASH) return -1;
  const version = byteAt(value, 0);
  // A later version may say more behind what is known of this one.
  if (version === -1 || version === 255 || (value.length > LENGTH && (version === 0 || value.charCodeAt(LENGTH) !== DASH))) return -1;
  if (!isId(value, 3, 35) || !isId(value, 36, 52)) return -1;
  const flags = byteAt(value, 53);
  return flags === -1 ? -1 : flags & KNOWN_FLAGS;
}

/** Of a `traceparent` that is well formed. */
export function traceIdOf(value: string): string {
  return value.slice(3, 35);
}

/** Of a `traceparent` that is well formed. */
export function parentIdOf(value: string): string {
  return value.slice(36, 52);
}

/** @param flags as `traceFlags` gives them. */
export function formatTraceparent(traceId: string, spanId: string, flags: number): string {
  return `00-${traceId}-${spanId}-0${flags}`;
}

/** Several headers are one list, joined by commas. False: it has to be left out (§3.3). */
export function isTracestate(value: string): boolean {
  if (value.length > STATE_LENGTH_MAX * 2) return false;
  const members = value
    .split(',')
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter((member) => member !== '');
  if (members.length > STATE_MEMBERS_MAX || !members.every((member) => STATE_MEMBER.test(member))) return false;
  return new Set(members.map((member) => member.slice(0, member.indexOf('=')))).size === members.length;
}

/** 16 hexadecimal digits, not all 0. @param random uniform in [0, 1). */
export function newSpanId(random: () => number): string {
  writeDigits(PARENT_AT, bits32(random));
  writeDigits(PARENT_AT + 8, bits32(random) || 1);
  return written.toString('latin1', PARENT_AT, FLAGS_AT - 1);
}

/**
 * A `traceparent` of a new trace, sampled by its id: so many of all ids are above the threshold, and the answer for an id is the same everywhere
 * (consistent probability sampling of OpenTelemetry). Its parent id is for traces that are not sampled: nobody will know a span by it.
 * @param random uniform in [0, 1).
 */
export function drawTraceparent(percent: number, random: () => number): string {
  const high = bits32(random);
  const low = bits32(random) || 1;
  writeDigits(TRACE_AT, bits32(random));
  writeDigits(TRACE_AT + 8, bits32(random));
  writeDigits(TRACE_AT + 16, high);
  writeDigits(TRACE_AT + 24, low);
  writeDigits(PARENT_AT, high);
  writeDigits(PARENT_AT + 8, low);
  const isSampled = (high & 0xff_ff_ff) * 2 ** 32 + low >= (1 - percent / 100) * RANDOM_VALUES;
  written[FLAGS_AT + 1] = isSampled ? 0x31 : 0x30;
  return written.toString('latin1', 0, LENGTH);
}

/** What is written next. In one piece of memory: pieces of text put together cost twice as much. */
const written = Buffer.from(formatTraceparent('0'.repeat(32), '0'.repeat(16), 0), 'latin1');

function bits32(random: () => number): number {
  return (random() * 2 ** 32) >>> 0;
}

function writeDigits(at: number, value: number): void {
  for (let digit = 7, rest = value; digit >= 0; digit--, rest >>>= 4) written[at + digit] = DIGITS[rest & 15]!;
}

/** Lower-case digits alone count (§3.2.2.3), and not 0 alone. */
function isId(value: string, start: number, end: number): boolean {
  let isZero = true;
  for (let at = start; at < end; at++) {
    const digit = digitAt(value, at);
    if (digit === -1) return false;
    if (digit !== 0) isZero = false;
  }
  return !isZero;
}

function byteAt(value: string, at: number): number {
  const high = digitAt(value, at);
  const low = digitAt(value, at + 1);
  return high === -1 || low === -1 ? -1 : high * 16 + low;
}

function digitAt(value: string, at: number): number {
  const code = value.charCodeAt(at);
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  return code >= 0x61 && code <= 0x66 ? code - 0x57 : -1;
}
