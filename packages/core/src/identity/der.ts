// Writing ASN.1 in DER (X.690): only the types that certificates and certificate requests need, always in their one
// canonical form. Pure; every function returns a whole element (tag, length, content).

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

const CONTEXT_CLASS = 0x80;
const CONSTRUCTED = 0x20;
/** Tag numbers from 31 on need the multi-byte form (X.690 8.1.2.4), which no structure of ours uses. */
const TAG_NUMBER_MAX = 30;

/** Tag of a context-specific element: `[number]`. */
export function contextTag(number: number, constructed: boolean): number {
  if (!Number.isInteger(number) || number < 0 || number > TAG_NUMBER_MAX)
    throw new RangeError(`context tag ${number} is not within 0 to ${TAG_NUMBER_MAX}`);
  return CONTEXT_CLASS | (constructed ? CONSTRUCTED : 0) | number;
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** X.690 10.1: definite form, in the fewest octets. */
function lengthOctets(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Uint8Array.of(0x80 | octets.length, ...octets);
}

export function derElement(tag: number, content: Uint8Array): Uint8Array {
  return concatBytes([Uint8Array.of(tag), lengthOctets(content.length), content]);
}

export function derBoolean(value: boolean): Uint8Array {
  return derElement(TAG.boolean, Uint8Array.of(value ? 0xff : 0x00)); // X.690 11.1: TRUE is all ones
}

export function derNull(): Uint8Array {
  return derElement(TAG.null, new Uint8Array(0));
}

/** A non-negative integer: a small number, or a big-endian magnitude of any length. */
export function derInteger(value: number | Uint8Array): Uint8Array {
  const magnitude = typeof value === 'number' ? magnitudeOf(value) : value;
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++; // X.690 8.3.2: no needless leading octet
  const digits = magnitude.length === 0 ? Uint8Array.of(0) : magnitude.subarray(start);
  const sign = (digits[0] as number) >= 0x80 ? [Uint8Array.of(0)] : [];
  return derElement(TAG.integer, concatBytes([...sign, digits]));
}

function magnitudeOf(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is not a non-negative safe integer`);
  const octets: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Uint8Array.from(octets);
}

export function derOid(dotted: string): Uint8Array {
  if (!/^[0-2](\.(0|[1-9][0-9]{0,14}))+$/.test(dotted)) throw new RangeError(`"${dotted}" is not an object identifier`);
  const [first, second, ...rest] = dotted.split('.').map(Number) as [number, number, ...number[]];
  if (first < 2 && second > 39) throw new RangeError(`"${dotted}": the second arc is above 39`); // X.690 8.19.4
  const octets: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) octets.push(...base128(arc));
  return derElement(TAG.oid, Uint8Array.from(octets));
}

function base128(arc: number): number[] {
  const octets = [arc % 128];
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) octets.unshift(0x80 | (rest % 128));
  return octets;
}

export function derSequence(...parts: readonly Uint8Array[]): Uint8Array {
  return derElement(TAG.sequence, concatBytes(parts));
}

/** SET OF: the elements are put in ascending order of their encodings (X.690 11.6). */
export function derSetOf(...parts: readonly Uint8Array[]): Uint8Array {
  return derElement(TAG.set, concatBytes([...parts].sort(compareBytes)));
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

export function derUtf8String(text: string): Uint8Array {
  if (!text.isWellFormed()) throw new RangeError('the text holds half of a surrogate pair');
  return derElement(TAG.utf8String, new TextEncoder().encode(text));
}

export function derPrintableString(text: string): Uint8Array {
  if (!/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(text)) throw new RangeError(`"${text}" holds characters outside PrintableString`);
  return derElement(TAG.printableString, asciiBytes(text));
}

/** Bytes of a text that must be ASCII (IA5String and its implicit forms in GeneralName). */
export function asciiBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) throw new RangeError(`${JSON.stringify(text)} is not ASCII`);
    bytes[i] = code;
  }
  return bytes;
}

export function derOctetString(bytes: Uint8Array): Uint8Array {
  return derElement(TAG.octetString, bytes);
}

/** `unusedBits`: how many of the last octet's low bits do not belong to the string. */
export function derBitString(bytes: Uint8Array, unusedBits = 0): Uint8Array {
  return derElement(TAG.bitString, concatBytes([Uint8Array.of(unusedBits), bytes]));
}

/** A BIT STRING with named bits: bit 0 is the first one, trailing zeros are left out (X.690 11.2.2). */
export function derNamedBits(bits: readonly number[]): Uint8Array {
  if (bits.length === 0) return derBitString(new Uint8Array(0));
  const highest = Math.max(...bits);
  const bytes = new Uint8Array(Math.floor(highest / 8) + 1);
  for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] as number) | (0x80 >> (bit & 7));
  return derBitString(bytes, 7 - (highest & 7));
}

/** `[number] EXPLICIT`, or an implicit constructed one when `content` is the content of the replaced element. */
export function derContext(number: number, content: Uint8Array): Uint8Array {
  return derElement(contextTag(number, true), content);
}

/** `[number] IMPLICIT` of a primitive type: only the content octets are given. */
export function derContextPrimitive(number: number, content: Uint8Array): Uint8Array {
  return derElement(contextTag(number, false), content);
}

/** A point in time, in whole seconds (fractions are cut). UTCTime through 2049, GeneralizedTime after (RFC 5280 4.1.2.5). */
export function derTime(unixMs: number): Uint8Array {
  const date = new Date(unixMs);
  const year = date.getUTCFullYear();
  if (!(year >= 1950 && year <= 9999)) throw new RangeError(`${unixMs} ms is not within the years 1950 to 9999`);
  const digits = `${date.toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`;
  return year < 2050 ? derElement(TAG.utcTime, asciiBytes(digits.slice(2))) : derElement(TAG.generalizedTime, asciiBytes(digits));
}
