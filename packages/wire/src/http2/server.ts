// The server's side: takes requests, sends responses.

import type { FieldList } from '../hpack/index.ts';
import type { ResponseHead } from '../http1/head.ts';
import { Http2Connection } from './connection.ts';
import type { Http2Options } from './core.ts';
import { NO_RENDERING, encodeResponseHead, type Http2ResponseRendering } from './encode-head.ts';
import { HTTP2_ERROR, HTTP2_VIOLATIONS, type ConnectionViolationCode, type StreamViolationCode } from './errors.ts';
import { PING_BYTES, STREAM_ID_MAX } from './frame.ts';
import type { Http2ServerHandler } from './handler.ts';
import { Http2ResponseHead, requestHeadStock, type Http2RequestHead } from './head.ts';
import { clampUint32 } from './load.ts';
import { readRequestHead } from './message.ts';
import { Http2Stream } from './stream.ts';

/** What our PING of a graceful end carries, so that its answer is known. */
const DRAIN_PING = Buffer.from('draining', 'latin1').subarray(0, PING_BYTES);

export class Http2Server extends Http2Connection {
  protected override readonly chargesResets = true;
  private readonly serverHandler: Http2ServerHandler;
  /** The one that is being received or shown. */
  private head: Http2RequestHead | undefined;
  private readonly extendedConnect: boolean;

  /** One per connection. SETTINGS are in the output at once. */
  constructor(handler: Http2ServerHandler, options: Http2Options = {}) {
    super('server', handler, options);
    this.serverHandler = handler;
    this.extendedConnect = options.extendedConnect ?? true;
  }

  /** Sends the head of the final response, of either version. Throws LocalProtocolError when the stream has one, or is closed. */
  respond(
    stream: Http2Stream,
    head: Http2ResponseHead | ResponseHead,
    endStream: boolean,
    rendering: Http2ResponseRendering = NO_RENDERING,
  ): void {
    this.sendHead(stream, head, endStream, rendering);
    stream.headSent = true;
    if (endStream) this.endSending(stream);
  }

  /** Sends an interim (1xx) response; `respond` follows. */
  inform(stream: Http2Stream, head: Http2ResponseHead | ResponseHead, rendering: Http2ResponseRendering = NO_RENDERING): void {
    this.sendHead(stream, head, false, rendering);
  }

  /**
   * Ends the connection without losing a request (RFC 9113 §6.8): tells the client to open no more streams, and, once it must have read that
   * (it answered a PING), which was the last one. When `state` is `closing` and `streamCount` is 0, the transport can be closed; how long
   * to wait is up to the caller, who can send `goaway()` at any time.
   */
  drain(): void {
    if (this.closed || this.goawaySent || this.drainPing !== undefined) return;
    this.drainPing = DRAIN_PING;
    this.writer.goaway(STREAM_ID_MAX, HTTP2_ERROR.noError, '');
    this.writer.ping(false, DRAIN_PING, 0);
  }

  /** In answer to `onLoadQuestion`. Numbers that do not fit are said to be the largest that does. */
  answerLoad(number: number, inFlight: number, latencyMicros: number): void {
    if (!this.closed) this.writer.loadAnswer(number, clampUint32(inFlight), clampUint32(latencyMicros));
  }

  override goaway(errorCode: number = HTTP2_ERROR.noError, debug: string = ''): void {
    this.drainPing = undefined;
    super.goaway(errorCode, debug);
  }

  /**
   * The connection was upgraded from HTTP/1.1 (RFC 7540 §3.2): the request that asked for it becomes stream 1, whose response is sent here.
   * `settings`: the decoded value of HTTP2-Settings; undefined when they are wrong, after `onError`. Only before the first `push`.
   */
  acceptUpgrade(settings: Buffer, toHead: boolean): Http2Stream | undefined {
    if (settings.length % 6 !== 0) {
      this.fail('BAD_FRAME_SIZE');
      return undefined;
    }
    if (!this.applySettings(settings, 0, settings.length)) return undefined;
    this.lastPeerStreamId = 1;
    const stream = this.openStream(1);
    stream.toHead = toHead;
    stream.advance('receive-end');
    return stream;
  }

  protected override isIdle(streamId: number): boolean {
    return streamId > this.lastPeerStreamId || (streamId & 1) === 0;
  }

  /** §5.1.1: clients open odd streams, in ascending order. */
  protected override openIdle(streamId: number): ConnectionViolationCode | undefined {
    if ((streamId & 1) === 0) return 'BAD_STREAM_ID';
    this.lastPeerStreamId = streamId;
    return undefined;
  }

  protected override headList(): FieldList {
    this.head = requestHeadStock.lend(this.head);
    return this.head.list;
  }

  protected override receiveHead(
    streamId: number,
    _stream: Http2Stream | undefined,
    endStream: boolean,
    blockFault: StreamViolationCode | undefined,
  ): void {
    const head = this.head!;
    this.takeRequest(streamId, head, endStream, blockFault);
    requestHeadStock.end(head);
    this.head = undefined;
  }

  private takeRequest(streamId: number, head: Http2RequestHead, endStream: boolean, blockFault: StreamViolationCode | undefined): void {
    // §6.8: what comes after the last stream of our GOAWAY is ignored.
    if (streamId > this.lastAccepted) return this.closedStreams.add(streamId, 'reset-by-us');
    if (this.streams.size >= this.limits.concurrentStreamsMax) return this.refuse(streamId, 'TOO_MANY_STREAMS');
    if (head.list.tooLarge) return this.refuseTooLarge(streamId, endStream);
    const fault =
      blockFault ?? readRequestHead(head, this.extendedConnect) ?? (endStream && head.contentLength > 0 ? 'LENGTH_DIFFERS' : undefined);
    if (fault !== undefined) return this.refuse(streamId, fault);
    const stream = this.openStream(streamId);
    stream.toHead = head.method === 'HEAD';
    // RFC 9110 §9.3.6: in a CONNECT request it means nothing.
    if (head.method !== 'CONNECT') stream.lengthLeft = head.contentLength;
    if (endStream) this.endReceiving(stream);
    this.serverHandler.onHeaders(stream, head, endStream);
  }

  private openStream(streamId: number): Http2Stream {
    const stream = new Http2Stream(streamId, this.remote.initialWindowSize, this.local.largestWindow);
    stream.advance('receive-headers');
    stream.headReceived = true;
    this.streams.add(stream);
    return stream;
  }

  private refuse(streamId: number, code: StreamViolationCode): void {
    this.writer.rstStream(streamId, HTTP2_VIOLATIONS[code].errorCode);
    this.closedStreams.add(streamId, 'reset-by-us');
    this.serverHandler.onRefused(streamId, code);
    this.charge('resets');
  }

  /** RFC 6585 §5: the client learns why. */
  private refuseTooLarge(streamId: number, endStream: boolean): void {
    const answer = new Http2ResponseHead();
    answer.status = 431;
    encodeResponseHead(this.encoder, this.writer.beginBlock(), answer, NO_RENDERING);
    this.writer.endBlock(streamId, true, this.remote.maxFrameSize);
    // §8.1: the rest of the request is not wanted.
    if (!endStream) this.writer.rstStream(streamId, HTTP2_ERROR.noError);
    this.closedStreams.add(streamId, 'reset-by-us');
    this.serverHandler.onRefused(streamId, 'HEADERS_TOO_LARGE');
    this.charge('resets');
  }

  private sendHead(
    stream: Http2Stream,
    head: Http2ResponseHead | ResponseHead,
    endStream: boolean,
    rendering: Http2ResponseRendering,
  ): void {
    if (!stream.isSending || stream.headSent) this.refuseToSend(stream, 'A response');
    encodeResponseHead(this.encoder, this.writer.beginBlock(), head, rendering);
    this.writer.endBlock(stream.id, endStream, this.remote.maxFrameSize);
  }
}
