// A request on its way over an HTTP/2 connection. Used again for another request when it has ended.
import type { ErrorCode } from '@heddle/core';
import { HTTP2_ERROR, LocalProtocolError, RequestHead } from '@heddle/wire';
import type { Http2Client, Http2RequestRendering, Http2ResponseHead, Http2Trailers, StreamViolationCode } from '@heddle/wire';
import { reportBug } from '../stack/context.ts';
import type { Context } from '../stack/context.ts';
import type { UpstreamCall, UpstreamUser } from '../stack/ends.ts';
import type { Forwarding } from '../stack/forwarding.ts';
import type { Http2Link } from '../stack/http2-link.ts';
import type { AnyRequestHead, AnyTrailers } from '../stack/messages.ts';
import { StreamEnd } from '../stack/stream-end.ts';
import { firstProtocol } from '../stack/websocket.ts';

/** A stream that was opened here: a call or a tunnel. Heads are valid during the call. */
export interface ClientStream {
  receiveInterim(head: Http2ResponseHead): void;
  receiveHead(head: Http2ResponseHead, endStream: boolean): void;
}

/** The connection, as its calls see it. */
export interface Http2CallOwner extends Http2Link {
  readonly codec: Http2Client;
  /** The peer's settings have come: what it allows is known. */
  readonly hasSettings: boolean;
  /** What became of calls that the end of the connection closes. */
  readonly reason: string;
  /** `settingsArrived` follows, unless the call is forgotten before. */
  awaitSettings(call: Http2Call): void;
  forgetAwaiting(call: Http2Call): void;
  streamOpened(): void;
  /** A call was refused. True: it was begun before the settings said that fewer are taken. */
  takeSurplus(): boolean;
  /** It takes no further calls. */
  retire(): void;
  /** The call may be used again. */
  callEnded(call: Http2Call): void;
}

export class Http2Call extends StreamEnd implements UpstreamCall, ClientStream {
  gotBytes = false;
  isSurplus = false;
  private readonly context: Context;
  private readonly upstream: Http2CallOwner;
  private readonly rendering: Http2RequestRendering = {};
  private user: UpstreamUser | undefined;
  private isUpgrade = false;
  /** Nobody uses it any more, and the last bytes of a tunnel wait for the instance. */
  private isFinishing = false;
  private upgradeHead: AnyRequestHead | undefined;

  constructor(context: Context, upstream: Http2CallOwner) {
    super();
    this.context = context;
    this.upstream = upstream;
  }

  start(user: UpstreamUser, head: AnyRequestHead, forwarding: Forwarding, endStream: boolean): void {
    const { upstream, rendering } = this;
    const isHttp1 = head instanceof RequestHead;
    const protocol = isHttp1 ? firstProtocol(head.upgrade) : head.protocol;
    this.isUpgrade = protocol !== '';
    this.gotBytes = false;
    this.isSurplus = false;
    this.isFinishing = false;
    rendering.drop = this.isUpgrade ? forwarding.dropOnSwitch : forwarding.drop;
    rendering.add = forwarding.http2Fields();
    rendering.protocol = this.isUpgrade ? protocol : undefined;
    rendering.path = forwarding.path;
    rendering.authority = forwarding.authority;
    this.user = user;
    // RFC 9110 §7.8: an upgrade to nothing that could be asked for is ignored. It has no body.
    if (!this.isUpgrade) return this.request(head, endStream || (isHttp1 && head.upgrade !== ''));
    this.upgradeHead = head;
    if (upstream.hasSettings) this.settingsArrived();
    else upstream.awaitSettings(this);
  }

  /** @internal For upgrades: whether the server takes them is known now. */
  settingsArrived(): void {
    const head = this.upgradeHead!;
    this.upgradeHead = undefined;
    const { upstream } = this;
    if (upstream.codec.state !== 'open') return this.fail('UPSTREAM_RESET', upstream.reason);
    if (upstream.codec.peerSettings.enableConnectProtocol) this.request(head, false);
    else this.fail('UPSTREAM_PROTOCOL', 'takes no upgrades over HTTP/2 (RFC 8441)');
  }

  private request(head: AnyRequestHead, endStream: boolean): void {
    const { upstream, rendering } = this;
    try {
      const stream = upstream.codec.request(head, endStream, rendering);
      if (stream === undefined) return this.fail('UPSTREAM_RESET', 'the connection takes no more requests');
      this.attach(upstream, stream);
    } catch (error) {
      if (!(error instanceof LocalProtocolError)) throw error;
      reportBug(this.context, 'http2 request', error);
      return this.fail('UPSTREAM_PROTOCOL', 'the request cannot be said in HTTP/2');
    }
    upstream.streamOpened();
    upstream.touch();
  }

  body(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    if (start === end && !isLast) return;
    this.send(bytes, start, end, isLast);
  }

  end(trailers: AnyTrailers | undefined): void {
    this.sendEnd(trailers);
  }

  pauseReading(): void {
    this.pauseReceiving();
  }

  resumeReading(): void {
    this.resumeReceiving();
  }

  release(): void {
    const { stream } = this;
    this.user = undefined;
    // Both directions of a tunnel have ended: what is still to be sent goes out.
    if (this.isUpgrade && this.isBlocked && stream?.isSending === true) {
      this.isFinishing = true;
      const { clock, deadlines, limits } = this.context;
      deadlines.set(this, clock.nowMs() + limits.streamIdleTimeoutMs);
      return;
    }
    // The answer is complete, so the rest of the request is not needed.
    if (stream !== undefined && !stream.isClosed) this.reset(HTTP2_ERROR.cancel);
    this.ended();
  }

  /** The instance never takes the last bytes. */
  override onDeadline(): void {
    if (this.isFinishing) this.abort();
    this.context.turn.end();
  }

  abort(): void {
    this.user = undefined;
    if (this.stream !== undefined) this.reset(HTTP2_ERROR.cancel);
    this.ended();
  }

  /** @internal */
  receiveInterim(head: Http2ResponseHead): void {
    this.gotBytes = true;
    this.user?.onInterim(head);
  }

  /** @internal */
  receiveHead(head: Http2ResponseHead, endStream: boolean): void {
    this.gotBytes = true;
    const { user } = this;
    if (this.isUpgrade && head.status < 300) {
      user?.onSwitched(head);
      if (endStream && this.user === user) user?.onTunnelEnd();
      return;
    }
    user?.onResponseHead(head, endStream);
    if (endStream && this.user === user) user?.onResponseEnd(undefined);
  }

  protected override onReceived(bytes: Buffer, start: number, end: number, endStream: boolean): void {
    const { user } = this;
    if (user === undefined) return;
    if (end > start || endStream) user.onResponseBody(bytes, start, end, endStream);
    if (endStream && this.user === user) user.onResponseEnd(undefined);
  }

  override receiveTrailers(trailers: Http2Trailers): void {
    this.user?.onResponseEnd(trailers);
  }

  protected override onSendDrained(): void {
    if (this.isFinishing) this.release();
    else this.user?.onUpstreamDrained();
  }

  protected override onReset(errorCode: number, violation: StreamViolationCode | undefined): void {
    const { upstream } = this;
    // Some servers say so when a connection holds too much for its slow readers; others shall not suffer from that.
    if (errorCode === HTTP2_ERROR.enhanceYourCalm) upstream.retire();
    if (violation !== undefined) this.fail('UPSTREAM_PROTOCOL', `broke HTTP/2 (${violation})`);
    else if (upstream.codec.state === 'closed') this.fail('UPSTREAM_RESET', upstream.reason);
    // RFC 9113 §8.7: the instance did nothing with it.
    else if (errorCode === HTTP2_ERROR.refusedStream) {
      this.isSurplus = upstream.takeSurplus();
      this.fail('STREAM_REFUSED', 'took no more requests on this connection');
    } else this.fail('UPSTREAM_RESET', `reset the stream (${errorName(errorCode)})`);
  }

  private fail(code: ErrorCode, detail: string): void {
    const { user } = this;
    this.user = undefined;
    this.ended();
    user?.onUpstreamFailed(code, detail);
  }

  /** The object may be used for another request. */
  private ended(): void {
    if (this.isFinishing) {
      this.isFinishing = false;
      this.context.deadlines.remove(this);
    }
    if (this.upgradeHead !== undefined) {
      this.upgradeHead = undefined;
      this.upstream.forgetAwaiting(this);
    }
    this.detach();
    this.upstream.callEnded(this);
  }
}

function errorName(code: number): string {
  for (const [name, value] of Object.entries(HTTP2_ERROR)) if (value === code) return name;
  return `error ${code}`;
}
