// The network of a primary that leaves all connections to its workers: it only holds their listening sockets, several for each port, so
// that they outlive the workers. Nothing is accepted and nobody is called.
import { type ListeningSocket, type ListenOptions, type Network, NetworkError, type TlsContext } from '@heddle/runtime';
import { type BoundSocket, bindSockets, isPortShared } from '@heddle/runtime/node';
import type { SocketBind } from '@heddle/dataplane';
import { keyOf } from './socket-network.ts';

export interface Port {
  readonly bind: SocketBind;
  readonly sockets: readonly BoundSocket[];
}

export interface PrimaryNetworkOptions {
  /** Checks what certificates are good for. */
  readonly network: Pick<Network, 'serverTls' | 'clientTls'>;
  readonly workers: number;
  /** A port is held from now on. */
  readonly onOpen: (port: Port) => void;
}

export class PrimaryNetwork implements Network {
  private readonly options: PrimaryNetworkOptions;
  private readonly held = new Map<string, Port>();
  private readonly handed = new Map<string, BoundSocket[]>();

  constructor(options: PrimaryNetworkOptions) {
    this.options = options;
  }

  /** From the process that this one replaces, for when the port is wanted. */
  hand(bind: SocketBind, socket: BoundSocket): void {
    const key = keyOf(bind);
    const sockets = this.handed.get(key);
    if (sockets === undefined) this.handed.set(key, [socket]);
    else sockets.push(socket);
  }

  ports(): Iterable<Port> {
    return this.held.values();
  }

  /** Throws NetworkError when somebody else has come to the same port at the same moment. */
  requireAlone(bind: SocketBind): void {
    const port = this.held.get(keyOf(bind));
    if (port !== undefined && isPortShared(port.sockets))
      throw new NetworkError(
        'address-in-use',
        `cannot listen on ${bind.address}:${bind.port}: another process listens there since just now`,
      );
  }

  async listen(options: ListenOptions): Promise<ListeningSocket> {
    const { address } = options;
    const handed = this.handed.get(keyOf(options));
    this.handed.delete(keyOf(options));
    const sockets = handed ?? bindSockets(options, this.options.workers);
    const bind = { address, port: sockets[0]?.port ?? 0 };
    const port = { bind, sockets };
    const key = keyOf(bind);
    this.held.set(key, port);
    this.options.onOpen(port);
    return {
      ...bind,
      accept: () => {},
      close: async () => {
        if (this.held.get(key) !== port) return;
        this.held.delete(key);
        for (const socket of sockets) socket.close();
      },
    };
  }

  connect(): never {
    throw new NetworkError('other', 'the primary process makes no connections of the data path');
  }

  secure(): never {
    throw new NetworkError('other', 'the primary process takes no connections of the data path');
  }

  afterEvents(run: () => void): void {
    queueMicrotask(run);
  }

  serverTls(options: Parameters<Network['serverTls']>[0]): TlsContext {
    return this.options.network.serverTls(options);
  }

  clientTls(options: Parameters<Network['clientTls']>[0]): TlsContext {
    return this.options.network.clientTls(options);
  }
}
