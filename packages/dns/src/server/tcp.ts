// DNS over TCP (RFC 7766): each message with its length before it, several queries under way on one connection, answers as they come.
// Connections, queries and idle time are limited; who does not read its answers is not read either.
import type { Limits } from '@heddle/core';
import type { Clock, Connection, ConnectionHandler, ListeningSocket, Timer } from '@heddle/runtime';
import { framed } from '../forward/exchange.ts';
import { isLoopback } from '../forward/resolvers.ts';
import type { DnsMetrics } from './metrics.ts';

export interface TcpOptions {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly metrics: DnsMetrics;
  /** Undefined: no answer, and the connection ends. */
  readonly respond: (message: Buffer, client: string) => Buffer | undefined | Promise<Buffer | undefined>;
}

export class TcpServer {
  readonly #options: TcpOptions;
  readonly #connections = new Set<DnsConnection>();
  readonly #byClient = new Map<string, number>();

  constructor(options: TcpOptions) {
    this.#options = options;
  }

  serve(socket: ListeningSocket): void {
    socket.accept((connection) => this.#accepted(connection));
  }

  close(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #accepted(connection: Connection): void {
    const { limits, metrics } = this.#options;
    const client = connection.remoteAddress;
    const held = this.#byClient.get(client) ?? 0;
    if (this.#connections.size >= limits.dnsConnectionsMax || (held >= limits.dnsConnectionsPerClientMax && !isLoopback(client))) {
      connection.destroy();
      return;
    }
    const served: DnsConnection = new DnsConnection(connection, this.#options, () => {
      this.#connections.delete(served);
      metrics.connections.add(-1);
      const left = (this.#byClient.get(client) ?? 1) - 1;
      if (left === 0) this.#byClient.delete(client);
      else this.#byClient.set(client, left);
    });
    this.#connections.add(served);
    this.#byClient.set(client, held + 1);
    metrics.connections.add(1);
  }
}

class DnsConnection implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #options: TcpOptions;
  readonly #onClosed: () => void;
  #received: Buffer = Buffer.alloc(0);
  #waiting = 0;
  #isBlocked = false;
  #isPaused = false;
  #hasEnded = false;
  #isClosed = false;
  #idle: Timer;

  constructor(connection: Connection, options: TcpOptions, onClosed: () => void) {
    this.#connection = connection;
    this.#options = options;
    this.#onClosed = onClosed;
    connection.handler = this;
    this.#idle = this.#startIdle();
  }

  onBytes(bytes: Buffer): void {
    // A copy: the bytes are the driver's.
    this.#received = Buffer.concat([this.#received, bytes]);
    this.#read();
  }

  onDrained(): void {
    this.#isBlocked = false;
    this.#read();
  }

  onEnd(): void {
    this.#hasEnded = true;
    this.#endWhenAnswered();
  }

  onClose(): void {
    this.#isClosed = true;
    this.#idle.cancel();
    this.#onClosed();
  }

  destroy(): void {
    this.#connection.destroy();
  }

  #read(): void {
    while (!this.#isBlocked && !this.#isClosed && this.#waiting < this.#options.limits.dnsPipelineMax) {
      if (this.#received.length < 2) break;
      if (this.#received.readUInt16BE(0) > this.#options.limits.dnsQueryBytesMax) return this.#connection.destroy();
      const end = 2 + this.#received.readUInt16BE(0);
      if (this.#received.length < end) break;
      const message = this.#received.subarray(2, end);
      this.#received = this.#received.subarray(end);
      this.#answer(message);
    }
    this.#pauseOrResume();
    this.#endWhenAnswered();
  }

  /** Whole messages that wait are no reason to read more. */
  #pauseOrResume(): void {
    const hasMessage = this.#received.length >= 2 && this.#received.length >= 2 + this.#received.readUInt16BE(0);
    if (hasMessage === this.#isPaused || this.#isClosed) return;
    this.#isPaused = hasMessage;
    if (hasMessage) this.#connection.pause();
    else this.#connection.resume();
  }

  #answer(message: Buffer): void {
    const answer = this.#options.respond(message, this.#connection.remoteAddress);
    if (!(answer instanceof Promise)) return this.#send(answer);
    this.#waiting += 1;
    void answer.then((bytes) => {
      this.#waiting -= 1;
      this.#send(bytes);
      this.#read();
    });
  }

  #send(answer: Buffer | undefined): void {
    if (this.#isClosed) return;
    // Whoever sends what is no query speaks something else.
    if (answer === undefined) return this.#connection.destroy();
    this.#idle.cancel();
    this.#idle = this.#startIdle();
    if (!this.#connection.write(framed(answer))) this.#isBlocked = true;
  }

  #endWhenAnswered(): void {
    if (this.#hasEnded && this.#waiting === 0 && !this.#isPaused && !this.#isClosed) this.#connection.end();
  }

  /** Also bounds how long a client may take over one message, or over reading its answers. */
  #startIdle(): Timer {
    return this.#options.clock.after(this.#options.limits.dnsIdleTimeoutMs, () => this.#connection.destroy());
  }
}
