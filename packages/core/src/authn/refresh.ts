// When keys of issuers are asked for again, and tokens of our own are renewed: before it is needed, at times that are spread, and after failures later and later. What was
// had last stays in use meanwhile.
import { backoffMs } from '../resilience/backoff.ts';
import type { Backoff } from '../resilience/backoff.ts';

/** Nobody is served from what has failed to come; so the wait stays short. */
const FETCH_BACKOFF: Backoff = { baseMs: 500, maxMs: 15_000 };
/** Data planes that started together shall not ask together. */
const JITTER = 0.2;
/** Unknown key names come from attackers, too: more often than this they cause no question. */
export const UNKNOWN_KEY_PAUSE_MS = 30_000;

/** An issuer that says less would be asked without a pause. */
const KEYS_AGE_MIN_MS = 30_000;

/**
 * @param maxAgeMs as configured. @param saidMs how long the answer holds, as the issuer says: it may shorten that; undefined: it does not say.
 * @param random uniform in [0, 1).
 */
export function nextKeysMs(nowMs: number, maxAgeMs: number, saidMs: number | undefined, random: () => number): number {
  const ageMs = saidMs === undefined ? maxAgeMs : Math.min(maxAgeMs, Math.max(saidMs, KEYS_AGE_MIN_MS));
  return nowMs + ageMs * (1 - JITTER * random());
}

/** @param failures in a row, this one included. @param random uniform in [0, 1). */
export function nextTryMs(nowMs: number, failures: number, random: () => number): number {
  // Half of the wait is fixed, so that a lucky die cannot make it a busy loop.
  return nowMs + backoffMs(FETCH_BACKOFF, failures - 1, () => 0.5 + random() / 2);
}

/** Whether a key that is not known is a reason to ask for all keys now. @param lastMs when it last was; undefined: never. */
export function mayAskForUnknownKey(lastMs: number | undefined, nowMs: number): boolean {
  return lastMs === undefined || nowMs - lastMs >= UNKNOWN_KEY_PAUSE_MS;
}

/** A token of our own: from `renewMs` on a new one is asked for, from `endMs` on this one is not used any more. */
export interface TokenTimes {
  readonly renewMs: number;
  readonly endMs: number;
}

/** RFC 6749 §5.1: an issuer may leave out how long a token lives. */
const LIFE_DEFAULT_MS = 300_000;
/** Longer lives are cut: a renewal then takes up what has changed since. */
const LIFE_MAX_MS = 86_400_000;
/** The call takes its time, and clocks differ; of short lives a tenth. */
const END_MARGIN_MS = 10_000;
const END_MARGIN_SHARE = 0.1;
/** Of the usable life. */
const RENEW_AT = 0.75;

/**
 * @param nowMs when the token was asked for. @param lifeMs as its issuer says; undefined: it does not.
 * @param random uniform in [0, 1).
 */
export function tokenTimes(nowMs: number, lifeMs: number | undefined, random: () => number): TokenTimes {
  const life = Math.min(lifeMs ?? LIFE_DEFAULT_MS, LIFE_MAX_MS);
  const usable = life - Math.min(END_MARGIN_MS, life * END_MARGIN_SHARE);
  return { renewMs: nowMs + usable * RENEW_AT * (1 - JITTER * random()), endMs: nowMs + usable };
}

/** Who is asked may answer 401 for reasons of his own: a token for each of these would be a flood at the issuer. */
export const REFUSED_TOKEN_PAUSE_MS = 10_000;

/** Whether a token that was refused where it was sent is a reason to ask for another one now. @param lastMs when it last was; undefined: never. */
export function mayRenewRefused(lastMs: number | undefined, nowMs: number): boolean {
  return lastMs === undefined || nowMs - lastMs >= REFUSED_TOKEN_PAUSE_MS;
}
