// The client's side: sends requests, takes responses.

import type { FieldList } from '../hpack/index.ts';
import type { RequestHead } from '../http1/head.ts';
import { Http2Connection } from './connection.ts';
import type { Http2Options } from './core.ts';
import { NO_RENDERING, encodeRequestHead, type Http2RequestRendering } from './encode-head.ts';
import type { ConnectionViolationCode, StreamViolationCode } from './errors.ts';
import { STREAM_ID_MAX } from './frame.ts';
import type { Http2ClientHandler } from './handler.ts';
import { responseHeadStock, type Http2RequestHead, type Http2ResponseHead } from './head.ts';
import { readResponseHead } from './message.ts';
import { Http2Stream } from './stream.ts';

/** RFC 9113 §6.5.2 recommends servers to allow at least so many streams; assumed until the server's SETTINGS come. */
const STREAMS_BEFORE_SETTINGS = 100;

export class Http2Client extends Http2Connection {
  /** A server that resets our streams costs us no more than we asked for. */
  protected override readonly chargesResets = false;
  private readonly clientHandler: Http2ClientHandler;
  /** The one that is being received or shown. */
  private head: Http2ResponseHead | undefined;
  private nextStreamId = 1;

  /** One per connection. The preface and SETTINGS are in the output at once. */
  constructor(handler: Http2ClientHandler, options: Http2Options = {}) {
    super('client', handler, options);
    this.clientHandler = handler;
  }

  /** How many requests may be sent now. 0 for good once the connection is not `open`, or its stream ids are used up. */
  get capacity(): number {
    if (this.state !== 'open' || this.nextStreamId > STREAM_ID_MAX) return 0;
    const { maxConcurrentStreams } = this.remote;
    const allowed = this.settingsReceived ? maxConcurrentStreams : Math.min(maxConcurrentStreams, STREAMS_BEFORE_SETTINGS);
    return Math.max(0, allowed - this.streamCount);
  }

  /** Sends the head of a request, of either version, on a new stream. Undefined when `capacity` is 0: try another connection, or later. Throws
   *  LocalProtocolError for a head that lacks what a request needs. */
  request(
    head: Http2RequestHead | RequestHead,
    endStream: boolean,
    rendering: Http2RequestRendering = NO_RENDERING,
  ): Http2Stream | undefined {
    if (this.capacity === 0) return undefined;
    encodeRequestHead(this.encoder, this.writer.beginBlock(), head, rendering);
    const stream = new Http2Stream(this.nextStreamId, this.remote.initialWindowSize, this.local.largestWindow);
    this.nextStreamId += 2;
    this.streams.add(stream);
    const method = rendering.method ?? head.method;
    stream.toHead = method === 'HEAD';
    stream.toConnect = method === 'CONNECT' || rendering.protocol !== undefined;
    stream.headSent = true;
    this.writer.endBlock(stream.id, endStream, this.remote.maxFrameSize);
    stream.advance('send-headers');
    if (endStream) this.endSending(stream);
    return stream;
  }

  /** Asks how loaded the server is; the answer comes by `onLoadAnswer`. False: this server does not answer such, or has not said so yet. */
  askLoad(number: number): boolean {
    if (this.state !== 'open' || !this.remote.answersLoad) return false;
    this.writer.loadQuestion(number);
    return true;
  }

  protected override isIdle(streamId: number): boolean {
    return streamId >= this.nextStreamId || (streamId & 1) === 0;
  }

  /** Servers open no streams: push is disabled (§8.4). */
  protected override openIdle(streamId: number): ConnectionViolationCode | undefined {
    return (streamId & 1) === 0 ? 'BAD_STREAM_ID' : 'IDLE_STREAM';
  }

  protected override headList(): FieldList {
    this.head = responseHeadStock.lend(this.head);
    return this.head.list;
  }

  protected override receiveHead(
    _streamId: number,
    stream: Http2Stream,
    endStream: boolean,
    blockFault: StreamViolationCode | undefined,
  ): void {
    const head = this.head!;
    this.takeResponse(stream, head, endStream, blockFault);
    responseHeadStock.end(head);
    this.head = undefined;
  }

  private takeResponse(
    stream: Http2Stream,
    head: Http2ResponseHead,
    endStream: boolean,
    blockFault: StreamViolationCode | undefined,
  ): void {
    const fault =
      blockFault ?? (head.list.tooLarge ? 'HEADERS_TOO_LARGE' : readResponseHead(head)) ?? this.checkHead(stream, head, endStream);
    if (fault !== undefined) return this.failStream(stream, fault);
    if (head.status < 200) return this.clientHandler.onInterim(stream, head);
    stream.headReceived = true;
    if (endStream) this.endReceiving(stream);
    this.clientHandler.onHeaders(stream, head, endStream);
  }

  /** What depends on the request, and how much content may follow (RFC 9110 §6.4.1). */
  private checkHead(stream: Http2Stream, head: Http2ResponseHead, endStream: boolean): StreamViolationCode | undefined {
    const { status, contentLength } = head;
    if (status < 200) {
      if (endStream) return 'INTERIM_ENDS_STREAM';
      return ++stream.interimResponses > this.limits.interimResponsesMax ? 'TOO_MANY_INTERIM_RESPONSES' : undefined;
    }
    if (stream.toHead || status === 204 || status === 304) stream.lengthLeft = 0;
    else if (!stream.toConnect || status >= 300) stream.lengthLeft = contentLength;
    return endStream && stream.lengthLeft > 0 ? 'LENGTH_DIFFERS' : undefined;
  }
}
