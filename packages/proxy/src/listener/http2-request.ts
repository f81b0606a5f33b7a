// One request of an HTTP/2 connection, from its head to the end of its stream. Used again for other streams of the connection.
import { ERRORS, ERROR_HEADER } from '@heddle/core';
import type { ErrorCode } from '@heddle/core';
import { encodeGrpcMessage, grpcKindOf, HeaderNames, HTTP2_ERROR, Http2RequestHead, Http2ResponseHead } from '@heddle/wire';
import type { Http2ResponseRendering, Http2Server, Http2Stream, Http2Trailers, RequestHead } from '@heddle/wire';
import type { Context } from '../stack/context.ts';
import type { Downstream } from '../stack/ends.ts';
import { Exchange } from '../stack/exchange.ts';
import type { Forwarding } from '../stack/forwarding.ts';
import type { Http2Link } from '../stack/http2-link.ts';
import type { AnyRequestHead, AnyResponseHead, AnyTrailers } from '../stack/messages.ts';
import { StreamEnd } from '../stack/stream-end.ts';
import { acceptFields, HTTP1_SWITCH_HEADERS } from '../stack/websocket.ts';
import type { Entry } from './entry.ts';
import { errorText } from './local-response.ts';

const DROPPED_ON_SWITCH = new HeaderNames([...HTTP1_SWITCH_HEADERS, ERROR_HEADER]);

/** The connection, as its requests see it. */
export interface Http2RequestOwner extends Http2Link {
  readonly codec: Http2Server;
  readonly entry: Entry;
  /** The object may be used for another stream. */
  requestEnded(request: Http2Request): void;
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
    this.exchange = new Exchange(context, this);
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
    if (!entry.find(head)) {
      this.respondError(entry.code, entry.detail);
      entry.refused(entry.code);
      return;
    }
    entry.mark(head, this.forwarding);
    this.exchange.start(head, endStream, this.switchesBy2xx, entry.stack, entry.cluster, entry.workload, entry.metrics());
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

  respond(head: AnyResponseHead, endStream: boolean, drop: HeaderNames | undefined): void {
    const { stream, rendering } = this;
    if (stream === undefined || !stream.isSending) return;
    rendering.drop = drop;
    rendering.status = undefined;
    this.connection.codec.respond(stream, head, endStream, rendering);
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
    const { stream, connection } = this;
    if (stream !== undefined && stream.isSending && !stream.headSent) {
      const head = new Http2ResponseHead();
      const text = errorText(code, detail);
      const isGrpc = grpcKindOf(this.head.get('content-type')) === 'grpc';
      head.status = isGrpc ? 200 : ERRORS[code].httpStatus;
      head.add(ERROR_HEADER, code);
      if (isGrpc) {
        // The protocol's "trailers only": status and message in the head of a response that has nothing else.
        head.add('content-type', 'application/grpc');
        head.add('grpc-status', String(ERRORS[code].grpcStatus));
        head.add('grpc-message', encodeGrpcMessage(text.trim()));
        connection.codec.respond(stream, head, true);
      } else {
        const body = Buffer.from(text, 'utf8');
        head.add('content-type', 'text/plain; charset=utf-8');
        head.add('content-length', String(body.length));
        if (head.status === 407) head.add('proxy-authenticate', 'Basic realm="heddle"');
        if (head.status === 503) head.add('retry-after', '1');
        const isBodyless = this.head.method === 'HEAD';
        connection.codec.respond(stream, head, isBodyless);
        if (!isBodyless) this.send(body, 0, body.length, true);
      }
      connection.touch();
    }
    this.responseDone();
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
