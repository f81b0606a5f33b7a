// A CONNECT stream of a downstream HTTP/2 connection (RFC 9113 §8.5): answered once the far end is reached, and then a pipe.
import { NOBODY } from '@heddle/runtime';
import type { ConnectionHandler } from '@heddle/runtime';
import { HTTP2_ERROR, Http2ResponseHead } from '@heddle/wire';
import type { Http2RequestHead, Http2Server, Http2Stream } from '@heddle/wire';
import type { AccessWait } from '../stack/access-wait.ts';
import type { Context } from '../stack/context.ts';
import type { Http2Link } from '../stack/http2-link.ts';
import type { LongStream } from '../stack/route-slots.ts';
import { tunnelOf } from '../stack/routes.ts';
import { StreamConnection } from '../stack/stream-connection.ts';
import type { Entry } from './entry.ts';
import type { HttpService } from './http-service.ts';
import { errorAnswer } from '../stack/local-answer.ts';
import type { LocalAnswer } from '../stack/local-answer.ts';
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

export class ConnectStream extends StreamConnection implements LongStream {
  private readonly context: Context;
  private readonly connection: ConnectStreamOwner;
  /** What it has of the load of the instance; -1: nothing. */
  private arrivedAt = -1;
  /** It waits for what allows it. */
  private clearance: AccessWait | undefined;
  private authority = '';

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
    const { entry } = this.connection;
    if (!entry.find(head)) return this.refuseFound();
    if (entry.clearance === undefined) this.connect(head);
    else this.await(head.keep(), entry.clearance);
  }

  /** What the client sends before it is answered waits in the window of the stream. */
  private await(head: Http2RequestHead, clearance: AccessWait): void {
    this.clearance = clearance;
    this.pause();
    clearance.beginStream(() => {
      const { entry } = this.connection;
      this.clearance = undefined;
      if (!entry.findAgain(head, clearance.answers)) this.refuseFound();
      else if (entry.clearance !== undefined) return this.await(head, entry.clearance);
      else {
        this.connect(head);
        this.resume();
      }
      head.release();
      this.context.turn.end();
    });
  }

  /** The entry has found no way for the stream, or has the answer itself. */
  private refuseFound(): void {
    const { entry } = this.connection;
    const { answer, code, detail } = entry;
    if (answer === undefined) entry.refused(code);
    else entry.answered(answer);
    this.refuse(answer ?? errorAnswer(code, detail));
  }

  private connect(head: Http2RequestHead): void {
    const { connection, context } = this;
    const { entry, service } = connection;
    const { stack, cluster, workload } = entry;
    if (entry.isTunnelledHttp) {
      this.accept();
      this.handler = service.nested(this, workload);
      return;
    }
    const target = { cluster, workload, metrics: entry.streamMetrics, ...tunnelOf(stack, head.authority) };
    const stream = new TcpStream(context, this, target, service.streamMetrics, {
      onEstablished: () => this.accept(),
      onUnreachable: (code, detail) => this.refuse(errorAnswer(code, detail)),
    });
    this.handler = stream;
    this.authority = head.authority;
    if (service.direction === 'inbound') service.routes.streams.add(this);
    this.arrivedAt = service.load?.begin() ?? -1;
    stream.start();
  }

  decideAgain(): void {
    if (this.connection.entry.keepsStream(this.authority)) return;
    this.reset();
    this.context.turn.end();
  }

  protected override close(error: Parameters<ConnectionHandler['onClose']>[0]): void {
    super.close(error);
    const { connection, arrivedAt } = this;
    this.clearance?.cancel();
    this.clearance = undefined;
    connection.service.routes.streams.delete(this);
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

  private refuse({ status, headers, contentType, body }: LocalAnswer): void {
    const { stream, connection } = this;
    if (stream === undefined) return;
    const head = new Http2ResponseHead();
    head.status = status;
    for (const [name, value] of headers) head.add(name, value);
    head.add('content-type', contentType);
    connection.codec.respond(stream, head, false);
    const bytes = Buffer.from(body, 'utf8');
    this.send(bytes, 0, bytes.length, true);
    // RFC 9113 §8.1: the answer is complete; neither the rest of the request nor a window for the body is waited for.
    this.reset(HTTP2_ERROR.noError);
    this.context.turn.end();
  }
}
