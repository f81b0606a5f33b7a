// The downstream side of an exchange whose client is the application itself. Used again for other calls.
import { ERROR_HEADER } from '@heddle/core';
import type { ErrorCode } from '@heddle/core';
import { encodeGrpcMessage, grpcKindOf } from '@heddle/wire';
import type { HeaderNames, Http2RequestHead } from '@heddle/wire';
import { Entry } from '../listener/entry.ts';
import type { HttpService } from '../listener/http-service.ts';
import type { Context } from '../stack/context.ts';
import { Timed } from '../stack/deadlines.ts';
import type { Downstream } from '../stack/ends.ts';
import { Exchange } from '../stack/exchange.ts';
import type { Forwarding } from '../stack/forwarding.ts';
import type { OwnHeader } from '../stack/header-rewrite.ts';
import { errorAnswer, errorText } from '../stack/local-answer.ts';
import type { LocalAnswer } from '../stack/local-answer.ts';
import type { AnyResponseHead, AnyTrailers } from '../stack/messages.ts';
import type { CallEnd, OngoingCall } from './direct-call.ts';
import { INSIDE } from './inside-connection.ts';
import type { FlatHeaders } from './types.ts';

export class DirectEnd extends Timed implements Downstream, CallEnd {
  readonly forwarding: Forwarding;
  readonly switchesBy2xx = false;
  private readonly context: Context;
  private readonly entry: Entry;
  private readonly exchange: Exchange;
  private readonly onFree: (end: DirectEnd) => void;
  private call: OngoingCall | undefined;
  private isGrpc = false;
  private isHead = false;
  private headSent = false;
  private isStopped = false;
  private isFree = false;

  constructor(context: Context, service: HttpService, workload: string, onFree: (end: DirectEnd) => void) {
    super();
    this.context = context;
    this.entry = new Entry(service, INSIDE, 'http2', workload);
    this.forwarding = this.entry.createForwarding();
    this.exchange = new Exchange(context, this);
    this.onFree = onFree;
  }

  get service(): HttpService {
    return this.entry.service;
  }

  /** `isComplete`: the request has no body. */
  begin(call: OngoingCall, head: Http2RequestHead, isComplete: boolean): void {
    const { entry, forwarding, context } = this;
    this.call = call;
    this.isGrpc = grpcKindOf(head.get('content-type')) === 'grpc';
    this.isHead = head.method === 'HEAD';
    this.headSent = false;
    this.isStopped = false;
    this.isFree = false;
    call.attach(this);
    if (entry.find(head)) {
      entry.mark(head, forwarding, isComplete);
      this.exchange.start(head, isComplete, false, entry);
    } else {
      const { answer, code, detail } = entry;
      if (answer === undefined) entry.refused(code);
      else entry.answered(answer);
      this.answerLocally(answer ?? errorAnswer(code, detail));
    }
    context.turn.end();
  }

  // --- from the call

  requestBody(bytes: Buffer, isLast: boolean): void {
    const { exchange, context } = this;
    if (!exchange.active) return;
    if (bytes.length > 0) exchange.requestBody(bytes, 0, bytes.length, isLast);
    if (isLast && exchange.active) exchange.requestEnd(undefined);
    context.turn.end();
  }

  requestEnd(trailers: AnyTrailers | undefined): void {
    if (this.exchange.active) this.exchange.requestEnd(trailers);
    this.context.turn.end();
  }

  cancelled(): void {
    if (this.call === undefined) return;
    this.call = undefined;
    if (this.exchange.active) this.exchange.cancel();
    this.free();
    this.context.turn.end();
  }

  applicationReads(): void {
    if (!this.isStopped) return;
    this.isStopped = false;
    if (this.exchange.active) this.exchange.onDownstreamDrained();
    this.context.turn.end();
  }

  override onDeadline(nowMs: number): void {
    if (this.exchange.active) this.exchange.onDeadline(nowMs);
    this.context.turn.end();
  }

  // --- for the exchange

  get isBlocked(): boolean {
    return this.isStopped;
  }

  setDeadline(deadlineMs: number): void {
    this.context.deadlines.set(this, deadlineMs);
  }

  pauseRequest(): void {
    this.call?.requestBlocked();
  }

  resumeRequest(): void {
    this.call?.requestMayGoOn();
  }

  interim(head: AnyResponseHead, drop: HeaderNames | undefined): void {
    this.call?.headCame(head.status, flatHeaders(head, drop, undefined), false);
  }

  respond(head: AnyResponseHead, _endStream: boolean, drop: HeaderNames | undefined, own: readonly OwnHeader[] | undefined): void {
    this.headSent = true;
    this.call?.headCame(head.status, flatHeaders(head, drop, own), true);
  }

  /** Never: no call asks for another protocol. */
  switchProtocols(): void {
    this.abort('UPSTREAM_PROTOCOL', 'it switched protocols without being asked to');
  }

  endTunnel(): void {}

  body(bytes: Buffer, start: number, end: number): void {
    const { call } = this;
    if (call === undefined) return;
    call.bodyCame(bytes, start, end);
    if (call.isFull) this.isStopped = true;
  }

  end(trailers: AnyTrailers | undefined): void {
    this.call?.endCame(trailers);
  }

  respondError(code: ErrorCode, detail: string): void {
    this.answerLocally(errorAnswer(code, detail));
  }

  answerLocally(answer: LocalAnswer): void {
    const { call } = this;
    if (call !== undefined && !this.headSent) {
      if (this.isGrpc && answer.grpcStatus !== undefined) {
        call.headCame(200, grpcHeaders(answer, answer.grpcStatus), true);
        call.endCame(undefined);
      } else this.answerHttp(call, answer);
    }
    this.responseDone();
  }

  private answerHttp(call: OngoingCall, { status, headers, contentType, body }: LocalAnswer): void {
    const bytes = Buffer.from(body, 'utf8');
    const isBodyless = status === 204 || status === 304;
    const flat: string[] = [];
    for (const [name, value] of headers) flat.push(name, value);
    if (bytes.length > 0) flat.push('content-type', contentType);
    if (!isBodyless) flat.push('content-length', String(bytes.length));
    call.headCame(status, flat, true);
    if (!isBodyless && !this.isHead) call.bodyCame(bytes, 0, bytes.length);
    call.endCame(undefined);
  }

  responseDone(): void {
    const { call } = this;
    this.call = undefined;
    call?.exchangeOver();
    this.free();
  }

  abort(code: ErrorCode, detail: string): void {
    const { call } = this;
    this.call = undefined;
    call?.broke(code, errorText(code, detail).trim());
    this.free();
  }

  private free(): void {
    this.context.deadlines.remove(this);
    if (this.isFree || this.exchange.active) return;
    this.isFree = true;
    this.onFree(this);
  }
}

function flatHeaders(head: AnyResponseHead, drop: HeaderNames | undefined, own: readonly OwnHeader[] | undefined): FlatHeaders {
  const flat: string[] = [];
  for (const [name, value] of head) {
    if (drop?.matches(name, 0, name.length) === true) continue;
    flat.push(name.toLowerCase(), value);
  }
  if (own !== undefined) for (const [name, value] of own) flat.push(name, value);
  return flat;
}

/** gRPC's "trailers only". */
function grpcHeaders({ code, headers, body }: LocalAnswer, grpcStatus: number): FlatHeaders {
  const flat: string[] = code === undefined ? [] : [ERROR_HEADER, code];
  for (const [name, value] of headers) if (name.startsWith('grpc-')) flat.push(name, value);
  flat.push('content-type', 'application/grpc', 'grpc-status', String(grpcStatus), 'grpc-message', encodeGrpcMessage(body.trim()));
  return flat;
}
