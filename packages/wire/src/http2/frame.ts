// The numbers of RFC 9113 §6: frame types, flags and settings.

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
  /** Ours: how loaded a peer is (see `load.ts`). An unknown frame to all who have not agreed to it (§5.5). */
  load: 0xe9,
} as const;

export const FLAG = { endStream: 0x01, ack: 0x01, endHeaders: 0x04, padded: 0x08, priority: 0x20 } as const;

export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  /** RFC 8441 §3. */
  enableConnectProtocol: 8,
  /** Ours, 1: LOAD frames are answered. Unknown settings are ignored (§6.5.2). */
  answersLoad: 0xe9d0,
} as const;

export const FRAME_HEADER_BYTES = 9;
export const SETTING_BYTES = 6;
export const PING_BYTES = 8;

/** RFC 9113 §6.9.1, §6.5.2, §5.1.1: the largest window, and the largest stream id. */
export const WINDOW_MAX = 0x7fffffff;
export const STREAM_ID_MAX = 0x7fffffff;
/** What holds until SETTINGS say otherwise (§6.5.2, §6.9.2). */
export const DEFAULT_WINDOW_BYTES = 65_535;
export const DEFAULT_FRAME_BYTES = 16_384;
export const FRAME_BYTES_MAX = 0xffffff;
export const DEFAULT_TABLE_BYTES = 4_096;

/** RFC 9113 §3.4: what a client sends first. */
export const CLIENT_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** Unsigned 32 bits at `at`. */
export function readUint32(bytes: Buffer, at: number): number {
  return bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
}

/** 31 bits at `at`; the reserved bit is ignored (§4.1). */
export function readUint31(bytes: Buffer, at: number): number {
  return ((bytes[at]! & 0x7f) << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
