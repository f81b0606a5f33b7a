// One call: a stream of HTTP/2 as soon as there is a connection, what was written until then, and the one end that it has.
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { formatGrpcTimeout, GRPC_PREFIX_BYTES, GRPC_STATUS, grpcPrefix } from '@heddle/wire/grpc';
import { GrpcError, type GrpcHeaders, type GrpcStream, type GrpcStreamHandler } from '../../ports/grpc-client.ts';
import { MessageReader } from './messages.ts';
import { errorOfHead, errorOfNoStatus, errorOfReset, errorOfTrailers } from './outcome.ts';

/** RFC 9113 §7. */
const CANCEL = 8;
/** RFC 9113 §6.2: this frame ends the peer's direction. */
const END_STREAM = 1;
/** Before there is a connection; as much as a stream of Node takes before it says stop. */
const WAITING_BYTES_HIGH = 65_536;
/** The longest that a timer of Node takes. */
const TIMER_MS_MAX = 2 ** 31 - 1;
const NO_HEADERS: GrpcHeaders = {};

export interface CallOptions {
  readonly method: string;
  readonly authority: string;
  readonly headers: GrpcHeaders;
  readonly handler: GrpcStreamHandler;
  readonly messageBytesMax: number;
  readonly timeoutMs: number | undefined;
  /** Called once, when nothing of it is left to do. */
  readonly onOver: (call: Call) => void;
}

export class Call implements GrpcStream {
  readonly #options: CallOptions;
  readonly #reader: MessageReader;
  readonly #deadlineMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #session: ClientHttp2Session | undefined;
  #stream: ClientHttp2Stream | undefined;
  /** Written before there was a stream. */
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #isHalfClosed = false;
  #head: GrpcHeaders | undefined;
  #trailers: GrpcHeaders | undefined;
  #hasEnded = false;
  #isOver = false;

  constructor(options: CallOptions) {
    this.#options = options;
    const { timeoutMs, messageBytesMax, handler } = options;
    this.#reader = new MessageReader(messageBytesMax, (message) => {
      if (!this.#isOver) handler.onMessage(message);
    });
    if (timeoutMs === undefined) return;
    this.#deadlineMs = performance.now() + timeoutMs;
    this.#timer = setTimeout(() => this.#late(timeoutMs), Math.min(timeoutMs, TIMER_MS_MAX));
    this.#timer.unref();
  }

  /** There is a connection. */
  start(session: ClientHttp2Session): void {
    if (this.#isOver) return;
    let stream: ClientHttp2Stream;
    try {
      stream = session.request(this.#requestHead());
    } catch (error) {
      return this.fail(new GrpcError(GRPC_STATUS.UNAVAILABLE, `the call cannot be made: ${(error as Error).message}`, error));
    }
    this.#session = session;
    this.#stream = stream;
    stream.on('response', (head, flags) => this.#headed(head, flags));
    stream.on('trailers', (trailers) => this.#trailed(trailers));
    stream.on('data', (bytes: Buffer) => this.#received(bytes));
    stream.on('end', () => this.#ended());
    stream.on('drain', () => {
      if (!this.#isOver) this.#options.handler.onDrained?.();
    });
    // What it means is read from the code, when it is closed.
    stream.on('error', () => {});
    stream.on('close', () => this.#closed(stream.rstCode ?? 0));
    const wasBlocked = this.isBlocked;
    stream.cork();
    for (const bytes of this.#waiting) stream.write(bytes);
    stream.uncork();
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (this.#isHalfClosed) stream.end();
    else if (wasBlocked && !stream.writableNeedDrain) this.#options.handler.onDrained?.();
  }

  write(message: Uint8Array): boolean {
    if (this.#isOver || this.#isHalfClosed) return false;
    const { messageBytesMax } = this.#options;
    const bytes = framed(message);
    const stream = this.#stream;
    if ((stream?.writableLength ?? this.#waitingBytes) > messageBytesMax) {
      // Who writes on without looking must hear of it, but not in the middle of writing.
      process.nextTick(() =>
        this.fail(new GrpcError(GRPC_STATUS.RESOURCE_EXHAUSTED, `the peer does not read: over ${messageBytesMax} bytes wait to be sent`)),
      );
      return false;
    }
    if (stream !== undefined) return stream.write(bytes);
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    return !this.isBlocked;
  }

  get isBlocked(): boolean {
    return this.#stream?.writableNeedDrain ?? this.#waitingBytes >= WAITING_BYTES_HIGH;
  }

  end(): void {
    this.#isHalfClosed = true;
    this.#stream?.end();
  }

  cancel(): void {
    this.#over();
  }

  /** Ends it for a reason of ours. */
  fail(error: GrpcError): void {
    this.#finish(error, NO_HEADERS);
  }

  #requestHead(): OutgoingHttpHeaders {
    const { method, authority, headers } = this.#options;
    const head: OutgoingHttpHeaders = {};
    for (const [name, value] of Object.entries(headers)) head[name] = typeof value === 'object' ? [...value] : value;
    head[':method'] = 'POST';
    head[':scheme'] = 'https';
    head[':authority'] = authority;
    head[':path'] = method;
    head['content-type'] = 'application/grpc';
    head['te'] = 'trailers';
    head['user-agent'] = 'heddle';
    if (this.#deadlineMs !== undefined)
      head['grpc-timeout'] = formatGrpcTimeout(Math.max(1, Math.ceil(this.#deadlineMs - performance.now())));
    return head;
  }

  #headed(head: IncomingHttpHeaders, flags: number): void {
    this.#head = head as GrpcHeaders;
    const error = errorOfHead(this.#head);
    if (error !== undefined) return this.#finish(error, NO_HEADERS);
    if ((flags & END_STREAM) !== 0) this.#finish(errorOfTrailers(this.#head), this.#head);
    else if (!this.#isOver) this.#options.handler.onHeaders?.(this.#head);
  }

  #trailed(trailers: IncomingHttpHeaders): void {
    this.#trailers = trailers as GrpcHeaders;
    if (this.#hasEnded) this.#conclude();
  }

  #received(bytes: Buffer): void {
    if (this.#isOver) return;
    const error = this.#reader.push(bytes);
    if (error !== undefined) this.fail(error);
  }

  /** Messages may still be read after the trailers have come, and trailers may be told after the last message was read. */
  #ended(): void {
    this.#hasEnded = true;
    if (this.#trailers !== undefined) return this.#conclude();
    setImmediate(() => {
      // Otherwise it did not end but was broken off: `#closed` says why.
      if (this.#stream?.closed === false && !this.#stream.destroyed) this.#conclude();
    });
  }

  #conclude(): void {
    const trailers = this.#trailers ?? NO_HEADERS;
    const error = this.#trailers === undefined ? errorOfNoStatus() : errorOfTrailers(trailers);
    // What the peer says went wrong goes before a message that it did not end.
    this.#finish(error ?? this.#reader.end(), trailers);
  }

  #closed(code: number): void {
    if (this.#trailers !== undefined) return this.#conclude();
    setImmediate(() => {
      // Where the whole connection has ended, the channel says why.
      if (this.#session?.destroyed === false) this.fail(code === 0 && this.#hasEnded ? errorOfNoStatus() : errorOfReset(code));
    });
  }

  #late(timeoutMs: number): void {
    const stage = this.#stream === undefined ? ' (there is no connection yet)' : '';
    this.fail(new GrpcError(GRPC_STATUS.DEADLINE_EXCEEDED, `no answer within ${timeoutMs} ms${stage}`));
  }

  #finish(error: GrpcError | undefined, trailers: GrpcHeaders): void {
    if (this.#isOver) return;
    this.#over();
    this.#options.handler.onEnd(error, trailers);
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#waiting = [];
    const stream = this.#stream;
    // The peer need not read or send what nobody is interested in any more.
    if (stream !== undefined && !stream.closed && !(this.#hasEnded && stream.writableFinished)) stream.close(CANCEL);
    this.#options.onOver(this);
  }
}

function framed(message: Uint8Array): Buffer {
  return Buffer.concat([grpcPrefix(message.length), message], GRPC_PREFIX_BYTES + message.length);
}
