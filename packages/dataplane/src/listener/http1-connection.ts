// One downstream HTTP/1.1 connection: reads requests one after the other, finds out who calls and where to, and hands each to its exchange.
// Pipelined requests wait, unread beyond a limit. A client that ends its direction while it keeps the connection has gone (as with nginx
// and Envoy); one that said `close` is still answered.
import { ERROR_HEADER } from '@heddle/core';
import type { ErrorCode } from '@heddle/core';
import type { Connection, ConnectionHandler, NetworkError } from '@heddle/runtime';
import {
  CHUNK_END,
  chunkHeader,
  framingFor,
  headerLines,
  HeaderNames,
  lastChunk,
  renderResponseHead,
  RequestParser,
  ResponseHead,
  toHttp1Response,
} from '@heddle/wire';
import type {
  BodyFraming,
  Http2ResponseHead,
  RemoteProtocolError,
  RequestHandler,
  RequestHead,
  ResponseRendering,
  Trailers,
} from '@heddle/wire';
import type { AccessWait } from '../stack/access-wait.ts';
import { reportBug } from '../stack/context.ts';
import type { Context } from '../stack/context.ts';
import { Timed } from '../stack/deadlines.ts';
import type { Downstream } from '../stack/ends.ts';
import { Exchange } from '../stack/exchange.ts';
import type { Forwarding } from '../stack/forwarding.ts';
import type { OwnHeader } from '../stack/header-rewrite.ts';
import { errorAnswer } from '../stack/local-answer.ts';
import type { LocalAnswer } from '../stack/local-answer.ts';
import { trailerLines } from '../stack/messages.ts';
import type { AnyResponseHead, AnyTrailers } from '../stack/messages.ts';
import type { LongStream } from '../stack/route-slots.ts';
import { tunnelOf } from '../stack/routes.ts';
import { Gather } from '../stack/turn.ts';
import type { GatherOwner } from '../stack/turn.ts';
import { HTTP1_SWITCH_HEADERS, switchingLines } from '../stack/websocket.ts';
import { Entry } from './entry.ts';
import { Http2Connection } from './http2-connection.ts';
import type { AdmittedConnection, HttpService } from './http-service.ts';
import { codeOfViolation, renderAnswer } from './local-response.ts';
import { TcpStream } from './tcp-stream.ts';

/**
 * `idle`: between requests. `head`: part of a head has come. `exchange`: the exchange owns the request. `discard`: answered, the rest of the
 * request is read and thrown away. `ready`: answered, the next request may begin. `connecting`, `stream`: CONNECT. `linger`: our direction
 * has ended, what still comes is ignored. `closed`.
 */
type Phase = 'idle' | 'head' | 'exchange' | 'discard' | 'ready' | 'connecting' | 'stream' | 'linger' | 'closed';

/** Of an answer that came by HTTP/2: what we say ourselves. */
const DROPPED_ON_SWITCH = new HeaderNames(HTTP1_SWITCH_HEADERS);
const DROPPED_ON_FOREIGN_SWITCH = new HeaderNames([...HTTP1_SWITCH_HEADERS, ERROR_HEADER]);
const H2C = 'h2c';
const TUNNEL_OPEN = 'HTTP/1.1 200 Connection established\r\n\r\n';

/** The parser's events, apart from the connection's, since both have an `onEnd`. */
class RequestEvents implements RequestHandler {
  private readonly owner: Http1Connection;

  constructor(owner: Http1Connection) {
    this.owner = owner;
  }

  onHead(head: RequestHead): void {
    this.owner.requestHead(head);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.owner.requestBody(bytes, start, end);
  }

  onEnd(trailers: Trailers | undefined): void {
    this.owner.requestEnd(trailers);
  }

  onError(error: RemoteProtocolError): void {
    this.owner.requestFault(error);
  }
}

export class Http1Connection extends Timed implements ConnectionHandler, Downstream, GatherOwner, AdmittedConnection {
  readonly forwarding: Forwarding;
  readonly switchesBy2xx = false;
  private readonly connection: Connection;
  private readonly gather: Gather;
  private readonly context: Context;
  private readonly service: HttpService;
  private readonly parser: RequestParser;
  private readonly exchange: Exchange;
  private readonly entry: Entry;
  private readonly responseRendering: ResponseRendering = {};
  /** For responses that came by HTTP/2. */
  private converted: ResponseHead | undefined;
  private responseFraming: BodyFraming = 'none';
  private keepAlive = true;
  private phase: Phase = 'idle';
  private feeding = false;
  private paused = false;
  private closing = false;
  private discardedBytes = 0;
  /** Bytes behind the current request. */
  private rest: Buffer | undefined;
  private stream: TcpStream | undefined;
  /** What a CONNECT waits for that allows it. */
  private clearance: AccessWait | undefined;
  /** Has taken over the connection. */
  private successor: ConnectionHandler | undefined;

  /** @param workload on whose behalf the calls are made, where a CONNECT before has told. */
  constructor(context: Context, service: HttpService, connection: Connection, workload?: string) {
    super();
    this.context = context;
    this.service = service;
    this.connection = connection;
    this.gather = new Gather(context.turn, connection, this);
    this.parser = new RequestParser(new RequestEvents(this), service.parserLimits);
    this.exchange = new Exchange(context, this, service.load);
    this.entry = new Entry(service, connection, 'http1', workload);
    this.forwarding = this.entry.createForwarding();
    context.deadlines.set(this, context.clock.nowMs() + context.limits.downstreamIdleTimeoutMs);
  }

  get activeRequests(): number {
    const { phase } = this;
    return phase === 'idle' || phase === 'linger' || phase === 'closed' ? 0 : 1;
  }

  closeAfterRequest(): void {
    this.closing = true;
  }

  drain(): void {
    this.closing = true;
    if (this.phase === 'idle') this.gather.end();
  }

  destroy(): void {
    this.gather.close();
    this.connection.destroy();
  }

  // --- from the connection

  onBytes(bytes: Buffer): void {
    try {
      this.receive(bytes);
    } catch (error) {
      reportBug(this.context, 'downstream', error);
      this.destroy();
    }
    this.context.turn.end();
  }

  onDrained(): void {
    this.gather.blocked = false;
    if (this.phase === 'ready') this.goOn();
    else this.exchange.onDownstreamDrained();
    this.context.turn.end();
  }

  onBlocked(): void {
    this.exchange.onDownstreamBlocked();
  }

  onEnd(): void {
    const { phase, parser } = this;
    if (phase === 'exchange' && this.exchange.isTunnel) this.exchange.tunnelEnd();
    else if (phase === 'exchange' && parser.state === 'complete' && !parser.head.keepAlive) this.closing = true;
    else if (phase === 'idle' || phase === 'ready' || phase === 'discard') this.gather.end();
    else this.destroy();
    this.context.turn.end();
  }

  onClose(error: NetworkError | undefined): void {
    this.phase = 'closed';
    this.rest = undefined;
    this.gather.close();
    this.context.deadlines.remove(this);
    if (this.exchange.active) this.exchange.cancel();
    this.stream?.onClose(error);
    this.clearance?.cancel();
    this.service.connectionClosed(this);
    this.context.turn.end();
  }

  onDeadline(nowMs: number): void {
    if (this.exchange.active) this.exchange.onDeadline(nowMs);
    else if (this.phase === 'head') {
      this.answer(errorAnswer('CLIENT_TIMEOUT', `no complete request head within ${this.context.limits.requestHeadTimeoutMs} ms`));
      this.entry.unheard('CLIENT_TIMEOUT');
    } else this.destroy();
    this.context.turn.end();
  }

  // --- for the exchange

  setDeadline(deadlineMs: number): void {
    this.context.deadlines.set(this, deadlineMs);
  }

  pauseRequest(): void {
    if (this.paused) return;
    this.paused = true;
    this.connection.pause();
  }

  resumeRequest(): void {
    if (!this.paused || this.isFull) return;
    this.paused = false;
    this.connection.resume();
  }

  get isBlocked(): boolean {
    return this.gather.blocked;
  }

  interim(head: AnyResponseHead, drop: HeaderNames | undefined): void {
    // RFC 9110 §15.2: a 1.0 client does not know interim responses.
    if (this.parser.head.minorVersion === 0) return;
    const rendering = this.responseRendering;
    rendering.framing = 'none';
    rendering.connection = undefined;
    rendering.forwardUpgrade = false;
    rendering.drop = drop;
    rendering.add = undefined;
    this.gather.text(renderResponseHead(this.asHttp1(head, true), rendering));
  }

  respond(received: AnyResponseHead, endStream: boolean, drop: HeaderNames | undefined, own: readonly OwnHeader[] | undefined): void {
    const { minorVersion, keepAlive } = this.parser.head;
    const head = this.asHttp1(received, endStream);
    this.responseFraming = framingFor(head, minorVersion);
    this.keepAlive = keepAlive && !this.closing && this.responseFraming !== 'until-close';
    const rendering = this.responseRendering;
    rendering.framing = this.responseFraming;
    rendering.connection = !this.keepAlive ? 'close' : minorVersion === 0 ? 'keep-alive' : undefined;
    rendering.forwardUpgrade = false;
    rendering.drop = drop;
    rendering.add = own && headerLines(own);
    this.gather.text(renderResponseHead(head, rendering));
  }

  switchProtocols(received: AnyResponseHead, drop: HeaderNames | undefined): void {
    const { head } = this.parser;
    const rendering = this.responseRendering;
    rendering.framing = 'none';
    rendering.connection = undefined;
    rendering.drop = drop;
    if (received instanceof ResponseHead) {
      rendering.forwardUpgrade = true;
      rendering.add = undefined;
      this.gather.text(renderResponseHead(received, rendering));
    } else {
      rendering.forwardUpgrade = false;
      rendering.drop = drop === undefined ? DROPPED_ON_SWITCH : DROPPED_ON_FOREIGN_SWITCH;
      rendering.add = switchingLines(head);
      rendering.status = 101;
      this.gather.text(renderResponseHead(this.asHttp1(received, true), rendering));
      rendering.status = undefined;
    }
    this.parser.tunnel();
    const { rest } = this;
    this.rest = undefined;
    if (rest !== undefined) this.exchange.requestBody(rest, 0, rest.length, false);
    this.resumeRequest();
  }

  body(bytes: Buffer, start: number, end: number): void {
    const { gather } = this;
    if (this.responseFraming === 'chunked') {
      if (start === end) return;
      gather.text(chunkHeader(end - start));
      gather.bytes(bytes, start, end);
      gather.text(CHUNK_END);
    } else {
      gather.bytes(bytes, start, end);
    }
  }

  end(trailers: AnyTrailers | undefined): void {
    if (this.responseFraming === 'chunked') this.gather.text(lastChunk(trailers === undefined ? '' : trailerLines(trailers)));
  }

  endTunnel(): void {
    this.gather.end();
  }

  respondError(code: ErrorCode, detail: string): void {
    this.answer(errorAnswer(code, detail));
  }

  answerLocally(answer: LocalAnswer): void {
    this.answer(answer);
  }

  responseDone(nowMs: number): void {
    if (this.phase === 'closed') return;
    if (!this.keepAlive || this.closing || this.exchange.isTunnel) {
      this.finish(nowMs);
      return;
    }
    this.context.deadlines.set(this, nowMs + this.context.limits.downstreamIdleTimeoutMs);
    if (this.parser.state !== 'complete') {
      this.phase = 'discard';
      this.discardedBytes = 0;
      this.resumeRequest();
      return;
    }
    this.phase = 'ready';
    if (!this.feeding) this.goOn();
  }

  abort(): void {
    this.phase = 'linger';
    this.gather.close();
    this.connection.reset();
  }

  // --- from the parser

  /** @internal */
  requestHead(head: RequestHead): void {
    this.phase = 'exchange';
    const { entry } = this;
    if (head.upgrade.toLowerCase() === H2C && !head.isConnect && this.takesH2c(head)) return;
    if (!entry.find(head)) return this.refuse();
    if (head.isConnect) return this.openTunnel(head);
    const complete = head.framing === 'none' || head.contentLength === 0;
    // RFC 9110 §7.8: an upgrade may be ignored; the new protocol would begin only behind the body.
    if (!complete) head.upgrade = '';
    const isUpgrade = head.upgrade !== '';
    entry.mark(head, this.forwarding, complete);
    this.exchange.start(head, complete, isUpgrade, entry);
  }

  /** @internal */
  requestBody(bytes: Buffer, start: number, end: number): void {
    if (this.phase === 'exchange') {
      this.exchange.requestBody(bytes, start, end, this.parser.bodyLeft === 0);
    } else if (this.phase === 'discard') {
      this.discardedBytes += end - start;
      if (this.discardedBytes > this.context.limits.discardedBytesMax) this.finish(this.context.clock.nowMs());
    }
  }

  /** @internal */
  requestEnd(trailers: Trailers | undefined): void {
    if (this.phase === 'exchange') this.exchange.requestEnd(trailers);
    else if (this.phase === 'discard') this.phase = 'ready';
  }

  /** @internal */
  requestFault(error: RemoteProtocolError): void {
    if (error.code === 'INCOMPLETE_MESSAGE') return this.destroy();
    const { exchange } = this;
    // The head was fine and the body is not: the upstream has part of it, which must not pass for the whole.
    if (exchange.active) exchange.cancel();
    else if (this.phase === 'discard') return this.finish(this.context.clock.nowMs());
    if (this.phase === 'exchange' && exchange.responseStarted) return this.abort();
    this.answer(errorAnswer(codeOfViolation(error), error.message, error.httpStatus));
  }

  // --- own

  private asHttp1(head: AnyResponseHead, endStream: boolean): ResponseHead {
    if (head instanceof ResponseHead) return head;
    this.converted ??= new ResponseHead();
    toHttp1Response(head as Http2ResponseHead, endStream, this.parser.head.method === 'HEAD', this.converted);
    return this.converted;
  }

  private receive(bytes: Buffer): void {
    if (this.phase === 'linger' || this.phase === 'closed') return;
    if (this.rest !== undefined || this.phase === 'connecting' || this.parser.state === 'complete') {
      this.rest = this.rest === undefined ? Buffer.from(bytes) : Buffer.concat([this.rest, bytes]);
      if (this.isFull) this.pauseRequest();
      return;
    }
    this.feed(bytes);
  }

  private feed(bytes: Buffer): void {
    const { parser } = this;
    this.feeding = true;
    let at = 0;
    while (at < bytes.length) {
      at = parser.push(bytes, at);
      if (this.successor !== undefined) {
        if (at < bytes.length) this.connection.handler.onBytes(bytes.subarray(at));
        break;
      }
      if (this.phase === 'ready' && !this.gather.blocked) this.beginNext();
      else if (at < bytes.length) {
        this.rest = Buffer.from(bytes.subarray(at));
        if (this.isFull) this.pauseRequest();
        break;
      }
    }
    this.feeding = false;
    if (this.phase === 'idle' && parser.state === 'head') {
      this.phase = 'head';
      this.context.deadlines.set(this, this.context.clock.nowMs() + this.context.limits.requestHeadTimeoutMs);
    }
  }

  /** After a response that did not end while the request was being fed. */
  private goOn(): void {
    if (this.gather.blocked) return;
    this.beginNext();
    const { rest } = this;
    this.rest = undefined;
    this.resumeRequest();
    if (rest !== undefined) this.feed(rest);
  }

  private beginNext(): void {
    this.parser.next();
    this.phase = 'idle';
  }

  private get isFull(): boolean {
    return this.rest !== undefined && this.rest.length > this.context.limits.pipelinedBytesMax;
  }

  /** The entry has found no way for the request, or has the answer itself. */
  private refuse(): void {
    const { entry } = this;
    const { answer, code, detail } = entry;
    // First: behind the answer the next request may begin at once.
    if (answer === undefined) entry.refused(code);
    else entry.answered(answer);
    this.answer(answer ?? errorAnswer(code, detail));
  }

  private answer(answer: LocalAnswer): void {
    const { head, state } = this.parser;
    const bodyToCome = state !== 'complete' && (head.framing === 'chunked' || (head.framing === 'length' && head.contentLength !== 0));
    const broken = this.phase === 'head' || this.phase === 'idle' || state === 'failed';
    // What is still to come of the request would have to be read first; a new connection is cheaper.
    const keepAlive = !broken && !bodyToCome && head.keepAlive && !this.closing;
    const bytes = renderAnswer(answer, !keepAlive, !broken && head.method === 'HEAD');
    this.gather.bytes(bytes, 0, bytes.length);
    this.keepAlive = keepAlive;
    this.responseDone(this.context.clock.nowMs());
  }

  /** Ends our direction; the client gets a while to read what was written, and what it still sends is ignored (RFC 9112 §9.6). */
  private finish(nowMs: number): void {
    this.phase = 'linger';
    this.rest = undefined;
    this.gather.end();
    this.paused = false;
    this.connection.resume();
    this.context.deadlines.set(this, nowMs + this.context.limits.lingerTimeoutMs);
  }

  /**
   * A client that asks for HTTP/2 gets it (RFC 7540 §3.2), unless it has a body to send first, which it may then do in HTTP/1.1. False: the
   * request goes on without the upgrade, which is between the client and us.
   */
  private takesH2c(head: RequestHead): boolean {
    const { connection, context, service } = this;
    const settings = head.get('http2-settings');
    const hasBody = head.framing !== 'none' && head.contentLength !== 0;
    head.upgrade = '';
    if (settings === undefined || hasBody || this.closing || connection.alpn !== '') return false;
    this.gather.text('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n');
    const successor = new Http2Connection(context, service, connection);
    this.succeed(successor);
    successor.takeUpgraded(head, Buffer.from(settings, 'base64url'));
    return true;
  }

  /** The entry has found a way, or what has to be waited for. */
  private openTunnel(head: RequestHead): void {
    const { entry } = this;
    if (entry.clearance !== undefined) this.awaitTunnel(head, entry.clearance);
    else if (entry.isTunnelledHttp) this.handOver(entry.workload);
    else this.connect(head.authority);
  }

  private awaitTunnel(head: RequestHead, clearance: AccessWait): void {
    this.phase = 'connecting';
    this.clearance = clearance;
    this.context.deadlines.set(this, Infinity);
    clearance.beginStream(() => {
      this.clearance = undefined;
      const { rest } = this;
      if (this.entry.findAgain(head, clearance.answers)) this.openTunnel(head);
      else {
        this.phase = 'exchange';
        this.connection.resume();
        this.refuse();
      }
      if (this.successor !== undefined && rest !== undefined) this.successor.onBytes(rest);
      this.context.turn.end();
    });
  }

  /** In the tunnel to a service that speaks HTTP, that is spoken with us. */
  private handOver(workload: string): void {
    this.gather.text(TUNNEL_OPEN);
    this.succeed(this.service.tunnelled(this.connection, workload));
  }

  private succeed(successor: AdmittedConnection & ConnectionHandler): void {
    const { connection, context } = this;
    context.turn.end();
    this.phase = 'closed';
    context.deadlines.remove(this);
    this.service.replace(this, successor);
    this.successor = successor;
    connection.handler = successor;
  }

  /** CONNECT (RFC 9110 §9.3.6). */
  private connect(authority: string): void {
    const { cluster, stack, workload } = this.entry;
    const target = { cluster, workload, metrics: this.entry.streamMetrics, ...tunnelOf(stack, authority) };
    this.phase = 'connecting';
    const stream = new TcpStream(this.context, this.connection, target, this.service.streamMetrics, {
      onEstablished: () => {
        this.phase = 'stream';
        this.gather.text(TUNNEL_OPEN);
        this.context.turn.end();
        this.stream = undefined;
        const { direction, routes } = this.service;
        const long: LongStream = { decideAgain: () => void (this.entry.keepsStream(authority) || stream.destroy()) };
        if (direction === 'inbound') routes.streams.add(long);
        stream.onClosed = (error) => {
          routes.streams.delete(long);
          this.onClose(error);
        };
        this.connection.handler = stream;
        this.context.deadlines.remove(this);
        if (this.rest !== undefined) stream.sendFirst(this.rest);
        this.rest = undefined;
      },
      onUnreachable: (code, detail) => {
        this.phase = 'exchange';
        this.stream = undefined;
        this.connection.resume();
        this.answer(errorAnswer(code, detail));
        this.context.turn.end();
      },
    });
    this.stream = stream;
    stream.start();
  }
}
