// The text of a join token: `heddle-join.<base64url(JSON {v, id, ns, svc, pin, exp})>.<base64url of 32 secret bytes>`. The claims
// are for the joiner (whom to trust, who it will be) and are not signed: the control plane believes its own record only.
import { isSpiffeId } from './spiffe.ts';

export const JOIN_TOKEN_VERSION = 1;
export const JOIN_SECRET_BYTES = 32;
const PREFIX = 'heddle-join';
/** Names are bounded to 63 characters, so a real token has some 400 characters. */
const TEXT_LENGTH_MAX = 2048;
const PIN = /^[A-Za-z0-9_-]{43}$/;
const TOKEN_ID = /^[A-Za-z0-9_-]{8,64}$/;

export interface JoinToken {
  /** Under which the control plane remembers it. Not secret. */
  readonly id: string;
  readonly namespace: string;
  readonly service: string;
  /** base64url SHA-256 of the root's SubjectPublicKeyInfo in DER. */
  readonly pin: string;
  /** Unix time in milliseconds; `exp` in the text. */
  readonly notAfterMs: number;
  readonly secret: Uint8Array;
}

/** `malformed`: not a token, or damaged. `wrong-version`: made by another generation of Heddle. */
export type JoinTokenErrorCode = 'malformed' | 'wrong-version';

export type JoinTokenResult =
  | { readonly ok: true; readonly token: JoinToken }
  | { readonly ok: false; readonly code: JoinTokenErrorCode; readonly reason: string };

/** Throws RangeError when a part is not what `parseJoinToken` would accept. */
export function formatJoinToken(token: JoinToken): string {
  const claims = { v: JOIN_TOKEN_VERSION, id: token.id, ns: token.namespace, svc: token.service, pin: token.pin, exp: token.notAfterMs };
  const text = `${PREFIX}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${Buffer.from(token.secret).toString('base64url')}`;
  const back = parseJoinToken(text);
  if (!back.ok) throw new RangeError(back.reason);
  return text;
}

/** Surrounding white space is ignored (tokens are pasted). Never throws, never repeats the secret in its reason. */
export function parseJoinToken(text: string): JoinTokenResult {
  const malformed = (what: string): JoinTokenResult => ({
    ok: false,
    code: 'malformed',
    reason: `The join token is not usable: ${what}. Copy it whole, or make a new one with \`heddle token create --service NAME\`.`,
  });
  const trimmed = text.trim();
  if (trimmed.length > TEXT_LENGTH_MAX) return malformed(`it has ${trimmed.length} characters, more than any token`);
  const parts = trimmed.split('.');
  if (parts[0] !== PREFIX) return malformed(`it does not begin with "${PREFIX}."`);
  if (parts.length !== 3) return malformed(`it has ${parts.length} parts between dots instead of 3`);
  const claims = readClaims(parts[1] as string);
  if (claims === undefined) return malformed('its second part is damaged');
  if (claims.v !== JOIN_TOKEN_VERSION) {
    if (!Number.isSafeInteger(claims.v)) return malformed('its second part has no version');
    return {
      ok: false,
      code: 'wrong-version',
      reason: `The join token has version ${String(claims.v)}, this Heddle reads version ${JOIN_TOKEN_VERSION}. Make the token with the same release that joins.`,
    };
  }
  const secret = decodeBase64Url(parts[2] as string);
  if (secret === undefined || secret.length !== JOIN_SECRET_BYTES) return malformed('its third part is damaged');
  const { id, ns, svc, pin, exp } = claims;
  if (typeof id !== 'string' || !TOKEN_ID.test(id)) return malformed('its id is damaged');
  if (typeof ns !== 'string' || typeof svc !== 'string' || !isSpiffeId({ trustDomain: 'x', namespace: ns, name: svc }))
    return malformed('it names no service');
  if (typeof pin !== 'string' || !PIN.test(pin)) return malformed('its pin is damaged');
  if (typeof exp !== 'number' || !Number.isSafeInteger(exp) || exp < 0) return malformed('its time of expiry is damaged');
  return { ok: true, token: { id, namespace: ns, service: svc, pin, notAfterMs: exp, secret } };
}

function readClaims(part: string): Record<string, unknown> | undefined {
  const bytes = decodeBase64Url(part);
  if (bytes === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined unless it is the one canonical form: the same token never has two texts. */
function decodeBase64Url(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}
