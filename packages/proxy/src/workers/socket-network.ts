// The network of a process that listens on sockets which other processes may hold too: handed over by a primary or by the process that
// this one replaces. Listening begins when it is told to, so that no connection is accepted before there is somebody to serve it.
import type {
  Connection,
  ConnectOptions,
  ConnectionHandler,
  ListeningSocket,
  ListenOptions,
  Network,
  OnConnection,
  OnRefused,
  TlsContext,
} from '@heddle/runtime';
import { NetworkError } from '@heddle/runtime';
import { type BoundSocket, listenOn } from '@heddle/runtime/node';
import type { SocketBind } from '@heddle/dataplane';

export interface SocketNetworkOptions {
  readonly network: Network;
  /** For a port that no socket was handed over for. Throws NetworkError. */
  readonly bind: (options: ListenOptions) => readonly BoundSocket[];
}

/** A socket of a port, of which there may be several. */
export interface HandedSocket {
  readonly slot: number;
  /** Whose share it is; 0 without workers. */
  readonly owner: number;
  readonly socket: BoundSocket;
}

export class SocketNetwork implements Network {
  private readonly options: SocketNetworkOptions;
  /** Handed over, and not yet listened on. */
  private readonly waiting = new Map<string, Map<number, HandedSocket>>();
  private readonly open = new Map<string, SharedListeningSocket>();
  private hasBegun = false;

  constructor(options: SocketNetworkOptions) {
    this.options = options;
  }

  /** A socket of that port, before or after `listen` asks for it. Throws NetworkError. */
  async hand(bind: SocketBind, handed: HandedSocket): Promise<void> {
    const key = keyOf(bind);
    const open = this.open.get(key);
    if (open !== undefined) return open.add(handed);
    let slots = this.waiting.get(key);
    if (slots === undefined) this.waiting.set(key, (slots = new Map()));
    if (slots.has(handed.slot)) handed.socket.close();
    else slots.set(handed.slot, handed);
  }

  /** Gives up what is the share of another, who holds it too. */
  async giveBack(owner: number): Promise<void> {
    for (const waiting of this.waiting.values())
      for (const handed of waiting.values()) {
        if (handed.owner !== owner) continue;
        handed.socket.close();
        waiting.delete(handed.slot);
      }
    for (const open of this.open.values()) await open.remove((handed) => handed.owner === owner);
  }

  /** From now on everything that `listen` gave accepts. Throws NetworkError. */
  async begin(): Promise<void> {
    this.hasBegun = true;
    for (const socket of this.open.values()) await socket.begin();
  }

  /** All sockets of ports that somebody listens on, for a process that takes over. */
  sockets(): { readonly bind: SocketBind; readonly socket: BoundSocket }[] {
    return [...this.open.values()].flatMap((open) => open.bound.map((socket) => ({ bind: open.bind, socket })));
  }

  async listen(options: ListenOptions): Promise<ListeningSocket> {
    const handed = this.waiting.get(keyOf(options));
    this.waiting.delete(keyOf(options));
    const bound =
      handed === undefined ? this.options.bind(options).map((socket, slot) => ({ slot, owner: 0, socket })) : [...handed.values()];
    const [first] = bound;
    if (first === undefined) throw new NetworkError('other', `no socket for ${options.address}:${options.port} was handed over`);
    const bind = { address: options.address, port: first.socket.port };
    const key = keyOf(bind);
    const socket = new SharedListeningSocket(bind, () => void this.open.delete(key));
    this.open.set(key, socket);
    for (const each of bound) await socket.add(each);
    if (this.hasBegun) await socket.begin();
    return socket;
  }

  connect(options: ConnectOptions, handler: ConnectionHandler): Connection {
    return this.options.network.connect(options, handler);
  }

  secure(...handshake: Parameters<Network['secure']>): void {
    this.options.network.secure(...handshake);
  }

  afterEvents(run: () => void): void {
    this.options.network.afterEvents(run);
  }

  serverTls(options: Parameters<Network['serverTls']>[0]): TlsContext {
    return this.options.network.serverTls(options);
  }

  clientTls(options: Parameters<Network['clientTls']>[0]): TlsContext {
    return this.options.network.clientTls(options);
  }
}

interface HeldSocket extends HandedSocket {
  listening: ListeningSocket | undefined;
}

/** One port: its own sockets, and those that it looks after for others. */
class SharedListeningSocket implements ListeningSocket {
  readonly bind: SocketBind;
  private readonly onClose: () => void;
  private readonly slots = new Map<number, HeldSocket>();
  private onConnection: OnConnection | undefined;
  private tls: TlsContext | undefined;
  private onRefused: OnRefused | undefined;
  private hasBegun = false;
  private isClosed = false;

  constructor(bind: SocketBind, onClose: () => void) {
    this.bind = bind;
    this.onClose = onClose;
  }

  get address(): string {
    return this.bind.address;
  }

  get port(): number {
    return this.bind.port;
  }

  get bound(): BoundSocket[] {
    return [...this.slots.values()].map(({ socket }) => socket);
  }

  accept(onConnection: OnConnection | undefined, tls?: TlsContext, onRefused?: OnRefused): void {
    this.onConnection = onConnection;
    this.tls = tls;
    this.onRefused = onRefused;
    for (const { listening } of this.slots.values()) listening?.accept(onConnection, tls, onRefused);
  }

  async add(handed: HandedSocket): Promise<void> {
    if (this.isClosed || this.slots.has(handed.slot)) return handed.socket.close();
    this.slots.set(handed.slot, { ...handed, listening: undefined });
    if (this.hasBegun) await this.begin();
  }

  async begin(): Promise<void> {
    this.hasBegun = true;
    for (const held of [...this.slots.values()]) {
      if (held.listening !== undefined) continue;
      const listening = await listenOn(held.socket);
      // In the same turn of the event loop: nothing can have been accepted yet.
      listening.accept(this.onConnection, this.tls, this.onRefused);
      held.listening = listening;
      if (this.slots.get(held.slot) !== held) await listening.close();
    }
  }

  async remove(isChosen: (handed: HandedSocket) => boolean): Promise<void> {
    const chosen = [...this.slots.values()].filter(isChosen);
    for (const { slot } of chosen) this.slots.delete(slot);
    // All at once, so that none goes on while another closes.
    await Promise.all(
      chosen.map(async ({ listening, socket }) => {
        if (listening === undefined) socket.close();
        else await listening.close();
      }),
    );
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.onClose();
    await this.remove(() => true);
  }
}

export function keyOf({ address, port }: SocketBind): string {
  return `${address} ${port}`;
}
