// One cookie out of a request, and the line that sets one (RFC 6265).

const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BLANK = 0x20;
const TAB = 0x09;

/**
 * The first cookie of this name, without the quotes that may stand around it; undefined: there is none.
 * @param header all lines of `cookie`, joined by `; `; undefined: none.
 */
export function cookieValue(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined;
  let at = 0;
  while (at < header.length) {
    while (isBlank(header.charCodeAt(at)) || header.charCodeAt(at) === SEMICOLON) at++;
    let end = header.indexOf(';', at);
    if (end === -1) end = header.length;
    if (header.startsWith(name, at) && header.charCodeAt(at + name.length) === EQUALS) return trimmed(header, at + name.length + 1, end);
    at = end + 1;
  }
  return undefined;
}

function trimmed(header: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(header.charCodeAt(start))) start++;
  while (end > start && isBlank(header.charCodeAt(end - 1))) end--;
  if (end - start >= 2 && header.charCodeAt(start) === QUOTE && header.charCodeAt(end - 1) === QUOTE)
    return header.slice(start + 1, end - 1);
  return header.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === BLANK || code === TAB;
}

/**
 * Value of `set-cookie` for a cookie that only tells instances or versions apart: scripts of the page need not see it, and other sites must
 * not use it.
 * @param name a token, checked with the configuration. @param value of characters that cookies may hold (RFC 6265 §4.1.1).
 * @param ttlMs 0: until the browser ends. Less than a second counts as one.
 */
export function setCookie(name: string, value: string, ttlMs: number): string {
  const age = ttlMs === 0 ? '' : `; Max-Age=${Math.max(1, Math.round(ttlMs / 1_000))}`;
  return `${name}=${value}; Path=/${age}; HttpOnly; SameSite=Lax`;
}
