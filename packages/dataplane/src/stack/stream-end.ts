// Our end of one HTTP/2 stream: queues what the windows or the socket do not let through, and gives the peer its window back only while
// somebody takes the bytes. Requests, responses and tunnels stand on it; used again for other streams of its connection.
import type { Http2Stream, Http2Trailers, StreamViolationCode } from '@heddle/wire';
import { HTTP2_ERROR } from '@heddle/wire';
import { Timed } from './deadlines.ts';
import type { Http2Link, LinkStream } from './http2-link.ts';
import { keptTrailers } from './messages.ts';
import type { AnyTrailers } from './messages.ts';

const NOTHING = Buffer.alloc(0);

export abstract class StreamEnd extends Timed implements LinkStream {
  /** Something waits to be sent. */
  isBlocked = false;
  /** Of the current stream. */
  protected link!: Http2Link;
  /** Undefined between two streams. */
  protected stream: Http2Stream | undefined;
  private readonly queue: Buffer[] = [];
  private endsAfterQueue = false;
  private trailers: Http2Trailers | undefined;
  private isPaused = false;
  private awaitsSocket = false;

  protected attach(link: Http2Link, stream: Http2Stream): void {
    this.link = link;
    this.stream = stream;
    stream.context = this;
    this.isBlocked = false;
    this.isPaused = false;
    this.endsAfterQueue = false;
  }

  /** Nothing is heard of the stream any more. */
  protected detach(): void {
    const { stream, queue } = this;
    this.stream = undefined;
    this.trailers = undefined;
    this.isBlocked = false;
    if (queue.length > 0) queue.length = 0;
    if (stream === undefined) return;
    stream.context = undefined;
    if (stream.unconsumed > 0) this.link.codec.consumed(stream, stream.unconsumed);
  }

  /** Of the stream that is open; nothing is told any more. */
  protected reset(errorCode: number = HTTP2_ERROR.cancel): void {
    const { stream, link } = this;
    if (stream === undefined) return;
    this.detach();
    link.resets += 1;
    link.codec.reset(stream, errorCode);
    link.touch();
  }

  /** Subclasses that set deadlines override it. */
  override onDeadline(_nowMs: number): void {}

  // --- sending

  protected send(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    const { stream, link } = this;
    if (stream === undefined || !stream.isSending) return;
    let at = start;
    if (!this.isBlocked && !link.isBlocked) {
      at += link.codec.sendData(stream, bytes, start, end, isLast);
      link.touch();
      if (at === end) {
        if (isLast) this.onEndSent();
        return;
      }
    }
    if (at < end) this.queue.push(Buffer.from(bytes.subarray(at, end)));
    if (isLast) this.endsAfterQueue = true;
    this.block();
  }

  protected sendEnd(trailers: AnyTrailers | undefined): void {
    const { stream, link } = this;
    if (stream === undefined || !stream.isSending || this.endsAfterQueue) return;
    if (this.isBlocked || link.isBlocked) {
      this.endsAfterQueue = true;
      if (trailers !== undefined) this.trailers = keptTrailers(trailers);
      this.block();
      return;
    }
    this.sendFinal(trailers);
  }

  /** Windows have opened, or the socket takes bytes again. */
  pump(): void {
    const { stream, link, queue } = this;
    if (stream === undefined || !this.isBlocked) return;
    if (link.isBlocked) return this.waitForSocket();
    let done = 0;
    while (done < queue.length) {
      const bytes = queue[done]!;
      const isLast = this.endsAfterQueue && this.trailers === undefined && done === queue.length - 1;
      const sent = link.codec.sendData(stream, bytes, 0, bytes.length, isLast);
      if (sent < bytes.length) {
        queue[done] = sent === 0 ? bytes : bytes.subarray(sent);
        break;
      }
      done += 1;
      if (isLast) this.onEndSent();
    }
    if (done > 0) queue.splice(0, done);
    link.touch();
    if (queue.length > 0) {
      if (link.isBlocked) this.waitForSocket();
      return;
    }
    this.isBlocked = false;
    if (this.endsAfterQueue && stream.isSending) this.sendFinal(this.trailers);
    this.onSendDrained();
  }

  private sendFinal(trailers: AnyTrailers | undefined): void {
    const { link } = this;
    const stream = this.stream!;
    if (trailers === undefined) link.codec.sendData(stream, NOTHING, 0, 0, true);
    else link.codec.sendTrailers(stream, trailers);
    link.touch();
    this.onEndSent();
  }

  private block(): void {
    if (this.isBlocked) return;
    this.isBlocked = true;
    // A window that opens is told by the codec, a socket that drains by the link.
    if (this.link.isBlocked) this.waitForSocket();
  }

  private waitForSocket(): void {
    if (this.awaitsSocket) return;
    this.awaitsSocket = true;
    this.link.waitForSocket(this);
  }

  /** @internal */
  socketDrained(): void {
    this.awaitsSocket = false;
    this.pump();
  }

  // --- receiving

  /** What is received from now on is still passed on, but no more than the window has room for comes. */
  protected pauseReceiving(): void {
    this.isPaused = true;
  }

  protected resumeReceiving(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    const { stream, link } = this;
    if (stream === undefined || stream.unconsumed === 0) return;
    link.codec.consumed(stream, stream.unconsumed);
    link.touch();
  }

  /** @internal */
  receiveData(bytes: Buffer, start: number, end: number, endStream: boolean): void {
    const { stream, link } = this;
    this.onReceived(bytes, start, end, endStream);
    // The user may have let go of the stream, which settles its account.
    if (!this.isPaused && stream === this.stream && stream !== undefined && stream.unconsumed > 0) {
      link.codec.consumed(stream, stream.unconsumed);
    }
  }

  /** @internal */
  receiveReset(errorCode: number, violation: StreamViolationCode | undefined): void {
    this.stream = undefined;
    this.detach();
    this.onReset(errorCode, violation);
  }

  /** @internal The peer has ended its direction with trailers, which are valid during the call. */
  abstract receiveTrailers(trailers: Http2Trailers): void;
  /** `endStream`: the peer has ended its direction. */
  protected abstract onReceived(bytes: Buffer, start: number, end: number, endStream: boolean): void;
  protected abstract onSendDrained(): void;
  /** Our direction has ended. */
  protected onEndSent(): void {}
  /** The stream is closed before its time; it is detached already. */
  protected abstract onReset(errorCode: number, violation: StreamViolationCode | undefined): void;
}
