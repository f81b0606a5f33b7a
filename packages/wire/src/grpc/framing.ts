// Length-prefixed messages: a byte that says whether the message is compressed, four bytes of length, the message. Read as a stream: the
// bytes of a message are passed on as they come, and nothing is held.

import type { Output } from '../bytes/output.ts';
import { LocalProtocolError } from '../http1/errors.ts';
import type { GrpcViolationCode } from './violations.ts';

export const GRPC_PREFIX_BYTES = 5;

/** Default limit of a message: 4 MiB, what gRPC libraries take by default. */
export const GRPC_MESSAGE_BYTES_MAX = 4_194_304;

/** The largest length that four bytes can say. */
const LENGTH_MAX = 0xffff_ffff;

export interface GrpcHandler {
  /** A message of `length` bytes begins. */
  onMessage(length: number, compressed: boolean): void;
  /** Its bytes, without prefix: bytes[start, end) of what was pushed, never empty, never copied. */
  onData(bytes: Buffer, start: number, end: number): void;
  /** It is complete. */
  onMessageEnd(): void;
}

export class GrpcReader {
  private readonly handler: GrpcHandler;
  private readonly messageBytesMax: number;
  private fault: GrpcViolationCode | undefined;
  /** Bytes of the prefix that have come; GRPC_PREFIX_BYTES inside a message. */
  private prefixBytes = 0;
  private compressed = false;
  private length = 0;
  private remaining = 0;

  /** `messageBytesMax`: limit of one message, as it is sent. */
  constructor(handler: GrpcHandler, messageBytesMax: number = GRPC_MESSAGE_BYTES_MAX) {
    this.handler = handler;
    this.messageBytesMax = messageBytesMax;
  }

  /** Reads bytes[start, end) and tells the handler. Returns the violated rule: after that nothing is read any more. */
  push(bytes: Buffer, start: number = 0, end: number = bytes.length): GrpcViolationCode | undefined {
    let at = start;
    while (at < end && this.fault === undefined) {
      if (this.prefixBytes < GRPC_PREFIX_BYTES) {
        this.readPrefixByte(bytes[at++]!);
        continue;
      }
      const to = Math.min(end, at + this.remaining);
      this.remaining -= to - at;
      this.handler.onData(bytes, at, to);
      if (this.remaining === 0) this.endMessage();
      at = to;
    }
    return this.fault;
  }

  /** The stream has ended. Returns the violated rule. */
  end(): GrpcViolationCode | undefined {
    if (this.prefixBytes > 0) this.fault ??= 'TRUNCATED_MESSAGE';
    return this.fault;
  }

  private readPrefixByte(byte: number): void {
    if (this.prefixBytes === 0) {
      if (byte > 1) {
        this.fault = 'BAD_COMPRESSED_FLAG';
        return;
      }
      this.compressed = byte === 1;
      this.length = 0;
    } else {
      this.length = this.length * 256 + byte;
    }
    if (++this.prefixBytes < GRPC_PREFIX_BYTES) return;
    if (this.length > this.messageBytesMax) {
      this.fault = 'MESSAGE_TOO_LARGE';
      return;
    }
    this.remaining = this.length;
    this.handler.onMessage(this.length, this.compressed);
    if (this.length === 0) this.endMessage();
  }

  private endMessage(): void {
    this.prefixBytes = 0;
    this.handler.onMessageEnd();
  }
}

/** The prefix of a message of so many bytes. Throws LocalProtocolError when four bytes cannot say it. */
export function grpcPrefix(length: number, compressed: boolean = false): Buffer {
  if (!Number.isInteger(length) || length < 0 || length > LENGTH_MAX) {
    throw new LocalProtocolError('BAD_ARGUMENT', `${length} is not the length of a gRPC message: it is from 0 to ${LENGTH_MAX} bytes.`);
  }
  const prefix = Buffer.allocUnsafe(GRPC_PREFIX_BYTES);
  prefix[0] = compressed ? 1 : 0;
  prefix.writeUInt32BE(length, 1);
  return prefix;
}

/** Appends a message with its prefix. `compressed`: it already is, with the coding that the `grpc-encoding` header names. */
export function writeGrpcMessage(output: Output, message: Buffer, compressed: boolean = false): void {
  output.bytes(grpcPrefix(message.length, compressed));
  output.bytes(message);
}
