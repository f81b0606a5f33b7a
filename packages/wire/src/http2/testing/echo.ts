// For tests: a server on a real socket, made of the codec and node:net. It answers GET with text (as many bytes as `/bytes/N` says), and sends
// back what it is sent, with trailers if the request had some. What does not fit through the windows is kept, and the peer has to wait.

import net, { type AddressInfo, type Socket } from 'node:net';
import { Http2ResponseHead, Http2Trailers } from '../head.ts';
import type { Http2ServerHandler } from '../handler.ts';
import { Http2Server } from '../server.ts';
import type { Http2Options } from '../core.ts';
import type { Http2Stream } from '../stream.ts';

/** What is still to be sent on a stream. */
class Outgoing {
  readonly parts: { bytes: Buffer; start: number; end: number; received: boolean }[] = [];
  ended = false;
  trailers: Http2Trailers | undefined;
}

const TEXT = Buffer.from('The quick brown fox jumps over the lazy dog.\n');
const FILLING = Buffer.alloc(65_536, 'x');

export class EchoConnection implements Http2ServerHandler {
  readonly http2: Http2Server;
  readonly errors: string[] = [];
  readonly resets: number[] = [];
  requests = 0;

  constructor(options: Http2Options = {}) {
    this.http2 = new Http2Server(this, options);
  }

  onHeaders: Http2ServerHandler['onHeaders'] = (stream, head, endStream) => {
    this.requests++;
    const outgoing = new Outgoing();
    stream.context = outgoing;
    const response = new Http2ResponseHead();
    response.status = 200;
    response.add('content-type', 'text/plain');
    if (head.path === '/early') {
      const early = new Http2ResponseHead();
      early.status = 103;
      this.http2.inform(stream, early.add('link', '</style.css>; rel=preload'));
    }
    if (head.path === '/reset') return this.http2.reset(stream, 2);
    if (head.path === '/empty') {
      response.status = 204;
      return this.http2.respond(stream, response, true);
    }
    const length = head.path.startsWith('/bytes/') ? Number(head.path.slice(7)) : TEXT.length;
    if (endStream) response.add('content-length', String(length));
    if (head.method === 'HEAD') return this.http2.respond(stream, response, true);
    if (head.acceptsTrailers && endStream) outgoing.trailers = new Http2Trailers().add('x-sum', String(length));
    this.http2.respond(stream, response, false);
    if (!endStream) return;
    for (let left = length; left > 0; left -= FILLING.length) {
      const bytes = length === TEXT.length ? TEXT : FILLING;
      outgoing.parts.push({ bytes, start: 0, end: Math.min(left, bytes.length), received: false });
    }
    outgoing.ended = true;
    this.send(stream, outgoing);
  };

  onData: Http2ServerHandler['onData'] = (stream, bytes, start, end, endStream) => {
    const outgoing = stream.context as Outgoing;
    if (end > start) outgoing.parts.push({ bytes, start, end, received: true });
    outgoing.ended = endStream;
    this.send(stream, outgoing);
  };

  onTrailers: Http2ServerHandler['onTrailers'] = (stream, trailers) => {
    const outgoing = stream.context as Outgoing;
    outgoing.ended = true;
    outgoing.trailers = trailers.keep();
    this.send(stream, outgoing);
  };

  onReset: Http2ServerHandler['onReset'] = (stream, errorCode) => {
    this.resets.push(errorCode);
    this.http2.consumed(stream, stream.unconsumed);
  };

  onWindow: Http2ServerHandler['onWindow'] = (stream) => this.send(stream, stream.context as Outgoing);
  onRefused: Http2ServerHandler['onRefused'] = (_streamId, violation) => void this.errors.push(violation);
  onError: Http2ServerHandler['onError'] = (error) => void this.errors.push(error.code);
  onSettings: Http2ServerHandler['onSettings'] = () => {};
  onGoaway: Http2ServerHandler['onGoaway'] = () => {};
  onPingAck: Http2ServerHandler['onPingAck'] = () => {};
  onLoadQuestion: Http2ServerHandler['onLoadQuestion'] = () => {};
  onLoadAnswer: Http2ServerHandler['onLoadAnswer'] = () => {};

  private send(stream: Http2Stream, outgoing: Outgoing): void {
    const { parts } = outgoing;
    for (let part = parts[0]; part !== undefined; part = parts[0]) {
      const isLast = outgoing.ended && parts.length === 1 && outgoing.trailers === undefined;
      const sent = this.http2.sendData(stream, part.bytes, part.start, part.end, isLast);
      part.start += sent;
      if (part.received) this.http2.consumed(stream, sent);
      if (part.start < part.end) return;
      parts.shift();
      if (isLast) return;
    }
    if (!outgoing.ended) return;
    if (outgoing.trailers !== undefined) this.http2.sendTrailers(stream, outgoing.trailers);
    else this.http2.sendData(stream, TEXT, 0, 0, true);
  }
}

export interface EchoServer {
  readonly port: number;
  readonly connections: readonly EchoConnection[];
  close(): Promise<void>;
}

/** Listens on a port that the system chooses. `nowMs`: the clock of the connections' budgets. */
export async function startEchoServer(options: Http2Options = {}, nowMs: () => number = Date.now): Promise<EchoServer> {
  const connections: EchoConnection[] = [];
  const sockets = new Set<Socket>();
  const server = net.createServer({ noDelay: true, allowHalfOpen: false }, (socket) => {
    const connection = new EchoConnection(options);
    const { http2 } = connection;
    connections.push(connection);
    sockets.add(socket);
    const flush = (): void => {
      if (http2.pendingBytes > 0 && !socket.destroyed && !socket.write(http2.take())) socket.pause();
      if (http2.state === 'closed') socket.end();
    };
    socket
      .on('data', (bytes: Buffer) => {
        http2.push(bytes, nowMs());
        flush();
      })
      .on('drain', () => socket.resume())
      .on('error', () => {})
      .on('close', () => {
        http2.end();
        sockets.delete(socket);
      });
    flush();
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    connections,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
