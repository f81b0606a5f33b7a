// The public keys of an issuer (RFC 7517 §5), and which of them may have signed a token. A key is only used for algorithms of its own kind, whatever the
// token says, so that no token can have a public key taken for a shared secret.
import { modelAlgorithm } from './signed-token.ts';
import { isJsonObject, memberOf, parseUniqueObject } from './unique-json.ts';
import type { JsonObject, JsonValue } from './unique-json.ts';

export interface PublicKey {
  /** Undefined: it has no name. */
  readonly kid: string | undefined;
  /** The public members alone. */
  readonly jwk: Readonly<Record<string, string>>;
  /** Equal for keys that are equal in all that is said here. */
  readonly text: string;
  /** Algorithms of the model that it may be used for. */
  readonly algorithms: readonly string[];
}

export interface KeySet {
  readonly keys: readonly PublicKey[];
  /** What was left out, and why. */
  readonly ignored: readonly string[];
}

/** Issuers have two or three at a time. */
const KEYS_MAX = 64;
/** RFC 7518 §3.3. */
const RSA_BITS_MIN = 2_048;
/** Longer ones only make a signature slow to check. */
const RSA_BITS_MAX = 8_192;

const RSA_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
/** By the curve. */
const CURVE_ALGORITHMS: Readonly<Record<string, string>> = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512', Ed25519: 'EdDSA' };
const PUBLIC_MEMBERS: Readonly<Record<string, readonly string[]>> = {
  RSA: ['kty', 'n', 'e'],
  EC: ['kty', 'crv', 'x', 'y'],
  OKP: ['kty', 'crv', 'x'],
};

/** A reason in place of a set that has no key to check a signature with. */
export function parseKeySet(text: string): KeySet | string {
  const set = parseUniqueObject(text);
  const list = set && memberOf(set, 'keys');
  if (!Array.isArray(list)) return 'it is no JSON Web Key Set: there is no list "keys"';
  const keys: PublicKey[] = [];
  const ignored: string[] = [];
  for (const [index, entry] of (list as readonly JsonValue[]).entries()) {
    const key = keys.length < KEYS_MAX ? readKey(entry) : `more than ${KEYS_MAX} keys`;
    if (typeof key === 'string') ignored.push(`key ${index + 1}: ${key}`);
    else keys.push(key);
  }
  return keys.length > 0 ? { keys, ignored } : `it has no key that tokens can be checked with${ignored.map((why) => `; ${why}`).join('')}`;
}

function readKey(jwk: JsonValue): PublicKey | string {
  if (!isJsonObject(jwk)) return 'it is no object';
  const kty = memberOf(jwk, 'kty');
  const members = typeof kty === 'string' && Object.hasOwn(PUBLIC_MEMBERS, kty) ? PUBLIC_MEMBERS[kty]! : undefined;
  if (members === undefined) return 'its kind is not supported';
  // Whoever has read it can sign.
  if (memberOf(jwk, 'd') !== undefined) return 'it is a private key that lies open';
  const use = memberOf(jwk, 'use');
  if (use !== undefined && use !== 'sig') return 'it is not for signatures';
  const operations = memberOf(jwk, 'key_ops');
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return 'it is not for checking signatures';
  const kid = memberOf(jwk, 'kid');
  if (kid !== undefined && typeof kid !== 'string') return 'its "kid" is no text';
  const values: Record<string, string> = {};
  for (const name of members) {
    const value = memberOf(jwk, name);
    if (typeof value !== 'string') return `it lacks "${name}"`;
    values[name] = value;
  }
  const algorithms = algorithmsOf(jwk, values);
  if (typeof algorithms === 'string') return algorithms;
  return { kid, jwk: values, text: JSON.stringify([kid ?? null, values, algorithms]), algorithms };
}

function algorithmsOf(jwk: JsonObject, values: Readonly<Record<string, string>>): readonly string[] | string {
  const { kty, n = '', crv = '' } = values;
  const bits = Buffer.from(n, 'base64url').length * 8;
  if (kty === 'RSA' && (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX))
    return `it has ${bits} bits; ${RSA_BITS_MIN} to ${RSA_BITS_MAX} are taken`;
  const byCurve = Object.hasOwn(CURVE_ALGORITHMS, crv) ? CURVE_ALGORITHMS[crv]! : undefined;
  if (kty !== 'RSA' && (byCurve === undefined || (byCurve === 'EdDSA') !== (kty === 'OKP'))) return 'its curve is not supported';
  const possible = byCurve === undefined ? RSA_ALGORITHMS : [byCurve];
  const alg = memberOf(jwk, 'alg');
  if (alg === undefined) return possible;
  return typeof alg === 'string' && possible.includes(modelAlgorithm(alg)) ? [modelAlgorithm(alg)] : 'its "alg" does not fit its kind';
}

/** A token that names no key may have been signed by any of an issuer's; more are not tried. */
const UNNAMED_MAX = 4;

/**
 * The keys that may have signed a token with this header. None: it names one that the issuer does not have, or one of another kind.
 * @param header passed `checkTokenHeader`.
 */
export function keysFor({ keys }: KeySet, header: JsonObject): readonly PublicKey[] {
  const algorithm = modelAlgorithm(memberOf(header, 'alg') as string);
  const kid = memberOf(header, 'kid');
  const fitting = keys.filter((key) => key.algorithms.includes(algorithm) && (kid === undefined || key.kid === kid));
  return fitting.slice(0, UNNAMED_MAX);
}
