// The half of a connection that both directions stand on: its streams and how they close, its output, and all that is sent. `connection.ts`
// adds what is received, `server.ts` and `client.ts` the roles.

import { Output, type ByteSink } from '../bytes/output.ts';
import { HpackEncoder, type HpackViolationCode } from '../hpack/index.ts';
import { LocalProtocolError } from '../http1/errors.ts';
import type { Trailers } from '../http1/head.ts';
import { ABUSE_VIOLATION, AbuseMeter, type AbuseKind } from './abuse.ts';
import { ClosedStreams } from './closed-streams.ts';
import { NO_RENDERING, encodeTrailers, type Http2Rendering } from './encode-head.ts';
import { HTTP2_ERROR, HTTP2_VIOLATIONS, Http2ProtocolError, type ConnectionViolationCode, type StreamViolationCode } from './errors.ts';
import { ReceiveFlow, SendFlow } from './flow.ts';
import { PING_BYTES, STREAM_ID_MAX } from './frame.ts';
import { FrameWriter } from './frame-writer.ts';
import type { Http2Handler } from './handler.ts';
import type { Http2Trailers } from './head.ts';
import { DEFAULT_HTTP2_LIMITS, type Http2Limits } from './limits.ts';
import { LocalSettings, defaultSettings, type ChangeableSettings, type Http2Settings } from './settings.ts';
import { StreamTable } from './stream-table.ts';
import type { Http2Stream } from './stream.ts';

export interface Http2Options {
  /** What differs from DEFAULT_HTTP2_LIMITS. */
  readonly limits?: Partial<Http2Limits>;
  /** Huffman-code header fields. Default true; false takes a quarter more bytes and less time on both sides. */
  readonly huffman?: boolean;
  /** Servers: take extended CONNECT (RFC 8441), such as WebSocket over HTTP/2. Default true. */
  readonly extendedConnect?: boolean;
  /** Servers: tell clients that LOAD frames are answered (see `load.ts`). Default false. */
  readonly answersLoad?: boolean;
  /** Size of the allocations that outgoing frames share, in bytes. Default 65,536. A connection holds one only while frames are pending. */
  readonly outputSlabBytes?: number;
  /** DATA of up to so many bytes are copied beside their frame header, larger ones pass by reference. Default 1,024: up to there a copy costs
   *  less than one more piece of a gathered write, on plain sockets and on TLS, which gathers pieces itself. With a sink that tells
   *  `holdsBytes`, so that memory is reused, 4,096 is better. */
  readonly dataCopyBytesMax?: number;
}

const DATA_COPY_BYTES_MAX = 1_024;
/** DATA shorter than this, cut by a window, is no useful work (see `windowUpdates` in the limits). */
const TINY_DATA_BYTES = 256;

/** `open`: everything goes. `closing`: GOAWAY was sent or received; the streams there are go on. `closed`: after `onError` or `end`. */
export type Http2State = 'open' | 'closing' | 'closed';

export abstract class Http2Core {
  protected readonly limits: Http2Limits;
  protected readonly writer: FrameWriter;
  protected readonly encoder: HpackEncoder;
  protected readonly streams: StreamTable = new StreamTable();
  protected readonly closedStreams: ClosedStreams = new ClosedStreams();
  protected readonly meter: AbuseMeter;
  protected readonly receiveFlow: ReceiveFlow;
  protected readonly sendFlow: SendFlow = new SendFlow();
  protected readonly local: LocalSettings = new LocalSettings();
  protected readonly remote: Http2Settings = defaultSettings();
  /** The highest stream that the peer opened. */
  protected lastPeerStreamId = 0;
  /** The highest one that is processed: lowered by our GOAWAY, and never raised again (RFC 9113 §6.8). */
  protected lastAccepted: number = STREAM_ID_MAX;
  protected goawaySent = false;
  protected goawayReceived = false;
  protected closed = false;
  private readonly coreHandler: Http2Handler;

  protected constructor(handler: Http2Handler, options: Http2Options) {
    this.coreHandler = handler;
    this.limits = options.limits === undefined ? DEFAULT_HTTP2_LIMITS : { ...DEFAULT_HTTP2_LIMITS, ...options.limits };
    this.writer = new FrameWriter(new Output(options.outputSlabBytes), options.dataCopyBytesMax ?? DATA_COPY_BYTES_MAX);
    this.encoder = new HpackEncoder({ tableBytesMax: this.limits.encoderTableBytesMax, huffman: options.huffman ?? true });
    this.meter = new AbuseMeter(this.limits);
    this.receiveFlow = new ReceiveFlow(this.writer);
  }

  get state(): Http2State {
    if (this.closed) return 'closed';
    return this.goawaySent || this.goawayReceived ? 'closing' : 'open';
  }

  /** Streams that are not closed. */
  get streamCount(): number {
    return this.streams.size;
  }

  /** The peer's settings as they hold now. */
  get peerSettings(): Readonly<Http2Settings> {
    return this.remote;
  }

  /** We have sent SETTINGS that the peer has not acknowledged. How long that may last is up to the caller (SETTINGS_TIMEOUT). */
  get awaitsSettingsAck(): boolean {
    return this.local.outstanding > 0;
  }

  /** Bytes that `take` or `writeTo` would give. */
  get pendingBytes(): number {
    return this.writer.output.length;
  }

  /** The frames since the last call, as one buffer that belongs to the caller: call it once per turn, and write it. While the socket takes no
   *  more, do not `push`: what the peer makes us answer is bounded by `replyBytesMax`. */
  take(): Buffer {
    this.writer.replyBytes = 0;
    return this.writer.output.take();
  }

  /** As `take`, but writes the frames itself, in order, without copying large DATA together. False when the sink wants no more for now. It is
   *  corked only when there is more than one piece; nothing is written when nothing is pending. */
  writeTo(sink: ByteSink): boolean {
    this.writer.replyBytes = 0;
    return this.writer.output.writeTo(sink);
  }

  /**
   * Sends bytes[start, end) as far as the windows let it, and returns how many bytes that were; the rest is the caller's, to be tried again
   * at `onWindow`. While other streams wait for the window of the connection, a call takes no more than a quantum of 16,384 bytes.
   * `endStream` holds once everything was sent. The bytes must not change until they were written. Throws LocalProtocolError when the stream
   * is not open for sending.
   */
  sendData(stream: Http2Stream, bytes: Buffer, start: number, end: number, endStream: boolean): number {
    if (!stream.isSending || !stream.headSent) this.refuseToSend(stream, 'DATA');
    const frameMax = Math.min(this.remote.maxFrameSize, this.limits.sentFrameBytesMax);
    const until = start + Math.min(end - start, this.sendFlow.allowance(stream));
    let at = start;
    while (at < until) {
      const to = Math.min(until, at + frameMax);
      this.writer.data(stream.id, endStream && to === end, bytes, at, to);
      if (to - at >= TINY_DATA_BYTES || to === end) this.meter.dataFrames++;
      at = to;
    }
    this.sendFlow.spend(stream, at - start);
    if (at < end) this.sendFlow.block(stream);
    else if (endStream) {
      if (start === end) this.writer.data(stream.id, true, bytes, end, end);
      this.endSending(stream);
    }
    return at - start;
  }

  /** How many bytes `sendData` would take now. */
  sendable(stream: Http2Stream): number {
    return this.sendFlow.allowance(stream);
  }

  /** Ends our direction with trailers, received ones (of either version) or own ones. All data must have been sent. Throws LocalProtocolError
   *  when the stream is not open for sending. */
  sendTrailers(stream: Http2Stream, trailers: Http2Trailers | Trailers, rendering: Http2Rendering = NO_RENDERING): void {
    if (!stream.isSending || !stream.headSent) this.refuseToSend(stream, 'trailers');
    encodeTrailers(this.encoder, this.writer.beginBlock(), trailers, rendering);
    this.writer.endBlock(stream.id, true, this.remote.maxFrameSize);
    this.endSending(stream);
  }

  /** Closes a stream. Nothing is told about it any more. Without effect on a closed one. */
  reset(stream: Http2Stream, errorCode: number = HTTP2_ERROR.cancel): void {
    if (stream.isClosed || this.closed) return;
    this.writer.rstStream(stream.id, errorCode);
    this.closeReset(stream, 'reset-by-us');
  }

  /** So many bytes of what `onData` gave need no memory any more: the peer may send as many again. Throws LocalProtocolError for more than
   *  were given. */
  consumed(stream: Http2Stream, bytes: number): void {
    if (!(bytes >= 0 && bytes <= stream.unconsumed)) {
      throw new LocalProtocolError('BAD_ARGUMENT', `Stream ${stream.id} has ${stream.unconsumed} unconsumed bytes, not ${bytes}.`);
    }
    stream.unconsumed -= bytes;
    if (bytes === 0 || this.closed) return;
    this.receiveFlow.releaseStream(stream, bytes, this.local.latestWindow);
    this.receiveFlow.release(bytes);
  }

  /** Sends PING with eight bytes; the answer comes by `onPingAck`. */
  ping(payload: Buffer): void {
    if (payload.length !== PING_BYTES) throw new LocalProtocolError('BAD_ARGUMENT', `PING carries 8 bytes, not ${payload.length}.`);
    if (!this.closed) this.writer.ping(false, payload, 0);
  }

  /** Changes our settings. Each holds from the peer's acknowledgement on. */
  changeSettings(change: ChangeableSettings): void {
    if (this.closed) return;
    const windowBefore = this.local.largestWindow;
    this.writer.settings(this.local.send(change));
    this.moveReceiveWindows(windowBefore);
  }

  /** Tells the peer that streams above its latest one will not be processed. Those that are open go on. `debug`: ASCII for the peer's log. */
  goaway(errorCode: number = HTTP2_ERROR.noError, debug: string = ''): void {
    if (this.closed) return;
    this.goawaySent = true;
    this.lastAccepted = Math.min(this.lastAccepted, this.lastPeerStreamId);
    this.writer.goaway(this.lastAccepted, errorCode, debug);
  }

  /** The transport has ended or failed: every open stream is told by `onReset` with CANCEL. */
  end(): void {
    if (this.closed) return;
    this.closed = true;
    this.stopReading();
    this.resetAll(HTTP2_ERROR.cancel);
  }

  /** The initial window that the peer may go by has changed: it holds for open streams, too (RFC 9113 §6.9.2). */
  protected moveReceiveWindows(windowBefore: number): void {
    const change = this.local.largestWindow - windowBefore;
    if (change !== 0) for (const stream of this.streams.list()) stream.receiveWindow += change;
  }

  /** Whatever is pushed from now on is discarded. */
  protected abstract stopReading(): void;

  /** Whether peers can hurt by resets: only who opens streams can. */
  protected abstract readonly chargesResets: boolean;

  /** A connection error (RFC 9113 §5.4.1). */
  protected fail(code: ConnectionViolationCode, hpack?: HpackViolationCode): void {
    if (this.closed) return;
    const error = new Http2ProtocolError(code, hpack);
    this.goaway(error.errorCode, hpack ?? code);
    this.closed = true;
    this.stopReading();
    this.resetAll(error.errorCode);
    this.coreHandler.onError(error);
  }

  /** A stream error (§5.4.2) that the peer made. */
  protected failStream(stream: Http2Stream, code: StreamViolationCode): void {
    const { errorCode } = HTTP2_VIOLATIONS[code];
    this.writer.rstStream(stream.id, errorCode);
    this.closeReset(stream, 'reset-by-us');
    this.coreHandler.onReset(stream, errorCode, code);
    if (this.chargesResets) this.charge('resets');
  }

  /** Takes one from a budget, and ends the connection when it is used up: then false. */
  protected charge(kind: AbuseKind): boolean {
    if (this.meter.charge(kind)) return true;
    this.fail(ABUSE_VIOLATION[kind]);
    return false;
  }

  protected closeReset(stream: Http2Stream, how: 'reset-by-us' | 'reset-by-peer'): void {
    stream.advance('reset');
    this.streams.delete(stream);
    this.closedStreams.add(stream.id, how);
  }

  /** The peer has ended its direction. */
  protected endReceiving(stream: Http2Stream): void {
    stream.advance('receive-end');
    if (stream.isClosed) this.closeEnded(stream);
  }

  protected endSending(stream: Http2Stream): void {
    stream.blocked = false;
    stream.advance('send-end');
    if (stream.isClosed) this.closeEnded(stream);
  }

  protected refuseToSend(stream: Http2Stream, what: string): never {
    const head = stream.headSent ? 'the head was sent' : 'no head was sent';
    throw new LocalProtocolError('WRONG_STATE', `${what} cannot be sent on stream ${stream.id}: it is ${stream.state}, ${head}.`);
  }

  private closeEnded(stream: Http2Stream): void {
    this.streams.delete(stream);
    this.closedStreams.add(stream.id, 'ended');
    this.meter.exchanges++;
  }

  private resetAll(errorCode: number): void {
    for (const stream of this.streams.list()) {
      stream.state = 'closed';
      this.coreHandler.onReset(stream, errorCode, undefined);
    }
    this.streams.clear();
  }
}
