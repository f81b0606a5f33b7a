// Names of addresses (RFC 1035 §3.5, RFC 3596 §2.5), and which of these names are the mesh's own.
import { ipBytes } from '@heddle/core';

/** Virtual addresses are of 240.0.0.0/4 without 255: these fifteen zones exist nowhere else. */
const VIRTUAL_ZONE = /(?:^|\.)(24\d|25[0-4])\.in-addr\.arpa$/;

/** An address in the form in which it is answered; an IPv6 address that stands for an IPv4 one is that one. Undefined when it is none. */
export function recordOf(address: string): { readonly type: 'A' | 'AAAA'; readonly data: string } | undefined {
  const bytes = ipBytes(address);
  if (bytes === undefined) return undefined;
  if (bytes.length === 4) return { type: 'A', data: address };
  return isMapped(bytes) ? { type: 'A', data: bytes.subarray(12).join('.') } : { type: 'AAAA', data: address };
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

/** `10.1.2.3` → `3.2.1.10.in-addr.arpa`. Undefined when it is no address. */
export function reverseName(address: string): string | undefined {
  const record = recordOf(address);
  const bytes = record === undefined ? undefined : ipBytes(record.data);
  if (bytes === undefined) return undefined;
  if (bytes.length === 4) return `${[...bytes].reverse().join('.')}.in-addr.arpa`;
  const nibbles = [...bytes].flatMap((byte) => [byte >> 4, byte & 0xf]).reverse();
  return `${nibbles.map((nibble) => nibble.toString(16)).join('.')}.ip6.arpa`;
}

/** The reverse zone of virtual addresses that a name is in, `250.in-addr.arpa` for example. */
export function virtualReverseZone(name: string): string | undefined {
  const octet = VIRTUAL_ZONE.exec(name)?.[1];
  return octet === undefined ? undefined : `${octet}.in-addr.arpa`;
}
