// `grpc-timeout`: one to eight digits and a unit. It is a duration from the moment of sending, not a point in time.

import { LocalProtocolError } from '../http1/errors.ts';

const DIGITS_MAX = 8;
const AMOUNT_MAX = 10 ** DIGITS_MAX - 1;

/** Units from fine to coarse, in milliseconds. */
const UNITS = [
  ['n', 1e-6],
  ['u', 1e-3],
  ['m', 1],
  ['S', 1_000],
  ['M', 60_000],
  ['H', 3_600_000],
] as const;
const MILLISECONDS: ReadonlyMap<string, number> = new Map(UNITS);

/** Milliseconds, with fractions; undefined when the value is not well-formed. */
export function parseGrpcTimeout(value: string): number | undefined {
  const unitMs = MILLISECONDS.get(value.charAt(value.length - 1));
  if (unitMs === undefined || value.length < 2 || value.length > DIGITS_MAX + 1) return undefined;
  let amount = 0;
  for (let at = 0; at < value.length - 1; at++) {
    const digit = value.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    amount = amount * 10 + digit;
  }
  // Dividing by the whole number is exact where multiplying by the fraction is not.
  return unitMs < 1 ? amount / Math.round(1 / unitMs) : amount * unitMs;
}

/**
 * A timeout in milliseconds as the value of `grpc-timeout`: whole milliseconds where that is exact, otherwise the finest unit that eight
 * digits can say, rounded up. Above 99,999,999 hours it is that. Throws LocalProtocolError for what is no duration.
 */
export function formatGrpcTimeout(timeoutMs: number): string {
  if (!Number.isFinite(timeoutMs) || timeoutMs < 0) {
    throw new LocalProtocolError('BAD_ARGUMENT', `${timeoutMs} is not a timeout in milliseconds; without a timeout, leave the header out.`);
  }
  if (Number.isInteger(timeoutMs) && timeoutMs <= AMOUNT_MAX) return `${timeoutMs}m`;
  for (const [unit, unitMs] of UNITS) {
    const exact = unitMs < 1 ? timeoutMs * Math.round(1 / unitMs) : timeoutMs / unitMs;
    // What the arithmetic adds in the last bits is not to be rounded up.
    const amount = Math.ceil(exact * (1 - 4 * Number.EPSILON));
    if (amount <= AMOUNT_MAX) return `${amount}${unit}`;
  }
  return `${AMOUNT_MAX}H`;
}
