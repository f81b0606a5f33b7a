// One request of an HTTP/2 connection, from its head to the end of its stream. Used again for other streams of the connection.
import { ERROR_HEADER } from '@heddle/core';
import type { ErrorCode } from '@heddle/core';
import { encodeGrpcMessage, grpcKindOf, HeaderNames, HTTP2_ERROR, Http2RequestHead, Http2ResponseHead } from '@heddle/wire';
import type { Http2ResponseRendering, Http2Server, Http2Stream, Http2Trailers, RequestHead } from '@heddle/wire';
import type { Context } from '../stack/context.ts';
import type { Downstream } from '../stack/ends.ts';
import { Exchange } from '../stack/exchange.ts';
import type { Forwarding } from '../stack/forwarding.ts';
import type { OwnHeader } from '../stack/header-rewrite.ts';
import { errorAnswer } from '../stack/local-answer.ts';
import type { LocalAnswer } from '../stack/local-answer.ts';
import type { Http2Link } from '../stack/http2-link.ts';
import { ownFields } from '../stack/messages.ts';
import type { AnyRequestHead, AnyResponseHead, AnyTrailers } from '../stack/messages.ts';
import { StreamEnd } from '../stack/stream-end.ts';
import { acceptFields, HTTP1_SWITCH_HEADERS } from '../stack/websocket.ts';
import type { Entry } from './entry.ts';

const DROPPED_ON_SWITCH = new HeaderNames([...HTTP1_SWITCH_HEADERS, ERROR_HEADER]);

/** The connection, as its requests see it. */
export interface Http2RequestOwner extends Http2Link {
  readonly codec: Http2Server;
  readonly entry: Entry;
  /** The object may be used for another stream. */
  requestEnded(request: Http2Request): void;
}

/** gRPC's "trailers only": status and message in the head of a response that has nothing else. */
function trailersOnly({ code, headers, body }: LocalAnswer, grpcStatus: number): Http2ResponseHead {
  const head = new Http2ResponseHead();
  head.status = 200;
  if (code !== undefined) head.add(ERROR_HEADER, code);
  for (const [name, value] of headers) if (name.startsWith('grpc-')) head.add(name, value);
  return head
    .add('content-type', 'application/grpc')
    .add('grpc-status', String(grpcStatus))
    .add('grpc-message', encodeGrpcMessage(body.trim()));
}

export class Http2Request extends StreamEnd implements Downstream {
  readonly forwarding: Forwarding;
  /** Of a request that asked for another protocol (RFC 8441 §4). */
  switchesBy2xx = false;
  private readonly context: Context;
  private readonly connection: Http2RequestOwner;
  private readonly exchange: Exchange;
  private readonly rendering: Http2ResponseRendering = {};
  private head!: AnyRequestHead;
  private isOpen = false;
  /** The exchange is over, and the last bytes of the response wait for the client. */
  private isFinishing = false;
  /** The response has gone out before the request was complete. */
  private isDiscarding = false;
  private discardedBytes = 0;

  constructor(context: Context, connection: Http2RequestOwner) {
    super();
    this.context = context;
    this.connection = connection;
    this.forwarding = connection.entry.createForwarding();
    this.exchange = new Exchange(context, this, connection.entry.service.load);
  }

  /** `head` was kept. `endStream`: it has no body. */
  begin(stream: Http2Stream, head: Http2RequestHead | RequestHead, endStream: boolean): void {
    this.attach(this.connection, stream);
    this.isOpen = true;
    this.isFinishing = false;
    this.isDiscarding = false;
    this.head = head;
    const { entry } = this.connection;
    this.switchesBy2xx = head instanceof Http2RequestHead && head.protocol !== '';
    if (!entry.find(head)) return this.refuse();
    entry.mark(head, this.forwarding, endStream);
    this.exchange.start(head, endStream, this.switchesBy2xx, entry);
  }

  /** The entry has found no way for the request, or has the answer itself. */
  private refuse(): void {
    const { entry } = this.connection;
    const { answer, code, detail } = entry;
    this.answerLocally(answer ?? errorAnswer(code, detail));
    if (answer === undefined) entry.refused(code);
    else entry.answered(answer);
  }

  override onDeadline(nowMs: number): void {
    if (this.exchange.active) this.exchange.onDeadline(nowMs);
    else if (this.isDiscarding) this.endDiscarding();
    // A client that never opens its window: nothing more can be waited for.
    else this.abort();
    this.context.turn.end();
  }

  // --- for the exchange

  setDeadline(deadlineMs: number): void {
    this.context.deadlines.set(this, deadlineMs);
  }

  pauseRequest(): void {
    this.pauseReceiving();
  }

  resumeRequest(): void {
    this.resumeReceiving();
  }

  interim(head: AnyResponseHead, drop: HeaderNames | undefined): void {
    const { stream, rendering } = this;
    if (stream === undefined || !stream.isSending) return;
    rendering.drop = drop;
    rendering.status = undefined;
    this.connection.codec.inform(stream, head, rendering);
    this.connection.touch();
  }

  respond(head: AnyResponseHead, endStream: boolean, drop: HeaderNames | undefined, own: readonly OwnHeader[] | undefined): void {
    const { stream, rendering } = this;
    if (stream === undefined || !stream.isSending) return;
    rendering.drop = drop;
    rendering.status = undefined;
    rendering.add = own && ownFields(own);
    this.connection.codec.respond(stream, head, endStream, rendering);
    rendering.add = undefined;
    this.connection.touch();
  }

  switchProtocols(head: AnyResponseHead): void {
    const { stream, rendering } = this;
    if (stream === undefined) return;
    rendering.drop = DROPPED_ON_SWITCH;
    rendering.add = acceptFields(this.head);
    rendering.status = 200;
    this.connection.codec.respond(stream, head, false, rendering);
    rendering.add = undefined;
    this.connection.touch();
    this.resumeReceiving();
  }

  body(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    if (end > start || isLast) this.send(bytes, start, end, isLast);
  }

  end(trailers: AnyTrailers | undefined): void {
    this.sendEnd(trailers);
  }

  endTunnel(): void {
    this.sendEnd(undefined);
  }

  respondError(code: ErrorCode, detail: string): void {
    this.answerLocally(errorAnswer(code, detail));
  }

  answerLocally(answer: LocalAnswer): void {
    const { stream, connection } = this;
    if (stream !== undefined && stream.isSending && !stream.headSent) {
      const isGrpc = answer.grpcStatus !== undefined && grpcKindOf(this.head.get('content-type')) === 'grpc';
      if (isGrpc) connection.codec.respond(stream, trailersOnly(answer, answer.grpcStatus), true);
      else this.answerHttp(stream, answer);
      connection.touch();
    }
    this.responseDone();
  }

  private answerHttp(stream: Http2Stream, { status, headers, contentType, body }: LocalAnswer): void {
    const head = new Http2ResponseHead();
    head.status = status;
    for (const [name, value] of headers) head.add(name, value);
    const bytes = Buffer.from(body, 'utf8');
    if (bytes.length > 0) head.add('content-type', contentType);
    // RFC 9110 §8.6: never with 204, and with 304 it would be that of another answer.
    if (status !== 204 && status !== 304) head.add('content-length', String(bytes.length));
    const isBodyless = bytes.length === 0 || this.head.method === 'HEAD' || status === 204 || status === 304;
    this.connection.codec.respond(stream, head, isBodyless);
    if (!isBodyless) this.send(bytes, 0, bytes.length, true);
  }

  responseDone(): void {
    const { stream } = this;
    if (stream !== undefined && !stream.isClosed) {
      if (this.isBlocked) {
        this.isFinishing = true;
        this.setDeadline(this.context.clock.nowMs() + this.context.limits.streamIdleTimeoutMs);
        return;
      }
      if (!stream.isSending) return this.discardRest();
      this.reset(HTTP2_ERROR.internalError);
    }
    this.finish();
  }

  /**
   * The response is complete, and the rest of the request is not wanted. RFC 9113 §8.1 lets us say so by RST_STREAM, but some clients then
   * forget a response that came with it; so the rest is taken for a while, as far as it is short.
   */
  private discardRest(): void {
    this.isDiscarding = true;
    this.discardedBytes = 0;
    this.resumeReceiving();
    this.setDeadline(this.context.clock.nowMs() + this.context.limits.discardTimeoutMs);
  }

  private endDiscarding(): void {
    this.reset(HTTP2_ERROR.noError);
    this.finish();
  }

  abort(): void {
    this.reset(HTTP2_ERROR.internalError);
    this.finish();
  }

  // --- from the stream

  protected override onReceived(bytes: Buffer, start: number, end: number, endStream: boolean): void {
    const { exchange } = this;
    if (this.isDiscarding) {
      this.discardedBytes += end - start;
      if (endStream || this.discardedBytes > this.context.limits.discardedBytesMax) this.endDiscarding();
      return;
    }
    if (!exchange.active) return;
    if (end > start) exchange.requestBody(bytes, start, end, endStream);
    if (endStream && exchange.active) exchange.requestEnd(undefined);
  }

  override receiveTrailers(trailers: Http2Trailers): void {
    if (this.isDiscarding) this.endDiscarding();
    else if (this.exchange.active) this.exchange.requestEnd(trailers);
  }

  protected override onSendDrained(): void {
    if (this.exchange.active) this.exchange.onDownstreamDrained();
    else if (this.isFinishing) this.responseDone();
  }

  protected override onReset(): void {
    if (this.exchange.active) this.exchange.cancel();
    this.finish();
  }

  private finish(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.context.deadlines.remove(this);
    this.detach();
    if (this.head instanceof Http2RequestHead) this.head.release();
    this.connection.requestEnded(this);
  }
}
