// What the suites of the Network port work with: sockets and connections of one driver, all recorded and closed at the end. Tests only.
import { TestAuthority } from './certificates.ts';
import { Recorder, until } from './recorder.ts';
import type {
  ClientTlsOptions,
  Connection,
  ListeningSocket,
  ListenOptions,
  Network,
  RefusedHandshake,
  ServerTlsOptions,
  TlsContext,
} from '../ports/network.ts';

export const ORDERS = 'spiffe://shop.test/ns/default/svc/orders';
export const WEB = 'spiffe://shop.test/ns/default/svc/web';

export interface Served {
  readonly socket: ListeningSocket;
  readonly accepted: Recorder[];
  readonly refused: RefusedHandshake[];
}

export class Bench {
  readonly network: Network;
  readonly authority = new TestAuthority();
  private readonly sockets: ListeningSocket[] = [];
  private readonly connections: Connection[] = [];

  constructor(network: Network) {
    this.network = network;
  }

  async listen(options: Partial<ListenOptions> = {}): Promise<ListeningSocket> {
    const socket = await this.network.listen({ address: '127.0.0.1', port: 0, ...options });
    this.sockets.push(socket);
    return socket;
  }

  /** A server whose connections are all recorded. */
  async serve(tls?: TlsContext, options?: Partial<ListenOptions>): Promise<Served> {
    const socket = await this.listen(options);
    const accepted: Recorder[] = [];
    const refused: RefusedHandshake[] = [];
    socket.accept(
      (connection) => void accepted.push(this.record(connection)),
      tls,
      (one) => void refused.push(one),
    );
    return { socket, accepted, refused };
  }

  record(connection: Connection): Recorder {
    const recorder = new Recorder();
    recorder.connection = connection;
    connection.handler = recorder;
    this.connections.push(connection);
    return recorder;
  }

  connect(port: number, tls?: TlsContext, timeoutMs = 5_000): Recorder {
    const recorder = new Recorder();
    recorder.connection = this.network.connect({ address: '127.0.0.1', port, tls, timeoutMs }, recorder);
    this.connections.push(recorder.connection);
    return recorder;
  }

  serverTls(options: Partial<ServerTlsOptions> = {}): TlsContext {
    return this.network.serverTls({
      ...this.authority.service('orders'),
      rootsPem: this.authority.rootsPem,
      trustDomain: 'shop.test',
      alpn: ['http/1.1'],
      ...options,
    });
  }

  clientTls(options: Partial<ClientTlsOptions> = {}): TlsContext {
    return this.network.clientTls({
      identity: this.authority.service('web'),
      rootsPem: this.authority.rootsPem,
      peerIds: [ORDERS],
      alpn: ['http/1.1'],
      ...options,
    });
  }

  async close(): Promise<void> {
    for (const connection of this.connections) connection.destroy();
    await Promise.all(this.sockets.map((socket) => socket.close()));
  }
}

export async function pair(bench: Bench, tls: boolean): Promise<{ client: Recorder; server: Recorder; socket: ListeningSocket }> {
  const { socket, accepted } = await bench.serve(tls ? bench.serverTls() : undefined);
  const client = bench.connect(socket.port, tls ? bench.clientTls() : undefined);
  await until(() => client.connected && accepted.length === 1, 'both sides connected');
  return { client, server: accepted[0]!, socket };
}
