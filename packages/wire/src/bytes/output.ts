// Bytes to be written, gathered into slabs so that a head and a small body become one `write`. A taken buffer is never touched
// again, so a socket may keep it for as long as it likes.

/** 64 KiB: some hundred heads share one allocation, and one slab never holds much memory of a slow socket. */
const SLAB_BYTES = 65_536;

export class Output {
  private readonly slabBytes: number;
  private slab: Buffer;
  private from = 0;
  private to = 0;

  /** `slabBytes`: size of the shared allocations, default 65,536. Larger messages get an allocation of their own. */
  constructor(slabBytes: number = SLAB_BYTES) {
    this.slabBytes = slabBytes;
    this.slab = Buffer.allocUnsafeSlow(slabBytes);
  }

  /** Bytes gathered and not yet taken. */
  get length(): number {
    return this.to - this.from;
  }

  /** Appends text whose characters are all below 256, one byte each (what heads are made of). */
  latin1(text: string): void {
    this.reserve(text.length);
    this.to += this.slab.write(text, this.to, 'latin1');
  }

  /** Appends a copy of bytes[start, end). */
  bytes(bytes: Buffer, start: number = 0, end: number = bytes.length): void {
    this.reserve(end - start);
    this.to += bytes.copy(this.slab, this.to, start, end);
  }

  /** What was gathered since the last take, as one buffer that belongs to the caller. */
  take(): Buffer {
    const taken = this.slab.subarray(this.from, this.to);
    this.from = this.to;
    return taken;
  }

  private reserve(bytes: number): void {
    if (this.to + bytes <= this.slab.length) return;
    const held = this.to - this.from;
    const next = Buffer.allocUnsafeSlow(Math.max(this.slabBytes, (held + bytes) * 2));
    this.slab.copy(next, 0, this.from, this.to);
    this.slab = next;
    this.from = 0;
    this.to = held;
  }
}
