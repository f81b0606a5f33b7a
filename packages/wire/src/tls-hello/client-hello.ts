// The body of a ClientHello (RFC 8446 §4.1.2): what a proxy decides by, out of a message that is complete.

import type { TlsHelloViolationCode } from './violations.ts';

export interface TlsHello {
  /** Server name (RFC 6066 §3) in lower case, without a dot at the end; undefined when the client names none. */
  readonly serverName: string | undefined;
  /** Application protocols (RFC 7301), the preferred one first, one character per byte; empty when the client offers none. GREASE left out. */
  readonly alpn: readonly string[];
  /** Versions as on the wire (0x0304 is TLS 1.3), the preferred one first. GREASE left out. */
  readonly versions: readonly number[];
}

const SERVER_NAME = 0;
const ALPN = 16;
const SUPPORTED_VERSIONS = 43;
const HOST_NAME = 0;
const HOST_NAME_CHARS_MAX = 255;
const RANDOM_BYTES = 32;
const TLS_1_2 = 0x0303;

/** Reads vectors: a length, then as many bytes. Lengths that lead outside are marked, not thrown. */
class Cursor {
  readonly bytes: Buffer;
  at: number;
  readonly end: number;
  /** A length was wrong: everything read since is meaningless. */
  failed = false;

  constructor(bytes: Buffer, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get isDone(): boolean {
    return this.failed || this.at >= this.end;
  }

  /** An unsigned integer of one or two bytes. */
  integer(bytes: 1 | 2): number {
    const from = this.skip(bytes);
    if (from === -1) return 0;
    return bytes === 1 ? this.bytes[from]! : this.bytes.readUInt16BE(from);
  }

  /** Skips so many bytes and returns where they begin, or -1 and marks the failure. */
  skip(bytes: number): number {
    const from = this.at;
    if (this.failed || from + bytes > this.end) {
      this.failed = true;
      return -1;
    }
    this.at = from + bytes;
    return from;
  }

  /** A vector whose length has so many bytes; an empty one when it leads outside. */
  vector(lengthBytes: 1 | 2): Cursor {
    const length = this.integer(lengthBytes);
    const from = this.skip(length);
    return from === -1 ? new Cursor(this.bytes, 0, 0) : new Cursor(this.bytes, from, from + length);
  }

  text(): string {
    return this.bytes.toString('latin1', this.at, this.end);
  }
}

/** The ClientHello whose body is bytes[from, end), or the rule that it violates. */
export function readClientHello(bytes: Buffer, from: number, end: number): TlsHello | TlsHelloViolationCode {
  const body = new Cursor(bytes, from, end);
  const legacyVersion = body.integer(2);
  body.skip(RANDOM_BYTES);
  const session = body.vector(1);
  const suites = body.vector(2);
  const compression = body.vector(1);
  if (body.failed || legacyVersion >> 8 !== 3 || lengthOf(session) > 32 || !isPairs(suites) || lengthOf(compression) === 0) {
    return 'BAD_HELLO';
  }
  const found = findExtensions(body);
  if (typeof found === 'string') return found;
  const serverName = found.serverName === undefined ? undefined : readServerName(found.serverName);
  if (serverName !== undefined && typeof serverName !== 'string') return serverName.fault;
  const alpn = found.alpn === undefined ? [] : readAlpn(found.alpn);
  if (alpn === undefined) return 'BAD_ALPN';
  // RFC 8446 §4.2.1: without the list it is the older field, in which no version above 1.2 can be said.
  const versions = found.versions === undefined ? [Math.min(legacyVersion, TLS_1_2)] : readVersions(found.versions);
  return versions === undefined ? 'BAD_VERSIONS' : { serverName, alpn, versions };
}

interface Found {
  serverName: Cursor | undefined;
  alpn: Cursor | undefined;
  versions: Cursor | undefined;
}

function findExtensions(body: Cursor): Found | TlsHelloViolationCode {
  const found: Found = { serverName: undefined, alpn: undefined, versions: undefined };
  // Clients before TLS 1.2 may send none (RFC 5246 §7.4.1.2).
  if (body.isDone) return found;
  const extensions = body.vector(2);
  if (body.failed || !body.isDone) return 'BAD_HELLO';
  const seen = new Set<number>();
  while (!extensions.isDone) {
    const type = extensions.integer(2);
    const content = extensions.vector(2);
    if (extensions.failed) return 'BAD_HELLO';
    if (seen.has(type)) return 'REPEATED_EXTENSION';
    seen.add(type);
    if (type === SERVER_NAME) found.serverName = content;
    else if (type === ALPN) found.alpn = content;
    else if (type === SUPPORTED_VERSIONS) found.versions = content;
  }
  return found;
}

function readServerName(content: Cursor): string | { readonly fault: TlsHelloViolationCode } {
  const fault = { fault: 'BAD_SERVER_NAME' } as const;
  const names = content.vector(2);
  if (content.failed || !content.isDone) return fault;
  // RFC 6066 §3: host names are the only kind there is, and there is one of a kind.
  const kind = names.integer(1);
  const name = names.vector(2);
  if (names.failed || !names.isDone || kind !== HOST_NAME || lengthOf(name) > HOST_NAME_CHARS_MAX) return fault;
  const text = name.text().toLowerCase().replace(/\.$/, '');
  return /^[a-z0-9._-]+$/.test(text) ? text : fault;
}

function readAlpn(content: Cursor): string[] | undefined {
  const names = content.vector(2);
  if (content.failed || !content.isDone || names.isDone) return undefined;
  const protocols: string[] = [];
  while (!names.isDone) {
    const name = names.vector(1);
    if (names.failed || lengthOf(name) === 0) return undefined;
    const isTwoBytes = lengthOf(name) === 2;
    if (!isTwoBytes || !isGrease(name.bytes.readUInt16BE(name.at))) protocols.push(name.text());
  }
  return protocols;
}

function readVersions(content: Cursor): number[] | undefined {
  const list = content.vector(1);
  if (content.failed || !content.isDone || !isPairs(list)) return undefined;
  const versions: number[] = [];
  while (!list.isDone) {
    const version = list.integer(2);
    if (!isGrease(version)) versions.push(version);
  }
  return versions;
}

/** RFC 8701 §2: 0x0A0A, 0x1A1A … 0xFAFA are sent so that nobody relies on knowing every value. */
function isGrease(value: number): boolean {
  return (value & 0x0f0f) === 0x0a0a && value >> 8 === (value & 0xff);
}

function isPairs(vector: Cursor): boolean {
  return lengthOf(vector) > 0 && lengthOf(vector) % 2 === 0;
}

function lengthOf(vector: Cursor): number {
  return vector.end - vector.at;
}
