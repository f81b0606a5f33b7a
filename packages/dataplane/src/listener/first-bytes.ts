// A connection whose protocol its first bytes tell. A client that says nothing may wait for the server to speak first: then the instance is
// connected to, and whoever speaks first decides. So no protocol waits for a time limit of ours.
import type { Connection, ConnectionHandler, NetworkError } from '@heddle/runtime';
import type { Context } from '../stack/context.ts';
import { Timed } from '../stack/deadlines.ts';
import type { AdmittedConnection } from './http-service.ts';
import { guessProtocol, TLS_HANDSHAKE } from './protocol-guess.ts';
import type { TcpStream } from './tcp-stream.ts';

/** What becomes of the connection. Each of these gives it a handler of its own; `undefined`: it was closed. */
export interface Destinations {
  http1(connection: Connection): ConnectionHandler;
  http2(connection: Connection): ConnectionHandler;
  /** A ClientHello for this name. */
  tls(connection: Connection, serverName: string): ConnectionHandler | undefined;
  /** TLS ends at the listener: connections that begin like it are for `secure`. */
  endsTls(): boolean;
  /** Takes the connection over, with what has come. */
  secure(connection: Connection, bytes: Buffer): void;
  /** Connections without TLS are taken; else they are closed as soon as they turn out to be that. */
  takesPlaintext(): boolean;
  /** No HTTP. */
  other(connection: Connection): ConnectionHandler | undefined;
  /** For a client that is silent. Undefined: it is only waited for. The stream is not the connection's handler yet. */
  silent(connection: Connection, failed: () => void): TcpStream | undefined;
  /** The stream as the connection's handler. */
  counted(stream: TcpStream): ConnectionHandler;
  handedOver(first: FirstBytes): void;
  /** Before any of these was called. */
  closed(first: FirstBytes): void;
}

export class FirstBytes extends Timed implements ConnectionHandler, AdmittedConnection {
  private readonly context: Context;
  private readonly connection: Connection;
  private readonly to: Destinations;
  private bytes: Buffer | undefined;
  /** Towards the instance of a client that is silent. */
  private stream: TcpStream | undefined;
  private hasWaited = false;

  constructor(context: Context, connection: Connection, to: Destinations) {
    super();
    this.context = context;
    this.connection = connection;
    this.to = to;
    context.deadlines.set(this, context.clock.nowMs() + context.limits.protocolDetectionTimeoutMs);
  }

  get activeRequests(): number {
    return this.stream === undefined ? 0 : 1;
  }

  /** A request may be on its way. */
  closeAfterRequest(): void {}

  drain(): void {
    this.destroy();
  }

  destroy(): void {
    this.connection.destroy();
  }

  onBytes(bytes: Buffer): void {
    const { stream } = this;
    this.bytes = this.bytes === undefined ? Buffer.from(bytes) : Buffer.concat([this.bytes, bytes]);
    if (stream?.hasSent === true) return void this.handOver(this.to.counted(stream));
    if (this.bytes[0] === TLS_HANDSHAKE && this.to.endsTls()) return this.secure(this.bytes);
    if (!this.to.takesPlaintext()) return this.connection.destroy();
    const guess = guessProtocol(this.bytes);
    // How much that may be is bounded by what a guess needs: a ClientHello at most.
    if (guess === 'more') return this.waitForMore();
    const { to, connection } = this;
    // The instance is connected to already.
    if (guess === 'other' && stream !== undefined) return void this.handOver(to.counted(stream));
    this.stream = undefined;
    stream?.abandon();
    if (guess === 'http1') this.handOver(to.http1(connection));
    else if (guess === 'http2') this.handOver(to.http2(connection));
    else this.handOver(guess === 'other' ? to.other(connection) : to.tls(connection, guess.serverName));
  }

  onDrained(): void {
    this.stream?.onDrained();
  }

  onEnd(): void {
    const { stream } = this;
    if (stream !== undefined) (this.bytes === undefined ? stream : this.handOver(this.to.counted(stream)))?.onEnd();
    else if (this.bytes === undefined) this.connection.destroy();
    // What has come is all there is: let the one that takes anything say what is wrong with it.
    else this.handOver(this.to.other(this.connection))?.onEnd();
  }

  onClose(error: NetworkError | undefined): void {
    this.context.deadlines.remove(this);
    this.stream?.onClose(error);
    this.to.closed(this);
  }

  onDeadline(nowMs: number): void {
    const { context, connection, to, stream } = this;
    if (this.bytes !== undefined) {
      // It began like something and stopped.
      this.handOver(stream === undefined ? to.other(connection) : to.counted(stream));
    } else if (this.hasWaited) {
      connection.destroy();
    } else {
      this.hasWaited = true;
      this.stream = to.takesPlaintext() ? to.silent(connection, () => this.streamFailed()) : undefined;
      if (this.stream === undefined) context.deadlines.set(this, nowMs + context.limits.downstreamIdleTimeoutMs);
      else this.stream.start();
    }
    context.turn.end();
  }

  /** The instance of a silent client cannot be reached; what the client will say may be for something else. */
  private streamFailed(): void {
    this.stream = undefined;
    this.connection.resume();
    this.context.deadlines.set(this, this.context.clock.nowMs() + this.context.limits.downstreamIdleTimeoutMs);
  }

  private secure(bytes: Buffer): void {
    this.stream?.abandon();
    this.stream = undefined;
    this.context.deadlines.remove(this);
    this.to.handedOver(this);
    this.to.secure(this.connection, bytes);
  }

  private waitForMore(): void {
    this.context.deadlines.set(this, this.context.clock.nowMs() + this.context.limits.requestHeadTimeoutMs);
  }

  private handOver(handler: ConnectionHandler | undefined): ConnectionHandler | undefined {
    const { bytes, context, connection } = this;
    context.deadlines.remove(this);
    if (handler === undefined) return undefined;
    this.to.handedOver(this);
    connection.handler = handler;
    if (bytes !== undefined) handler.onBytes(bytes);
    return handler;
  }
}
