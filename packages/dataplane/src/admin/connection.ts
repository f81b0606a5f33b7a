// One connection to the admin API: requests one after the other through our own HTTP/1.1 codec, each answered before the next is looked
// at. Not on the path of requests, so a promise for each is fine. node:http would do, and costs every proxy 10 MB.
import type { Clock, Connection, ConnectionHandler, Timer } from '@heddle/runtime';
import { httpDate, renderResponse, RequestParser } from '@heddle/wire';
import type { RemoteProtocolError, RequestHead } from '@heddle/wire';

/** A workload's description is a few kB; more is a mistake. */
export const BODY_BYTES_MAX = 256 * 1024;
/** For the first byte of a new connection. */
const SILENT_MS = 5_000;
/** From the first byte of a request to its last. */
const REQUEST_MS = 10_000;
/** Between two requests: longer than the pauses of those who collect metrics. */
const IDLE_MS = 60_000;
/** For a client to take an answer. */
const WRITE_MS = 30_000;
/** For a client to close after the last answer. */
const LINGER_MS = 2_000;

export interface AdminRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Value of the header; empty without one. */
  readonly authorization: string;
  /** The same. */
  readonly accept: string;
}

export interface Reply {
  readonly status: number;
  /** Text as it is, anything else as JSON. */
  readonly body: unknown;
  /** Default: JSON. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface AdminService {
  /** The answer to a request whose body does not matter, and is thrown away. */
  refusal(request: AdminRequest): Reply | undefined;
  /** Of a request that was not refused. `body` is undefined when it has more than `BODY_BYTES_MAX`. Never rejects. */
  answer(request: AdminRequest, body: Buffer | undefined): Promise<Reply>;
}

/** `reading`: a request, or the time before it. `answering`: a request is complete. `flushing`: the client has yet to take the answer. */
type Phase = 'reading' | 'answering' | 'flushing' | 'ending' | 'closed';

const NOTHING = Buffer.alloc(0);

export class AdminConnection implements ConnectionHandler {
  private readonly connection: Connection;
  private readonly service: AdminService;
  private readonly clock: Clock;
  private readonly onGone: (gone: AdminConnection) => void;
  private readonly parser: RequestParser;
  private phase: Phase = 'reading';
  private timer: Timer | undefined;
  /** Its head has come. */
  private request: AdminRequest | undefined;
  private refusal: Reply | undefined;
  private pieces: Buffer[] = [];
  private bodyBytes = 0;
  private hasBegun = false;
  private isLast = false;
  /** What came behind a request that is not answered yet. */
  private rest = NOTHING;

  constructor(connection: Connection, service: AdminService, clock: Clock, onGone: (gone: AdminConnection) => void) {
    this.connection = connection;
    this.service = service;
    this.clock = clock;
    this.onGone = onGone;
    this.parser = new RequestParser({
      onHead: (head) => this.requestHead(head),
      onBody: (bytes, start, end) => this.requestBody(bytes, start, end),
      onEnd: () => this.requestEnd(),
      onError: (error) => this.requestFault(error),
    });
    this.limit(SILENT_MS);
  }

  destroy(): void {
    this.connection.destroy();
  }

  onBytes(bytes: Buffer): void {
    if (this.phase === 'reading') this.read(bytes);
    // Reading was paused; these were on their way.
    else if (this.phase === 'answering' || this.phase === 'flushing') this.rest = Buffer.concat([this.rest, bytes]);
  }

  onDrained(): void {
    if (this.phase !== 'flushing') return;
    this.beginNext();
    this.goOn();
  }

  onEnd(): void {
    if (this.phase === 'answering') this.isLast = true;
    else if (this.phase === 'reading' && this.hasBegun) this.destroy();
    else this.connection.end();
  }

  onClose(): void {
    this.phase = 'closed';
    this.timer?.cancel();
    this.onGone(this);
  }

  private read(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length && this.phase === 'reading') at = this.parser.push(bytes, at);
    if (at < bytes.length) this.rest = Buffer.from(bytes.subarray(at));
    if (this.phase !== 'reading' || this.hasBegun || this.parser.state === 'awaiting') return;
    this.hasBegun = true;
    this.limit(REQUEST_MS);
  }

  private requestHead(head: RequestHead): void {
    const { method, path } = head;
    this.request = { method, path, authorization: head.get('authorization') ?? '', accept: head.get('accept') ?? '' };
    this.refusal = this.service.refusal(this.request);
    this.isLast ||= !head.keepAlive || head.isConnect;
    if (!head.expectContinue) return;
    // RFC 9110 §10.1.1: the client holds the body back until it is told to go on, or has its answer.
    if (this.refusal === undefined) this.connection.write(renderResponse({ status: 100 }));
    else this.end(this.refusal);
  }

  private requestBody(bytes: Buffer, start: number, end: number): void {
    this.bodyBytes += end - start;
    // What is too much is read and dropped: else the client would see a reset instead of the reason. `REQUEST_MS` bounds it.
    if (this.refusal === undefined && this.bodyBytes <= BODY_BYTES_MAX) this.pieces.push(Buffer.from(bytes.subarray(start, end)));
    else this.pieces = [];
  }

  private requestEnd(): void {
    const { request, refusal, pieces } = this;
    if (request === undefined || this.phase !== 'reading') return;
    if (refusal !== undefined) return this.reply(refusal);
    this.phase = 'answering';
    this.timer?.cancel();
    this.connection.pause();
    void this.service.answer(request, this.bodyBytes > BODY_BYTES_MAX ? undefined : Buffer.concat(pieces)).then((reply) => {
      if (this.phase !== 'answering') return;
      this.reply(reply);
      this.goOn();
    });
  }

  private requestFault({ httpStatus, message }: RemoteProtocolError): void {
    if (this.phase === 'reading') this.end({ status: httpStatus, body: { error: message } });
  }

  /** Answers a complete request. */
  private reply(reply: Reply): void {
    if (this.isLast) return this.end(reply);
    if (this.write(reply)) return this.beginNext();
    this.phase = 'flushing';
    this.connection.pause();
    this.limit(WRITE_MS);
  }

  /** Answers, and that was all on this connection. */
  private end(reply: Reply): void {
    this.isLast = true;
    const isTaken = this.write(reply);
    this.phase = 'ending';
    this.parser.abort();
    // What the client still sends is read, else it might see a reset instead of the answer.
    this.connection.resume();
    this.connection.end();
    this.limit(isTaken ? LINGER_MS : WRITE_MS);
  }

  private write({ status, body, contentType = 'application/json', headers = {} }: Reply): boolean {
    return this.connection.write(
      renderResponse({
        status,
        headers: [...Object.entries(headers), ['content-type', contentType], ['cache-control', 'no-store']],
        body: typeof body === 'string' ? body : `${JSON.stringify(body, null, 2)}\n`,
        date: httpDate(this.clock.wallMs()),
        close: this.isLast,
        toHead: this.request?.method === 'HEAD',
      }),
    );
  }

  private beginNext(): void {
    this.request = undefined;
    this.refusal = undefined;
    this.pieces = [];
    this.bodyBytes = 0;
    this.hasBegun = false;
    this.phase = 'reading';
    this.parser.next();
    this.limit(IDLE_MS);
  }

  /** After an answer that was waited for. */
  private goOn(): void {
    if (this.phase !== 'reading') return;
    const { rest } = this;
    this.rest = NOTHING;
    this.connection.resume();
    if (rest.length > 0) this.read(rest);
  }

  /** From now on. */
  private limit(ms: number): void {
    this.timer?.cancel();
    this.timer = this.clock.after(ms, () => {
      if (this.phase === 'reading' && this.hasBegun)
        this.end({ status: 408, body: { error: `the request was not complete within ${REQUEST_MS} ms` } });
      else this.destroy();
    });
  }
}
