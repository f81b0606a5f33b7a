// A listener at run time: a bound socket, the configuration applied to it, and the connections that came in by it. A new version serves
// new connections; open ones keep the filter they began with, while routes and clusters change under them.
import { ALPN_HTTP1, ALPN_HTTP2, NO_TELEMETRY, parseSpiffeId, serviceKey } from '@heddle/core';
import type { DownstreamTls, HttpFilter, Listener, LoadSignal, TcpFilter } from '@heddle/core';
import type {
  CertificateAndKey,
  Connection,
  ConnectionHandler,
  ListeningSocket,
  RefusedHandshake,
  TlsContext,
  TlsRefusals,
} from '@heddle/runtime';
import { NetworkError, NOBODY } from '@heddle/runtime';
import type { ListenerStatus } from '../data-plane-types.ts';
import { serviceOfWorkload } from '../stack/context.ts';
import type { Context } from '../stack/context.ts';
import { RequestWatch } from '../stack/ended-request.ts';
import { InstanceLoad } from '../stack/instance-load.ts';
import type { RouteSlots } from '../stack/route-slots.ts';
import type { ClusterSlots } from '../stack/routes.ts';
import { DownstreamMetrics, StreamMetrics } from '../telemetry/connections.ts';
import type { TelemetryOutlets } from '../telemetry/export/index.ts';
import { refusedCallers } from '../telemetry/tls-refusals.ts';
import type { Identities } from '../upstream/identities.ts';
import { FirstBytes } from './first-bytes.ts';
import type { Destinations } from './first-bytes.ts';
import { Http1Connection } from './http1-connection.ts';
import { Http2Connection } from './http2-connection.ts';
import { HttpService } from './http-service.ts';
import type { HttpServiceOwner, HttpServiceWorld } from './http-service.ts';
import { admitsBytes } from './opaque-gate.ts';
import { TcpStream } from './tcp-stream.ts';
import type { StreamOwner } from './tcp-stream.ts';

export interface ListenerWorld extends HttpServiceWorld {
  readonly identities: Identities;
  readonly clusters: ClusterSlots;
  readonly routes: RouteSlots;
}

/** What TLS contexts are made of. */
interface TlsMaterial {
  readonly identity: CertificateAndKey;
  readonly rootsPem: string | undefined;
}

/** In a tunnel, whose outer connection has told who is there. */
const NO_TLS_HERE = { endsTls: () => false, takesPlaintext: () => true, secure: () => {} } as const;

type BeginConnection = (connection: Connection) => void;

/** Of bytes, which no rule tells apart. */
const DEFAULT_ROUTE = 'default';

export class ActiveListener implements HttpServiceOwner {
  config: Listener;
  readonly socket: ListeningSocket;
  readonly load: InstanceLoad | undefined;
  readonly watch: RequestWatch;
  private readonly context: Context;
  private readonly world: ListenerWorld;
  private readonly metrics: DownstreamMetrics;
  private readonly streamMetrics: StreamMetrics;
  private readonly refusals: TlsRefusals;
  private readonly services = new Set<HttpService>();
  /** Those of them whose connections have no TLS. */
  private readonly plainServices = new WeakSet<HttpService>();
  private readonly streams = new Set<TcpStream>();
  /** Connections whose protocol is not known yet. */
  private readonly undecided = new Set<FirstBytes>();
  /** Those that new connections get. */
  private current: readonly HttpService[] = [];
  /** What ends TLS now; undefined: nothing does. */
  private tls: TlsContext | undefined;
  /** For connections on which it has ended. */
  private beginSecured: BeginConnection | undefined;
  private closing = false;
  private state: ListenerStatus['state'] = 'waiting';
  private reason = '';
  private openConnections = 0;
  private admittedWith = '';
  private watchedWith = '[null,null]';
  private draining = false;

  constructor(context: Context, world: ListenerWorld, config: Listener, socket: ListeningSocket) {
    this.context = context;
    this.world = world;
    this.config = config;
    this.socket = socket;
    this.load = config.direction === 'inbound' ? new InstanceLoad() : undefined;
    this.watch = new RequestWatch(context.onlookers);
    this.metrics = new DownstreamMetrics(context.metrics, config.name);
    this.streamMetrics = new StreamMetrics(context.metrics, config.name);
    this.refusals = refusedCallers(context, config.name);
    this.refresh();
  }

  /** Open connections follow it at once in what is told of their requests. */
  watchBy(outlets: TelemetryOutlets | undefined): void {
    const { filter, workload } = this.config;
    const { tracing, accessLog } = filter.kind === 'http' ? filter : NO_TELEMETRY;
    const key = JSON.stringify([tracing, accessLog]);
    if (key === this.watchedWith) return;
    this.watchedWith = key;
    this.watch.set(tracing && outlets?.tracer(tracing, workload), accessLog && outlets?.log(accessLog));
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
    let key = JSON.stringify({ ...config, filter: withoutTelemetry(config.filter) });
    if (config.tls !== undefined) {
      const material = this.tlsMaterial(config, config.tls);
      if (typeof material === 'string') return this.wait(material);
      key += material.identity.certificatePem + (material.rootsPem ?? '');
      if (this.state === 'accepting' && key === this.admittedWith) return;
      try {
        tls = this.serverTls(config, config.tls, material);
      } catch (error) {
        if (error instanceof NetworkError) return this.wait(error.message);
        throw error;
      }
    } else if (this.state === 'accepting' && key === this.admittedWith) {
      return;
    }
    this.admittedWith = key;
    this.tls = tls;
    this.socket.accept(this.admission(config), this.takesPlaintext ? undefined : tls, this.onRefused);
    this.state = 'accepting';
    this.reason = '';
    if (!this.takesPlaintext) this.drainPlaintext();
  }

  /** A connection without TLS is what the configuration of today wants. */
  private get takesPlaintext(): boolean {
    const { tls } = this.config;
    return tls === undefined || tls.plaintext === true;
  }

  /** Requests that came without TLS before it was asked for are answered; then their connections close. Streams of bytes go on until they end. */
  private drainPlaintext(): void {
    for (const service of this.services) {
      if (!this.plainServices.has(service)) continue;
      for (const connection of service.connections) connection.drain();
    }
  }

  private serverTls({ filter }: Listener, tls: DownstreamTls, { identity, rootsPem }: TlsMaterial): TlsContext {
    const { trustDomain, trustBundleName, minVersion } = tls;
    return this.context.network.serverTls({
      ...identity,
      ...(rootsPem !== undefined && { rootsPem }),
      ...(trustDomain !== undefined && { trustDomain }),
      alpn: filter.kind === 'http' ? [ALPN_HTTP2, ALPN_HTTP1] : [],
      ...(minVersion !== undefined && { minVersion }),
      ...(trustDomain !== undefined && trustBundleName !== undefined && { guard: this.world.identities.guard(trustBundleName) }),
    });
  }

  private readonly onRefused = ({ reason, detail, remoteAddress, remotePort }: RefusedHandshake): void => {
    this.refusals.add(reason, { peer: `${remoteAddress}:${remotePort}` }, detail);
  };

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
      refusedHandshakes: this.refusals.total,
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

  private wait(reason: string): void {
    this.socket.accept(undefined);
    this.admittedWith = '';
    this.state = 'waiting';
    this.reason = reason;
  }

  /** What new connections of plain HTTP get; undefined: none are taken. For calls from inside the process. */
  get directService(): HttpService | undefined {
    return this.state === 'accepting' ? this.current[0] : undefined;
  }

  /** A connection from inside the process on behalf of the workload; its handler is set when this returns. It is closed where none are taken. */
  enter(connection: Connection, workload: string): void {
    const service = this.directService;
    if (service === undefined) connection.destroy();
    else connection.handler = service.nested(connection, workload);
  }

  /** Certificate and roots, or what is missing. */
  private tlsMaterial(config: Listener, tls: DownstreamTls): TlsMaterial | string {
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

  private handlerOf(config: Listener): BeginConnection {
    this.current = [];
    const { tls } = config;
    this.beginSecured = undefined;
    if (tls === undefined) return this.plainHandler(config);
    const begin = this.securedHandler(config);
    const secured: BeginConnection = (connection) => {
      this.metrics.secured();
      begin(connection);
    };
    this.beginSecured = secured;
    if (tls.plaintext !== true) return secured;
    const { tls: _tls, ...plain } = config;
    return this.plainHandler(plain);
  }

  /** For connections on which TLS has ended. */
  private securedHandler(config: Listener): BeginConnection {
    const { filter } = config;
    if (filter.kind === 'tcp') return this.opaqueHandler(config, filter);
    const service = this.httpService(config, filter);
    return (connection) => {
      connection.handler = connection.alpn === ALPN_HTTP2 ? this.http2(service, connection) : this.http1(service, connection);
    };
  }

  private opaqueHandler(config: Listener, filter: TcpFilter): BeginConnection {
    const begin = this.tcpHandler(config, filter);
    return (connection) => {
      connection.handler = begin(connection) ?? this.uncounting();
    };
  }

  /** `config` without TLS. */
  private plainHandler(config: Listener): BeginConnection {
    const { filter, serverNames = [] } = config;
    const isKnown = filter.kind === 'tcp' && serverNames.length === 0 && this.beginSecured === undefined;
    if (isKnown) return this.opaqueHandler(config, filter);
    const service = filter.kind === 'http' ? this.httpService(config, filter) : undefined;
    if (service !== undefined) this.plainServices.add(service);
    const destinations = this.destinations(config, service);
    return (connection) => {
      const first = new FirstBytes(this.context, connection, destinations);
      this.undecided.add(first);
      connection.handler = first;
    };
  }

  /** By the configuration and the roots of now. The connection was counted when it came, and stays so while its handshake is under way. */
  private secure(connection: Connection, bytes: Buffer): void {
    this.context.network.secure(connection, bytes, this.tls!, this.onSecured, this.onNotSecured);
  }

  private readonly onSecured = (connection: Connection): void => {
    const begin = this.draining ? undefined : this.beginSecured;
    if (begin !== undefined) return begin(connection);
    connection.handler = this.uncounting();
    connection.destroy();
  };

  /** For connections that are being closed. */
  private uncounting(): ConnectionHandler {
    return { ...NOBODY, onClose: () => this.countClosed() };
  }

  private readonly onNotSecured = (refused: RefusedHandshake): void => {
    this.countClosed();
    this.onRefused(refused);
  };

  private destinations(config: Listener, service: HttpService | undefined): Destinations {
    const { filter, serverNames = [] } = config;
    const byName = new Map(
      serverNames.flatMap((route) => {
        const begin = this.tcpHandler(config, route.filter);
        return route.names.map((name) => [name, begin] as const);
      }),
    );
    const opaque = filter.kind === 'tcp' ? filter : filter.otherwise;
    const beginOpaque = opaque === undefined ? undefined : this.tcpHandler(config, opaque, service);
    const admits = (connection: Connection): boolean =>
      config.direction === 'outbound' || service === undefined || admitsBytes(service, connection, `${config.address}:${config.port}`);
    const other = (connection: Connection): ConnectionHandler | undefined => {
      if (beginOpaque !== undefined) {
        if (admits(connection)) return beginOpaque(connection);
        connection.destroy();
        return undefined;
      }
      return service === undefined ? undefined : this.http1(service, connection);
    };
    return {
      endsTls: () => this.beginSecured !== undefined && this.tls !== undefined,
      secure: (connection, bytes) => this.secure(connection, bytes),
      takesPlaintext: () => this.takesPlaintext,
      http1: (connection) => (service === undefined ? other(connection)! : this.http1(service, connection)),
      http2: (connection) => (service === undefined ? other(connection)! : this.http2(service, connection)),
      tls: (connection, serverName) => byName.get(serverName)?.(connection) ?? other(connection),
      other,
      silent: (connection, failed) => (opaque === undefined ? undefined : this.tcpStream(config, opaque, connection, failed, service)),
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
    this.current = [...this.current, service];
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
    if (service.connections.size === 0 && !this.current.includes(service)) this.services.delete(service);
  }

  /** @internal */
  tunnelled(service: HttpService, connection: Connection, workload: string): FirstBytes {
    return new FirstBytes(this.context, connection, {
      http1: () => this.http1(service, connection, workload),
      http2: () => this.http2(service, connection, workload),
      // It says itself what is wrong with what is no HTTP.
      tls: () => this.http1(service, connection, workload),
      other: () => this.http1(service, connection, workload),
      ...NO_TLS_HERE,
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

  /** Begins a stream for a connection; undefined: it is being closed. */
  private tcpHandler(
    config: Listener,
    filter: TcpFilter,
    service?: HttpService,
  ): (connection: Connection) => ConnectionHandler | undefined {
    return (connection) => {
      const stream = this.tcpStream(config, filter, connection, () => connection.reset(), service);
      if (stream === undefined) {
        connection.destroy();
        return undefined;
      }
      const handler = this.counted(stream);
      stream.start();
      return handler;
    };
  }

  /** @param service whose rules hold for the bytes, too; undefined: there are none. */
  private tcpStream(
    config: Listener,
    filter: TcpFilter,
    connection: Connection,
    failed: () => void,
    service?: HttpService,
  ): TcpStream | undefined {
    const { context } = this;
    const { name } = config;
    if (service?.admitsBytes(connection) === false) return undefined;
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
    const metrics = cluster.requestsFrom(callingService(config, workload, connection), config.direction).of(DEFAULT_ROUTE, 'tcp');
    const target = { cluster, tunnel: filter.tunnel, workload, metrics, idleTimeoutMs: filter.idleTimeoutMs };
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

/** `<namespace>/<service>`, for metrics of bytes that are no HTTP. */
function callingService({ direction }: Listener, workload: string, { peerId }: Connection): string {
  if (direction === 'outbound') return serviceOfWorkload(workload);
  const id = parseSpiffeId(peerId);
  return id === undefined ? 'unknown' : serviceKey(id);
}

/** What of a filter only new connections can follow. */
function withoutTelemetry(filter: Listener['filter']): Listener['filter'] {
  if (filter.kind !== 'http') return filter;
  const { tracing: _tracing, accessLog: _log, ...rest } = filter;
  return rest;
}
