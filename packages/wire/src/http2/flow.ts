// Flow control in both directions (RFC 9113 §5.2, §6.9). Receiving: what the caller has consumed is given back in large steps, and nothing
// else is, so a slow reader stops its peer. Sending: who could not send everything waits, and is called in turn when a window opens.

import { DEFAULT_WINDOW_BYTES, WINDOW_MAX } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { Http2Stream } from './stream.ts';

/** WINDOW_UPDATE is sent when this share of the window has been consumed: few frames, and the peer hardly ever stands still. */
const CREDIT_SHARE = 0.5;

/** What a stream may send in its turn while others wait for the window of the connection: one frame of the protocol's default size. */
const QUANTUM_BYTES = 16_384;

export class ReceiveFlow {
  private readonly writer: FrameWriter;
  /** What the peer may send on all streams together. */
  private window: number = DEFAULT_WINDOW_BYTES;
  private windowMax: number = DEFAULT_WINDOW_BYTES;
  private credit = 0;

  constructor(writer: FrameWriter) {
    this.writer = writer;
  }

  /** Enlarges the window of the connection, once, at its beginning. It cannot become smaller than the protocol's 65,535. */
  open(windowBytes: number): void {
    const increment = windowBytes - DEFAULT_WINDOW_BYTES;
    if (increment <= 0) return;
    this.window += increment;
    this.windowMax = windowBytes;
    this.writer.windowUpdate(0, increment);
  }

  /** DATA arrived, padding included; false when the window of the connection does not allow it. */
  take(bytes: number): boolean {
    this.window -= bytes;
    return this.window >= 0;
  }

  /** Gives back to the connection. */
  release(bytes: number): void {
    this.credit += bytes;
    if (this.credit < this.windowMax * CREDIT_SHARE) return;
    this.writer.windowUpdate(0, this.credit);
    this.window += this.credit;
    this.credit = 0;
  }

  /** Gives back to a stream, as long as anything can still come on it. */
  releaseStream(stream: Http2Stream, bytes: number, windowMax: number): void {
    if (!stream.isReceiving) return;
    stream.credit += bytes;
    if (stream.credit < windowMax * CREDIT_SHARE) return;
    this.writer.windowUpdate(stream.id, stream.credit);
    stream.receiveWindow += stream.credit;
    stream.credit = 0;
  }
}

export class SendFlow {
  private window: number = DEFAULT_WINDOW_BYTES;
  /** Streams that wait for the window of the connection, oldest first. */
  private readonly queue: Http2Stream[] = [];
  /** Whose turn it is, and what is left of its quantum. */
  private turn: Http2Stream | undefined;
  private turnLeft = 0;

  /** How much of a stream's data may go now. */
  allowance(stream: Http2Stream): number {
    let bytes = Math.min(this.window, stream.sendWindow);
    if (this.turn !== undefined && this.queue.length > 0) bytes = Math.min(bytes, stream === this.turn ? this.turnLeft : 0);
    return bytes > 0 ? bytes : 0;
  }

  spend(stream: Http2Stream, bytes: number): void {
    this.window -= bytes;
    stream.sendWindow -= bytes;
    if (stream === this.turn) this.turnLeft -= bytes;
  }

  /** The stream has more to send than the windows allow. */
  block(stream: Http2Stream): void {
    stream.blocked = true;
    // With both windows open, it is another stream's turn.
    if (this.window <= 0 || stream.sendWindow > 0) this.enqueue(stream);
  }

  /** WINDOW_UPDATE of the connection; false when the window gets too large. */
  enlarge(increment: number): boolean {
    this.window += increment;
    return this.window <= WINDOW_MAX;
  }

  /** WINDOW_UPDATE of a stream, or a change of SETTINGS_INITIAL_WINDOW_SIZE; false when the window gets too large. */
  enlargeStream(stream: Http2Stream, increment: number): boolean {
    stream.sendWindow += increment;
    return stream.sendWindow <= WINDOW_MAX;
  }

  /** Whether a stream that waited can go on; puts it into the queue when only the connection holds it. */
  unblock(stream: Http2Stream): boolean {
    if (!stream.blocked || stream.sendWindow <= 0) return false;
    if (this.window <= 0) {
      this.enqueue(stream);
      return false;
    }
    stream.blocked = false;
    return true;
  }

  /** The next stream in turn that can go on, if the window of the connection is open. Until `endTurns` no stream takes more than a quantum
   *  while others wait. */
  next(): Http2Stream | undefined {
    while (this.window > 0) {
      const stream = this.queue.shift();
      if (stream === undefined) return undefined;
      stream.queued = false;
      if (!stream.isSending || !this.unblock(stream)) continue;
      this.turn = stream;
      this.turnLeft = QUANTUM_BYTES;
      return stream;
    }
    return undefined;
  }

  endTurns(): void {
    this.turn = undefined;
  }

  private enqueue(stream: Http2Stream): void {
    if (stream.queued) return;
    stream.queued = true;
    this.queue.push(stream);
  }
}
