// A TCP relay between two planes that can fail as networks do: silence in one direction or both, a peer that is gone while the connection
// stays, connections that are cut, nobody who listens.
import { createServer, connect, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Cleanup } from './planes.ts';

/** `up`: from the client to the server; `down`: back. */
export type Direction = 'up' | 'down';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Of this connection, besides those of the whole relay. */
  readonly silent: Set<Direction>;
}

export class FaultProxy {
  readonly port: number;
  /** Connections that were accepted since the start. */
  accepted = 0;
  readonly #listener: Server;
  readonly #pairs = new Set<Pair>();
  readonly #silent = new Set<Direction>();
  #isHolding = false;
  #target: { readonly address: string; readonly port: number };

  static async start(cleanup: Cleanup, target: { readonly address: string; readonly port: number }): Promise<FaultProxy> {
    const listener = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => void listener.on('error', reject).listen(0, '127.0.0.1', resolve));
    const proxy = new FaultProxy(listener, target);
    cleanup.add(() => proxy.close());
    return proxy;
  }

  private constructor(listener: Server, target: { readonly address: string; readonly port: number }) {
    this.#listener = listener;
    this.#target = target;
    this.port = (listener.address() as AddressInfo).port;
    listener.on('connection', (client) => this.#relay(client));
  }

  /** Stranded connections that their clients have not ended. */
  get stranded(): number {
    return [...this.#pairs].filter(({ silent, client }) => silent.size > 0 && !client.readableEnded).length;
  }

  /** New connections lead there; those that exist stay where they are. */
  leadTo(target: { readonly address: string; readonly port: number }): void {
    this.#target = target;
  }

  /** Swallows everything in these directions, on connections that exist and new ones. Without any: carries everything again. */
  swallow(...directions: readonly Direction[]): void {
    this.#silent.clear();
    for (const direction of directions) this.#silent.add(direction);
  }

  /** Swallows these directions for ever on the connections that exist now; new ones work. */
  strand(...directions: readonly Direction[]): void {
    for (const { silent } of this.#pairs) for (const direction of directions) silent.add(direction);
  }

  /** Keeps the clients' connections open when the server's end. */
  hold(isHolding: boolean): void {
    this.#isHolding = isHolding;
  }

  /** Drops all connections. */
  cut(): void {
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
  }

  async close(): Promise<void> {
    this.#listener.close();
    this.cut();
  }

  #relay(client: Socket): void {
    this.accepted += 1;
    const server = connect({ host: this.#target.address, port: this.#target.port, allowHalfOpen: true });
    const pair: Pair = { client, server, silent: new Set() };
    this.#pairs.add(pair);
    const isSilent = (direction: Direction): boolean => this.#silent.has(direction) || pair.silent.has(direction);
    const pass = (direction: Direction, from: Socket, to: Socket): void => {
      from.on('data', (bytes: Buffer) => {
        if (!isSilent(direction) && !to.destroyed) to.write(bytes);
      });
      from.on('end', () => {
        if (!isSilent(direction) && !(direction === 'down' && this.#isHolding)) to.end();
      });
    };
    pass('up', client, server);
    pass('down', server, client);
    const dropClient = (): void => {
      this.#pairs.delete(pair);
      server.destroy();
    };
    const dropServer = (): void => {
      if (!this.#isHolding && !isSilent('down')) client.destroy();
    };
    client.on('error', () => {}).on('close', dropClient);
    server.on('error', () => {}).on('close', dropServer);
  }
}
