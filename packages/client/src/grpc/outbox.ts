// Messages on their way out: framed, compressed where that is wanted, in the order in which they were given, however long the compression of one takes.
import { GRPC_PREFIX_BYTES } from '@heddle/wire';
import { type Coding, type CodingFault, encodeMessage } from './coding.ts';
import { type MessageContext, NO_COMPRESS, type WriteCallback } from './types.ts';

interface Waiting {
  readonly message: Buffer;
  readonly compress: boolean;
  readonly callback: WriteCallback | undefined;
}

export interface OutboxOwner {
  /** Something can be taken, or the last of it has been. */
  onOutbox(): void;
  onOutboxFault(fault: CodingFault): void;
}

export interface Framed {
  readonly bytes: Buffer;
  readonly callback: WriteCallback | undefined;
}

export class Outbox {
  private readonly owner: OutboxOwner;
  private readonly framed: Framed[] = [];
  private readonly waiting: Waiting[] = [];
  private isCompressing = false;

  constructor(owner: OutboxOwner) {
    this.owner = owner;
  }

  get isEmpty(): boolean {
    return this.framed.length === 0 && this.waiting.length === 0 && !this.isCompressing;
  }

  /** Whether nothing follows what `take` would give. */
  get isLast(): boolean {
    return this.framed.length === 1 && this.waiting.length === 0 && !this.isCompressing;
  }

  add({ callback, flags = 0 }: MessageContext, message: Buffer, coding: Coding): void {
    const compress = coding !== 'identity' && (flags & NO_COMPRESS) === 0;
    if (!compress && !this.isCompressing) {
      this.framed.push({ bytes: frame(message, false), callback });
      return;
    }
    this.waiting.push({ message, compress, callback });
    if (!this.isCompressing) this.compressNext(coding);
  }

  take(): Framed | undefined {
    return this.framed.shift();
  }

  /** Gives back the callbacks of what was not taken. */
  clear(): WriteCallback[] {
    const callbacks = [...this.framed, ...this.waiting].flatMap(({ callback }) => callback ?? []);
    this.framed.length = 0;
    this.waiting.length = 0;
    return callbacks;
  }

  private compressNext(coding: Coding): void {
    let next = this.waiting.shift();
    while (next !== undefined && !next.compress) {
      this.framed.push({ bytes: frame(next.message, false), callback: next.callback });
      next = this.waiting.shift();
    }
    if (next === undefined) return;
    this.isCompressing = true;
    const { callback } = next;
    encodeMessage(coding, next.message, (fault, message) => {
      this.isCompressing = false;
      if (fault !== undefined) {
        this.owner.onOutboxFault(fault);
        return;
      }
      this.framed.push({ bytes: frame(message, true), callback });
      this.compressNext(coding);
      this.owner.onOutbox();
    });
  }
}

/** A copy: what the application does with its message later is of no effect. */
function frame(message: Buffer, isCompressed: boolean): Buffer {
  const bytes = Buffer.allocUnsafe(GRPC_PREFIX_BYTES + message.length);
  bytes[0] = isCompressed ? 1 : 0;
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, GRPC_PREFIX_BYTES);
  return bytes;
}
