// What a frame header must look like for its type (RFC 9113 §6): on which streams, and how large.

import type { ConnectionViolationCode } from './errors.ts';
import { FLAG, FRAME, PING_BYTES, SETTING_BYTES } from './frame.ts';

export function frameFault(type: number, flags: number, streamId: number, length: number): ConnectionViolationCode | undefined {
  switch (type) {
    case FRAME.data:
    case FRAME.headers:
    case FRAME.priority:
    case FRAME.continuation:
      return streamId === 0 ? 'STREAM_NEEDED' : undefined;
    case FRAME.rstStream:
      if (streamId === 0) return 'STREAM_NEEDED';
      return length === 4 ? undefined : 'BAD_FRAME_SIZE';
    case FRAME.windowUpdate:
      return length === 4 ? undefined : 'BAD_FRAME_SIZE';
    case FRAME.settings:
      if (streamId !== 0) return 'STREAM_NOT_ALLOWED';
      if ((flags & FLAG.ack) !== 0) return length === 0 ? undefined : 'BAD_FRAME_SIZE';
      return length % SETTING_BYTES === 0 ? undefined : 'BAD_FRAME_SIZE';
    case FRAME.ping:
      if (streamId !== 0) return 'STREAM_NOT_ALLOWED';
      return length === PING_BYTES ? undefined : 'BAD_FRAME_SIZE';
    case FRAME.goaway:
      if (streamId !== 0) return 'STREAM_NOT_ALLOWED';
      return length >= 8 ? undefined : 'BAD_FRAME_SIZE';
    case FRAME.pushPromise:
      // We are a server, to whom nothing is pushed, or a client that has switched it off (§8.4).
      return 'PUSH_NOT_ALLOWED';
    default:
      return undefined;
  }
}
