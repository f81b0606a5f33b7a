// Where a request carries a token (RFC 6750 §2.1 and its kin): the text of it, or that something stands there which cannot be one. What stands in
// its place twice is no token either: two readers would each take another.
import type { TokenSource } from '../model/security.ts';
import type { RequestView } from '../routing/request.ts';

const BLANK = 0x20;
const TAB = 0x09;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;

/** Something stands where a token belongs, and it is none. */
export const NOT_A_TOKEN = Symbol('not a token');

/** The token; undefined: there is none, or something else, like the credentials of another scheme. */
export function tokenAt(source: TokenSource, request: Pick<RequestView, 'header'>): string | typeof NOT_A_TOKEN | undefined {
  if (source.kind === 'cookie') return cookieToken(request.header('cookie'), source.name);
  const first = request.header(source.name, 0);
  if (first === undefined) return undefined;
  const token = headerToken(first, source.prefix);
  if (request.header(source.name, 1) === undefined) return token;
  for (let line = 1, next: string | undefined = first; next !== undefined; next = request.header(source.name, line++))
    if (headerToken(next, source.prefix) !== undefined) return NOT_A_TOKEN;
  return undefined;
}

/**
 * Applications read this header, too, and not all of them with care: what any of them could take for a token under this prefix is one, or is refused.
 * @param value of one line. @param prefix what stands before the token, in any letter case, since schemes have none (RFC 9110 §11.1); a blank at its end stands for
 * one or more of them.
 */
export function headerToken(value: string, prefix: string): string | typeof NOT_A_TOKEN | undefined {
  if (prefix === '') return value === '' ? NOT_A_TOKEN : value;
  const scheme = prefix.trimEnd();
  const isWord = scheme.length < prefix.length;
  if (!beginsWith(value, 0, scheme, isWord)) return isHidden(value, scheme, isWord) ? NOT_A_TOKEN : undefined;
  let at = scheme.length;
  // `Bearer` alone, too: somebody meant to send one.
  if (isWord && value.charCodeAt(at) !== BLANK) return NOT_A_TOKEN;
  if (isWord) while (value.charCodeAt(at) === BLANK) at++;
  return at === value.length ? NOT_A_TOKEN : value.slice(at);
}

/** RFC 9110 §5.6.2: what a scheme could go on with. */
const WORD = /[!#$%&'*+.^_`|~0-9A-Za-z-]/;

/** @param isWord the scheme ends there. */
function beginsWith(value: string, at: number, scheme: string, isWord: boolean): boolean {
  const end = at + scheme.length;
  if (value.length < end || value.slice(at, end).toLowerCase() !== scheme.toLowerCase()) return false;
  return !isWord || end === value.length || !WORD.test(value[end]!);
}

/** Behind a comma, where two lines were joined by somebody, or behind what some take for white space. */
function isHidden(value: string, scheme: string, isWord: boolean): boolean {
  let comma = -1;
  do {
    let at = comma + 1;
    while (at < value.length && isBlankToSome(value.charCodeAt(at))) at++;
    if (at > 0 && beginsWith(value, at, scheme, isWord)) return true;
    comma = value.indexOf(',', comma + 1);
  } while (comma !== -1);
  return false;
}

/** A scheme begins with none of them. */
function isBlankToSome(code: number): boolean {
  return isBlank(code) || code > 0x7e;
}

/** @param header all lines of `cookie`, joined by `; `. */
function cookieToken(header: string | undefined, name: string): string | typeof NOT_A_TOKEN | undefined {
  if (header === undefined || !header.includes(name)) return undefined;
  let found: string | undefined;
  for (const [start, end] of pairs(header)) {
    // Some applications part cookies at commas, too (RFC 2109 §4.3.4).
    if (hidesCookie(header, start, end, name)) return NOT_A_TOKEN;
    const value = valueAt(header, start, end, name);
    if (value === -1) continue;
    if (found !== undefined) return NOT_A_TOKEN;
    found = unquoted(header.slice(value, end));
  }
  return found === '' ? NOT_A_TOKEN : found;
}

function hidesCookie(header: string, start: number, end: number, name: string): boolean {
  for (let comma = header.indexOf(',', start); comma !== -1 && comma < end; comma = header.indexOf(',', comma + 1)) {
    let at = comma + 1;
    while (isBlank(header.charCodeAt(at))) at++;
    if (valueAt(header, at, end, name) !== -1) return true;
  }
  return false;
}

/** Where the value of the cookie of this name begins that stands here; -1: it is another one. Blanks behind the name are none of it. */
function valueAt(header: string, start: number, end: number, name: string): number {
  if (!header.startsWith(name, start)) return -1;
  let at = start + name.length;
  while (isBlank(header.charCodeAt(at))) at++;
  if (at >= end || header.charCodeAt(at) !== EQUALS) return -1;
  at++;
  while (at < end && isBlank(header.charCodeAt(at))) at++;
  return at;
}

/** The header without this cookie; undefined: nothing is left. */
export function withoutCookie(header: string, name: string): string | undefined {
  const kept: string[] = [];
  for (const [start, end] of pairs(header)) if (valueAt(header, start, end, name) === -1) kept.push(header.slice(start, end));
  return kept.length === 0 ? undefined : kept.join('; ');
}

/** Where each cookie stands, without the blanks around it (RFC 6265 §5.4 reads them so). */
function* pairs(header: string): Iterable<readonly [start: number, end: number]> {
  let at = 0;
  while (at < header.length) {
    let end = header.indexOf(';', at);
    if (end === -1) end = header.length;
    let start = at;
    let last = end;
    while (start < last && isBlank(header.charCodeAt(start))) start++;
    while (last > start && isBlank(header.charCodeAt(last - 1))) last--;
    if (last > start && header.charCodeAt(start) !== SEMICOLON) yield [start, last];
    at = end + 1;
  }
}

function unquoted(value: string): string {
  const end = value.length - 1;
  return end >= 1 && value.charCodeAt(0) === QUOTE && value.charCodeAt(end) === QUOTE ? value.slice(1, end) : value;
}

function isBlank(code: number): boolean {
  return code === BLANK || code === TAB;
}
