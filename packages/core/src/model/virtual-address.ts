// The virtual address of a service: one IPv4 address that stands for it on every machine, reached by no network. Drawn from the
// service's name, so that it is found again after everything was forgotten; who has one keeps it. Pure: the registry remembers.
import { ipBytes } from '../identity/ip.ts';

/** Reserved by RFC 1112 §4 and routed nowhere on the public internet; Linux connects to it like to any other network. */
export const VIRTUAL_NETWORK = '240.0.0.0/4';

const FIRST_OCTET = 240;
/** 255.x is left out: it holds the broadcast address, and looks like one throughout. */
const FIRST_OCTETS = 15;
/** 1 to 254: some programs take a last octet of 0 or 255 for a network's own address. */
const LAST_OCTETS = 254;
const CAPACITY = FIRST_OCTETS * 65_536 * LAST_OCTETS;
/** Draws before the next free address is taken: they only run out when nearly every address is taken. */
const DRAWS_MAX = 64;

/** Whether it is an address that a service may have. */
export function isVirtualAddress(text: string): boolean {
  const bytes = ipBytes(text);
  // Another spelling of the same address would be another name for it.
  if (bytes?.length !== 4 || bytes.join('.') !== text) return false;
  const [first = 0, , , last = 0] = bytes;
  return first >= FIRST_OCTET && first < FIRST_OCTET + FIRST_OCTETS && last >= 1 && last <= LAST_OCTETS;
}

/**
 * An address for each key (`<namespace>/<name>`), no two the same. `held`: key → address of earlier; it stays unless it is no virtual
 * address, or another key (the first in order) holds the same. The result does not depend on the order of the keys. Throws RangeError
 * when there are more keys than addresses (249,692,160).
 */
export function assignVirtualAddresses(keys: Iterable<string>, held: ReadonlyMap<string, string> = new Map()): Map<string, string> {
  const sorted = [...new Set(keys)].sort();
  if (sorted.length > CAPACITY) throw new RangeError(`there are ${CAPACITY} virtual addresses, not ${sorted.length}`);
  const assigned = new Map<string, string>();
  const taken = new Set<string>();
  const take = (key: string, address: string): void => {
    taken.add(address);
    assigned.set(key, address);
  };
  for (const key of sorted) {
    const address = held.get(key);
    if (address !== undefined && isVirtualAddress(address) && !taken.has(address)) take(key, address);
  }
  for (const key of sorted) if (!assigned.has(key)) take(key, freeAddress(key, taken));
  return assigned;
}

function freeAddress(key: string, taken: ReadonlySet<string>): string {
  let index = 0;
  for (let draw = 0; draw < DRAWS_MAX; draw += 1) {
    index = hash(key, draw) % CAPACITY;
    if (!taken.has(addressAt(index))) return addressAt(index);
  }
  while (taken.has(addressAt(index))) index = (index + 1) % CAPACITY;
  return addressAt(index);
}

function addressAt(index: number): string {
  const last = (index % LAST_OCTETS) + 1;
  const rest = Math.floor(index / LAST_OCTETS);
  return `${FIRST_OCTET + (rest >>> 16)}.${(rest >>> 8) & 0xff}.${rest & 0xff}.${last}`;
}

/** FNV-1a, mixed at the end so that names that differ in their last letter lie far apart. Not for secrets: who may name services is trusted. */
function hash(text: string, seed: number): number {
  let value = 0x811c9dc5 ^ seed;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
