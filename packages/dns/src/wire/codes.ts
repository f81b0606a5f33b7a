// Numbers of the protocol (IANA "Domain Name System (DNS) Parameters"), as far as something here depends on them.

export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  NAPTR: 35,
  DS: 43,
  DNSKEY: 48,
  SVCB: 64,
  HTTPS: 65,
  OPT: 41,
  TKEY: 249,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
  CAA: 257,
} as const;

const TYPE_NAMES = new Map<number, string>(Object.entries(TYPE).map(([name, type]) => [type, name]));

/** For labels of metrics: anybody can ask for any of 65,536 types, so those without a name here are `other`. */
export function typeName(type: number): string {
  return TYPE_NAMES.get(type) ?? 'other';
}

export const CLASS = { IN: 1, ANY: 255 } as const;

export const OPCODE_QUERY = 0;

export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const;
export type Rcode = (typeof RCODE)[keyof typeof RCODE];

const RCODE_NAMES = new Map<number, string>(Object.entries(RCODE).map(([name, code]) => [code, name]));

export function rcodeName(rcode: number): string {
  return RCODE_NAMES.get(rcode) ?? 'other';
}

/** Bits of the header's third and fourth byte (RFC 1035 §4.1.1, RFC 4035 §3). */
export const FLAG = { QR: 0x8000, AA: 0x0400, TC: 0x0200, RD: 0x0100, RA: 0x0080, AD: 0x0020, CD: 0x0010 } as const;

/** Of EDNS0 (RFC 6891 §6.1.3). */
export const DO_BIT = 0x8000;
/** What every resolver takes without EDNS0 (RFC 1035 §4.2.1). */
export const PLAIN_UDP_BYTES = 512;
/** A message on TCP has a length of 16 bits. */
export const MESSAGE_BYTES_MAX = 65_535;
export const HEADER_BYTES = 12;

/** Extended DNS errors (RFC 8914 §4): why, for people who debug. */
export const EDE = {
  STALE: 3,
  NOT_READY: 14,
  PROHIBITED: 18,
  NOT_AUTHORITATIVE: 20,
  NO_REACHABLE_AUTHORITY: 22,
  NETWORK_ERROR: 23,
} as const;

export interface ExtendedError {
  readonly code: (typeof EDE)[keyof typeof EDE];
  readonly text: string;
}
