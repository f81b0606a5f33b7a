// The Network port on node:net and node:tls: plain sockets with one handler each, no pipes. Half-open is allowed everywhere; whoever
// owns a connection decides when its own direction ends.
import net from 'node:net';
import type tls from 'node:tls';
import { NetworkError, NOBODY } from '../ports/network.ts';
import type {
  ConnectOptions,
  Connection,
  ConnectionHandler,
  ListenOptions,
  ListeningSocket,
  Network,
  OnConnection,
  OnRefused,
  TlsContext,
} from '../ports/network.ts';
import type { BoundSocket } from './bound-socket.ts';
import { NodeConnection, deliver } from './network-connection.ts';
import { listenError, toNetworkError } from './network-errors.ts';
import { handshakes } from './network-handshakes.ts';
import type { Admission } from './network-handshakes.ts';
import { ClientTls, ServerTls } from './network-tls.ts';
import { readsInto, withReads } from './plain-reads.ts';
import { forgetHandshakeSecret, keepHandshakeSecret, refuseWithAlert } from './tls-alerts.ts';

/** Connections that the kernel has accepted and we have not; Linux caps it at net.core.somaxconn. */
const BACKLOG = 4096;
/** Silence after which the kernel asks whether the peer still lives, so that vanished machines do not hold connections for ever. */
const KEEP_ALIVE_PROBE_MS = 60_000;

/** How plain sockets read. */
const READS = readsInto(deliver);

class NodeListeningSocket implements ListeningSocket {
  readonly address: string;
  readonly port: number;
  private readonly server: net.Server;
  /** What arrives goes through it; swapped whole by `accept`. */
  private admit: Admission = turnAway;

  constructor(server: net.Server) {
    const bound = server.address() as net.AddressInfo;
    this.address = bound.address;
    this.port = bound.port;
    this.server = server;
    server.on('connection', (socket: net.Socket) => this.admit(socket));
  }

  accept(onConnection: OnConnection | undefined, context?: TlsContext, onRefused: OnRefused = () => {}): void {
    if (onConnection === undefined) this.admit = turnAway;
    else if (context === undefined) this.admit = (socket) => admitPlain(socket, onConnection);
    else this.admit = handshakes(serverContext(context), onConnection, onRefused);
  }

  close(): Promise<void> {
    this.admit = turnAway;
    this.server.close();
    // The port is free as soon as the handle is closed; `close`'s own callback would wait for the live connections as well.
    return new Promise((resolve) => setImmediate(resolve));
  }
}

function serverContext(context: TlsContext): ServerTls {
  if (context instanceof ServerTls) return context;
  throw new NetworkError('other', 'an accepted connection needs a server TLS context');
}

function turnAway(socket: net.Socket): void {
  socket.on('error', () => {});
  socket.destroy();
}

function admitPlain(accepted: net.Socket, onConnection: (connection: Connection) => void): void {
  const socket = withReads(accepted, READS) ?? accepted;
  const connection = new NodeConnection(socket, NOBODY, socket.remoteAddress ?? '', socket.remotePort ?? 0);
  onConnection(connection);
  connection.open();
}

function listen(options: ListenOptions, isBackground: boolean): Promise<ListeningSocket> {
  const { address, port, shared } = options;
  const start = (server: net.Server): void => {
    server.listen({ host: address, port, backlog: BACKLOG, reusePort: shared === true });
    if (isBackground) stayInBackground(server);
  };
  return open(options, start);
}

/** Takes the socket over: closing what this gives closes it. `isBackground`: it does not keep the process from ending. Throws NetworkError. */
export function listenOn(socket: BoundSocket, isBackground = false): Promise<ListeningSocket> {
  return open(socket, (server) => {
    server.listen(socket.handle, BACKLOG);
    if (isBackground) stayInBackground(server);
  });
}

function stayInBackground(server: net.Server): void {
  server.unref();
  server.prependListener('connection', (socket) => socket.unref());
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

function connect(options: ConnectOptions, handler: ConnectionHandler, isBackground: boolean): Connection {
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
  if (isBackground) socket.unref();
  if (context !== undefined) socket.on('keylog', onKeylog);
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

function onKeylog(this: tls.TLSSocket, line: Buffer): void {
  keepHandshakeSecret(this, 'CLIENT_TRAFFIC_SECRET_0', line);
}

function proven(context: ClientTls, socket: tls.TLSSocket, connection: NodeConnection): boolean {
  try {
    connection.proven(context.verify(socket), context.guard);
    forgetHandshakeSecret(socket);
    connection.alpn = socket.alpnProtocol || '';
    return true;
  } catch (error) {
    const reason = toNetworkError(error);
    // The peer may take its time to read the alert.
    refuseWithAlert(connection.release() as tls.TLSSocket, reason.refusal ?? 'other');
    connection.handler.onClose(reason);
    return false;
  }
}

/** The last one that connections were secured for: listeners ask for the same again and again. */
interface Securing {
  readonly onConnection: OnConnection;
  readonly onRefused: OnRefused;
  readonly admit: Admission;
}

const securing = new WeakMap<ServerTls, Securing>();

function secure(connection: Connection, received: Buffer, tls: TlsContext, onConnection: OnConnection, onRefused: OnRefused): void {
  if (!(connection instanceof NodeConnection)) throw new NetworkError('other', 'only a connection that was accepted can begin TLS');
  const context = serverContext(tls);
  let known = securing.get(context);
  if (known?.onConnection !== onConnection || known.onRefused !== onRefused) {
    known = { onConnection, onRefused, admit: handshakes(context, onConnection, onRefused) };
    securing.set(context, known);
  }
  const socket = connection.release();
  // TLS reads what a socket holds before it reads on.
  if (received.length > 0) socket.unshift(received);
  known.admit(socket);
}

function networkOf(isBackground: boolean): Network {
  return {
    // The phase of the loop that follows the polling of all sockets; an application's own calls are all there at the end of the tick.
    afterEvents: isBackground ? (run) => process.nextTick(run) : (run) => void setImmediate(run),
    listen: (options) => listen(options, isBackground),
    secure,
    connect: (options, handler) => connect(options, handler, isBackground),
    serverTls: (options) => new ServerTls(options),
    clientTls: (options) => new ClientTls(options),
  };
}

export const nodeNetwork: Network = networkOf(false);

/** The same, in a process that has other things to do: none of its sockets keeps that from ending. */
export const backgroundNetwork: Network = networkOf(true);
