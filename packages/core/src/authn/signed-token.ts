// What a signed token must say to be valid for a service (RFC 7515 §4, RFC 7519 §4, RFC 8725 §3), apart from its signature. Each check gives the reason of the
// refusal, which completes "the token was refused: " in a log, or nothing. Who sent the token is told none of it.
import type { TokenIssuer } from '../model/security.ts';
import { memberOf } from './unique-json.ts';
import type { JsonObject, JsonValue } from './unique-json.ts';

/** RFC 8725 §3.11: what else the same issuer signs (logout tokens, security events, proofs of possession) says so here. In lower case. */
const TYPES = new Set(['jwt', 'at+jwt', 'jose', 'application/jwt', 'application/at+jwt']);
/** Keys that a token brings along or points to. Only those of its issuer count: a token that comes with one was made by somebody who has no other. */
const OWN_KEYS = ['jwk', 'jku', 'x5u', 'x5c'];
/** What must be understood (RFC 7515 §4.1.11), and what would make the claims something else than was read (RFC 7797 §6, RFC 7516 §4.1.3). */
const UNSUPPORTED = ['crit', 'b64', 'zip'];

export function checkTokenHeader(header: JsonObject, { algorithms }: Pick<TokenIssuer, 'algorithms'>): string | undefined {
  const alg = memberOf(header, 'alg');
  const typ = memberOf(header, 'typ');
  const kid = memberOf(header, 'kid');
  if (typeof alg !== 'string') return 'it names no algorithm';
  if (!(algorithms as readonly string[]).includes(modelAlgorithm(alg))) return `its algorithm ${shown(alg)} is not allowed`;
  for (const name of UNSUPPORTED) if (memberOf(header, name) !== undefined) return `its header has "${name}", which is not supported`;
  for (const name of OWN_KEYS) if (memberOf(header, name) !== undefined) return `it brings a key of its own ("${name}")`;
  if (typ !== undefined && !(typeof typ === 'string' && TYPES.has(typ.toLowerCase())))
    return `its type ${shown(typ)} is not that of an access token`;
  return kid === undefined || typeof kid === 'string' ? undefined : 'its "kid" is no text';
}

/** RFC 9864 §2.2: the new name of what EdDSA has always stood for in practice. */
export function modelAlgorithm(alg: string): string {
  return alg === 'Ed25519' ? 'EdDSA' : alg;
}

/** @param nowMs Unix time. */
export function checkTokenClaims(
  claims: JsonObject,
  { issuer, audiences, skewMs }: Pick<TokenIssuer, 'issuer' | 'audiences' | 'skewMs'>,
  nowMs: number,
): string | undefined {
  const iss = memberOf(claims, 'iss');
  if (iss !== issuer) return `its issuer ${shown(iss)} is not ${shown(issuer)}`;
  if (memberOf(claims, 'exp') === undefined) return 'it has no end ("exp")';
  return checkAudience(memberOf(claims, 'aud'), audiences) ?? checkTimes(claims, skewMs, nowMs);
}

/** RFC 7519 §4.1.3: one text, or a list of texts. */
export function checkAudience(aud: JsonValue | undefined, audiences: readonly string[]): string | undefined {
  if (aud === undefined) return 'it names no audience';
  const values = Array.isArray(aud) ? (aud as readonly JsonValue[]) : [aud as JsonValue];
  for (const value of values) if (typeof value !== 'string') return 'its audience is no text';
  return (values as readonly string[]).some((value) => audiences.includes(value))
    ? undefined
    : `its audience ${shown(aud)} is not among ${audiences.map(shown).join(', ')}`;
}

/** RFC 7519 §4.1.4 to §4.1.6, as far as they are there. @param nowMs Unix time. */
export function checkTimes(claims: JsonObject, skewMs: number, nowMs: number): string | undefined {
  const endMs = timeMs(claims, 'exp');
  const beginMs = timeMs(claims, 'nbf');
  const issuedMs = timeMs(claims, 'iat');
  if (Number.isNaN(endMs) || Number.isNaN(beginMs) || Number.isNaN(issuedMs)) return 'one of its times is none';
  if (endMs !== undefined && nowMs >= endMs + skewMs) return `it ended ${seconds(nowMs - endMs)} s ago`;
  if (beginMs !== undefined && nowMs < beginMs - skewMs) return `it will be valid in ${seconds(beginMs - nowMs)} s only`;
  if (issuedMs !== undefined && nowMs < issuedMs - skewMs)
    return `it will be issued in ${seconds(issuedMs - nowMs)} s only: a clock is wrong`;
  return undefined;
}

/** When a valid token ends, Unix time; Infinity: it does not say. */
export function tokenEndMs(claims: JsonObject, skewMs: number): number {
  return (timeMs(claims, 'exp') ?? Infinity) + skewMs;
}

/** Beyond the year 33658 something else is meant than seconds. */
const SECONDS_MAX = 1e12;

/** Of a claim that is a NumericDate (RFC 7519 §2). Undefined: there is none; NaN: something else stands there. */
function timeMs(claims: JsonObject, name: string): number | undefined {
  const value = memberOf(claims, name);
  if (value === undefined) return undefined;
  return typeof value === 'number' && Math.abs(value) < SECONDS_MAX ? value * 1_000 : Number.NaN;
}

const SHOWN_LENGTH_MAX = 128;

/** As it may stand in a log: in one line, in ASCII, and not too long. */
function shown(value: JsonValue | undefined): string {
  const text = JSON.stringify(value ?? null).replace(/[^\x20-\x7e]/g, '?');
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}...` : text;
}

function seconds(durationMs: number): number {
  return Math.round(durationMs / 1_000);
}
