// The form of a token, before anything it says is believed: its length, its characters, and of a JSON Web Token (RFC 7519) in the compact form of RFC 7515
// §7.1 the header and claims. Base64url has one way to write each value here, so that a token has one text.
import { parseUniqueObject } from './unique-json.ts';
import type { JsonObject } from './unique-json.ts';

/** A signed token whose signature nobody has checked yet. */
export interface SignedToken {
  readonly header: JsonObject;
  readonly claims: JsonObject;
}

/** `opaque`: no JSON Web Token; what it means, only its issuer knows. */
export type TokenForm =
  | { readonly kind: 'signed'; readonly token: SignedToken }
  | { readonly kind: 'opaque' }
  | { readonly kind: 'malformed'; readonly reason: string };

/** RFC 6750 §2.1: `b64token`. */
const BEARER_CHARACTERS = /^[A-Za-z0-9._~+/-]+=*$/;
const SIGNED_PARTS = 3;
const ENCRYPTED_PARTS = 5;
const BRACE = 0x7b;
const BLANKS = /^[\t\n\r ]*\{/;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @param lengthMax longer ones are not looked at. */
export function readTokenForm(text: string, lengthMax: number): TokenForm {
  if (text.length > lengthMax) return malformed(`it has ${text.length} characters, more than ${lengthMax}`);
  if (!BEARER_CHARACTERS.test(text)) return malformed('it holds characters that no token has');
  const parts = text.split('.');
  // RFC 7516 §9: how the two are told apart from one another and from all else.
  const isJose = (parts.length === SIGNED_PARTS || parts.length === ENCRYPTED_PARTS) && beginsObject(parts[0]!);
  if (!isJose) return { kind: 'opaque' };
  if (parts.length === ENCRYPTED_PARTS) return malformed('it is encrypted (JWE), which is not supported');
  return readSigned(parts as [string, string, string]);
}

function readSigned([headerPart, claimsPart, signature]: readonly [string, string, string]): TokenForm {
  const header = readObject(headerPart);
  if (header === undefined) return malformed('its header is not a JSON object in base64url, or names a member twice');
  // RFC 7515 Appendix F: a detached payload.
  if (claimsPart === '') return malformed('it has no claims');
  const claims = readObject(claimsPart);
  if (claims === undefined) return malformed('its claims are not a JSON object in base64url, or name a member twice');
  if (signature === '') return malformed('it is not signed');
  return decode(signature) === undefined
    ? malformed('its signature is not written in base64url')
    : { kind: 'signed', token: { header, claims } };
}

function readObject(part: string): JsonObject | undefined {
  const bytes = decode(part);
  if (bytes === undefined) return undefined;
  try {
    return parseUniqueObject(utf8.decode(bytes));
  } catch {
    return undefined;
  }
}

/** RFC 4648 §5 without padding, and without bits that mean nothing; undefined: it is none. */
function decode(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.toString('base64url') === part ? bytes : undefined;
}

/** However sloppily it is written: what was meant as a JSON Web Token is not taken for an opaque one. */
function beginsObject(part: string): boolean {
  const bytes = Buffer.from(part.slice(0, 64), 'base64url');
  return bytes[0] === BRACE || BLANKS.test(bytes.toString('latin1'));
}

function malformed(reason: string): TokenForm {
  return { kind: 'malformed', reason };
}
