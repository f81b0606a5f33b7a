// Domain names as bytes and as keys. A key is the name in lower case without the last dot; bytes that no name of the mesh can hold are
// escaped in it (`\046`), so that two different names never have the same key.

const LABEL_BYTES_MAX = 63;
const NAME_BYTES_MAX = 255;
/** Text of the longest name: 255 bytes less the first length and the root. */
const NAME_CHARS_MAX = 253;
/** Letters, digits and dashes as in host names, and the underscore of RFC 2782. */
const PLAIN_LABEL = /^[a-z0-9_-]{1,63}$/;

export interface NameRead {
  readonly key: string;
  /** Behind the name. */
  readonly end: number;
}

/**
 * A name without compression, as the question of a query has it: there is nothing before it that a pointer could lead to. Undefined when it
 * is none.
 */
export function readName(message: Uint8Array, offset: number): NameRead | undefined {
  let at = offset;
  let key = '';
  for (;;) {
    const length = message[at];
    if (length === undefined || length > LABEL_BYTES_MAX || at + 1 + length > message.length) return undefined;
    at += 1;
    if (at + length - offset > NAME_BYTES_MAX) return undefined;
    if (length === 0) return { key, end: at };
    if (key !== '') key += '.';
    for (const end = at + length; at < end; at += 1) key += keyOfByte(message[at]!);
  }
}

function keyOfByte(byte: number): string {
  if (byte >= 0x41 && byte <= 0x5a) return String.fromCharCode(byte + 0x20);
  const isPlain = (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x5f;
  return isPlain ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, '0')}`;
}

/** Where a name ends, compressed or not; undefined when the message ends before. What a pointer leads to is not looked at. */
export function skipName(message: Uint8Array, offset: number): number | undefined {
  for (let at = offset; at - offset < NAME_BYTES_MAX; ) {
    const length = message[at];
    if (length === undefined) return undefined;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2 <= message.length ? at + 2 : undefined;
    // 0x40 and 0x80 are reserved (RFC 6891 §5).
    if (length > LABEL_BYTES_MAX) return undefined;
    at += 1 + length;
  }
  return undefined;
}

/** In lower case, when it can be a name of the mesh in DNS without escapes; else undefined. Dots separate labels. */
export function plainName(text: string): string | undefined {
  const name = text.toLowerCase();
  return name.length <= NAME_CHARS_MAX && name.split('.').every((label) => PLAIN_LABEL.test(label)) ? name : undefined;
}

/** Why `plainName` gives nothing, in words. */
export function whyNotPlain(text: string): string {
  if (text.length > NAME_CHARS_MAX) return `it has ${text.length} characters, and a name in DNS has at most ${NAME_CHARS_MAX}`;
  const label = text.split('.').find((part) => !PLAIN_LABEL.test(part.toLowerCase())) ?? '';
  if (label === '') return 'two dots have nothing between them';
  if (label.length > LABEL_BYTES_MAX)
    return `${JSON.stringify(label)} has ${label.length} characters, and a part of a name in DNS has at most ${LABEL_BYTES_MAX}`;
  return `${JSON.stringify(label)} has other characters than letters, digits, "-" and "_"`;
}

/** The names below which `name` is, nearest first: `a.b.c` gives `b.c` and `c`. */
export function* ancestors(name: string): Iterable<string> {
  for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) yield name.slice(dot + 1);
}
