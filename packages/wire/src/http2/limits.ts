// What a peer may make us hold or do. Each limit applies before the memory or the work is spent; the budgets refill with time and with
// useful work, so that only a peer that does little else than to keep us busy runs out of them.

/** How often something may happen: `burst` at once, refilled by `perSecond`, by each stream that both sides ended, and by each DATA frame
 *  with something in it, in either direction. */
export interface Http2Budget {
  readonly burst: number;
  readonly perSecond: number;
  readonly perExchange: number;
  readonly perData: number;
}

export interface Http2Limits {
  /** Streams that the peer may have open: SETTINGS_MAX_CONCURRENT_STREAMS. Default 256: the traffic of a busy proxy at 10 ms a request is
   *  25,000 a second; RFC 9113 §6.5.2 asks for at least 100. Over it: REFUSED_STREAM, which may be retried. */
  readonly concurrentStreamsMax: number;
  /** Window of each stream: what one slow reader can make us hold. Default 262,144: 1 Gbit/s at 2 ms. */
  readonly streamWindowBytes: number;
  /** Window of the connection: what all its slow readers together can make us hold. Default 1,048,576: four full streams. Once that much
   *  is unconsumed, the connection stands still. */
  readonly connectionWindowBytes: number;
  /** SETTINGS_MAX_FRAME_SIZE. Default 16,384, the protocol's least: an incomplete frame is held, except DATA, which pass in pieces. */
  readonly frameBytesMax: number;
  /** Header list by the measure of RFC 9113 §10.5.1: SETTINGS_MAX_HEADER_LIST_SIZE. Default 65,536, as HTTP/1.1 heads. Over it: 431. */
  readonly headerListBytesMax: number;
  /** Fields of one section, pseudo-header fields included. Default 132: 128 as in HTTP/1.1, and four of those. Over it: 431. */
  readonly fieldsMax: number;
  /** One header block as sent. Default 131,072: an honest one is smaller than the list it stands for. Over it: the connection ends. */
  readonly headerBlockBytesMax: number;
  /** CONTINUATION frames of one block (CVE-2024-27316). Default 16: with frames of 16 KiB four are enough for the list. */
  readonly continuationsMax: number;
  /** The HPACK table that the peer may use: SETTINGS_HEADER_TABLE_SIZE. Default 4,096, the protocol's. */
  readonly headerTableBytesMax: number;
  /** The HPACK table that we use towards the peer, if it allows it. Default 4,096, the protocol's. */
  readonly encoderTableBytesMax: number;
  /** Interim (1xx) responses before the final one. Default 32, as in HTTP/1.1. */
  readonly interimResponsesMax: number;
  /** Acknowledgements and resets gathered until the next `take`. Default 65,536: what one read of a socket can ask for is less. Over it: the
   *  connection ends. */
  readonly replyBytesMax: number;
  /** Our DATA frames. Default 16,384: small enough for streams to take turns. */
  readonly sentFrameBytesMax: number;
  /** Streams that the peer cancels, or breaks so that we must reset them, or opens beyond the limit (CVE-2023-44487, CVE-2025-8671).
   *  Default 1,000 and 33 a second, as nghttp2; every second request may be cancelled for ever. */
  readonly resets: Http2Budget;
  /** SETTINGS: each has to be applied to all streams and acknowledged. Default 100 and one a second: an honest peer sends one or two. */
  readonly settings: Http2Budget;
  /** PING: each is answered. Default 1,000 and 10 a second, and one for each DATA frame, as gRPC measures bandwidth with them. */
  readonly pings: Http2Budget;
  /** DATA without content that end nothing: free of flow control, so nothing else bounds them (CVE-2019-9518). Default 1,000 and 10 a
   *  second. */
  readonly emptyFrames: Http2Budget;
  /** WINDOW_UPDATE. Default 10,000 and 100 a second; the wordiest honest peers send two for each DATA frame. Frames that a tiny window cut
   *  short do not refill it, so that nobody can have a body served byte by byte. */
  readonly windowUpdates: Http2Budget;
  /** LOAD frames, where they are answered. Default 1,000, 1,000 a second and three for each request: what a probing balancer sends at most. */
  readonly loadQuestions: Http2Budget;
  /** PRIORITY, PRIORITY_UPDATE and unknown frames: ignored (CVE-2019-9513). Default 1,000 and 50 a second; browsers send some per request. */
  readonly ignoredFrames: Http2Budget;
  /** Frames on closed streams. Default 20,000 and 100 a second: a full window of small DATA may be under way when we reset a stream. */
  readonly lateFrames: Http2Budget;
}

export const DEFAULT_HTTP2_LIMITS: Http2Limits = {
  concurrentStreamsMax: 256,
  streamWindowBytes: 262_144,
  connectionWindowBytes: 1_048_576,
  frameBytesMax: 16_384,
  headerListBytesMax: 65_536,
  fieldsMax: 132,
  headerBlockBytesMax: 131_072,
  continuationsMax: 16,
  headerTableBytesMax: 4_096,
  encoderTableBytesMax: 4_096,
  interimResponsesMax: 32,
  replyBytesMax: 65_536,
  sentFrameBytesMax: 16_384,
  resets: { burst: 1_000, perSecond: 33, perExchange: 1, perData: 0 },
  settings: { burst: 100, perSecond: 1, perExchange: 0, perData: 0 },
  pings: { burst: 1_000, perSecond: 10, perExchange: 1, perData: 1 },
  loadQuestions: { burst: 1_000, perSecond: 1_000, perExchange: 3, perData: 0 },
  emptyFrames: { burst: 1_000, perSecond: 10, perExchange: 1, perData: 0 },
  windowUpdates: { burst: 10_000, perSecond: 100, perExchange: 4, perData: 4 },
  ignoredFrames: { burst: 1_000, perSecond: 50, perExchange: 10, perData: 0 },
  lateFrames: { burst: 20_000, perSecond: 100, perExchange: 1, perData: 0 },
};
