// One connection to an endpoint that speaks HTTP/1.1: a user at a time, or none while it is pooled. Bytes beyond a response, or while
// nobody asked, make it unusable (RFC 9112 §9.2), so it goes back to the pool only when the pushed bytes are used up.
import type { Connection, ConnectionHandler, NetworkError, TlsContext } from '@heddle/runtime';
import { ResponseParser } from '@heddle/wire';
import type { Http1Limits, RemoteProtocolError, ResponseHandler, ResponseHead, Trailers } from '@heddle/wire';
import type { ErrorCode } from '@heddle/core';
import { reportBug } from '../stack/context.ts';
import type { Context } from '../stack/context.ts';
import { Timed } from '../stack/deadlines.ts';
import { Gather } from '../stack/turn.ts';
import type { GatherOwner } from '../stack/turn.ts';

export interface UpstreamUser {
  onInterim(head: ResponseHead): void;
  onResponseHead(head: ResponseHead): void;
  onResponseBody(bytes: Buffer, start: number, end: number): void;
  onResponseEnd(trailers: Trailers | undefined): void;
  /** After 101: the upstream has ended its direction. */
  onTunnelEnd(): void;
  onUpstreamBlocked(): void;
  onUpstreamDrained(): void;
  /** The connection is gone or useless; the user must let go of it. */
  onUpstreamFailed(code: ErrorCode, detail: string): void;
}

/** Whom the connection belongs to. `connected` or `connectFailed` comes once; after `connected`, `closed` once. */
export interface UpstreamOwner {
  readonly parserLimits: Partial<Http1Limits>;
  connected(upstream: HttpUpstream): void;
  connectFailed(error: NetworkError | undefined): void;
  /** The connection has finished a message and may carry another. */
  released(upstream: HttpUpstream): void;
  closed(upstream: HttpUpstream): void;
}

/** The parser's events, apart from the connection's, since both have an `onEnd`. */
class ResponseEvents implements ResponseHandler {
  private readonly owner: HttpUpstream;

  constructor(owner: HttpUpstream) {
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

export class HttpUpstream extends Timed implements ConnectionHandler, GatherOwner {
  readonly connection: Connection;
  readonly gather: Gather;
  readonly tls: TlsContext | undefined;
  readonly parser: ResponseParser;
  /** Any byte of the current response has come. */
  gotBytes = false;
  /** Requests begun on it. */
  requests = 0;
  isConnected = false;
  private readonly context: Context;
  private readonly owner: UpstreamOwner;
  private user: UpstreamUser | undefined;
  private feeding = false;
  private released = false;
  private isReusable = false;
  private discarding = false;
  private discardedBytes = 0;
  private paused = false;
  private gone = false;
  /** From the application's own Keep-Alive header; Infinity when it says nothing. */
  private hintedIdleMs = Infinity;

  constructor(context: Context, owner: UpstreamOwner, address: string, port: number, tls: TlsContext | undefined, timeoutMs: number) {
    super();
    this.context = context;
    this.owner = owner;
    this.tls = tls;
    this.parser = new ResponseParser(new ResponseEvents(this), owner.parserLimits);
    this.connection = context.network.connect({ address, port, tls, timeoutMs }, this);
    this.gather = new Gather(context.turn, this.connection, this);
  }

  /** The next request belongs to this user. */
  begin(user: UpstreamUser, method: string, upgradeAsked: boolean): void {
    this.context.deadlines.set(this, Infinity);
    this.user = user;
    this.gotBytes = false;
    this.requests += 1;
    this.parser.begin(method, upgradeAsked);
  }

  /** The response is complete and the user is done. Whether the connection can be used again depends on the request having gone out whole, too. */
  release(requestComplete: boolean): void {
    this.user = undefined;
    this.isReusable &&= requestComplete;
    if (this.feeding) this.released = true;
    else this.settle();
  }

  /** The user wants nothing more of this response, but the connection is worth keeping. */
  discardRest(requestComplete: boolean): void {
    this.user = undefined;
    this.isReusable &&= requestComplete;
    if (!this.isReusable) {
      this.destroy();
      return;
    }
    this.discarding = true;
    this.discardedBytes = 0;
    this.context.deadlines.set(this, this.context.clock.nowMs() + this.context.limits.discardTimeoutMs);
  }

  /** The user gives up in the middle. */
  abort(): void {
    this.user = undefined;
    this.destroy();
  }

  destroy(): void {
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
    this.gone = true;
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
    this.user?.onResponseHead(head);
  }

  /** @internal */
  responseBody(bytes: Buffer, start: number, end: number): void {
    if (this.user !== undefined) {
      this.user.onResponseBody(bytes, start, end);
      return;
    }
    this.discardedBytes += end - start;
    if (this.discardedBytes > this.context.limits.discardedBytesMax) this.destroy();
  }

  /** @internal With a user, what becomes of the connection is decided by its `release`. */
  responseEnd(trailers: Trailers | undefined): void {
    if (this.user !== undefined) this.user.onResponseEnd(trailers);
    else if (this.discarding) {
      this.discarding = false;
      this.released = true;
    }
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

  private settleFailure(detail: string): undefined {
    const { user } = this;
    this.user = undefined;
    user?.onUpstreamFailed('UPSTREAM_RESET', detail);
    return undefined;
  }

  private settle(): void {
    if (this.isReusable && !this.gone && !this.gather.blocked && this.parser.state === 'complete') {
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
