// A copy of a request that goes to another cluster besides, whose answer nobody waits for. It costs the request itself nothing: where the copy cannot be
// sent as fast as the request comes, the copy is given up.
import { RequestHead, Http2RequestHead } from '@heddle/wire';
import type { Context } from './context.ts';
import type { Downstream, RequestSink } from './ends.ts';
import { Exchange } from './exchange.ts';
import type { Destination } from './exchange.ts';
import type { Forwarding } from './forwarding.ts';
import { keptTrailers } from './messages.ts';
import type { AnyRequestHead, AnyTrailers } from './messages.ts';
import { Timed } from './deadlines.ts';

/** Envoy marks the authority of mirrored requests in the same way. */
const SHADOW = '-shadow';
/** What is not the request's but its connection's (RFC 9113 §8.2.2), and what the way of the copy does not know. */
const NOT_COPIED = new Set(['connection', 'expect', 'host', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade']);

export class Mirror extends Timed implements Downstream, RequestSink {
  readonly forwarding: Forwarding;
  readonly switchesBy2xx = false;
  readonly isBlocked = false;
  private readonly context: Context;
  private readonly exchange: Exchange;
  /** More than is kept has not gone out yet. */
  private isFull = false;

  constructor(context: Context, forwarding: Forwarding) {
    super();
    this.context = context;
    this.forwarding = forwarding;
    this.exchange = new Exchange(context, this);
  }

  /** `complete`: there is no body. */
  start(head: AnyRequestHead, complete: boolean, to: Destination): void {
    this.exchange.start(copyOf(head), complete, false, to);
  }

  // --- from the request

  requestBody(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    if (!this.exchange.active) return;
    if (this.isFull) this.cancel();
    else this.exchange.requestBody(bytes, start, end, isLast);
  }

  requestEnd(trailers: AnyTrailers | undefined): void {
    if (this.exchange.active) this.exchange.requestEnd(trailers && keptTrailers(trailers));
  }

  cancel(): void {
    if (this.exchange.active) this.exchange.cancel();
    this.context.deadlines.remove(this);
  }

  override onDeadline(nowMs: number): void {
    if (this.exchange.active) this.exchange.onDeadline(nowMs);
    this.context.turn.end();
  }

  // --- for the exchange: nobody listens

  pauseRequest(): void {
    this.isFull = true;
  }

  resumeRequest(): void {
    this.isFull = false;
  }

  setDeadline(deadlineMs: number): void {
    this.context.deadlines.set(this, deadlineMs);
  }

  interim(): void {}

  respond(): void {}

  switchProtocols(): void {}

  endTunnel(): void {}

  body(): void {}

  end(): void {}

  respondError(): void {
    this.responseDone();
  }

  answerLocally(): void {
    this.responseDone();
  }

  responseDone(): void {
    this.context.deadlines.remove(this);
  }

  abort(): void {
    this.responseDone();
  }
}

/** In memory of its own: the request may be over before the copy has gone out. */
function copyOf(head: AnyRequestHead): Http2RequestHead {
  const copy = new Http2RequestHead();
  copy.method = head.method;
  copy.scheme = head.scheme === '' ? 'http' : head.scheme;
  copy.authority = shadowOf(head.authority);
  copy.path = head.path;
  copy.contentLength = head.contentLength;
  copy.acceptsTrailers = head.acceptsTrailers;
  for (const [name, value] of head) {
    const lower = head instanceof RequestHead ? name.toLowerCase() : name;
    if (!NOT_COPIED.has(lower)) copy.add(lower, value);
  }
  return copy;
}

/** Behind the host, in front of the port. */
function shadowOf(authority: string): string {
  const port = /:\d+$/.exec(authority)?.[0] ?? '';
  return `${authority.slice(0, authority.length - port.length)}${SHADOW}${port}`;
}
