// What can be wrong with a header block. Each is a connection error COMPRESSION_ERROR (RFC 9113 §4.3), except BLOCK_TOO_LARGE, which is
// ENHANCE_YOUR_CALM: after any of them the tables of the two sides differ, so the connection cannot go on.

export const HPACK_VIOLATIONS = {
  BAD_INTEGER: { section: 'RFC 7541 §5.1', rule: 'An integer in a header block is larger than anything it can stand for.' },
  BAD_HUFFMAN: {
    section: 'RFC 7541 §5.2',
    rule: 'A Huffman-coded string must not contain EOS and ends with at most seven bits of padding, all set.',
  },
  BAD_INDEX: { section: 'RFC 7541 §2.3.3, §6.1', rule: 'An index points at no entry of the static and the dynamic table.' },
  BAD_SIZE_UPDATE: { section: 'RFC 7541 §6.3', rule: 'A dynamic table size update is above the announced limit.' },
  LATE_SIZE_UPDATE: { section: 'RFC 7541 §4.2', rule: 'A dynamic table size update must come before the first field of a block.' },
  MISSING_SIZE_UPDATE: {
    section: 'RFC 7541 §4.2',
    rule: 'After the table size limit was lowered, the next block must begin with a dynamic table size update.',
  },
  TRUNCATED_BLOCK: { section: 'RFC 7541 §3.2', rule: 'A header block ends in the middle of a field.' },
  BLOCK_TOO_LARGE: { section: 'RFC 9113 §10.5', rule: 'A header block has more bytes than the limit.' },
} as const satisfies Record<string, { section: string; rule: string }>;

export type HpackViolationCode = keyof typeof HPACK_VIOLATIONS;
