// What a peer may make us hold or do for one message. Every limit applies before the memory is spent.

export interface Http1Limits {
  /** Method, target, version and line end. Default 16,384: twice what nginx takes. Over it: 414. */
  readonly requestLineBytesMax: number;
  /** The whole head, start line and final empty line included. Default 65,536: tokens and cookies outgrow the 16 KiB that Node takes by
   *  default. Over it: 431. */
  readonly headBytesMax: number;
  /** Header lines. Default 128: somewhat more than HAProxy's 101. Over it: 431. */
  readonly headersMax: number;
  /** Members of all Connection headers. Default 32: each costs a look at every header line. Over it: 431. */
  readonly connectionOptionsMax: number;
  /** Empty lines before a request line (RFC 9112 §2.2 asks for at least one). Default 4. Over it: 400. */
  readonly emptyLinesMax: number;
  /** Chunk extensions of one body together. Default 4,096: hardly used except to make a receiver work (CVE-2023-39326). Over it: 400. */
  readonly chunkExtensionBytesMax: number;
  /** The trailer section, final empty line included. Default 8,192. Over it: 431. */
  readonly trailerBytesMax: number;
  /** Trailer lines. Default 32. Over it: 431. */
  readonly trailersMax: number;
  /** Interim (1xx) responses before the final one. Default 32: progress reports are fine, an endless row is not. Over it: 502. */
  readonly interimResponsesMax: number;
}

export const DEFAULT_HTTP1_LIMITS: Http1Limits = {
  requestLineBytesMax: 16_384,
  headBytesMax: 65_536,
  headersMax: 128,
  connectionOptionsMax: 32,
  emptyLinesMax: 4,
  chunkExtensionBytesMax: 4_096,
  trailerBytesMax: 8_192,
  trailersMax: 32,
  interimResponsesMax: 32,
};
