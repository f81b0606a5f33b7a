// The two ends of an exchange: the downstream side that asked, and the upstream side that answers. Each is a connection of HTTP/1.1 or a
// stream of HTTP/2; the exchange does not know which. Senders take every byte and queue what does not go out at once: whoever sees
// `isBlocked` stops its source, so that a queue never holds more than the source had under way.
import type { ErrorCode } from '@heddle/core';
import type { HeaderNames } from '@heddle/wire';
import type { Forwarding } from './forwarding.ts';
import type { OwnHeader } from './header-rewrite.ts';
import type { LocalAnswer } from './local-answer.ts';
import type { AnyRequestHead, AnyResponseHead, AnyTrailers } from './messages.ts';

/** What the exchange uses of the side that asked. */
export interface Downstream {
  /** What the passed-on request gets besides what was received. */
  readonly forwarding: Forwarding;
  /** A 2xx answer to an upgrade means that it was agreed to (RFC 8441 §5), so none other may be passed on. */
  readonly switchesBy2xx: boolean;
  /** Bytes of the response wait: `Exchange.onDownstreamDrained` follows. */
  readonly isBlocked: boolean;
  pauseRequest(): void;
  resumeRequest(): void;
  setDeadline(deadlineMs: number): void;
  /** A 1xx response. */
  interim(head: AnyResponseHead, drop: HeaderNames | undefined): void;
  /** The final head. `endStream`: nothing follows but `end`. `own`: what it gets besides. */
  respond(head: AnyResponseHead, endStream: boolean, drop: HeaderNames | undefined, own: readonly OwnHeader[] | undefined): void;
  /** The upstream has agreed to the upgrade that was asked for: bytes are opaque from now on, in both directions. */
  switchProtocols(head: AnyResponseHead, drop: HeaderNames | undefined): void;
  /** After the switch: the upstream has ended its direction. */
  endTunnel(): void;
  /** `isLast`: `end` without trailers follows. */
  body(bytes: Buffer, start: number, end: number, isLast: boolean): void;
  end(trailers: AnyTrailers | undefined): void;
  /** Answers in place of the upstream; calls `responseDone` by itself. */
  respondError(code: ErrorCode, detail: string): void;
  /** The same with an answer of a rule. */
  answerLocally(answer: LocalAnswer): void;
  /** The exchange is over and its object may be used again. */
  responseDone(nowMs: number): void;
  /** The response broke off for this reason: the client must see that. */
  abort(code: ErrorCode, detail: string): void;
}

/** A request on its way to an endpoint. Nothing may be called after `release` or `abort`. */
export interface UpstreamCall {
  /** Any byte of the response has come. */
  readonly gotBytes: boolean;
  /** It was refused because the instance had not said yet how few requests it takes at once. */
  readonly isSurplus: boolean;
  /** Bytes of the request wait: `UpstreamUser.onUpstreamDrained` follows. */
  readonly isBlocked: boolean;
  /** Once. `endStream`: nothing follows. */
  start(user: UpstreamUser, head: AnyRequestHead, forwarding: Forwarding, endStream: boolean): void;
  /** `isLast`: `end` without trailers follows. After the switch of protocols: raw bytes. */
  body(bytes: Buffer, start: number, end: number, isLast: boolean): void;
  /** After the switch of protocols: our direction ends. */
  end(trailers: AnyTrailers | undefined): void;
  pauseReading(): void;
  resumeReading(): void;
  /** The response is complete. Whether the connection can be used again depends on the request having gone out whole, too. */
  release(requestComplete: boolean): void;
  /** The user gives up in the middle. */
  abort(): void;
}

/** Where the body of a request goes besides: what is said of it is as an exchange is told. */
export interface RequestSink {
  requestBody(bytes: Buffer, start: number, end: number, isLast: boolean): void;
  requestEnd(trailers: AnyTrailers | undefined): void;
  /** The client is gone in the middle. */
  cancel(): void;
}

export interface UpstreamUser {
  onInterim(head: AnyResponseHead): void;
  /** `endStream`: only `onResponseEnd` follows. */
  onResponseHead(head: AnyResponseHead, endStream: boolean): void;
  /** The protocol that was asked for is spoken from now on. */
  onSwitched(head: AnyResponseHead): void;
  /** `isLast`: `onResponseEnd` without trailers follows. */
  onResponseBody(bytes: Buffer, start: number, end: number, isLast: boolean): void;
  onResponseEnd(trailers: AnyTrailers | undefined): void;
  /** After the switch: the upstream has ended its direction. */
  onTunnelEnd(): void;
  onUpstreamBlocked(): void;
  onUpstreamDrained(): void;
  /** The call is gone or useless; the user must let go of it. */
  onUpstreamFailed(code: ErrorCode, detail: string): void;
}
