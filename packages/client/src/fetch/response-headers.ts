// Headers of responses in the two forms that handlers take.
import type { ResponseHeaders } from './types.ts';

type Flat = readonly string[];

/** Names that were seen, as bytes. Peers choose names: there may be no end of them. */
const nameBytes = new Map<string, Buffer>();
const NAMES_MAX = 512;

export function headersObject(flat: Flat | undefined): ResponseHeaders {
  const headers: ResponseHeaders = {};
  if (flat === undefined) return headers;
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const name = flat[at]!;
    const value = flat[at + 1]!;
    const before = Object.hasOwn(headers, name) ? headers[name] : undefined;
    if (before === undefined) {
      if (name === '__proto__') Object.defineProperty(headers, name, { value, enumerable: true, configurable: true, writable: true });
      else headers[name] = value;
    } else if (typeof before === 'string') headers[name] = [before, value];
    else before.push(value);
  }
  return headers;
}

/** As undici's parser gives them to handlers of the older kind. */
export function headersBytes(flat: Flat | undefined): Buffer[] {
  if (flat === undefined) return [];
  const bytes: Buffer[] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) bytes.push(bytesOfName(flat[at]!), Buffer.from(flat[at + 1]!, 'latin1'));
  return bytes;
}

function bytesOfName(name: string): Buffer {
  const known = nameBytes.get(name);
  if (known !== undefined) return known;
  const bytes = Buffer.from(name, 'latin1');
  if (nameBytes.size < NAMES_MAX) nameBytes.set(name, bytes);
  return bytes;
}
