// One connection to an endpoint that speaks HTTP/1.1: a user at a time, or none while it is pooled. Bytes beyond a response, or while
// nobody asked, make it unusable (RFC 9112 §9.2), so it goes back to the pool only when the pushed bytes are used up.
import type { Connection, ConnectionHandler, NetworkError, TlsContext } from '@heddle/runtime';
import { CHUNK_END, chunkHeader, lastChunk, renderRequestHead, RequestHead, ResponseParser, toHttp1Request } from '@heddle/wire';
import type { Http1Limits, RemoteProtocolError, RequestRendering, ResponseHandler, ResponseHead, Trailers } from '@heddle/wire';
import { reportBug } from '../stack/context.ts';
import type { Context } from '../stack/context.ts';
import { Timed } from '../stack/deadlines.ts';
import type { UpstreamCall, UpstreamUser } from '../stack/ends.ts';
import type { Forwarding } from '../stack/forwarding.ts';
import { trailerLines } from '../stack/messages.ts';
import type { AnyRequestHead, AnyTrailers } from '../stack/messages.ts';
import { Gather } from '../stack/turn.ts';
import type { GatherOwner } from '../stack/turn.ts';
import { accepts, askingLines, isWebSocket, keyOf } from '../stack/websocket.ts';

/** Whom the connection belongs to. `connected` or `connectFailed` comes once; after `connected`, `closed` once. */
export interface UpstreamOwner {
  readonly parserLimits: Partial<Http1Limits>;
  connected(upstream: Http1Upstream): void;
  connectFailed(error: NetworkError | undefined): void;
  /** The connection has finished a message and may carry another. */
  released(upstream: Http1Upstream): void;
  closed(upstream: Http1Upstream): void;
}

/** The parser's events, apart from the connection's, since both have an `onEnd`. */
class ResponseEvents implements ResponseHandler {
  private readonly owner: Http1Upstream;

  constructor(owner: Http1Upstream) {
    this.owner = owner;
  }

  onInterim(head: ResponseHead): void {
    this.owner.responseInterim(head);
  }

  onHead(head: ResponseHead): void {
    this.owner.responseHead(head);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.owner.responseBody(bytes, start, end);
  }

  onEnd(trailers: Trailers | undefined): void {
    this.owner.responseEnd(trailers);
  }

  onError(error: RemoteProtocolError): void {
    this.owner.responseFault(error);
  }
}

export class Http1Upstream extends Timed implements ConnectionHandler, GatherOwner, UpstreamCall {
  readonly tls: TlsContext | undefined;
  private readonly connection: Connection;
  private readonly gather: Gather;
  private readonly parser: ResponseParser;
  /** Any byte of the current response has come. */
  gotBytes = false;
  readonly isSurplus = false;
  /** Requests begun on it. */
  requests = 0;
  isConnected = false;
  /** Of no use any more, also before its close is told. */
  isDestroyed = false;
  private readonly context: Context;
  private readonly owner: UpstreamOwner;
  private user: UpstreamUser | undefined;
  private readonly requestRendering: RequestRendering = {};
  /** For requests that came by HTTP/2. */
  private converted: RequestHead | undefined;
  private isChunked = false;
  /** What our upgrade of a WebSocket that came over HTTP/2 asked with. */
  private webSocketKey = '';
  private feeding = false;
  private released = false;
  private isReusable = false;
  private paused = false;
  /** From the application's own Keep-Alive header; Infinity when it says nothing. */
  private hintedIdleMs = Infinity;

  constructor(context: Context, owner: UpstreamOwner, address: string, port: number, tls: TlsContext | undefined, timeoutMs: number) {
    super();
    this.context = context;
    this.owner = owner;
    this.tls = tls;
    this.parser = new ResponseParser(new ResponseEvents(this), owner.parserLimits);
    this.connection = context.network.connect({ address, port, tls, timeoutMs, isOwnHttp: true }, this);
    this.gather = new Gather(context.turn, this.connection, this);
  }

  get isBlocked(): boolean {
    return this.gather.blocked;
  }

  start(user: UpstreamUser, received: AnyRequestHead, forwarding: Forwarding, endStream: boolean): void {
    this.context.deadlines.set(this, Infinity);
    this.user = user;
    this.gotBytes = false;
    this.requests += 1;
    this.webSocketKey = '';
    const head = received instanceof RequestHead ? received : this.convert(received, endStream);
    const { upgrade } = head;
    const rendering = this.requestRendering;
    rendering.drop = forwarding.drop;
    rendering.add = forwarding.lines();
    rendering.target = forwarding.path;
    rendering.host = forwarding.authority;
    rendering.forwardUpgrade = upgrade !== '' && head === received;
    if (upgrade !== '' && head !== received) {
      rendering.drop = forwarding.dropOnSwitch;
      this.webSocketKey = keyOf(received, this.context.random);
      rendering.add += askingLines(upgrade, this.webSocketKey);
    }
    this.isChunked = head.framing === 'chunked';
    this.parser.begin(head.method, upgrade !== '');
    this.gather.text(renderRequestHead(head, rendering));
  }

  body(bytes: Buffer, start: number, end: number): void {
    const { gather } = this;
    if (!this.isChunked) {
      gather.bytes(bytes, start, end);
      return;
    }
    if (start === end) return;
    gather.text(chunkHeader(end - start));
    gather.bytes(bytes, start, end);
    gather.text(CHUNK_END);
  }

  end(trailers: AnyTrailers | undefined): void {
    if (this.parser.state === 'tunnel') this.gather.end();
    else if (this.isChunked) this.gather.text(lastChunk(trailers === undefined ? '' : trailerLines(trailers)));
  }

  release(requestComplete: boolean): void {
    this.user = undefined;
    // Both directions of a tunnel have ended: what is still to be sent goes out, and the connection closes by itself.
    if (this.parser.state === 'tunnel') return;
    this.isReusable &&= requestComplete;
    if (this.feeding) this.released = true;
    else this.settle();
  }

  abort(): void {
    this.user = undefined;
    if (this.parser.state === 'tunnel') {
      // What breaks off must not look like an end.
      this.gather.close();
      this.connection.reset();
    } else this.destroy();
  }

  destroy(): void {
    this.isDestroyed = true;
    this.gather.close();
    this.connection.destroy();
  }

  pauseReading(): void {
    if (this.paused) return;
    this.paused = true;
    this.connection.pause();
  }

  resumeReading(): void {
    if (!this.paused) return;
    this.paused = false;
    this.connection.resume();
  }

  /** How long it may stay in the pool. */
  get idleMs(): number {
    const { limits } = this.context;
    return this.tls !== undefined ? limits.upstreamIdleTimeoutMs : Math.min(limits.applicationIdleTimeoutMs, this.hintedIdleMs);
  }

  onConnected(): void {
    this.isConnected = true;
    this.owner.connected(this);
    this.context.turn.end();
  }

  onBytes(bytes: Buffer): void {
    this.gotBytes = true;
    this.feeding = true;
    try {
      const at = this.parser.push(bytes);
      this.feeding = false;
      if (this.released) {
        this.released = false;
        this.isReusable &&= at === bytes.length;
        this.settle();
      }
    } catch (error) {
      this.feeding = false;
      reportBug(this.context, 'upstream', error);
      this.destroy();
    }
    this.context.turn.end();
  }

  onDrained(): void {
    this.gather.blocked = false;
    this.user?.onUpstreamDrained();
    this.context.turn.end();
  }

  onBlocked(): void {
    this.user?.onUpstreamBlocked();
  }

  onEnd(): void {
    if (this.parser.state === 'tunnel') {
      this.user?.onTunnelEnd();
      this.context.turn.end();
      return;
    }
    this.feeding = true;
    this.parser.end();
    this.feeding = false;
    this.released = false;
    this.user = this.settleFailure('the instance closed the connection before the response was complete');
    this.destroy();
    this.context.turn.end();
  }

  onClose(error: NetworkError | undefined): void {
    this.isDestroyed = true;
    this.gather.close();
    this.context.deadlines.remove(this);
    if (!this.isConnected) this.owner.connectFailed(error);
    else this.owner.closed(this);
    this.user = this.settleFailure(error === undefined ? 'the connection was closed' : error.message);
    this.context.turn.end();
  }

  onDeadline(): void {
    this.destroy();
  }

  /** @internal */
  responseInterim(head: ResponseHead): void {
    this.user?.onInterim(head);
  }

  /** @internal */
  responseHead(head: ResponseHead): void {
    this.isReusable = head.keepAlive;
    if (this.requests === 1 && this.tls === undefined) this.hintedIdleMs = idleHint(head);
    if (head.status === 101) this.switchProtocols(head);
    else this.user?.onResponseHead(head, this.parser.bodyLeft === 0);
  }

  /** @internal */
  responseBody(bytes: Buffer, start: number, end: number): void {
    this.user?.onResponseBody(bytes, start, end, this.parser.bodyLeft === 0);
  }

  /** @internal With a user, what becomes of the connection is decided by its `release`. */
  responseEnd(trailers: Trailers | undefined): void {
    this.user?.onResponseEnd(trailers);
  }

  /** @internal */
  responseFault(error: RemoteProtocolError): void {
    // RFC 9112 §8: an incomplete message is a lost connection, not a wrong protocol.
    const lost = error.code === 'INCOMPLETE_MESSAGE';
    const { user } = this;
    this.user = undefined;
    this.destroy();
    user?.onUpstreamFailed(
      lost ? 'UPSTREAM_RESET' : 'UPSTREAM_PROTOCOL',
      lost ? 'the instance closed the connection before the response was complete' : error.message,
    );
  }

  private switchProtocols(head: ResponseHead): void {
    const { user, webSocketKey } = this;
    if (webSocketKey !== '' && isWebSocket(this.converted!.upgrade) && !accepts(head, webSocketKey)) {
      this.user = undefined;
      this.destroy();
      user?.onUpstreamFailed('UPSTREAM_PROTOCOL', 'switched to WebSocket without the right Sec-WebSocket-Accept');
      return;
    }
    this.isChunked = false;
    this.parser.tunnel();
    user?.onSwitched(head);
  }

  private convert(head: Exclude<AnyRequestHead, RequestHead>, endStream: boolean): RequestHead {
    this.converted ??= new RequestHead();
    toHttp1Request(head, endStream, this.converted);
    return this.converted;
  }

  private settleFailure(detail: string): undefined {
    const { user } = this;
    this.user = undefined;
    user?.onUpstreamFailed('UPSTREAM_RESET', detail);
    return undefined;
  }

  private settle(): void {
    if (this.isReusable && !this.isDestroyed && !this.gather.blocked && this.parser.state === 'complete') {
      this.resumeReading();
      this.owner.released(this);
    } else {
      this.destroy();
    }
  }
}

/** `Keep-Alive: timeout=5` is what Node and Apache say; we leave a second before that. */
function idleHint(head: ResponseHead): number {
  const seconds = /(?:^|[,; ])timeout=(\d{1,6})/.exec(head.get('keep-alive') ?? '')?.[1];
  return seconds === undefined ? Infinity : Math.max(500, Number(seconds) * 1000 - 1000);
}
