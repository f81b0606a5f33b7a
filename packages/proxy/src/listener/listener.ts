// A listener at run time: a bound socket, the configuration applied to it, and the connections that came in by it. A new version serves
// new connections; open ones keep the filter they began with, while routes and clusters change under them.
import { ALPN_HTTP1, ALPN_TCP } from '@heddle/core';
import type { Listener } from '@heddle/core';
import type { Connection, ListeningSocket, TlsContext } from '@heddle/runtime';
import { NetworkError } from '@heddle/runtime';
import type { ListenerStatus } from '../data-plane-types.ts';
import type { Context } from '../stack/context.ts';
import type { ClusterSlot, ClusterSlots, RouteSlots } from '../stack/routes.ts';
import { DownstreamMetrics, StreamMetrics } from '../telemetry/connections.ts';
import type { Identities } from '../upstream/identities.ts';
import { HttpConnection } from './http-connection.ts';
import { HttpService } from './http-service.ts';
import type { HttpServiceWorld } from './http-service.ts';
import { TcpStream } from './tcp-stream.ts';

export interface ListenerWorld extends HttpServiceWorld {
  readonly identities: Identities;
  readonly clusters: ClusterSlots;
  readonly routes: RouteSlots;
}

export class ActiveListener {
  config: Listener;
  readonly socket: ListeningSocket;
  private readonly context: Context;
  private readonly world: ListenerWorld;
  private readonly metrics: DownstreamMetrics;
  private readonly services = new Set<HttpService>();
  private readonly streams = new Set<TcpStream>();
  /** The one that new connections get. */
  private current: HttpService | undefined;
  private closing = false;
  private state: ListenerStatus['state'] = 'waiting';
  private reason = '';
  private openConnections = 0;
  private admittedWith = '';
  private draining = false;
  private countedRefusals = 0;

  constructor(context: Context, world: ListenerWorld, config: Listener, socket: ListeningSocket) {
    this.context = context;
    this.world = world;
    this.config = config;
    this.socket = socket;
    this.metrics = new DownstreamMetrics(context.metrics, config.name);
    this.countedRefusals = socket.refusedHandshakes;
    this.refresh();
  }

  update(config: Listener): void {
    this.config = config;
    this.refresh();
  }

  /** Configuration, identities or roots have changed: admits new connections accordingly. */
  refresh(): void {
    if (this.draining) return;
    const { config, world } = this;
    let tls: TlsContext | undefined;
    let key = JSON.stringify(config);
    if (config.tls !== undefined) {
      const identity = world.identities.of(config.workload ?? '');
      const rootsPem = world.identities.roots(config.tls.trustBundleName);
      if (identity === undefined) return this.wait(`workload ${config.workload ?? ''} has no certificate yet`);
      if (rootsPem === undefined) return this.wait(`the trust bundle "${config.tls.trustBundleName}" has not arrived`);
      key += identity.certificatePem + rootsPem;
      if (this.state === 'accepting' && key === this.admittedWith) return;
      try {
        const alpn = [config.filter.kind === 'http' ? ALPN_HTTP1 : ALPN_TCP];
        tls = this.context.network.serverTls({ ...identity, rootsPem, trustDomain: config.tls.trustDomain, alpn });
      } catch (error) {
        if (error instanceof NetworkError) return this.wait(error.message);
        throw error;
      }
    } else if (this.state === 'accepting' && key === this.admittedWith) {
      return;
    }
    this.admittedWith = key;
    this.socket.accept(this.admission(config), tls);
    this.state = 'accepting';
    this.reason = '';
  }

  /** No further connections; idle ones are closed, the others end after their request. The socket stays with its owner. */
  retire(): void {
    this.stopAccepting();
    for (const service of this.services) for (const connection of service.connections) connection.drain();
  }

  /** No further connections; open ones, idle ones too, end after their next request. */
  stopAccepting(): void {
    this.draining = true;
    this.state = 'draining';
    this.socket.accept(undefined);
    this.closeAfterRequests();
  }

  /** While the data plane drains, listeners for calls out of the applications go on, one request per connection. */
  closeAfterRequests(): void {
    this.closing = true;
    for (const service of this.services) for (const connection of service.connections) connection.closeAfterRequest();
  }

  destroy(): void {
    this.stopAccepting();
    for (const service of this.services) for (const connection of service.connections) connection.destroy();
    for (const stream of this.streams) stream.destroy();
  }

  status(): ListenerStatus {
    const { config, socket, state, reason, openConnections } = this;
    return {
      name: config.name,
      address: socket.address,
      port: socket.port,
      state,
      reason,
      openConnections,
      refusedHandshakes: socket.refusedHandshakes,
    };
  }

  get connectionCount(): number {
    return this.openConnections;
  }

  /** Before metrics are exposed. */
  countRefusals(): void {
    this.metrics.refusedHandshakes.add(this.socket.refusedHandshakes - this.countedRefusals);
    this.countedRefusals = this.socket.refusedHandshakes;
  }

  private wait(reason: string): void {
    this.socket.accept(undefined);
    this.admittedWith = '';
    this.state = 'waiting';
    this.reason = reason;
  }

  private admission(config: Listener): (connection: Connection) => void {
    const { filter } = config;
    const limit = this.context.limits.connectionsPerListenerMax;
    const handle =
      filter.kind === 'http'
        ? this.httpAdmission(config, filter.routeConfigName)
        : this.tcpAdmission(config, this.world.clusters.slot(filter.cluster));
    return (connection) => {
      if (this.openConnections >= limit || this.draining) {
        this.metrics.refused.add(1);
        connection.destroy();
        return;
      }
      this.openConnections += 1;
      this.metrics.opened.add(1);
      this.metrics.open.add(1);
      handle(connection);
    };
  }

  private httpAdmission(config: Listener, routeConfigName: string): (connection: Connection) => void {
    const { context, services } = this;
    const service = new HttpService(context, this.world, config, this.world.routes.slot(routeConfigName), () => {
      this.connectionClosed();
      if (service !== this.current && service.connections.size === 0) services.delete(service);
    });
    this.current = service;
    services.add(service);
    return (connection) => {
      const http = new HttpConnection(context, service, connection);
      connection.handler = http;
      service.connections.add(http);
      if (this.closing) http.closeAfterRequest();
    };
  }

  private tcpAdmission(config: Listener, slot: ClusterSlot): (connection: Connection) => void {
    const { context } = this;
    const metrics = new StreamMetrics(context.metrics, config.name);
    return (connection) => {
      const { cluster } = slot;
      if (cluster === undefined) {
        context.logger.warn({ listener: config.name, cluster: slot.name }, 'a connection was closed: the cluster has not arrived yet');
        this.connectionClosed();
        connection.destroy();
        return;
      }
      const stream: TcpStream = new TcpStream(context, connection, cluster, config.workload ?? '', metrics, {
        onEstablished: () => {},
        onUnreachable: (code, detail) => {
          context.logger.warn({ listener: config.name, code, detail }, 'a connection was closed: no instance could be reached');
          connection.reset();
        },
      });
      this.streams.add(stream);
      connection.handler = new CountedClose(stream, () => {
        this.streams.delete(stream);
        this.connectionClosed();
      });
      stream.start();
    };
  }

  private connectionClosed(): void {
    this.openConnections -= 1;
    this.metrics.open.add(-1);
  }
}

/** A stream's downstream side, whose close the listener has to know of. */
class CountedClose {
  private readonly stream: TcpStream;
  private readonly closed: () => void;

  constructor(stream: TcpStream, closed: () => void) {
    this.stream = stream;
    this.closed = closed;
  }

  onBytes(bytes: Buffer): void {
    this.stream.onBytes(bytes);
  }

  onDrained(): void {
    this.stream.onDrained();
  }

  onEnd(): void {
    this.stream.onEnd();
  }

  onClose(error: NetworkError | undefined): void {
    this.stream.onClose(error);
    this.closed();
  }
}
