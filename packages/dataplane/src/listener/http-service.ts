// What all connections of one HTTP listener share: who calls, by which routes, and which headers are added, replaced or removed.
import { decodePem, DOWNSTREAM_METRICS, formatSpiffeId, parseSpiffeId, readCertificate, serviceKey } from '@heddle/core';
import type { Listener, SocketAddress } from '@heddle/core';
import type { Connection, ConnectionHandler } from '@heddle/runtime';
import type { Http1Limits, Http2Limits } from '@heddle/wire';
import { AccessRecord } from '../stack/access-record.ts';
import type { DecidedRequest } from '../stack/access-record.ts';
import { AccessWait } from '../stack/access-wait.ts';
import type { AccessQuestion, Decider } from '../stack/access-wait.ts';
import type { AccessWorld } from '../stack/access-world.ts';
import type { AdmittingService } from '../stack/admission.ts';
import { serviceOfWorkload } from '../stack/context.ts';
import type { Context } from '../stack/context.ts';
import { DroppedHeaders, FORWARDED_FOR, OUR_HEADERS } from '../stack/forwarding.ts';
import type { RequestWatch } from '../stack/ended-request.ts';
import type { Forwarding } from '../stack/forwarding.ts';
import type { InstanceLoad } from '../stack/instance-load.ts';
import { Mirror } from '../stack/mirror.ts';
import type { HeadView } from '../stack/request-view.ts';
import type { RouteSlot } from '../stack/route-slots.ts';
import { StreamMetrics } from '../telemetry/connections.ts';
import { CallerMetrics } from '../telemetry/requests.ts';
import type { PairMetrics } from '../telemetry/requests.ts';
import type { Identities } from '../upstream/identities.ts';
import type { Credentials } from './credentials.ts';
import { admitsBytes, ListenerSide } from './listener-side.ts';

/** The credential is for this proxy (RFC 9110 §11.7.2). */
const PROXY_AUTHORIZATION = 'proxy-authorization';
/** :method, :scheme, :authority, :path, which HTTP/1.1 has in its request line, or once as Host. */
const PSEUDO_FIELDS = 4;
const ALWAYS_DROPPED = [...OUR_HEADERS, PROXY_AUTHORIZATION];
const DROPPED = new DroppedHeaders(ALWAYS_DROPPED);
const DROPPED_WITH_FORWARDED = new DroppedHeaders([...ALWAYS_DROPPED, FORWARDED_FOR]);

/** What a service needs of the data plane around it. */
export interface HttpServiceWorld {
  readonly credentials: Credentials;
  readonly access: AccessWorld;
  readonly identities: Pick<Identities, 'of'>;
  /** Of what its own listener is told; undefined: it has none here. */
  readonly watchOf: (workload: string) => RequestWatch | undefined;
}

/** What the listener asks of the connections that it has admitted. */
export interface AdmittedConnection {
  /** Requests and streams on it that have not ended. */
  readonly activeRequests: number;
  /** The next response is the last one and says so. Idle connections are left open: a request may be on its way on them. */
  closeAfterRequest(): void;
  /** No further request: idle connections are closed now, the others after their response. */
  drain(): void;
  /** Drops it at once. */
  destroy(): void;
}

/** The listener, as its services see it. */
export interface HttpServiceOwner {
  /** Of the instance that it leads to; undefined: it leads to others. */
  readonly load: InstanceLoad | undefined;
  readonly watch: RequestWatch;
  connectionOpened(): void;
  connectionClosed(service: HttpService): void;
  /** A connection inside another one, made by CONNECT: HTTP of either version on behalf of this workload. */
  tunnelled(service: HttpService, connection: Connection, workload: string): AdmittedConnection & ConnectionHandler;
}

export class HttpService {
  readonly direction: Listener['direction'];
  /** The HTTP proxy of all workloads: every service of the mesh is called through it, and hosts outside. */
  readonly isShared: boolean;
  /** See HttpFilter. */
  readonly useRemoteAddress: boolean;
  /** What clients of this listener speak: a data plane before it is not meant. */
  readonly scheme: 'http' | 'https';
  readonly routes: RouteSlot;
  readonly parserLimits: Partial<Http1Limits>;
  readonly http2Limits: Partial<Http2Limits>;
  readonly requestBodyBytesMax: number;
  readonly droppedRequestHeaders: DroppedHeaders;
  readonly streamMetrics: StreamMetrics;
  readonly load: InstanceLoad | undefined;
  readonly watch: RequestWatch;
  readonly connections = new Set<AdmittedConnection>();
  /** Uniform in [0, 1). */
  readonly random: () => number;
  requests = 0;
  private readonly context: Context;
  private readonly world: HttpServiceWorld;
  private readonly workload: string | undefined;
  private readonly destination: string;
  private readonly owner: HttpServiceOwner;
  private readonly requestIds: { readonly prefix: string; next: number };
  private readonly listenerName: string;
  private readonly refusals: CallerMetrics;
  private admits: AdmittingService | undefined;
  /** Of calls to each service. */
  private readonly callerRecords = new Map<string, AccessRecord>();
  private readonly spiffeIds = new Map<string, { readonly certificatePem: string; readonly id: string }>();
  private readonly address: SocketAddress;
  private readonly trustDomain: string;

  constructor(context: Context, world: HttpServiceWorld, listener: Listener, routes: RouteSlot, owner: HttpServiceOwner) {
    const { limits } = context;
    this.context = context;
    this.random = () => context.random.next();
    this.world = world;
    this.direction = listener.direction;
    this.isShared = listener.direction === 'outbound' && listener.workload === undefined;
    this.useRemoteAddress = listener.filter.kind === 'http' && listener.filter.useRemoteAddress === true;
    // Between data planes TLS is the mesh's affair.
    this.scheme = listener.tls !== undefined && listener.direction === 'outbound' ? 'https' : 'http';
    this.workload = listener.workload;
    this.address = { address: listener.address, port: listener.port };
    this.trustDomain = listener.tls?.trustDomain ?? '';
    this.destination =
      listener.direction === 'inbound' && listener.workload !== undefined ? serviceOfWorkload(listener.workload) : 'unknown';
    this.refusals = new CallerMetrics(context.metrics, this.destination, limits.metricSourcesMax);
    this.listenerName = listener.name;
    this.routes = routes;
    this.owner = owner;
    this.load = owner.load;
    this.watch = owner.watch;
    this.parserLimits = {
      requestLineBytesMax: limits.requestLineBytesMax,
      headBytesMax: limits.headerBytesMax,
      headersMax: limits.headerCountMax,
      chunkExtensionBytesMax: limits.chunkLineBytesMax,
      trailerBytesMax: limits.trailerBytesMax,
    };
    this.requestBodyBytesMax = limits.requestBodyBytesMax;
    this.http2Limits = {
      headerListBytesMax: limits.headerBytesMax,
      fieldsMax: limits.headerCountMax + PSEUDO_FIELDS,
      concurrentStreamsMax: limits.streamsPerConnectionMax,
      streamWindowBytes: limits.streamWindowBytes,
      connectionWindowBytes: listener.direction === 'inbound' ? limits.peerWindowBytes : limits.clientWindowBytes,
    };
    this.droppedRequestHeaders = this.useRemoteAddress ? DROPPED_WITH_FORWARDED : DROPPED;
    this.streamMetrics = new StreamMetrics(context.metrics, listener.name);
    this.requestIds = { prefix: `${Buffer.from(context.random.bytes(9)).toString('base64url')}.`, next: 0 };
  }

  connectionClosed(connection: AdmittedConnection): void {
    if (this.connections.delete(connection)) this.owner.connectionClosed(this);
  }

  /** The connection goes on as another one. */
  replace(before: AdmittedConnection, after: AdmittedConnection): void {
    this.connections.delete(before);
    this.connections.add(after);
  }

  /** Takes HTTP of either version in a connection that turned out to be a tunnel. */
  tunnelled(connection: Connection, workload: string): AdmittedConnection & ConnectionHandler {
    return this.owner.tunnelled(this, connection, workload);
  }

  /** The same for a tunnel inside a connection that goes on. */
  nested(connection: Connection, workload: string): ConnectionHandler {
    const nested = this.owner.tunnelled(this, connection, workload);
    this.connections.add(nested);
    this.owner.connectionOpened();
    return nested;
  }

  /** The workload whose identity the call carries. Undefined: the caller did not prove to be one. */
  workloadOf(credential: string | undefined): string | undefined {
    return this.workload ?? this.world.credentials.workloadOf(credential);
  }

  /** Of calls that a workload makes by the shared proxy. */
  watchOf(workload: string): RequestWatch {
    return this.world.watchOf(workload) ?? this.watch;
  }

  /** `<namespace>/<service>` of the peer; empty on outbound listeners. */
  sourceOf(peerId: string): string {
    const id = parseSpiffeId(peerId);
    return id === undefined ? '' : serviceKey(id);
  }

  /** The caller's service, for metrics. */
  sourceName(source: string, workload: string): string {
    return this.direction === 'outbound' ? serviceOfWorkload(workload) : source === '' ? 'unknown' : source;
  }

  /** Unique over all data planes, by chance. */
  nextRequestId(): string {
    return this.requestIds.prefix + (this.requestIds.next++).toString(36);
  }

  /** An HTTP/2 connection ended because the client broke this rule. */
  brokenConnection(rule: string): void {
    this.context.metrics.counter(DOWNSTREAM_METRICS.brokenHttp2, { listener: this.listenerName, rule }).add(1);
  }

  get clock(): Context['clock'] {
    return this.context.clock;
  }

  /** What a decision about a request that comes in by this listener goes by. Made when the first one is to be decided on. */
  get admitting(): AdmittingService {
    this.admits ??= new ListenerSide(this.context, this.world.access, this.direction, this.destination, this.workload ?? '', {
      ...this.address,
      principal: this.ownIdentity,
    });
    return this.admits;
  }

  private get ownIdentity(): string {
    const [namespace = '', name = ''] = this.destination.split('/');
    return this.trustDomain === '' || name === '' ? '' : formatSpiffeId({ trustDomain: this.trustDomain, namespace, name });
  }

  /** Whether bytes that come without a tunnel, and say nothing of themselves, may pass on. */
  admitsBytes(connection: Connection): boolean {
    const { table, access } = this.routes;
    if (this.direction === 'outbound') return true;
    if (table === undefined) return false;
    return access === undefined || admitsBytes(this.admitting, this.clock, access.of(table.hostOf('', true)), connection);
  }

  /** Undefined: too many requests wait already. */
  waitFor(question: AccessQuestion, decider: Decider): AccessWait | undefined {
    const { access } = this.world;
    return access.hasRoom ? new AccessWait(this.context, access, question, decider) : undefined;
  }

  /** SPIFFE id by which the workload calls; empty: it has no certificate. */
  identityOf(workload: string): string {
    const certificatePem = this.world.identities.of(workload)?.certificatePem;
    if (certificatePem === undefined) return '';
    const known = this.spiffeIds.get(workload);
    if (known?.certificatePem === certificatePem) return known.id;
    const [leaf] = decodePem('CERTIFICATE', certificatePem);
    const id = (leaf === undefined ? undefined : readCertificate(leaf).uris.find((uri) => parseSpiffeId(uri) !== undefined)) ?? '';
    this.spiffeIds.set(workload, { certificatePem, id });
    return id;
  }

  /** A call was refused here, since the called service would. */
  refusedCaller(view: HeadView, identity: string, destination: string): void {
    this.callerRecord(destination).told('denied', 'caller', '', 'the called service allows it nothing', said(view, identity));
  }

  /** The token that a call needs was not to be had. */
  notSupplied(view: HeadView, identity: string, destination: string, why: string): void {
    this.callerRecord(destination).told('unavailable', 'token', '', why, said(view, identity));
  }

  private callerRecord(destination: string): AccessRecord {
    let record = this.callerRecords.get(destination);
    if (record === undefined) {
      record = new AccessRecord(this.context, this.world.access.lines, 'outbound', destination);
      this.callerRecords.set(destination, record);
    }
    return record;
  }

  nowMs(): number {
    return this.context.clock.nowMs();
  }

  /** For a copy of a request. */
  mirror(forwarding: Forwarding): Mirror {
    return new Mirror(this.context, forwarding);
  }

  /** Metrics of requests that are not passed on. */
  answersTo(source: string): PairMetrics {
    return this.refusals.from(source === '' ? 'unknown' : source, this.direction);
  }
}

function said({ peerAddress, method, path, authority }: HeadView, sourceIdentity: string): DecidedRequest {
  return { sourceIdentity, peerAddress, method, path, authority, issuer: '' };
}
