// One HTTP/2 connection on its socket: bytes in, and everything that a turn of the event loop makes it say out in one write. Its streams are
// `LinkStream`s. A socket that takes no more stops DATA at once; a server then reads no further, since each request makes an answer. A client
// always reads: two sides that both wait for the other to read would wait for ever.
import type { Connection, ConnectionHandler, NetworkError } from '@heddle/runtime';
import type {
  Http2Connection,
  Http2Handler,
  Http2ProtocolError,
  Http2Settings,
  Http2Stream,
  Http2Trailers,
  LoadAnswer,
  StreamViolationCode,
} from '@heddle/wire';
import { reportBug } from './context.ts';
import type { Context } from './context.ts';
import { Timed } from './deadlines.ts';
import type { LateWriter } from './turn.ts';

/** Output beyond this does not wait for the end of the turn. */
const FLUSH_BYTES = 65_536;

/** What the link tells the user of a stream, which is the `context` of the codec's object. */
export interface LinkStream {
  receiveData(bytes: Buffer, start: number, end: number, endStream: boolean): void;
  /** Valid during the call; the peer has ended its direction. */
  receiveTrailers(trailers: Http2Trailers): void;
  receiveReset(errorCode: number, violation: StreamViolationCode | undefined): void;
  /** A window has opened. */
  pump(): void;
  /** The socket takes bytes again. */
  socketDrained(): void;
}

/** What is received is valid only while it is handled, so all of it is copied. */
export const COPY_ALL = { dataCopyBytesMax: Number.POSITIVE_INFINITY } as const;

export abstract class Http2Link extends Timed implements ConnectionHandler, Http2Handler, LateWriter {
  /** The socket takes no more. */
  isBlocked = false;
  /** Streams that we have reset. */
  resets = 0;
  /** Bytes have come since this was last set to false. */
  hasRead = false;
  abstract readonly codec: Http2Connection;
  protected readonly context: Context;
  protected readonly connection: Connection;
  /** What is to be said to streams that the end of the connection closes. */
  protected closeReason = 'the connection was closed';
  private readonly readsWhenBlocked: boolean;
  private waiting: LinkStream[] = [];
  private awaitsFlush = false;
  private endsAfterFlush = false;
  private gone = false;

  protected constructor(context: Context, connection: Connection, role: 'server' | 'client') {
    super();
    this.context = context;
    this.connection = connection;
    this.readsWhenBlocked = role === 'client';
  }

  /** The codec has something to say. To be called after whatever makes it do so. */
  touch(): void {
    if (this.awaitsFlush && this.codec.pendingBytes < FLUSH_BYTES) return;
    if (this.codec.pendingBytes >= FLUSH_BYTES) this.flush();
    else if (!this.awaitsFlush) {
      this.awaitsFlush = true;
      this.context.turn.writeLate(this);
    }
  }

  flush(): void {
    this.awaitsFlush = false;
    if (this.isBlocked || this.gone) return;
    if (!this.codec.writeTo(this.connection)) {
      this.isBlocked = true;
      if (!this.readsWhenBlocked) this.connection.pause();
    }
    if (this.endsAfterFlush && this.codec.pendingBytes === 0) this.connection.end();
  }

  /** Once the socket takes bytes again, this stream sends on. */
  waitForSocket(end: LinkStream): void {
    this.waiting.push(end);
  }

  /** Ends our direction after what is to be said. */
  end(): void {
    if (this.endsAfterFlush) return;
    this.endsAfterFlush = true;
    this.awaitsFlush = false;
    this.flush();
  }

  destroy(): void {
    this.connection.destroy();
  }

  // --- from the connection

  onBytes(bytes: Buffer): void {
    this.hasRead = true;
    try {
      this.codec.push(bytes, this.context.clock.nowMs());
      if (this.codec.pendingBytes > 0) this.touch();
      this.afterPush();
    } catch (error) {
      reportBug(this.context, 'http2', error);
      this.destroy();
    }
    this.context.turn.end();
  }

  onDrained(): void {
    this.isBlocked = false;
    const { waiting } = this;
    this.waiting = [];
    for (const end of waiting) end.socketDrained();
    this.flush();
    if (!this.isBlocked && !this.readsWhenBlocked) this.connection.resume();
    this.context.turn.end();
  }

  onEnd(): void {
    this.codec.end();
    this.end();
    this.context.turn.end();
  }

  onClose(error: NetworkError | undefined): void {
    this.gone = true;
    if (error !== undefined) this.closeReason = error.message;
    this.context.deadlines.remove(this);
    this.waiting.length = 0;
    this.codec.end();
    this.closed(error);
    this.context.turn.end();
  }

  // --- from the codec

  onData(stream: Http2Stream, bytes: Buffer, start: number, end: number, endStream: boolean): void {
    const user = stream.context as LinkStream | undefined;
    if (user === undefined) this.codec.consumed(stream, stream.unconsumed);
    else user.receiveData(bytes, start, end, endStream);
  }

  onTrailers(stream: Http2Stream, trailers: Http2Trailers): void {
    (stream.context as LinkStream | undefined)?.receiveTrailers(trailers);
  }

  onReset(stream: Http2Stream, errorCode: number, violation: StreamViolationCode | undefined): void {
    const user = stream.context as LinkStream | undefined;
    stream.context = undefined;
    this.codec.consumed(stream, stream.unconsumed);
    user?.receiveReset(errorCode, violation);
  }

  onWindow(stream: Http2Stream): void {
    (stream.context as LinkStream | undefined)?.pump();
  }

  onRefused(_streamId: number, _violation: StreamViolationCode): void {}

  onSettings(_settings: Readonly<Http2Settings>): void {}

  onGoaway(_lastStreamId: number, _errorCode: number, _debug: string): void {}

  onPingAck(_bytes: Buffer, _start: number): void {}

  onLoadQuestion(_number: number): void {}

  onLoadAnswer(_answer: LoadAnswer): void {}

  onError(error: Http2ProtocolError): void {
    this.closeReason = error.message;
    this.end();
  }

  /** Everything that one read brought was handled. */
  protected abstract afterPush(): void;
  protected abstract closed(error: NetworkError | undefined): void;
}
