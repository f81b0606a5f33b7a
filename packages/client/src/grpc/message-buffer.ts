// The messages of a response as they are asked for, one by one. Bytes wait here undivided, so that what is not read costs no more than itself.
import { GRPC_PREFIX_BYTES } from '@heddle/wire';

const NO_BYTES = Buffer.alloc(0);

export class MessageBuffer {
  /** Of the message that `take` gave last. */
  isCompressed = false;
  /** A message that is larger than allowed has been announced, and is so long. Nothing more can be taken. */
  tooLongBytes: number | undefined;
  private readonly messageBytesMax: number;
  private readonly chunks: Buffer[] = [];
  /** Where the first chunk is read on. */
  private offset = 0;
  private waiting = 0;
  /** Of the message that comes next; undefined before its prefix is complete. */
  private length: number | undefined;
  private nextIsCompressed = false;

  /** @param messageBytesMax limit of a message as it is sent; Infinity for none */
  constructor(messageBytesMax: number) {
    this.messageBytesMax = messageBytesMax;
  }

  get waitingBytes(): number {
    return this.waiting;
  }

  /** The bytes stay the buffer's. */
  push(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.chunks.push(bytes);
    this.waiting += bytes.length;
  }

  hasMessage(): boolean {
    return this.readPrefix() && this.waiting >= this.length!;
  }

  /** Part of a message is there, and its rest is not. */
  get isTruncated(): boolean {
    return this.length !== undefined || (this.waiting > 0 && !this.hasMessage());
  }

  /** The next message without its prefix; undefined while it is not complete. */
  take(): Buffer | undefined {
    if (!this.hasMessage()) return undefined;
    const length = this.length!;
    this.length = undefined;
    this.isCompressed = this.nextIsCompressed;
    return length === 0 ? NO_BYTES : this.cut(length);
  }

  clear(): void {
    this.chunks.length = 0;
    this.waiting = 0;
    this.offset = 0;
    this.length = undefined;
  }

  private readPrefix(): boolean {
    if (this.length !== undefined) return true;
    if (this.waiting < GRPC_PREFIX_BYTES || this.tooLongBytes !== undefined) return false;
    const prefix = this.cut(GRPC_PREFIX_BYTES);
    const length = prefix.readUInt32BE(1);
    if (length > this.messageBytesMax) {
      this.tooLongBytes = length;
      return false;
    }
    this.nextIsCompressed = prefix[0] === 1;
    this.length = length;
    return true;
  }

  /** So many bytes, which are there. */
  private cut(count: number): Buffer {
    const first = this.chunks[0]!;
    const end = this.offset + count;
    this.waiting -= count;
    if (end > first.length) return this.gather(count);
    const bytes = first.subarray(this.offset, end);
    if (end === first.length) {
      this.chunks.shift();
      this.offset = 0;
    } else this.offset = end;
    // A small message that the application keeps must not keep a large chunk.
    return count > GRPC_PREFIX_BYTES && count * 2 < first.length ? Buffer.from(bytes) : bytes;
  }

  private gather(count: number): Buffer {
    const bytes = Buffer.allocUnsafe(count);
    const { chunks } = this;
    let filled = 0;
    let used = 0;
    while (filled < count) {
      const chunk = chunks[used]!;
      const copied = chunk.copy(bytes, filled, this.offset, Math.min(chunk.length, this.offset + count - filled));
      filled += copied;
      this.offset += copied;
      if (this.offset < chunk.length) break;
      used += 1;
      this.offset = 0;
    }
    chunks.splice(0, used);
    return bytes;
  }
}
