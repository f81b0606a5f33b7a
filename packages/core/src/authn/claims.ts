// What rules read in the claims of a valid token, and what applications get of them in headers.
import type { ClaimHeader, ClaimMatch } from '../model/security.ts';
import { isJsonObject, memberOf } from './unique-json.ts';
import type { JsonObject, JsonValue } from './unique-json.ts';

/** The value at the end of the path; undefined: there is none. */
export function claimAt(claims: JsonObject, path: readonly string[]): JsonValue | undefined {
  let value: JsonValue | undefined = claims;
  for (const name of path) {
    if (!isJsonObject(value)) return undefined;
    value = memberOf(value, name);
  }
  return value;
}

/** RFC 8693 §4.2: a list of words with blanks between. Some issuers call it `scp`. */
export function isScopeClaim(path: readonly string[]): boolean {
  return path.length === 1 && (path[0] === 'scope' || path[0] === 'scp');
}

/** The words of a scope. */
export function scopeWords(scope: string): string[] {
  return scope.split(' ').filter((word) => word !== '');
}

/** See ClaimMatch. A text is never equal to a number that is written the same way. */
export function claimFits(claims: JsonObject, { claim, values }: ClaimMatch): boolean {
  const value = claimAt(claims, claim);
  if (value === undefined) return false;
  if (Array.isArray(value)) {
    for (const one of value as readonly JsonValue[]) if (values.includes(one as string)) return true;
    return false;
  }
  if (values.includes(value as string)) return true;
  return typeof value === 'string' && isScopeClaim(claim) && scopeWords(value).some((word) => values.includes(word));
}

const VALUE_LENGTH_MAX = 8_192;
/** RFC 9110 §5.5: no control characters, and no white space at the ends. */
const HEADER_TEXT = /^(?![\t ])[^\x00-\x08\x0a-\x1f\x7f]+(?<![\t ])$/;

/**
 * The value of a header for a claim: texts as they are (UTF-8, one character for each byte), lists of single values with commas between, all other lists and
 * objects as JSON. Undefined, and then there is no header: the claim is not there or empty, or cannot be said in a header. Values of a list that would be read as several
 * are left out.
 */
export function claimHeaderValue(claims: JsonObject, claim: readonly string[]): string | undefined {
  const value = claimAt(claims, claim);
  if (value === undefined || value === null) return undefined;
  const text = Array.isArray(value) ? listText(value as readonly JsonValue[]) : isJsonObject(value) ? jsonText(value) : String(value);
  if (text.length > VALUE_LENGTH_MAX || !isHeaderText(text)) return undefined;
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Halves of a character have no UTF-8: all would become the same sign, and two users one. */
function isHeaderText(text: string): boolean {
  return HEADER_TEXT.test(text) && text.isWellFormed();
}

function listText(values: readonly JsonValue[]): string {
  if (values.some((value) => typeof value === 'object' && value !== null)) return jsonText(values);
  return values
    .filter((value) => value !== null)
    .map(String)
    .filter((text) => !text.includes(',') && isHeaderText(text))
    .join(',');
}

function jsonText(value: JsonValue): string {
  return JSON.stringify(value).replace(/[^\x20-\x7e]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The headers of a token, in the order of the policy. */
export function claimHeadersOf(claims: JsonObject, headers: readonly ClaimHeader[]): (readonly [name: string, value: string])[] {
  return headers.flatMap(({ claim, header }) => {
    const value = claimHeaderValue(claims, claim);
    return value === undefined ? [] : [[header.toLowerCase(), value] as const];
  });
}
