// One downstream HTTP/1.1 connection: reads requests one after the other, finds out who calls and where to, and hands each to its exchange.
// Pipelined requests wait, unread beyond a limit. A client that ends its direction while it keeps the connection has gone (as with nginx
// and Envoy); one that said `close` is still answered.
import type { ErrorCode } from '@heddle/core';
import type { Connection, ConnectionHandler, NetworkError } from '@heddle/runtime';
import { RequestParser } from '@heddle/wire';
import type { RemoteProtocolError, RequestHandler, RequestHead, RequestRendering, Trailers } from '@heddle/wire';
import { reportBug } from '../stack/context.ts';
import type { Context } from '../stack/context.ts';
import { Timed } from '../stack/deadlines.ts';
import { Exchange } from '../stack/exchange.ts';
import type { Downstream } from '../stack/exchange.ts';
import { Gather } from '../stack/turn.ts';
import type { GatherOwner } from '../stack/turn.ts';
import type { RequestMetrics } from '../telemetry/requests.ts';
import type { UpstreamCluster } from '../upstream/cluster.ts';
import type { AdmittedConnection, HttpService } from './http-service.ts';
import { codeOfViolation, renderError } from './local-response.ts';
import { TcpStream } from './tcp-stream.ts';

/**
 * `idle`: between requests. `head`: part of a head has come. `exchange`: the exchange owns the request. `discard`: answered, the rest of the
 * request is read and thrown away. `ready`: answered, the next request may begin. `connecting`, `stream`: CONNECT. `linger`: our direction
 * has ended, what still comes is ignored. `closed`.
 */
type Phase = 'idle' | 'head' | 'exchange' | 'discard' | 'ready' | 'connecting' | 'stream' | 'linger' | 'closed';

/** The parser's events, apart from the connection's, since both have an `onEnd`. */
class RequestEvents implements RequestHandler {
  private readonly owner: HttpConnection;

  constructor(owner: HttpConnection) {
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

export class HttpConnection extends Timed implements ConnectionHandler, Downstream, GatherOwner, AdmittedConnection {
  readonly connection: Connection;
  readonly gather: Gather;
  readonly requestRendering: RequestRendering = {};
  private readonly context: Context;
  private readonly service: HttpService;
  private readonly parser: RequestParser;
  private readonly exchange: Exchange;
  /** SPIFFE id of the peer, on inbound listeners. */
  private readonly source: string;
  private readonly fixedLines: string;
  private phase: Phase = 'idle';
  private feeding = false;
  private paused = false;
  private closing = false;
  private discardedBytes = 0;
  /** Bytes behind the current request. */
  private rest: Buffer | undefined;
  private stream: TcpStream | undefined;
  /** Metrics of the last request's pair; nearly always the next one's too. */
  private lastCluster: UpstreamCluster | undefined;
  private lastWorkload = '';
  private lastMetrics: RequestMetrics | undefined;

  constructor(context: Context, service: HttpService, connection: Connection) {
    super();
    this.context = context;
    this.service = service;
    this.connection = connection;
    this.gather = new Gather(context.turn, connection, this);
    this.parser = new RequestParser(new RequestEvents(this), service.parserLimits);
    this.exchange = new Exchange(context, this);
    this.source = service.sourceOf(connection);
    this.fixedLines = service.fixedLines(connection);
    this.requestRendering.drop = service.droppedRequestHeaders;
    context.deadlines.set(this, context.clock.nowMs() + context.limits.downstreamIdleTimeoutMs);
  }

  get isClosing(): boolean {
    return this.closing;
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
    this.service.connectionClosed(this);
    this.context.turn.end();
  }

  onDeadline(nowMs: number): void {
    if (this.exchange.active) this.exchange.onDeadline(nowMs);
    else if (this.phase === 'head')
      this.refuse('CLIENT_TIMEOUT', `no complete request head within ${this.context.limits.requestHeadTimeoutMs} ms`);
    else this.destroy();
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

  respondError(code: ErrorCode, detail: string): void {
    this.answer(code, detail, undefined);
  }

  responseDone(keepAlive: boolean, nowMs: number): void {
    if (this.phase === 'closed') return;
    if (!keepAlive || this.closing) {
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

  startTunnel(): void {
    this.parser.tunnel();
    const { rest } = this;
    this.rest = undefined;
    if (rest !== undefined) this.exchange.requestBody(rest, 0, rest.length);
    this.resumeRequest();
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
    const { service, requestRendering } = this;
    service.requests += 1;
    const workload = service.workloadOf(head);
    if (workload === undefined)
      return this.refuse(
        'UNKNOWN_WORKLOAD',
        head.proxyAuthorization === undefined ? 'no Proxy-Authorization was sent' : 'the credential is not known here',
      );
    if (head.isConnect) return this.connect(head, workload);
    if (head.scheme === 'https')
      return this.refuse('NOT_IMPLEMENTED', 'https through the proxy without CONNECT; use http://, the mesh encrypts by itself');
    const { table } = service.routes;
    if (table === undefined)
      return this.refuse('NO_HEALTHY_INSTANCE', `the route configuration "${service.routes.name}" has not arrived yet`);
    const stack = table.match(head.authority, head.path);
    if (stack === undefined)
      return this.refuse('NO_SUCH_SERVICE', head.authority === '' ? 'the request names no authority' : `asked for ${head.authority}`);
    const { cluster } = stack.slot;
    if (cluster === undefined) return this.refuse('NO_HEALTHY_INSTANCE', `the cluster "${stack.slot.name}" has not arrived yet`);
    if (head.upgrade !== '' && head.framing !== 'none' && head.contentLength !== 0)
      return this.refuse('NOT_IMPLEMENTED', 'an upgrade of a request that has a body');
    requestRendering.forwardUpgrade = head.upgrade !== '';
    requestRendering.add = service.addedLines(head, this.fixedLines, this.connection);
    this.exchange.start(head, stack, cluster, workload, this.metricsFor(cluster, workload));
  }

  /** @internal */
  requestBody(bytes: Buffer, start: number, end: number): void {
    if (this.phase === 'exchange') {
      this.exchange.requestBody(bytes, start, end);
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
    this.answer(codeOfViolation(error), error.message, error.httpStatus);
  }

  // --- own

  private receive(bytes: Buffer): void {
    if (this.phase === 'linger' || this.phase === 'closed') return;
    if (this.rest !== undefined || this.phase === 'connecting' || this.parser.state === 'complete') {
      this.rest = this.rest === undefined ? bytes : Buffer.concat([this.rest, bytes]);
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
      if (this.phase === 'ready' && !this.gather.blocked) this.beginNext();
      else if (at < bytes.length) {
        this.rest = at === 0 ? bytes : bytes.subarray(at);
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

  private metricsFor(cluster: UpstreamCluster, workload: string): RequestMetrics {
    if (cluster !== this.lastCluster || workload !== this.lastWorkload) {
      this.lastCluster = cluster;
      this.lastWorkload = workload;
      this.lastMetrics = cluster.requestsFrom(this.service.sourceName(this.source, workload), this.service.direction);
    }
    return this.lastMetrics!;
  }

  /** An error before there is an exchange. */
  private refuse(code: ErrorCode, detail: string): void {
    this.answer(code, detail, undefined);
    this.service.refused(this.source, code);
  }

  private answer(code: ErrorCode, detail: string, httpStatus: number | undefined): void {
    const { head, state } = this.parser;
    const bodyToCome = state !== 'complete' && (head.framing === 'chunked' || (head.framing === 'length' && head.contentLength !== 0));
    const broken = this.phase === 'head' || this.phase === 'idle' || state === 'failed';
    // What is still to come of the request would have to be read first; a new connection is cheaper.
    const keepAlive = !broken && !bodyToCome && head.keepAlive && !this.closing;
    const bytes = renderError({ code, detail, close: !keepAlive, toHead: !broken && head.method === 'HEAD', httpStatus });
    this.gather.bytes(bytes, 0, bytes.length);
    this.responseDone(keepAlive, this.context.clock.nowMs());
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

  /** CONNECT (RFC 9110 §9.3.6): to services that are carried as opaque bytes. */
  private connect(head: RequestHead, workload: string): void {
    const cluster = this.service.tcpCluster(head.authority);
    if (cluster === undefined)
      return this.refuse(
        'NOT_IMPLEMENTED',
        `CONNECT ${head.authority}: only services with protocol tcp, tls, http2 or grpc are reached by CONNECT; call http services with http://`,
      );
    this.phase = 'connecting';
    const stream = new TcpStream(this.context, this.connection, cluster, workload, this.service.streamMetrics, {
      onEstablished: () => {
        this.phase = 'stream';
        this.gather.text('HTTP/1.1 200 Connection established\r\n\r\n');
        this.context.turn.end();
        this.connection.handler = new StreamSide(this, stream);
        this.context.deadlines.remove(this);
        if (this.rest !== undefined) stream.sendFirst(this.rest);
        this.rest = undefined;
      },
      onUnreachable: (code, detail) => {
        this.phase = 'exchange';
        this.stream = undefined;
        this.connection.resume();
        this.refuse(code, detail);
        this.context.turn.end();
      },
    });
    this.stream = stream;
    stream.start();
  }
}

/** After CONNECT the bytes are the stream's, and the end of the connection is told to both. */
class StreamSide implements ConnectionHandler {
  private readonly owner: HttpConnection;
  private readonly stream: TcpStream;

  constructor(owner: HttpConnection, stream: TcpStream) {
    this.owner = owner;
    this.stream = stream;
  }

  onBytes(bytes: Buffer): void {
    this.stream.onBytes(bytes);
  }

  onDrained(): void {
    this.stream.onDrained();
  }

  onEnd(): void {
    this.stream.onEnd();
  }

  onClose(error: NetworkError | undefined): void {
    this.owner.onClose(error);
  }
}
