// Listening sockets by address and port: reserved by the agent, used by a listener, or both. A socket is closed when nobody wants it.
import type { ListeningSocket, Network } from '@heddle/runtime';
import type { SocketBind } from './data-plane-types.ts';

interface Held {
  readonly socket: ListeningSocket;
  reserved: boolean;
  used: boolean;
}

export class Sockets {
  private readonly network: Network;
  private readonly held = new Map<string, Held>();

  constructor(network: Network) {
    this.network = network;
  }

  async reserve(bind: SocketBind): Promise<SocketBind> {
    const held = await this.open(bind);
    held.reserved = true;
    return { address: bind.address, port: held.socket.port };
  }

  async release(bind: SocketBind): Promise<void> {
    const held = this.held.get(keyOf(bind));
    if (held === undefined) return;
    held.reserved = false;
    await this.closeIfUnwanted(bind, held);
  }

  /** For a listener. Throws NetworkError. `isNew`: it was not open before. */
  async use(bind: SocketBind): Promise<{ socket: ListeningSocket; isNew: boolean }> {
    const isNew = !this.held.has(keyOf(bind));
    return { socket: (await this.open(bind)).socket, isNew };
  }

  markUsed(bind: SocketBind): void {
    const held = this.held.get(keyOf(bind));
    if (held !== undefined) held.used = true;
  }

  /** The listener is gone. */
  async unuse(bind: SocketBind): Promise<void> {
    const held = this.held.get(keyOf(bind));
    if (held === undefined) return;
    held.used = false;
    held.socket.accept(undefined);
    await this.closeIfUnwanted(bind, held);
  }

  /** Sockets that no listener uses. */
  get idle(): ListeningSocket[] {
    return [...this.held.values()].filter((held) => !held.used).map((held) => held.socket);
  }

  async closeAll(): Promise<void> {
    const all = [...this.held.values()];
    this.held.clear();
    await Promise.all(all.map((held) => held.socket.close()));
  }

  /** Closes the socket whoever wants it, so that callers are refused and go elsewhere. */
  async close(bind: SocketBind): Promise<void> {
    const held = this.held.get(keyOf(bind));
    this.held.delete(keyOf(bind));
    await held?.socket.close();
  }

  private async open(bind: SocketBind): Promise<Held> {
    const known = bind.port === 0 ? undefined : this.held.get(keyOf(bind));
    if (known !== undefined) return known;
    const socket = await this.network.listen(bind);
    const held: Held = { socket, reserved: false, used: false };
    this.held.set(keyOf({ address: bind.address, port: socket.port }), held);
    return held;
  }

  private async closeIfUnwanted(bind: SocketBind, held: Held): Promise<void> {
    if (held.reserved || held.used) return;
    this.held.delete(keyOf(bind));
    await held.socket.close();
  }
}

function keyOf({ address, port }: SocketBind): string {
  return `${address} ${port}`;
}
