// Reading DER strictly: definite lengths in their shortest form, one-byte tags, no trailing bytes. Whatever else arrives is
// refused with DerError; nothing is copied and nothing recurses, so hostile input costs no more than its length.
import { TAG } from './der.ts';

export class DerError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DerError';
  }
}

export interface DerElement {
  readonly tag: number;
  /** Tag, length and content. */
  readonly whole: Uint8Array;
  readonly content: Uint8Array;
}

/** Walks over the elements that follow one another in `bytes`. */
export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** The next element's tag without taking it; undefined at the end. */
  peekTag(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** The next element, which must have the tag where one is given. */
  take(expectedTag?: number): DerElement {
    const start = this.#at;
    const tag = this.#octet();
    if ((tag & 0x1f) === 0x1f) throw new DerError('a multi-byte tag is not supported');
    if (expectedTag !== undefined && tag !== expectedTag)
      throw new DerError(`expected tag 0x${expectedTag.toString(16)}, found 0x${tag.toString(16)}`);
    const length = this.#length();
    const contentStart = this.#at;
    if (length > this.#bytes.length - contentStart) throw new DerError('an element is longer than what holds it');
    this.#at = contentStart + length;
    return { tag, whole: this.#bytes.subarray(start, this.#at), content: this.#bytes.subarray(contentStart, this.#at) };
  }

  takeOptional(tag: number): DerElement | undefined {
    return this.peekTag() === tag ? this.take() : undefined;
  }

  end(): void {
    if (!this.atEnd) throw new DerError('there are bytes after the last expected element');
  }

  #octet(): number {
    const octet = this.#bytes[this.#at];
    if (octet === undefined) throw new DerError('the bytes end in the middle of an element');
    this.#at++;
    return octet;
  }

  #length(): number {
    const first = this.#octet();
    if (first < 0x80) return first;
    const octets = first & 0x7f;
    if (octets === 0) throw new DerError('indefinite length is not DER'); // X.690 10.1
    if (octets > 4) throw new DerError('a length of more than 4 octets');
    let length = 0;
    for (let i = 0; i < octets; i++) length = length * 256 + this.#octet();
    if (length < 0x80 || length < 256 ** (octets - 1)) throw new DerError('a length is not in its shortest form');
    return length;
  }
}

/** The one element that `bytes` must be. */
export function readWhole(bytes: Uint8Array, tag: number): Uint8Array {
  const reader = new DerReader(bytes);
  const { content } = reader.take(tag);
  reader.end();
  return content;
}

export function readOid(content: Uint8Array): string {
  if (content.length === 0 || (content.at(-1) as number) >= 0x80) throw new DerError('an object identifier is cut off');
  const arcs: number[] = [];
  let arc = 0;
  let fresh = true;
  for (const octet of content) {
    if (fresh && octet === 0x80) throw new DerError('an arc of an object identifier has a leading zero'); // X.690 8.19.2
    arc = arc * 128 + (octet & 0x7f);
    if (arc > Number.MAX_SAFE_INTEGER / 128) throw new DerError('an arc of an object identifier is too large');
    fresh = octet < 0x80;
    if (fresh) {
      arcs.push(arc);
      arc = 0;
    }
  }
  const joined = arcs.shift() as number;
  const first = Math.min(2, Math.floor(joined / 40)); // X.690 8.19.4
  return [first, joined - first * 40, ...arcs].join('.');
}

export function readBoolean(content: Uint8Array): boolean {
  // X.690 11.1: TRUE is all ones.
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) throw new DerError('a BOOLEAN is neither FALSE nor TRUE');
  return content[0] === 0xff;
}

/** Numbers of the bits that are set, ascending. */
export function readNamedBits(content: Uint8Array): number[] {
  const unused = content[0];
  if (unused === undefined || unused > 7 || (content.length === 1 && unused !== 0)) throw new DerError('a BIT STRING is malformed');
  const bits: number[] = [];
  for (let bit = 0; bit < (content.length - 1) * 8 - unused; bit++) {
    if (((content[1 + (bit >> 3)] as number) & (0x80 >> (bit & 7))) !== 0) bits.push(bit);
  }
  return bits;
}

/** ASCII text. Controls and bytes above 0x7e are refused: names are compared and printed. */
export function readPrintableAscii(content: Uint8Array): string {
  for (const octet of content) if (octet < 0x20 || octet > 0x7e) throw new DerError('a name holds a byte that is not printable ASCII');
  return String.fromCharCode(...content);
}

/** Milliseconds since the Unix epoch. RFC 5280 4.1.2.5: UTC, with seconds, without fractions. */
export function readTime(element: DerElement): number {
  const text = readPrintableAscii(element.content);
  let match: RegExpExecArray | null = null;
  if (element.tag === TAG.utcTime) match = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  else if (element.tag === TAG.generalizedTime) match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) throw new DerError('a time is not in the form that RFC 5280 4.1.2.5 asks for');
  const [written, month, day, hour, minute, second] = match.slice(1).map(Number) as [number, number, number, number, number, number];
  let year = written;
  if (element.tag === TAG.utcTime) year += written >= 50 ? 1900 : 2000; // RFC 5280 4.1.2.5.1
  const unixMs = Date.UTC(year, month - 1, day, hour, minute, second);
  const back = new Date(unixMs).toISOString().slice(0, 19).replace(/[-:T]/g, '');
  if (back !== `${String(year).padStart(4, '0')}${text.slice(-11, -1)}`) throw new DerError('a time names a moment that does not exist');
  return unixMs;
}
