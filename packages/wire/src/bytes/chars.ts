// Byte classes of HTTP's grammar as lookup tables: one load per byte decides. Every table has 256 entries.

const TOKEN_CHARS = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HOST_CHARS = "-._~%!$&'()*+,;=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

function tableOf(accepts: (byte: number) => boolean): Uint8Array {
  const table = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte++) table[byte] = accepts(byte) ? 1 : 0;
  return table;
}

/** RFC 9110 §5.6.2 tchar: methods, field names, list members. */
export const IS_TOKEN = tableOf((byte) => TOKEN_CHARS.includes(String.fromCharCode(byte)));

/** RFC 9110 §5.5: HTAB, SP, visible ASCII and obs-text; every other control byte, NUL, CR and LF are out. */
export const IS_FIELD_VALUE = tableOf((byte) => byte === 0x09 || (byte >= 0x20 && byte !== 0x7f));

/** Request target: visible ASCII without `#`, since a fragment is never sent (RFC 9112 §3.2). Browsers and `curl` leave characters such as
 *  `|` and `{` unencoded although RFC 3986 does not list them; they cannot be mistaken for a delimiter, so they pass. */
export const IS_TARGET = tableOf((byte) => byte > 0x20 && byte < 0x7f && byte !== 0x23);

/** RFC 3986 §3.2.2 reg-name; `[`, `]` and `:` are handled by the authority parser. */
export const IS_HOST = tableOf((byte) => HOST_CHARS.includes(String.fromCharCode(byte)));

/** Value of a hexadecimal digit, 255 for any other byte. */
export const HEX_VALUE = new Uint8Array(256).fill(255);
for (let digit = 0; digit < 16; digit++) {
  HEX_VALUE[digit.toString(16).charCodeAt(0)] = digit;
  HEX_VALUE[digit.toString(16).toUpperCase().charCodeAt(0)] = digit;
}

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;

/** Whether text[start, end) equals `lower` (ASCII, lower case) when letter case is ignored. */
export function equalsIgnoreCase(text: string, start: number, end: number, lower: string): boolean {
  if (end - start !== lower.length) return false;
  for (let at = 0; at < lower.length; at++) {
    const code = text.charCodeAt(start + at);
    const wanted = lower.charCodeAt(at);
    if (code !== wanted && (code < 0x41 || code > 0x5a || code + 32 !== wanted)) return false;
  }
  return true;
}
