// Cuts bytes into frames (RFC 9113 §4). DATA pass through in the pieces in which they come; other frames are given whole, from the pushed
// bytes where they lie in one piece, else from a copy that is never larger than one frame.

import type { ConnectionViolationCode } from './errors.ts';
import { CLIENT_PREFACE, FLAG, FRAME, FRAME_HEADER_BYTES, readUint31 } from './frame.ts';

export interface FrameSink {
  /** A frame header has come. Sizes up to the limit only. */
  onFrameHeader(type: number, flags: number, streamId: number, length: number): void;
  /** Header of DATA, after `onFrameHeader`. `length`: of the whole payload; `content`: without padding. */
  onDataHeader(streamId: number, endStream: boolean, length: number, content: number): void;
  /** A piece of its content, never empty. */
  onDataPiece(bytes: Buffer, start: number, end: number): void;
  /** Any other known frame, complete: its payload is bytes[start, end), valid during the call. */
  onFrame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void;
  /** The peer broke the framing. */
  onFault(code: ConnectionViolationCode): void;
}

const NOTHING = Buffer.alloc(0);
/** A frame header and the length of padding. */
const PADDED_HEADER_BYTES = FRAME_HEADER_BYTES + 1;

export class FrameReader {
  /** Largest payload accepted. */
  frameBytesMax: number;
  /** Discards whatever comes. */
  stopped = false;
  /** Type of the one extension frame that both sides have agreed on; -1: there is none. */
  extensionType = -1;
  private readonly sink: FrameSink;
  /** Bytes of the client's preface still to come. */
  private prefaceLeft: number;
  private contentLeft = 0;
  /** Padding, or the payload of an unknown frame. */
  private skipLeft = 0;
  /** A frame that did not come at once. */
  private carry: Buffer = NOTHING;
  private carried = 0;
  private headerReported = false;

  /** `expectPreface`: the bytes begin with the client's preface (RFC 9113 §3.4). */
  constructor(sink: FrameSink, frameBytesMax: number, expectPreface: boolean) {
    this.sink = sink;
    this.frameBytesMax = frameBytesMax;
    this.prefaceLeft = expectPreface ? CLIENT_PREFACE.length : 0;
  }

  push(bytes: Buffer): void {
    const end = bytes.length;
    let at = 0;
    while (at < end && !this.stopped) {
      if (this.contentLeft > 0) {
        const to = Math.min(end, at + this.contentLeft);
        this.contentLeft -= to - at;
        this.sink.onDataPiece(bytes, at, to);
        at = to;
      } else if (this.skipLeft > 0) {
        const to = Math.min(end, at + this.skipLeft);
        this.skipLeft -= to - at;
        at = to;
      } else if (this.carried > 0) at = this.readCarried(bytes, at, end);
      else if (this.prefaceLeft > 0) at = this.readPreface(bytes, at, end);
      else at = this.readFrame(bytes, at, end);
    }
  }

  private readPreface(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && this.prefaceLeft > 0) {
      if (bytes[at++] !== CLIENT_PREFACE[CLIENT_PREFACE.length - this.prefaceLeft--]) {
        this.sink.onFault('BAD_PREFACE');
        return end;
      }
    }
    return at;
  }

  private readFrame(bytes: Buffer, at: number, end: number): number {
    if (end - at < FRAME_HEADER_BYTES) return this.keep(bytes, at, end);
    const type = bytes[at + 3]!;
    const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    if (length > this.frameBytesMax) {
      this.sink.onFault('FRAME_TOO_LARGE');
      return end;
    }
    if (type === FRAME.data) {
      if (length > 0 && (bytes[at + 4]! & FLAG.padded) !== 0 && end - at < PADDED_HEADER_BYTES) return this.keep(bytes, at, end);
      return at + this.beginData(bytes, at, length);
    }
    const flags = bytes[at + 4]!;
    const streamId = readUint31(bytes, at + 5);
    if (!this.headerReported) this.sink.onFrameHeader(type, flags, streamId, length);
    const from = at + FRAME_HEADER_BYTES;
    if (type > FRAME.continuation && type !== this.extensionType) {
      // RFC 9113 §5.5: unknown types are ignored.
      this.skipLeft = length;
      return from;
    }
    if (from + length > end) {
      this.headerReported = true;
      return this.keep(bytes, at, end);
    }
    this.headerReported = false;
    if (!this.stopped) this.sink.onFrame(type, flags, streamId, bytes, from, from + length);
    return from + length;
  }

  /** The header is at `at`, with the length of padding, if any. Returns how many bytes that are. */
  private beginData(bytes: Buffer, at: number, length: number): number {
    const { sink } = this;
    const flags = bytes[at + 4]!;
    const streamId = readUint31(bytes, at + 5);
    sink.onFrameHeader(FRAME.data, flags, streamId, length);
    if (this.stopped) return FRAME_HEADER_BYTES;
    const padded = (flags & FLAG.padded) !== 0;
    const padding = padded && length > 0 ? 1 + bytes[at + FRAME_HEADER_BYTES]! : 0;
    // RFC 9113 §6.1: the padding fits into the payload, together with its length, which a padded frame must have.
    if (padding > length || (padded && length === 0)) {
      sink.onFault('BAD_PADDING');
      return FRAME_HEADER_BYTES;
    }
    const content = length - padding;
    sink.onDataHeader(streamId, (flags & FLAG.endStream) !== 0, length, content);
    this.contentLeft = content;
    if (padding === 0) return FRAME_HEADER_BYTES;
    this.skipLeft = padding - 1;
    return PADDED_HEADER_BYTES;
  }

  /** Adds to the carried frame as much as its next step needs. Returns how far the bytes were used. */
  private readCarried(bytes: Buffer, from: number, end: number): number {
    const at = this.keep(bytes, from, Math.min(end, from + this.carryNeeds() - this.carried));
    if (this.carryNeeds() > this.carried) return at;
    const { carry, carried } = this;
    this.carried = 0;
    this.carry = NOTHING;
    this.readFrame(carry.subarray(0, carried), 0, carried);
    return at;
  }

  /** Bytes from the frame's beginning that have to be there before it can be looked at again. */
  private carryNeeds(): number {
    const { carry, carried } = this;
    if (carried < FRAME_HEADER_BYTES) return FRAME_HEADER_BYTES;
    const length = (carry[0]! << 16) | (carry[1]! << 8) | carry[2]!;
    // Too large ones need not be waited for.
    if (length > this.frameBytesMax) return FRAME_HEADER_BYTES;
    const type = carry[3]!;
    if (type === FRAME.data) return length > 0 && (carry[4]! & FLAG.padded) !== 0 ? PADDED_HEADER_BYTES : FRAME_HEADER_BYTES;
    if (type > FRAME.continuation && type !== this.extensionType) return FRAME_HEADER_BYTES;
    return FRAME_HEADER_BYTES + length;
  }

  private keep(bytes: Buffer, from: number, end: number): number {
    const needed = this.carried + end - from;
    if (needed > this.carry.length) {
      const room = Math.max(needed, this.carried >= FRAME_HEADER_BYTES ? this.carryNeeds() : PADDED_HEADER_BYTES);
      const grown = Buffer.allocUnsafe(room);
      this.carry.copy(grown, 0, 0, this.carried);
      this.carry = grown;
    }
    bytes.copy(this.carry, this.carried, from, end);
    this.carried = needed;
    return end;
  }
}
