// Whether connections to virtual addresses get as far as the rules: the kernel first looks for a route, and fails without one.
import { VIRTUAL_NETWORK } from '@heddle/core';

export const MISSING_ROUTE = `no route leads to ${VIRTUAL_NETWORK}: calls fail with "network is unreachable" before they can be captured; add one with \`ip route add ${VIRTUAL_NETWORK} dev lo src 127.0.0.1\``;

/** The highest and the lowest address: a default route leads to both. */
const SAMPLES = [0xf000_0001, 0xfeff_fffe];
const RTF_UP = 1;
const RTF_REJECT = 0x200;

/** @param text `/proc/net/route`: one line a route, addresses as hexadecimal numbers in the byte order of the network read by the machine. */
export function leadsToVirtualNetwork(text: string, littleEndian: boolean): boolean {
  const routes = text
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s+/))
    .filter((fields) => (Number.parseInt(fields[3] ?? '0', 16) & (RTF_UP | RTF_REJECT)) === RTF_UP)
    .map((fields) => ({ to: number(fields[1] ?? '', littleEndian), mask: number(fields[7] ?? '', littleEndian) }));
  return SAMPLES.every((address) => routes.some(({ to, mask }) => (address & mask) >>> 0 === to));
}

function number(hex: string, littleEndian: boolean): number {
  const value = Number.parseInt(hex, 16) >>> 0;
  if (!littleEndian) return value;
  return (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}
