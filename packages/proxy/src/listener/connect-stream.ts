// A CONNECT stream of a downstream HTTP/2 connection (RFC 9113 §8.5): answered once the far end is reached, and then a pipe.
import { ERROR_HEADER, ERRORS } from '@heddle/core';
import type { ErrorCode } from '@heddle/core';
import { NOBODY } from '@heddle/runtime';
import type { ConnectionHandler } from '@heddle/runtime';
import { HTTP2_ERROR, Http2ResponseHead } from '@heddle/wire';
import type { Http2RequestHead, Http2Server, Http2Stream } from '@heddle/wire';
import type { Context } from '../stack/context.ts';
import type { Http2Link } from '../stack/http2-link.ts';
import { tunnelOf } from '../stack/routes.ts';
import { StreamConnection } from '../stack/stream-connection.ts';
import type { Entry } from './entry.ts';
import type { HttpService } from './http-service.ts';
import { errorText } from '../stack/local-answer.ts';
import { TcpStream } from './tcp-stream.ts';

/** The connection, as its CONNECT streams see it. */
export interface ConnectStreamOwner extends Http2Link {
  readonly codec: Http2Server;
  readonly entry: Entry;
  readonly service: HttpService;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** A stream has ended. */
  settle(): void;
}

export class ConnectStream extends StreamConnection {
  private readonly context: Context;
  private readonly connection: ConnectStreamOwner;
  /** What it has of the load of the instance; -1: nothing. */
  private arrivedAt = -1;

  constructor(context: Context, connection: ConnectStreamOwner, stream: Http2Stream) {
    super(NOBODY, connection.remoteAddress, connection.remotePort);
    this.context = context;
    this.connection = connection;
    this.attach(connection, stream);
  }

  /** Follows the route of the authority. `endStream`: the client sends nothing. */
  open(head: Http2RequestHead, endStream: boolean): void {
    this.follow(head);
    if (endStream && this.stream !== undefined) this.receiveEnd();
  }

  private follow(head: Http2RequestHead): void {
    const { connection, context } = this;
    const { entry, service } = connection;
    if (!entry.find(head)) {
      entry.refused(entry.code);
      this.refuse(entry.code, entry.detail);
      return;
    }
    const { stack, cluster, workload } = entry;
    if (entry.isTunnelledHttp) {
      this.accept();
      this.handler = service.nested(this, workload);
      return;
    }
    const target = { cluster, workload, ...tunnelOf(stack, head.authority) };
    const stream = new TcpStream(context, this, target, service.streamMetrics, {
      onEstablished: () => this.accept(),
      onUnreachable: (code, detail) => {
        entry.refused(code);
        this.refuse(code, detail);
      },
    });
    this.handler = stream;
    this.arrivedAt = service.load?.begin() ?? -1;
    stream.start();
  }

  protected override close(error: Parameters<ConnectionHandler['onClose']>[0]): void {
    super.close(error);
    const { connection, arrivedAt } = this;
    this.arrivedAt = -1;
    if (arrivedAt !== -1) connection.service.load?.end(arrivedAt, undefined, this.context.clock.nowMs());
    connection.settle();
  }

  private accept(): void {
    const { stream, connection } = this;
    if (stream === undefined) return;
    const head = new Http2ResponseHead();
    head.status = 200;
    connection.codec.respond(stream, head, false);
    connection.touch();
  }

  private refuse(code: ErrorCode, detail: string): void {
    const { stream, connection } = this;
    if (stream === undefined) return;
    const head = new Http2ResponseHead();
    head.status = ERRORS[code].httpStatus;
    head.add(ERROR_HEADER, code).add('content-type', 'text/plain; charset=utf-8');
    connection.codec.respond(stream, head, false);
    const body = Buffer.from(errorText(code, detail), 'utf8');
    this.send(body, 0, body.length, true);
    // RFC 9113 §8.1: the answer is complete; neither the rest of the request nor a window for the body is waited for.
    this.reset(HTTP2_ERROR.noError);
    this.context.turn.end();
  }
}
