// Headers that framing, routing or hop-by-hop rules have to look at anyway are recognised while the name is scanned.

export const KIND = {
  other: 0,
  host: 1,
  connection: 2,
  contentLength: 3,
  transferEncoding: 4,
  expect: 5,
  upgrade: 6,
  proxyAuthorization: 7,
  keepAlive: 8,
  proxyConnection: 9,
  te: 10,
  proxyAuthenticate: 11,
  /** Not a name but a mark: a line that the Connection header names (RFC 9110 §7.6.1). */
  nominated: 12,
} as const;

export type Kind = (typeof KIND)[keyof typeof KIND];

export const KIND_COUNT = 13;

/** Lines that never travel further than one hop: RFC 9110 §7.6.1, and the two proxy authentication headers, which speak to the next
 *  proxy only (§11.7). Content-Length is not among them: it follows the framing. */
export const HOP_BY_HOP =
  (1 << KIND.connection) |
  (1 << KIND.transferEncoding) |
  (1 << KIND.upgrade) |
  (1 << KIND.proxyAuthorization) |
  (1 << KIND.keepAlive) |
  (1 << KIND.proxyConnection) |
  (1 << KIND.te) |
  (1 << KIND.proxyAuthenticate) |
  (1 << KIND.nominated);

/** The name of each kind, at its index. */
const NAMES: readonly string[] = [
  '',
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'expect',
  'upgrade',
  'proxy-authorization',
  'keep-alive',
  'proxy-connection',
  'te',
  'proxy-authenticate',
];

const LENGTH_MAX = 19;

/** The one kind whose name has this length and first letter: nearly every other header is told apart by one load. */
const CANDIDATES = new Uint8Array((LENGTH_MAX + 1) * 32);
for (let kind = 1; kind < NAMES.length; kind++) CANDIDATES[candidateAt(NAMES[kind]!.length, NAMES[kind]!.charCodeAt(0))] = kind;

function candidateAt(length: number, first: number): number {
  return length * 32 + (first & 31);
}

/** The kind of the name at bytes[start, end), which must consist of token characters. */
export function kindOfBytes(bytes: Buffer, start: number, end: number): Kind {
  const length = end - start;
  if (length > LENGTH_MAX) return KIND.other;
  const kind = CANDIDATES[candidateAt(length, bytes[start]!)]!;
  if (kind === 0) return KIND.other;
  const name = NAMES[kind]!;
  // Among token characters, setting bit 5 maps only the two cases of a letter onto that letter, and only `-` onto `-`.
  for (let at = 0; at < length; at++) if ((bytes[start + at]! | 0x20) !== name.charCodeAt(at)) return KIND.other;
  return kind as Kind;
}

/** The kind of a lower-case name. */
export function kindOfName(lower: string): Kind {
  const kind = NAMES.indexOf(lower);
  return kind > 0 ? (kind as Kind) : KIND.other;
}
