// The network of a data plane that lives inside an application: connections to a server of the same process stay in the process, all others
// go their usual way. What a server is known by is the port that it listens on.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Server } from 'node:net';
import type { Connection, ConnectionHandler, ConnectOptions, ListeningSocket, Network, OnConnection } from '../../ports/network.ts';
import { type MemoryStream, memoryLink } from './memory-link.ts';

/** Addresses by which a machine means itself. */
const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;

/** How long a server takes connections: as long as it is known here, or only while it listens, as with sockets. */
export type InsideServerLife = 'while-known' | 'while-listening';

interface InsideServer {
  readonly server: Server;
  readonly life: InsideServerLife;
  /** Its connections begin in the asynchronous context in which it was added, and not in that of whoever calls. */
  readonly inItsContext: <T>(run: (value: T) => void, value: T) => void;
}

export class InsideServers {
  private readonly byPort = new Map<number, InsideServer>();

  /** Connections to this port of the machine are the server's from now on, and no socket is used for them. It must not speak TLS. */
  add(port: number, server: Server, life: InsideServerLife = 'while-known'): void {
    this.byPort.set(port, { server, life, inItsContext: AsyncLocalStorage.snapshot() });
  }

  /** Without effect where the port is another server's by now. */
  remove(port: number, server: Server): void {
    if (this.byPort.get(port)?.server === server) this.byPort.delete(port);
  }

  /** Undefined: what connects there needs a socket. */
  at(address: string, port: number): InsideServer | undefined {
    const entry = LOOPBACK.test(address) ? this.byPort.get(port) : undefined;
    return entry?.life === 'while-listening' && !entry.server.listening ? undefined : entry;
  }
}

/** A place to listen on that has no socket: what comes in is given to it. */
export class InsideSocket implements ListeningSocket {
  readonly address: string;
  readonly port: number;
  private onConnection: OnConnection | undefined;

  constructor(address: string, port: number) {
    this.address = address;
    this.port = port;
  }

  accept(onConnection: OnConnection | undefined): void {
    this.onConnection = onConnection;
  }

  /** As if it had been accepted. */
  receive(connection: Connection): void {
    if (this.onConnection === undefined) connection.destroy();
    else this.onConnection(connection);
  }

  close(): Promise<void> {
    this.onConnection = undefined;
    return Promise.resolve();
  }
}

/** `network`, save that connections without TLS to one of these servers are made within the process, and that these places need no socket. */
export function insideNetwork(network: Network, servers: InsideServers, sockets: readonly InsideSocket[] = []): Network {
  return {
    ...network,
    listen: (options) => {
      const socket = sockets.find(({ address, port }) => address === options.address && port === options.port);
      return socket === undefined ? network.listen(options) : Promise.resolve(socket);
    },
    connect(options: ConnectOptions, handler: ConnectionHandler): Connection {
      const entry = options.tls === undefined ? servers.at(options.address, options.port) : undefined;
      return entry === undefined ? network.connect(options, handler) : connectInside(entry, options, handler);
    },
  };
}

function connectInside({ server, life, inItsContext }: InsideServer, options: ConnectOptions, handler: ConnectionHandler): Connection {
  const { address, port, isOwnHttp } = options;
  const { connection, stream } = memoryLink({
    remoteAddress: address,
    remotePort: 0,
    localAddress: address,
    localPort: port,
    server,
    // Between the data plane and its application there is no idle connection to save; but a server that closes waits for its last ones.
    timesOut: () => life === 'while-listening' && !server.listening,
    ...(isOwnHttp && { isOwnHttp }),
  });
  connection.handler = handler;
  process.nextTick(() => {
    if (connection.isClosed) return;
    if (isFull(server)) {
      server.emit('drop', { localAddress: address, localPort: port, remoteAddress: address, remotePort: 0 });
      stream.destroy();
      return;
    }
    inItsContext(accept, { server, stream });
    connection.handler.onConnected?.();
  });
  return connection;
}

/** As with sockets: beyond this many the server takes no connection. The one in question is counted by now. */
function isFull(server: Server): boolean {
  const { maxConnections, _connections: open } = server as Server & { readonly _connections?: number };
  return typeof maxConnections === 'number' && open !== undefined && open > maxConnections;
}

/** As a server does with what its socket accepts. */
function accept({ server, stream }: { readonly server: Server; readonly stream: MemoryStream }): void {
  // HTTP/2 puts a socket of its own around the stream, which knows no addresses.
  const named = (session: object): void => nameEnds(session, stream);
  server.prependOnceListener('session', named);
  server.emit('connection', stream);
  server.removeListener('session', named);
}

function nameEnds(session: object, { remoteAddress, remotePort, remoteFamily, localAddress, localPort }: MemoryStream): void {
  const { socket } = session as { readonly socket?: object };
  if (socket === undefined) return;
  const remote = { address: remoteAddress, port: remotePort, family: remoteFamily };
  const local = { address: localAddress, port: localPort, family: remoteFamily };
  // What net.Socket asks for its addresses.
  Object.assign(socket, { _getpeername: () => remote, _getsockname: () => local });
}
