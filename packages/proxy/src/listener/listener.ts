// A listener at run time: a bound socket, the configuration applied to it, and the connections that came in by it. A new version serves
// new connections; open ones keep the filter they began with, while routes and clusters change under them.
import { ALPN_HTTP1, ALPN_HTTP2 } from '@heddle/core';
import type { DownstreamTls, HttpFilter, Listener, LoadSignal, TcpFilter } from '@heddle/core';
import type { CertificateAndKey, Connection, ConnectionHandler, ListeningSocket, TlsContext } from '@heddle/runtime';
import { NetworkError } from '@heddle/runtime';
import type { ListenerStatus } from '../data-plane-types.ts';
import type { Context } from '../stack/context.ts';
import { InstanceLoad } from '../stack/instance-load.ts';
import type { ClusterSlots, RouteSlots } from '../stack/routes.ts';
import { DownstreamMetrics, StreamMetrics } from '../telemetry/connections.ts';
import type { Identities } from '../upstream/identities.ts';
import { FirstBytes } from './first-bytes.ts';
import type { Destinations } from './first-bytes.ts';
import { Http1Connection } from './http1-connection.ts';
import { Http2Connection } from './http2-connection.ts';
import { HttpService } from './http-service.ts';
import type { HttpServiceOwner, HttpServiceWorld } from './http-service.ts';
import { TcpStream } from './tcp-stream.ts';
import type { StreamOwner } from './tcp-stream.ts';

export interface ListenerWorld extends HttpServiceWorld {
  readonly identities: Identities;
  readonly clusters: ClusterSlots;
  readonly routes: RouteSlots;
}

export class ActiveListener implements HttpServiceOwner {
  config: Listener;
  readonly socket: ListeningSocket;
  readonly load: InstanceLoad | undefined;
  private readonly context: Context;
  private readonly world: ListenerWorld;
  private readonly metrics: DownstreamMetrics;
  private readonly streamMetrics: StreamMetrics;
  private readonly services = new Set<HttpService>();
  private readonly streams = new Set<TcpStream>();
  /** Connections whose protocol is not known yet. */
  private readonly undecided = new Set<FirstBytes>();
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
    this.load = config.direction === 'inbound' ? new InstanceLoad() : undefined;
    this.metrics = new DownstreamMetrics(context.metrics, config.name);
    this.streamMetrics = new StreamMetrics(context.metrics, config.name);
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
    const { config } = this;
    let tls: TlsContext | undefined;
    let key = JSON.stringify(config);
    if (config.tls !== undefined) {
      const material = this.tlsMaterial(config, config.tls);
      if (typeof material === 'string') return this.wait(material);
      const { identity, rootsPem } = material;
      key += identity.certificatePem + (rootsPem ?? '');
      if (this.state === 'accepting' && key === this.admittedWith) return;
      try {
        const alpn = config.filter.kind === 'http' ? [ALPN_HTTP2, ALPN_HTTP1] : [];
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
    for (const first of this.undecided) first.destroy();
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
    for (const first of this.undecided) first.destroy();
  }

  /** What the instance says of its load to those who ask. */
  describeLoad(): { readonly load?: LoadSignal } {
    return this.load === undefined ? {} : { load: this.load.signal(this.context.clock.nowMs()) };
  }

  status(): ListenerStatus {
    const { config, socket, state, reason, openConnections, activeRequests } = this;
    return {
      name: config.name,
      address: socket.address,
      port: socket.port,
      state,
      reason,
      openConnections,
      activeRequests,
      refusedHandshakes: socket.refusedHandshakes,
    };
  }

  /** Requests and streams that have not ended. Counted when it is asked for. */
  private get activeRequests(): number {
    let active = this.streams.size;
    for (const service of this.services) for (const connection of service.connections) active += connection.activeRequests;
    return active;
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

  /** Certificate and roots, or what is missing. */
  private tlsMaterial(config: Listener, tls: DownstreamTls): { identity: CertificateAndKey; rootsPem: string | undefined } | string {
    const { identities } = this.world;
    const { certificateName, trustBundleName } = tls;
    const workload = config.workload ?? '';
    const identity = identities.resolve(certificateName, workload);
    if (identity === undefined) return identities.missing(certificateName, workload);
    const rootsPem = trustBundleName === undefined ? undefined : identities.roots(trustBundleName);
    if (trustBundleName !== undefined && rootsPem === undefined) return `the trust bundle "${trustBundleName}" has not arrived`;
    return { identity, rootsPem };
  }

  private admission(config: Listener): (connection: Connection) => void {
    const limit = this.context.limits.connectionsPerListenerMax;
    const handle = this.handlerOf(config);
    return (connection) => {
      if (this.openConnections >= limit || this.draining) {
        this.metrics.refused.add(1);
        connection.destroy();
        return;
      }
      this.connectionOpened();
      handle(connection);
    };
  }

  private handlerOf(config: Listener): (connection: Connection) => void {
    const { filter, tls, serverNames = [] } = config;
    if (filter.kind === 'tcp' && serverNames.length === 0) {
      const begin = this.tcpHandler(config, filter);
      return (connection) => {
        const handler = begin(connection);
        if (handler !== undefined) connection.handler = handler;
      };
    }
    const service = filter.kind === 'http' ? this.httpService(config, filter) : undefined;
    if (tls !== undefined && service !== undefined) {
      return (connection) => {
        connection.handler = connection.alpn === ALPN_HTTP2 ? this.http2(service, connection) : this.http1(service, connection);
      };
    }
    const destinations = this.destinations(config, service);
    return (connection) => {
      const first = new FirstBytes(this.context, connection, destinations);
      this.undecided.add(first);
      connection.handler = first;
    };
  }

  private destinations(config: Listener, service: HttpService | undefined): Destinations {
    const { filter, serverNames = [] } = config;
    const byName = new Map(
      serverNames.flatMap((route) => {
        const begin = this.tcpHandler(config, route.filter);
        return route.names.map((name) => [name, begin] as const);
      }),
    );
    const opaque = filter.kind === 'tcp' ? filter : filter.otherwise;
    const beginOpaque = opaque === undefined ? undefined : this.tcpHandler(config, opaque);
    const other = (connection: Connection): ConnectionHandler | undefined => {
      if (beginOpaque !== undefined) return beginOpaque(connection);
      return service === undefined ? undefined : this.http1(service, connection);
    };
    return {
      http1: (connection) => (service === undefined ? other(connection)! : this.http1(service, connection)),
      http2: (connection) => (service === undefined ? other(connection)! : this.http2(service, connection)),
      tls: (connection, serverName) => byName.get(serverName)?.(connection) ?? other(connection),
      other,
      silent: (connection, failed) => (opaque === undefined ? undefined : this.tcpStream(config, opaque, connection, failed)),
      counted: (stream) => this.counted(stream),
      handedOver: (first) => void this.undecided.delete(first),
      closed: (first) => {
        this.undecided.delete(first);
        this.countClosed();
      },
    };
  }

  private httpService(config: Listener, { routeConfigName }: HttpFilter): HttpService {
    const { services } = this;
    const service = new HttpService(this.context, this.world, config, this.world.routes.slot(routeConfigName), this);
    this.current = service;
    services.add(service);
    return service;
  }

  /** @internal */
  connectionOpened(): void {
    this.openConnections += 1;
    this.metrics.opened.add(1);
    this.metrics.open.add(1);
  }

  /** @internal */
  connectionClosed(service: HttpService): void {
    this.countClosed();
    if (service !== this.current && service.connections.size === 0) this.services.delete(service);
  }

  /** @internal */
  tunnelled(service: HttpService, connection: Connection, workload: string): FirstBytes {
    return new FirstBytes(this.context, connection, {
      http1: () => this.http1(service, connection, workload),
      http2: () => this.http2(service, connection, workload),
      // It says itself what is wrong with what is no HTTP.
      tls: () => this.http1(service, connection, workload),
      other: () => this.http1(service, connection, workload),
      silent: () => undefined,
      counted: (stream) => stream,
      handedOver: (first) => void service.connections.delete(first),
      closed: (first) => service.connectionClosed(first),
    });
  }

  private http1(service: HttpService, connection: Connection, workload?: string): ConnectionHandler {
    const http1 = new Http1Connection(this.context, service, connection, workload);
    service.connections.add(http1);
    if (this.closing) http1.closeAfterRequest();
    return http1;
  }

  private http2(service: HttpService, connection: Connection, workload?: string): ConnectionHandler {
    const http2 = new Http2Connection(this.context, service, connection, workload);
    service.connections.add(http2);
    if (this.closing) http2.closeAfterRequest();
    return http2;
  }

  /** Begins a stream for a connection; undefined: it was closed. */
  private tcpHandler(config: Listener, filter: TcpFilter): (connection: Connection) => ConnectionHandler | undefined {
    return (connection) => {
      const stream = this.tcpStream(config, filter, connection, () => connection.reset());
      if (stream === undefined) {
        this.countClosed();
        connection.destroy();
        return undefined;
      }
      const handler = this.counted(stream);
      stream.start();
      return handler;
    };
  }

  private tcpStream(config: Listener, filter: TcpFilter, connection: Connection, failed: () => void): TcpStream | undefined {
    const { context } = this;
    const { name } = config;
    const { cluster } = this.world.clusters.slot(filter.cluster);
    if (cluster === undefined) {
      context.logger.warn({ listener: name, cluster: filter.cluster }, 'a connection was closed: the cluster has not arrived yet');
      return undefined;
    }
    const owner: StreamOwner = {
      onEstablished: () => {},
      onUnreachable: (code, detail) => {
        context.logger.warn({ listener: name, code, detail }, 'a connection could not be passed on: no instance could be reached');
        failed();
      },
    };
    const workload = config.workload ?? this.world.credentials.anonymousWorkload ?? '';
    const target = { cluster, tunnel: filter.tunnel, workload, idleTimeoutMs: filter.idleTimeoutMs };
    return new TcpStream(context, connection, target, this.streamMetrics, owner);
  }

  private counted(stream: TcpStream): ConnectionHandler {
    this.streams.add(stream);
    stream.onClosed = () => {
      this.streams.delete(stream);
      this.countClosed();
    };
    return stream;
  }

  private countClosed(): void {
    this.openConnections -= 1;
    this.metrics.open.add(-1);
  }
}
