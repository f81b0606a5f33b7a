// `grpc-message`: text as UTF-8, in which every byte but visible ASCII, space included and `%` not, is written as `%` and two digits.

import { HEX_VALUE } from '../bytes/chars.ts';

const PERCENT = 0x25;
const HEX = '0123456789ABCDEF';

/** Text as the value of `grpc-message`. Lone surrogates become U+FFFD. */
export function encodeGrpcMessage(text: string): string {
  if (/^[ -$&-~]*$/.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== PERCENT;
    encoded += isPlain ? String.fromCharCode(byte) : `%${HEX[byte >> 4]}${HEX[byte & 0x0f]}`;
  }
  return encoded;
}

/** The text in a value of `grpc-message` (one byte per character). Never fails: a `%` without two digits stays as it is, and what is no UTF-8
 *  becomes U+FFFD, since a damaged message is better than none. */
export function decodeGrpcMessage(value: string): string {
  if (/^[ -$&-~]*$/.test(value)) return value;
  const bytes = Buffer.from(value, 'latin1');
  let to = 0;
  for (let at = 0; at < bytes.length; at++) {
    const high = bytes[at] === PERCENT && at + 2 < bytes.length ? HEX_VALUE[bytes[at + 1]!]! : 255;
    const low = high === 255 ? 255 : HEX_VALUE[bytes[at + 2]!]!;
    if (low === 255) {
      bytes[to++] = bytes[at]!;
    } else {
      bytes[to++] = high * 16 + low;
      at += 2;
    }
  }
  return bytes.toString('utf8', 0, to);
}
