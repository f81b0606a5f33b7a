// Bytes to be written, gathered into slabs so that a head and a small body become one `write`. What was taken is not touched again as long
// as anybody may use it. Slabs belong to the process: an Output has one only while something is pending.

/** 64 KiB: some hundred heads share one allocation, and one slab never holds much memory of a slow socket. */
const SLAB_BYTES = 65_536;
/** A rest below this is not worth keeping: the next message would not fit. */
const REST_BYTES_MIN = 1_024;
/** Slabs that wait for the next Output that needs one: as many as can be pending at once in a busy turn without being allocated anew. */
const STOCK_MAX = 32;
/** What is appended at once is rarely larger: heads, and bodies that are worth a copy. */
const COMMON_BYTES_MAX = 4_096;
/** A slab that is larger than this served an unusual message and is not kept. */
const STOCK_SLAB_BYTES_MAX = 65_536;

/** Where bytes go: a connection of the runtime, for example. */
export interface ByteSink {
  /** Between both, writes may be gathered. */
  cork(): void;
  uncork(): void;
  /** False: it took them, but wants no more for now. The bytes are the sink's from here on. */
  write(bytes: Uint8Array): boolean;
  /** False: nothing of what was written is in use any more (the kernel has it all), so its memory can serve again, which saves the garbage
   *  collector much work. Absent: nobody knows. */
  readonly holdsBytes?: boolean;
}

const NOTHING = Buffer.alloc(0);
/** Up to here a loop is faster than the call of a native copy. */
const LOOP_BYTES_MAX = 24;

/** Slabs with free room, and where that begins. The last one is taken first: it is warm. */
const stockSlabs: Buffer[] = new Array<Buffer>(STOCK_MAX).fill(NOTHING);
const stockFrom: number[] = new Array<number>(STOCK_MAX).fill(0);
let stocked = 0;

export class Output {
  private readonly slabBytes: number;
  private slab: Buffer = NOTHING;
  /** Where this Output began to use it; the pending part is slab[from, to). */
  private first = 0;
  private from = 0;
  private to = 0;
  /** What comes before the slab's pending part: full slabs, and bytes that are passed on without being copied. */
  private parts: Uint8Array[] | undefined;
  private partBytes = 0;

  /** `slabBytes`: size of the shared allocations, default 65,536. Larger messages get an allocation of their own. */
  constructor(slabBytes: number = SLAB_BYTES) {
    this.slabBytes = slabBytes;
  }

  /** Bytes gathered and not yet taken. */
  get length(): number {
    return this.to - this.from + this.partBytes;
  }

  /** Appends text whose characters are all below 256, one byte each (what heads are made of). */
  latin1(text: string): void {
    this.reserve(text.length);
    this.to += this.slab.write(text, this.to, 'latin1');
  }

  /** Appends a copy of bytes[start, end). */
  bytes(bytes: Buffer, start: number = 0, end: number = bytes.length): void {
    const length = end - start;
    this.reserve(length);
    const { slab, to } = this;
    this.to = to + length;
    if (length > LOOP_BYTES_MAX) bytes.copy(slab, to, start, end);
    else for (let at = 0; at < length; at++) slab[to + at] = bytes[start + at]!;
  }

  /** Appends bytes[start, end) without copying: they must not change any more. */
  reference(bytes: Buffer, start: number = 0, end: number = bytes.length): void {
    if (end === start) return;
    this.seal();
    this.addPart(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
  }

  /** What was gathered since the last take, as one buffer that belongs to the caller. */
  take(): Buffer {
    const { slab, from, to, parts } = this;
    if (parts === undefined) {
      if (from === to) return NOTHING;
      this.leaveSlab();
      giveSlab(slab, to);
      return slab.subarray(from, to);
    }
    this.seal();
    this.leaveSlab();
    giveSlab(slab, to);
    this.parts = undefined;
    this.partBytes = 0;
    return Buffer.concat(parts);
  }

  /** As `take`, but writes what was gathered piece by piece, in order. False if any write returned false; true when there was nothing. */
  writeTo(sink: ByteSink): boolean {
    const { slab, first, from, to, parts } = this;
    let wantsMore = true;
    if (parts === undefined) {
      if (from === to) return true;
      this.leaveSlab();
      wantsMore = sink.write(slab.subarray(from, to));
    } else {
      this.seal();
      this.leaveSlab();
      this.parts = undefined;
      this.partBytes = 0;
      if (parts.length > 1) sink.cork();
      for (let at = 0; at < parts.length; at++) if (!sink.write(parts[at]!)) wantsMore = false;
      if (parts.length > 1) sink.uncork();
    }
    giveSlab(slab, sink.holdsBytes === false ? first : to);
    return wantsMore;
  }

  /** @internal Appends so many bytes and returns where in `room` they begin: they have to be written there at once. */
  claim(bytes: number): number {
    this.reserve(bytes);
    const at = this.to;
    this.to = at + bytes;
    return at;
  }

  /** @internal For `claim`. */
  get room(): Buffer {
    return this.slab;
  }

  private reserve(bytes: number): void {
    if (this.to + bytes > this.slab.length) this.nextSlab(bytes);
  }

  private nextSlab(bytes: number): void {
    this.seal();
    giveSlab(this.slab, this.to);
    while (stocked > 0) {
      const slab = stockSlabs[stocked - 1]!;
      const from = stockFrom[stocked - 1]!;
      const fits = slab.length - from >= bytes;
      // A large need says nothing about the rest. One that is too small for a common need would only lie on better ones.
      if (!fits && bytes > COMMON_BYTES_MAX) break;
      stockSlabs[--stocked] = NOTHING;
      if (!fits) continue;
      this.slab = slab;
      this.first = this.from = this.to = from;
      return;
    }
    this.slab = Buffer.allocUnsafeSlow(Math.max(this.slabBytes, bytes));
    this.first = this.from = this.to = 0;
  }

  /** The slab's pending part becomes a part of its own. */
  private seal(): void {
    const { slab, from, to } = this;
    if (from === to) return;
    this.addPart(slab.subarray(from, to));
    this.from = to;
  }

  private addPart(part: Uint8Array): void {
    this.partBytes += part.length;
    if (this.parts === undefined) this.parts = [part];
    else this.parts.push(part);
  }

  private leaveSlab(): void {
    this.slab = NOTHING;
    this.first = this.from = this.to = 0;
  }
}

/** Leaves the slab's room from there on to whoever needs it next. */
function giveSlab(slab: Buffer, from: number): void {
  if (stocked === STOCK_MAX || slab.length - from < REST_BYTES_MIN || slab.length > STOCK_SLAB_BYTES_MAX) return;
  stockSlabs[stocked] = slab;
  stockFrom[stocked++] = from;
}
