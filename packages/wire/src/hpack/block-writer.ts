// Where header blocks are written: one growing buffer that its owner reuses for every block of every connection.

/** Larger than nearly every block; one allocation serves all connections. */
const INITIAL_BYTES = 4_096;
/** A buffer beyond this size is given back with `reset`. */
const KEPT_BYTES = 65_536;

export class BlockWriter {
  /** What was written is bytes[0, length). Another buffer after `reserve`: do not keep it. */
  bytes: Buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  length = 0;

  reset(): void {
    if (this.bytes.length > KEPT_BYTES) this.bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
    this.length = 0;
  }

  /** Makes room for so many bytes from `length` on. */
  reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(needed * 2);
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }

  /** A copy of what was written. */
  copy(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.length));
  }
}
