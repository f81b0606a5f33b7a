// One connection to the admin API: reads requests one after the other with our own HTTP/1.1 codec, and writes each answer before the next
// request is looked at. Not on the path of requests, so promises are fine; node:http is not used because it costs 10 MB in every proxy.
import type { Clock, Connection, ConnectionHandler, Timer } from '@heddle/runtime';
import { httpDate, renderResponse, RequestParser } from '@heddle/wire';
import type { RemoteProtocolError, RequestHandler, RequestHead } from '@heddle/wire';

/** A workload's description is a few kB; more is a mistake. */
export const BODY_BYTES_MAX = 256 * 1024;
/** A new connection that says nothing. */
const SILENT_MS = 5_000;
/** From the first byte of a request to its last. */
const REQUEST_MS = 10_000;
/** Between requests: longer than the pauses of whoever collects metrics. */
const IDLE_MS = 60_000;
/** What a client has to take an answer, and to close after the last one. */
const WRITE_MS = 30_000;
const LINGER_MS = 2_000;

export interface AdminRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Value of the header; empty without one. */
  readonly authorization: string;
  /** Undefined: more than `BODY_BYTES_MAX`, so it was not kept. Empty while the head is all there is. */
  readonly body: Buffer | undefined;
}

export interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What the connection does with a request: `refusal` answers it without its body, which is then thrown away. Neither throws. */
export interface AdminService {
  refusal(request: AdminRequest): Reply | undefined;
  answer(request: AdminRequest): Promise<Reply>;
}

/** `reading`: a request, or the time before it. `answering`: what else comes waits. `ending`: the last answer was written. */
type Phase = 'reading' | 'answering' | 'ending' | 'closed';

const NOTHING = Buffer.alloc(0);

export class AdminConnection implements ConnectionHandler {
  private readonly connection: Connection;
  private readonly service: AdminService;
  private readonly clock: Clock;
  private readonly onGone: (gone: AdminConnection) => void;
  private readonly parser: RequestParser;
  private phase: Phase = 'reading';
  private timer: Timer | undefined;
  private request: AdminRequest | undefined;
  private refusal: Reply | undefined;
  private pieces: Buffer[] = [];
  private bodyBytes = 0;
  /** Behind the request that is being answered. */
  private rest = NOTHING;
  private isBlocked = false;
  private peerHasEnded = false;

  constructor(connection: Connection, service: AdminService, clock: Clock, onGone: (gone: AdminConnection) => void) {
    this.connection = connection;
    this.service = service;
    this.clock = clock;
    this.onGone = onGone;
    const events: RequestHandler = {
      onHead: (head) => this.requestHead(head),
      onBody: (bytes, start, end) => this.requestBody(bytes, start, end),
      onEnd: () => this.requestEnd(),
      onError: (error) => this.requestFault(error),
    };
    this.parser = new RequestParser(events);
    this.expect(SILENT_MS);
  }

  destroy(): void {
    this.connection.destroy();
  }

  onBytes(bytes: Buffer): void {
    if (this.phase === 'ending' || this.phase === 'closed') return;
    if (this.phase === 'reading') return this.read(bytes);
    // Bytes that the network had on the way when reading was paused.
    this.rest = Buffer.concat([this.rest, bytes]);
  }

  onDrained(): void {
    this.isBlocked = false;
    if (this.phase === 'answering' && this.request === undefined) this.readNext();
  }

  onEnd(): void {
    this.peerHasEnded = true;
    if (this.phase === 'answering') return;
    // In the middle of a request nobody waits for an answer any more.
    if (this.phase === 'reading' && this.parser.state === 'awaiting') this.connection.end();
    else this.destroy();
  }

  onClose(): void {
    this.phase = 'closed';
    this.timer?.cancel();
    this.onGone(this);
  }

  // --- from the parser

  private requestHead(head: RequestHead): void {
    const { method, path } = head;
    this.request = { method, path, authorization: head.get('authorization') ?? '', body: NOTHING };
    this.refusal = this.service.refusal(this.request);
    this.pieces = [];
    this.bodyBytes = 0;
    // RFC 9110 §10.1.1: the client holds its body back until it is told to go on, or has its answer.
    if (head.expectContinue && this.refusal === undefined) this.connection.write(renderResponse({ status: 100 }));
    // Behind CONNECT and behind a head whose body is held back nothing comes that could be read.
    else if (head.expectContinue || head.isConnect) this.finish(this.refusal ?? { status: 405, body: { error: 'this is no proxy' } }, true);
  }

  private requestBody(bytes: Buffer, start: number, end: number): void {
    this.bodyBytes += end - start;
    // The rest is read and dropped, else the client would see a reset instead of the reason; the deadline of the request bounds it.
    if (this.refusal !== undefined || this.bodyBytes > BODY_BYTES_MAX) this.pieces = [];
    else this.pieces.push(Buffer.from(bytes.subarray(start, end)));
  }

  private requestEnd(): void {
    const { request, refusal } = this;
    if (request === undefined || this.phase !== 'reading') return;
    this.phase = 'answering';
    this.timer?.cancel();
    if (refusal !== undefined) return this.finish(refusal, false);
    this.connection.pause();
    const body = this.bodyBytes > BODY_BYTES_MAX ? undefined : Buffer.concat(this.pieces);
    this.pieces = [];
    void this.service.answer({ ...request, body }).then((reply) => this.finish(reply, false));
  }

  private requestFault({ httpStatus, message }: RemoteProtocolError): void {
    this.finish({ status: httpStatus ?? 400, body: { error: message } }, true);
  }

  // --- own

  private read(bytes: Buffer): void {
    const wasAwaiting = this.parser.state === 'awaiting';
    const at = this.parser.push(bytes);
    if (this.phase === 'answering' && at < bytes.length) this.rest = Buffer.from(bytes.subarray(at));
    else if (this.phase === 'answering' && this.request === undefined) this.readNext();
    else if (this.phase === 'reading' && wasAwaiting) this.expect(REQUEST_MS);
    if (this.phase === 'answering' && this.request === undefined) this.readNext();
  }
}
