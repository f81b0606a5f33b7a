// What a peer may make a decoder hold. Over `listBytesMax`, `fieldsMax` and `stringBytesMax` a block is decoded to its end, without being
// kept, and marked `tooLarge`; over `blockBytesMax` decoding stops, and the connection with it.

export interface HpackLimits {
  /** The header list by the measure of RFC 9113 §10.5.1: what SETTINGS_MAX_HEADER_LIST_SIZE announces. Default 65,536, as HTTP/1.1 heads. */
  readonly listBytesMax: number;
  /** Fields of one block, pseudo-header fields included. Default 132: 128 header lines, as in HTTP/1.1, and four of those. */
  readonly fieldsMax: number;
  /** One name or value, decoded. Default 65,536: only the list limits it, as in HTTP/1.1. */
  readonly stringBytesMax: number;
  /** One block as it is sent, CONTINUATION frames included. Default 131,072: an honest block is smaller than the list it stands for. */
  readonly blockBytesMax: number;
}

export const DEFAULT_HPACK_LIMITS: HpackLimits = {
  listBytesMax: 65_536,
  fieldsMax: 132,
  stringBytesMax: 65_536,
  blockBytesMax: 131_072,
};
