// One downstream HTTP/2 connection: each stream is a request with an exchange of its own, or a CONNECT whose bytes go to a TCP stream.
import type { Connection, NetworkError } from '@heddle/runtime';
import { HTTP2_ERROR, Http2Server } from '@heddle/wire';
import type { Http2RequestHead, Http2ServerHandler, Http2Stream, RequestHead } from '@heddle/wire';
import type { Context } from '../stack/context.ts';
import { COPY_ALL, Http2Link } from '../stack/http2-link.ts';
import { ConnectStream } from './connect-stream.ts';
import type { ConnectStreamOwner } from './connect-stream.ts';
import { Entry } from './entry.ts';
import { Http2Request } from './http2-request.ts';
import type { Http2RequestOwner } from './http2-request.ts';
import type { AdmittedConnection, HttpService } from './http-service.ts';

/** Requests whose objects are kept for the next ones. */
const SPARE_MAX = 64;

export class Http2Connection extends Http2Link implements Http2ServerHandler, AdmittedConnection, Http2RequestOwner, ConnectStreamOwner {
  readonly codec: Http2Server;
  readonly service: HttpService;
  readonly entry: Entry;
  private readonly spare: Http2Request[] = [];
  private hasSettings = false;
  /** The request that HTTP/1.1 has brought. It waits for the client to speak HTTP/2: some clients keep only little of what follows a 101. */
  private upgraded: { readonly stream: Http2Stream; readonly head: RequestHead } | undefined;
  private isClosing = false;
  /** Nothing but the end of the connection is waited for. */
  private isEnding = false;

  /** @param workload on whose behalf the calls are made, where HTTP/1.1 before has told. */
  constructor(context: Context, service: HttpService, connection: Connection, workload?: string) {
    super(context, connection, 'server');
    this.service = service;
    this.entry = new Entry(service, connection, 'http2', workload);
    // Ways in have proven clients only: nobody outside the mesh is told.
    const answersLoad = service.load !== undefined;
    this.codec = new Http2Server(this, { limits: service.http2Limits, huffman: false, answersLoad, ...COPY_ALL });
    context.deadlines.set(this, context.clock.nowMs() + context.limits.requestHeadTimeoutMs);
    this.touch();
  }

  get remoteAddress(): string {
    return this.connection.remoteAddress;
  }

  get remotePort(): number {
    return this.connection.remotePort;
  }

  /** The request that asked HTTP/1.1 for h2c is the first stream (RFC 7540 §3.2). False: its settings are wrong, and the connection ends. */
  takeUpgraded(head: RequestHead, settings: Buffer): void {
    const stream = this.codec.acceptUpgrade(settings, head.method === 'HEAD');
    this.touch();
    this.upgraded = stream === undefined ? undefined : { stream, head };
  }

  get activeRequests(): number {
    return this.codec.streamCount;
  }

  closeAfterRequest(): void {
    this.isClosing = true;
    this.codec.drain();
    this.touch();
    this.settle();
  }

  drain(): void {
    this.closeAfterRequest();
  }

  onHeaders(stream: Http2Stream, head: Http2RequestHead, endStream: boolean): void {
    if (head.method === 'CONNECT' && head.protocol === '') new ConnectStream(this.context, this, stream).open(head, endStream);
    else this.open(stream, head.keep(), endStream);
  }

  requestEnded(request: Http2Request): void {
    if (this.spare.length < SPARE_MAX) this.spare.push(request);
    this.settle();
  }

  settle(): void {
    if (this.codec.streamCount > 0 || this.isEnding) return;
    const { context } = this;
    if (this.isClosing && this.codec.state === 'closing') this.finish();
    else context.deadlines.set(this, context.clock.nowMs() + context.limits.downstreamIdleTimeoutMs);
  }

  onDeadline(): void {
    if (this.isEnding || !this.hasSettings) this.destroy();
    else if (this.codec.streamCount === 0) this.finish();
    this.context.turn.end();
  }

  override onSettings(): void {
    if (this.hasSettings) return;
    this.hasSettings = true;
    const { upgraded } = this;
    this.upgraded = undefined;
    if (upgraded?.stream.isClosed === false) this.open(upgraded.stream, upgraded.head, true);
    else this.settle();
  }

  override onLoadQuestion(number: number): void {
    const { inFlight, latencyMs } = this.service.load!.signal(this.context.clock.nowMs());
    // 0 would say that it is not known.
    this.codec.answerLoad(number, inFlight, Math.ceil(latencyMs * 1_000));
  }

  override onGoaway(): void {
    this.isClosing = true;
  }

  override onError(error: Parameters<Http2Link['onError']>[0]): void {
    super.onError(error);
    this.service.brokenConnection(error.code);
    this.linger();
  }

  protected override afterPush(): void {
    if (this.isClosing) this.settle();
  }

  protected override closed(_error: NetworkError | undefined): void {
    this.service.connectionClosed(this);
  }

  private open(stream: Http2Stream, head: Http2RequestHead | RequestHead, endStream: boolean): void {
    this.context.deadlines.set(this, Infinity);
    const request = this.spare.pop() ?? new Http2Request(this.context, this);
    request.begin(stream, head, endStream);
  }

  /** RFC 9113 §5.4.1, §6.8: says goodbye, and gives the client a while to read it. */
  private finish(): void {
    this.codec.goaway(HTTP2_ERROR.noError);
    this.end();
    this.linger();
  }

  private linger(): void {
    this.isEnding = true;
    this.context.deadlines.set(this, this.context.clock.nowMs() + this.context.limits.lingerTimeoutMs);
  }
}
