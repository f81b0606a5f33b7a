// The one form of a path. Servers behind a data plane decode, fold and cut paths each in its own way; so what two servers could read as
// different paths is either brought to one form, which is what gets forwarded, or not understood at all.
// A data plane whose policy reads paths forwards the normalised path (see `CompiledAccess.readsPaths`). A path that is not understood fits every
// rule that denies by path and none that allows by path: what is allowed all the same, is allowed whatever it means.
import { pathEnd } from '../routing/request.ts';

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;

/** What becomes of a character of a path as it stands. */
const KEEP = 0;
const ENCODE = 1;
const REFUSE = 2;

/** RFC 3986 §3.3 `pchar`, without `;`: servers that know parameters of segments (RFC 3986 §3.3, last paragraph) cut them off, others do not. */
const AS_IT_IS = /[A-Za-z0-9\-._~!$&'()*+,=:@/%]/;
/** No URI has them, but clients send them and servers take them for what they are when encoded. */
const ENCODED = /["<>[\]^`{|}]/;
/** RFC 3986 §2.3: encoded or not, it is the same. */
const UNRESERVED = /[A-Za-z0-9\-._~]/;

const KINDS = Uint8Array.from({ length: 128 }, (_, code) => {
  const char = String.fromCharCode(code);
  return AS_IT_IS.test(char) ? KEEP : ENCODED.test(char) ? ENCODE : REFUSE;
});

/**
 * | in the path | what becomes of it |
 * |---|---|
 * | `/a/./b`, `/a/../b` (RFC 3986 §5.2.4), `/../a` | resolved; nothing leads above the root |
 * | `//` | one slash, after dot segments are resolved |
 * | `%41`, `%2e`, `%7E`: encoded letters, digits, `-` `.` `_` `~` | decoded, before dot segments are resolved |
 * | other `%xx`, as `%20`, `%3a`, `%c3%a9` | kept, in upper case |
 * | `"` `<` `>` `[` `]` `^` `` ` `` `{` `|` `}` | encoded |
 * | `%2f`, `%5c`, a backslash | not understood: a separator to some servers |
 * | `;`, `%3b` | not understood: ends the segment to some servers |
 * | `%00` to `%1f`, `%7f`, and these characters themselves, blanks, `#`, what is not ASCII | not understood |
 * | `%25` before two hexadecimal digits | not understood: something else to servers that decode twice |
 * | `%` before anything else, bytes that are no UTF-8 (also over-long forms) | not understood |
 * | no slash at the beginning (absolute-form, authority-form) | not understood; data planes show the path alone |
 * | `*` of `OPTIONS *` | kept; only rules without paths, or for all of them, fit |
 *
 * Upper and lower case are different paths, `/a` and `/a/` too (rules that deny look at both, see permission.ts). The query is kept as it is.
 * The result of the result is the result.
 * @param path with or without its query.
 * @returns undefined: not understood. The very same string when there was nothing to do.
 */
export function normalizePath(path: string): string | undefined {
  if (path.charCodeAt(0) !== SLASH) return path === '*' ? path : undefined;
  const end = pathEnd(path);
  if (isNormal(path, end)) return path;
  const text = decoded(path, end);
  if (text === undefined || /%25[0-9A-F]{2}/i.test(text)) return undefined;
  const result = resolved(text);
  return end === path.length ? result : result + path.slice(end);
}

/** Encoded or not, these are the same to servers, but for the few to which a plus is a blank: so they are forwarded as they came. */
const SAME_WHEN_DECODED = /%(?:2[146-9A-C]|3[AD]|40)/g;

/**
 * What rules compare: a normalised path in which `!` `$` `&` `'` `(` `)` `*` `+` `,` `:` `=` `@` are never encoded.
 * @param normal from `normalizePath`, without its query.
 */
export function comparedPath(normal: string): string {
  if (!normal.includes('%')) return normal;
  return normal.replace(SAME_WHEN_DECODED, (encoding) => String.fromCharCode(Number.parseInt(encoding.slice(1), 16)));
}

/**
 * The same for all paths that differ in case alone, also in that of letters that are not ASCII.
 * @param path as rules compare it.
 */
export function foldedPath(path: string): string {
  return path.replace(/(?:%[89A-F][0-9A-F])+/g, folded).toLowerCase();
}

/**
 * What servers make of it that ignore dots and blanks at the end of a segment, as Windows does for files.
 * @param path folded, with a slash at its end.
 */
export function trimmedPath(path: string): string {
  return path.includes('./') || path.includes('%20/') ? path.replace(/(?:\.|%20)+(?=\/)/g, '').replace(/\/{2,}/g, '/') : path;
}

/** Both ways: some letters have only one of the two. */
function folded(encoding: string): string {
  return encodeURIComponent(decodeURIComponent(encoding).toUpperCase().toLowerCase());
}

/** Whether nothing is to be done; some paths that are normal have to be looked at closely to know that. */
function isNormal(path: string, end: number): boolean {
  let before = 0;
  for (let at = 0; at < end; at++) {
    const code = path.charCodeAt(at);
    if (code >= 128 || KINDS[code] !== KEEP || code === PERCENT) return false;
    if (before === SLASH && (code === SLASH || (code === DOT && isDots(path, at, end)))) return false;
    before = code;
  }
  return true;
}

/** Whether the segment that begins here is `.` or `..`. */
function isDots(path: string, at: number, end: number): boolean {
  let next = at + 1;
  if (next < end && path.charCodeAt(next) === DOT) next++;
  return next === end || path.charCodeAt(next) === SLASH;
}

/** With every character in its one form; undefined where it has none. */
function decoded(path: string, end: number): string | undefined {
  const bytes = new Utf8();
  let text = '';
  for (let at = 0; at < end; at++) {
    const code = path.charCodeAt(at);
    const kind = code < 128 ? KINDS[code] : REFUSE;
    if (kind === REFUSE) return undefined;
    if (code !== PERCENT) {
      if (!bytes.mayEnd) return undefined;
      text += kind === KEEP ? path[at] : encoded(code);
      continue;
    }
    const value = hexByte(path, at + 1, end);
    if (value === undefined || !mayStandEncoded(value) || !bytes.take(value)) return undefined;
    const char = String.fromCharCode(value);
    text += value < 128 && UNRESERVED.test(char) ? char : encoded(value);
    at += 2;
  }
  return bytes.mayEnd ? text : undefined;
}

function encoded(code: number): string {
  return `%${code.toString(16).toUpperCase().padStart(2, '0')}`;
}

function hexByte(path: string, at: number, end: number): number | undefined {
  const digits = path.slice(at, Math.min(at + 2, end));
  return /^[0-9A-Fa-f]{2}$/.test(digits) ? Number.parseInt(digits, 16) : undefined;
}

/** No controls, slash, backslash or semicolon. */
function mayStandEncoded(value: number): boolean {
  return value >= 0x20 && value !== 0x7f && value !== SLASH && value !== 0x5c && value !== 0x3b;
}

/** Whether encoded bytes are UTF-8 (RFC 3629 §4): other forms of a slash or a dot are read by servers that do not look closely. */
class Utf8 {
  private missing = 0;
  private from = 0x80;
  private to = 0xbf;

  get mayEnd(): boolean {
    return this.missing === 0;
  }

  take(byte: number): boolean {
    if (this.missing > 0) {
      const fits = byte >= this.from && byte <= this.to;
      this.missing--;
      this.from = 0x80;
      this.to = 0xbf;
      return fits;
    }
    if (byte < 0x80) return true;
    if (byte < 0xc2 || byte > 0xf4) return false;
    this.missing = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    // Over-long forms, surrogates, and what is beyond the last character.
    if (byte === 0xe0) this.from = 0xa0;
    else if (byte === 0xed) this.to = 0x9f;
    else if (byte === 0xf0) this.from = 0x90;
    else if (byte === 0xf4) this.to = 0x8f;
    return true;
  }
}

/** Dot segments removed, then empty segments but the last. */
function resolved(path: string): string {
  const segments = path.split('/');
  const last = segments.length - 1;
  const kept: string[] = [];
  for (let index = 1; index <= last; index++) {
    const segment = segments[index] as string;
    if (segment === '..') kept.pop();
    else if (segment !== '.') {
      kept.push(segment);
      continue;
    }
    if (index === last) kept.push('');
  }
  return `/${kept.filter((segment, index) => segment !== '' || index === kept.length - 1).join('/')}`;
}
