// Bytes to be written, gathered into slabs so that a head and a small body become one `write`. What was taken is not touched again as long
// as anybody may use it. Slabs belong to the process: an Output has one only while something is pending.

/** 64 KiB: some hundred heads share one allocation, and one slab never holds much memory of a slow socket. */
const SLAB_BYTES = 65_536;
/** A rest below this is not worth keeping: the next message would not fit. */
const REST_BYTES_MIN = 1_024;
/** Slabs that wait for the next Output that needs one: as many as can be pending at once in a busy turn without being allocated anew. */
const STOCK_MAX = 32;
/** Slabs whose bytes a blocked sink still holds, kept in view until it has let them go: as many as a busy proxy has sockets that block. */
const HELD_MAX = 64;
/** Looked at whenever a slab is needed and none is in stock: few, since it is done in the middle of an event. */
const HELD_LOOKS = 8;
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
   *  collector much work. Absent or undefined: nobody will ever know. */
  readonly holdsBytes?: boolean | undefined;
}

const NOTHING = Buffer.alloc(0);
/** Up to here a loop is faster than the call of a native copy. */
const LOOP_BYTES_MAX = 24;

/** Slabs with free room, and where that begins. The last one is taken first: it is warm. */
const stockSlabs: Buffer[] = new Array<Buffer>(STOCK_MAX).fill(NOTHING);
const stockFrom: number[] = new Array<number>(STOCK_MAX).fill(0);
let stocked = 0;
/** Whose place is looked at next when the stock is full. */
let stockNext = 0;
/** Slabs in use by a sink that will tell when it is done, in a ring. `heldFrom`: where the part begins that is free then. */
const heldSlabs: Buffer[] = new Array<Buffer>(HELD_MAX).fill(NOTHING);
const heldFrom: number[] = new Array<number>(HELD_MAX).fill(0);
const heldBy: (ByteSink | undefined)[] = new Array<ByteSink | undefined>(HELD_MAX).fill(undefined);
let held = 0;
let heldNext = 0;

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
  /** Slabs that were filled since the last take, and where this Output began in each. */
  private full: Buffer[] | undefined;
  private fullFrom: number[] | undefined;

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
    const whole = Buffer.concat(parts);
    const { full, fullFrom } = this;
    this.full = this.fullFrom = undefined;
    if (full !== undefined) for (let at = 0; at < full.length; at++) giveSlab(full[at]!, fullFrom![at]!);
    return whole;
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
    release(sink, slab, first, to);
    const { full, fullFrom } = this;
    if (full !== undefined) {
      this.full = this.fullFrom = undefined;
      for (let at = 0; at < full.length; at++) release(sink, full[at]!, fullFrom![at]!, full[at]!.length);
    }
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
    this.leaveFull();
    if (stocked === 0 || stockSlabs[stocked - 1]!.length - stockFrom[stocked - 1]! < bytes) lookAtHeld();
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

  /** What is left of a slab that cannot take the next bytes is for others when it is much; otherwise the slab waits here for the write. */
  private leaveFull(): void {
    const { slab, first, to } = this;
    if (slab.length - to >= slab.length >>> 1) giveSlab(slab, to);
    else if (to > first) {
      (this.full ??= []).push(slab);
      (this.fullFrom ??= []).push(first);
    }
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

/** slab[first, to) was written to the sink: all of it serves again as soon as nobody needs it, now or later. */
function release(sink: ByteSink, slab: Buffer, first: number, to: number): void {
  const { holdsBytes } = sink;
  if (holdsBytes === false) giveSlab(slab, first);
  // A slab that is nearly unused should not wait for a slow peer.
  else if (holdsBytes === undefined || held === HELD_MAX || slab.length - to >= slab.length >>> 1 || slab.length > STOCK_SLAB_BYTES_MAX)
    giveSlab(slab, to);
  else {
    heldSlabs[held] = slab;
    heldFrom[held] = first;
    heldBy[held++] = sink;
  }
}

/** Takes back what sinks have let go of meanwhile. */
function lookAtHeld(): void {
  for (let looks = Math.min(HELD_LOOKS, held); looks > 0; looks--) {
    if (heldNext >= held) heldNext = 0;
    if (heldBy[heldNext]!.holdsBytes !== false) {
      heldNext++;
      continue;
    }
    giveSlab(heldSlabs[heldNext]!, heldFrom[heldNext]!);
    held--;
    heldSlabs[heldNext] = heldSlabs[held]!;
    heldFrom[heldNext] = heldFrom[held]!;
    heldBy[heldNext] = heldBy[held];
    heldSlabs[held] = NOTHING;
    heldBy[held] = undefined;
  }
}

/** Leaves the slab's room from there on to whoever needs it next. In a full stock it takes the place of a smaller rest. */
function giveSlab(slab: Buffer, from: number): void {
  if (slab.length - from < REST_BYTES_MIN || slab.length > STOCK_SLAB_BYTES_MAX) return;
  if (stocked < STOCK_MAX) {
    stockSlabs[stocked] = slab;
    stockFrom[stocked++] = from;
    return;
  }
  if (++stockNext === STOCK_MAX) stockNext = 0;
  if (stockSlabs[stockNext]!.length - stockFrom[stockNext]! >= slab.length - from) return;
  stockSlabs[stockNext] = slab;
  stockFrom[stockNext] = from;
}
