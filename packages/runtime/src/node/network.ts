// The Network port on node:net and node:tls: plain sockets with one handler each, no pipes. Half-open is allowed everywhere; whoever
// owns a connection decides when its own direction ends.
import net from 'node:net';
import type tls from 'node:tls';
import { DEFAULT_LIMITS } from '@heddle/core';
import { NetworkError, NOBODY } from '../ports/network.ts';
import type {
  ConnectOptions,
  Connection,
  ConnectionHandler,
  ListenOptions,
  ListeningSocket,
  Network,
  TlsContext,
} from '../ports/network.ts';
import type { BoundSocket } from './bound-socket.ts';
import { NodeConnection, deliver } from './network-connection.ts';
import { listenError, toNetworkError } from './network-errors.ts';
import { ClientTls, ServerTls } from './network-tls.ts';
import { readsInto, withReads } from './plain-reads.ts';

/** Connections that the kernel has accepted and we have not; Linux caps it at net.core.somaxconn. */
const BACKLOG = 4096;
/** Silence after which the kernel asks whether the peer still lives, so that vanished machines do not hold connections for ever. */
const KEEP_ALIVE_PROBE_MS = 60_000;

/** How plain sockets read. */
const READS = readsInto(deliver);

/** What arrives at a listening socket goes through one of these; swapped whole by `accept`. */
type Admission = (socket: net.Socket) => void;

class NodeListeningSocket implements ListeningSocket {
  readonly address: string;
  readonly port: number;
  refusedHandshakes = 0;
  private readonly server: net.Server;
  private admit: Admission = refuse;
  private handshakes = 0;

  constructor(server: net.Server) {
    const bound = server.address() as net.AddressInfo;
    this.address = bound.address;
    this.port = bound.port;
    this.server = server;
    server.on('connection', (socket: net.Socket) => this.admit(socket));
  }

  accept(onConnection: ((connection: Connection) => void) | undefined, context?: TlsContext): void {
    if (onConnection === undefined) this.admit = refuse;
    else if (context === undefined) this.admit = (socket) => admitPlain(socket, onConnection);
    else if (context instanceof ServerTls) this.admit = this.admitTls(context, onConnection);
    else throw new NetworkError('other', 'a listening socket needs a server TLS context');
  }

  close(): Promise<void> {
    this.admit = refuse;
    this.server.close();
    // The port is free as soon as the handle is closed; `close`'s own callback would wait for the live connections as well.
    return new Promise((resolve) => setImmediate(resolve));
  }

  private admitTls(context: ServerTls, onConnection: (connection: Connection) => void): Admission {
    const server = context.server();
    server.on('secureConnection', (socket: tls.TLSSocket) => {
      this.handshakes -= 1;
      const connection = new NodeConnection(socket, NOBODY, socket.remoteAddress ?? '', socket.remotePort ?? 0);
      try {
        connection.peerId = context.verify(socket);
      } catch (error) {
        if (!(error instanceof NetworkError)) throw error;
        this.refusedHandshakes += 1;
        socket.destroy();
        return;
      }
      connection.alpn = socket.alpnProtocol || '';
      onConnection(connection);
      connection.open();
    });
    // Emitted exactly once for each handshake that does not end in `secureConnection`, timeouts and early hang-ups included.
    server.on('tlsClientError', (_error: Error, socket: tls.TLSSocket) => {
      this.handshakes -= 1;
      this.refusedHandshakes += 1;
      socket.destroy();
    });
    return (socket) => {
      if (this.handshakes >= DEFAULT_LIMITS.handshakesPerListenerMax) {
        this.refusedHandshakes += 1;
        refuse(socket);
        return;
      }
      this.handshakes += 1;
      server.emit('connection', socket);
    };
  }
}

function refuse(socket: net.Socket): void {
  socket.on('error', () => {});
  socket.destroy();
}

function admitPlain(accepted: net.Socket, onConnection: (connection: Connection) => void): void {
  const socket = withReads(accepted, READS) ?? accepted;
  const connection = new NodeConnection(socket, NOBODY, socket.remoteAddress ?? '', socket.remotePort ?? 0);
  onConnection(connection);
  connection.open();
}

function listen(options: ListenOptions): Promise<ListeningSocket> {
  const { address, port, shared } = options;
  return open(options, (server) => server.listen({ host: address, port, backlog: BACKLOG, reusePort: shared === true }));
}

/** Takes the socket over: closing what this gives closes it. Throws NetworkError. */
export function listenOn(socket: BoundSocket): Promise<ListeningSocket> {
  return open(socket, (server) => server.listen(socket.handle, BACKLOG));
}

function open(place: ListenOptions, start: (server: net.Server) => void): Promise<ListeningSocket> {
  const server = net.createServer({
    pauseOnConnect: true,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
  });
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(listenError(error, place));
    server.once('error', fail);
    start(server);
    server.once('listening', () => {
      server.off('error', fail);
      // Errors of accept (file descriptors used up): the kernel keeps the connection in its queue, libuv tries again.
      server.on('error', () => {});
      resolve(new NodeListeningSocket(server));
    });
  });
}

function connect(options: ConnectOptions, handler: ConnectionHandler): Connection {
  const { address, port, tls: context, timeoutMs } = options;
  if (context !== undefined && !(context instanceof ClientTls))
    throw new NetworkError('other', 'an outgoing connection needs a client TLS context');
  const socket =
    context === undefined
      ? net.connect({
          host: address,
          port,
          onread: READS,
          allowHalfOpen: true,
          noDelay: true,
          keepAlive: true,
          keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
        })
      : context.connect(address, port);
  const connection = new NodeConnection(socket, handler, address, port);
  const timer = setTimeout(
    () => socket.destroy(new NetworkError('timeout', `no connection to ${address}:${port} within ${timeoutMs} ms`)),
    timeoutMs,
  );
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
  socket.once(context === undefined ? 'connect' : 'secureConnect', () => {
    clearTimeout(timer);
    if (context !== undefined && !proven(context, socket as tls.TLSSocket, connection)) return;
    connection.open();
    connection.handler.onConnected?.();
  });
  return connection;
}

function proven(context: ClientTls, socket: tls.TLSSocket, connection: NodeConnection): boolean {
  try {
    connection.peerId = context.verify(socket);
    connection.alpn = socket.alpnProtocol || '';
    return true;
  } catch (error) {
    socket.destroy(toNetworkError(error));
    return false;
  }
}

export const nodeNetwork: Network = {
  // The phase of the loop that follows the polling of all sockets.
  afterEvents: (run) => void setImmediate(run),
  listen,
  connect,
  serverTls: (options) => new ServerTls(options),
  clientTls: (options) => new ClientTls(options),
};
