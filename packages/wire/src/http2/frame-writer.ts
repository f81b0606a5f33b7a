// Frames into one `Output`, so that all frames of a turn become one write. Counts the bytes that only answer the peer, since a peer could
// ask for more of them than it reads.

import type { Output } from '../bytes/output.ts';
import { BlockWriter } from '../hpack/index.ts';
import { CLIENT_PREFACE, FLAG, FRAME, FRAME_HEADER_BYTES, PING_BYTES, SETTING_BYTES } from './frame.ts';
import { LOAD_ANSWER_BYTES, LOAD_QUESTION_BYTES } from './load.ts';

/** Header blocks of all connections: filled and emptied without anything in between. */
const block = new BlockWriter();

export class FrameWriter {
  readonly output: Output;
  private readonly copyBytesMax: number;
  /** Bytes of acknowledgements and resets since the last take. */
  replyBytes = 0;

  /** `copyBytesMax`: larger DATA are not copied into the output. */
  constructor(output: Output, copyBytesMax: number) {
    this.output = output;
    this.copyBytesMax = copyBytesMax;
  }

  preface(): void {
    this.output.bytes(CLIENT_PREFACE);
  }

  settings(values: readonly (readonly [id: number, value: number])[]): void {
    const payload = Buffer.allocUnsafe(values.length * SETTING_BYTES);
    for (const [index, [id, value]] of values.entries()) {
      payload.writeUInt16BE(id, index * SETTING_BYTES);
      payload.writeUInt32BE(value, index * SETTING_BYTES + 2);
    }
    this.header(payload.length, FRAME.settings, 0, 0);
    this.output.bytes(payload);
  }

  settingsAck(): void {
    this.header(0, FRAME.settings, FLAG.ack, 0);
    this.replyBytes += FRAME_HEADER_BYTES;
  }

  /** `payload`: eight bytes at `start`. */
  ping(ack: boolean, payload: Buffer, start: number): void {
    this.header(PING_BYTES, FRAME.ping, ack ? FLAG.ack : 0, 0);
    this.output.bytes(payload, start, start + PING_BYTES);
    if (ack) this.replyBytes += FRAME_HEADER_BYTES + PING_BYTES;
  }

  loadQuestion(number: number): void {
    this.header(LOAD_QUESTION_BYTES, FRAME.load, 0, 0);
    this.uint32(number);
  }

  loadAnswer(number: number, inFlight: number, latencyMicros: number): void {
    this.header(LOAD_ANSWER_BYTES, FRAME.load, FLAG.ack, 0);
    this.uint32(number);
    this.uint32(inFlight);
    this.uint32(latencyMicros);
    this.replyBytes += FRAME_HEADER_BYTES + LOAD_ANSWER_BYTES;
  }

  goaway(lastStreamId: number, errorCode: number, debug: string): void {
    this.header(8 + debug.length, FRAME.goaway, 0, 0);
    this.uint32(lastStreamId);
    this.uint32(errorCode);
    this.output.latin1(debug);
  }

  rstStream(streamId: number, errorCode: number): void {
    this.withUint32(FRAME.rstStream, streamId, errorCode);
    this.replyBytes += FRAME_HEADER_BYTES + 4;
  }

  windowUpdate(streamId: number, increment: number): void {
    this.withUint32(FRAME.windowUpdate, streamId, increment);
  }

  /** One DATA frame with bytes[start, end). */
  data(streamId: number, endStream: boolean, bytes: Buffer, start: number, end: number): void {
    this.header(end - start, FRAME.data, endStream ? FLAG.endStream : 0, streamId);
    if (end - start > this.copyBytesMax) this.output.reference(bytes, start, end);
    else if (end > start) this.output.bytes(bytes, start, end);
  }

  /** Where to encode a header block; `endBlock` must follow. */
  beginBlock(): BlockWriter {
    block.reset();
    block.reserve(FRAME_HEADER_BYTES);
    block.length = FRAME_HEADER_BYTES;
    return block;
  }

  /** Sends the block as HEADERS and as many CONTINUATION as it needs (RFC 9113 §4.3). */
  endBlock(streamId: number, endStream: boolean, frameBytesMax: number): void {
    const { bytes, length } = block;
    const blockBytes = length - FRAME_HEADER_BYTES;
    const flags = endStream ? FLAG.endStream : 0;
    if (blockBytes <= frameBytesMax) {
      putHeader(bytes, 0, blockBytes, FRAME.headers, flags | FLAG.endHeaders, streamId);
      this.output.bytes(bytes, 0, length);
      return;
    }
    for (let at = FRAME_HEADER_BYTES; at < length; at += frameBytesMax) {
      const end = Math.min(length, at + frameBytesMax);
      const isFirst = at === FRAME_HEADER_BYTES;
      const isLast = end === length ? FLAG.endHeaders : 0;
      this.header(end - at, isFirst ? FRAME.headers : FRAME.continuation, (isFirst ? flags : 0) | isLast, streamId);
      this.output.bytes(bytes, at, end);
    }
  }

  private header(length: number, type: number, flags: number, streamId: number): void {
    const at = this.output.claim(FRAME_HEADER_BYTES);
    putHeader(this.output.room, at, length, type, flags, streamId);
  }

  private withUint32(type: number, streamId: number, value: number): void {
    this.header(4, type, 0, streamId);
    this.uint32(value);
  }

  private uint32(value: number): void {
    const at = this.output.claim(4);
    putUint32(this.output.room, at, value);
  }
}

function putHeader(into: Buffer, at: number, length: number, type: number, flags: number, streamId: number): void {
  into[at] = length >>> 16;
  into[at + 1] = length >>> 8;
  into[at + 2] = length;
  into[at + 3] = type;
  into[at + 4] = flags;
  putUint32(into, at + 5, streamId);
}

function putUint32(into: Buffer, at: number, value: number): void {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
}
