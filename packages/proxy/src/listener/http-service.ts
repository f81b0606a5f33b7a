// What all connections of one HTTP listener share: who calls, by which routes, and which headers are added, replaced or removed.
import { ERRORS, parseSpiffeId, serviceKey } from '@heddle/core';
import type { ErrorCode, Listener } from '@heddle/core';
import type { Connection } from '@heddle/runtime';
import { headerLine, HeaderNames } from '@heddle/wire';
import type { Http1Limits, RequestHead } from '@heddle/wire';
import { serviceOfWorkload } from '../stack/context.ts';
import type { Context } from '../stack/context.ts';
import type { RouteSlot } from '../stack/routes.ts';
import { StreamMetrics } from '../telemetry/connections.ts';
import { RequestMetrics } from '../telemetry/requests.ts';
import type { UpstreamCluster } from '../upstream/cluster.ts';
import type { Credentials } from './credentials.ts';

/** SPIFFE id of the calling service, proven by mutual TLS; only our own inbound listeners may say it. */
export const PEER_HEADER = 'x-heddle-peer';
const REQUEST_ID_HEADER = 'x-request-id';
const FORWARDED_FOR = 'x-forwarded-for';
const FORWARDED_PROTO = 'x-forwarded-proto';

const DROPPED_OUTBOUND = new HeaderNames([PEER_HEADER]);
const DROPPED_INBOUND = new HeaderNames([PEER_HEADER, FORWARDED_FOR]);

/** What a service needs of the data plane around it. */
export interface HttpServiceWorld {
  readonly credentials: Credentials;
  /** The cluster that CONNECT to this host name leads to, where it takes opaque bytes. */
  tcpClusterOf(hostname: string): UpstreamCluster | undefined;
}

/** What the listener asks of the connections that it has admitted. */
export interface AdmittedConnection {
  /** The next response is the last one and says so. Idle connections are left open: a request may be on its way on them. */
  closeAfterRequest(): void;
  /** No further request: idle connections are closed now, the others after their response. */
  drain(): void;
  /** Drops it at once. */
  destroy(): void;
}

export class HttpService {
  readonly direction: Listener['direction'];
  readonly routes: RouteSlot;
  readonly parserLimits: Partial<Http1Limits>;
  readonly droppedRequestHeaders: HeaderNames;
  readonly streamMetrics: StreamMetrics;
  readonly connections = new Set<AdmittedConnection>();
  requests = 0;
  private readonly context: Context;
  private readonly world: HttpServiceWorld;
  private readonly workload: string | undefined;
  private readonly destination: string;
  private readonly onConnectionClosed: () => void;
  private readonly requestIds: { readonly prefix: string; next: number };
  private readonly refusals = new Map<string, RequestMetrics>();

  constructor(context: Context, world: HttpServiceWorld, listener: Listener, routes: RouteSlot, onConnectionClosed: () => void) {
    const { limits } = context;
    this.context = context;
    this.world = world;
    this.direction = listener.direction;
    this.workload = listener.workload;
    this.destination =
      listener.direction === 'inbound' && listener.workload !== undefined ? serviceOfWorkload(listener.workload) : 'unknown';
    this.routes = routes;
    this.onConnectionClosed = onConnectionClosed;
    this.parserLimits = {
      requestLineBytesMax: limits.requestLineBytesMax,
      headBytesMax: limits.headerBytesMax,
      headersMax: limits.headerCountMax,
      chunkExtensionBytesMax: limits.chunkLineBytesMax,
      trailerBytesMax: limits.trailerBytesMax,
    };
    this.droppedRequestHeaders = listener.direction === 'inbound' ? DROPPED_INBOUND : DROPPED_OUTBOUND;
    this.streamMetrics = new StreamMetrics(context.metrics, listener.name);
    this.requestIds = { prefix: `${Buffer.from(context.random.bytes(9)).toString('base64url')}.`, next: 0 };
  }

  connectionClosed(connection: AdmittedConnection): void {
    if (this.connections.delete(connection)) this.onConnectionClosed();
  }

  /** The workload whose identity the call carries. Undefined: the caller did not prove to be one. */
  workloadOf(head: RequestHead): string | undefined {
    return this.workload ?? this.world.credentials.workloadOf(head.proxyAuthorization);
  }

  /** `<namespace>/<service>` of the peer; empty on outbound listeners. */
  sourceOf(connection: Connection): string {
    const id = parseSpiffeId(connection.peerId);
    return id === undefined ? '' : serviceKey(id);
  }

  /** The caller's service, for metrics. */
  sourceName(source: string, workload: string): string {
    return this.direction === 'outbound' ? serviceOfWorkload(workload) : source === '' ? 'unknown' : source;
  }

  /** Lines that every request of the connection gets. */
  fixedLines(connection: Connection): string {
    if (this.direction === 'outbound' || connection.peerId === '') return '';
    return headerLine(PEER_HEADER, connection.peerId);
  }

  /** All lines that this request gets. */
  addedLines(head: RequestHead, fixedLines: string, connection: Connection): string {
    if (this.direction === 'outbound') {
      if (head.has(REQUEST_ID_HEADER)) return '';
      return `${REQUEST_ID_HEADER}: ${this.requestIds.prefix}${(this.requestIds.next++).toString(36)}\r\n`;
    }
    const before = head.list(FORWARDED_FOR);
    const addresses = before === undefined || before === '' ? connection.remoteAddress : `${before}, ${connection.remoteAddress}`;
    // What the caller spoke to its own data plane; TLS in between is the mesh's affair, and applications act on this header.
    const proto = head.has(FORWARDED_PROTO) ? '' : `${FORWARDED_PROTO}: http\r\n`;
    return `${fixedLines}${FORWARDED_FOR}: ${addresses}\r\n${proto}`;
  }

  /** A request that was refused before a route was found. */
  refused(source: string, code: ErrorCode): void {
    let metrics = this.refusals.get(source);
    if (metrics === undefined) {
      metrics = new RequestMetrics(this.context.metrics, {
        direction: this.direction,
        source: source === '' ? 'unknown' : source,
        destination: this.destination,
      });
      this.refusals.set(source, metrics);
    }
    metrics.ended(ERRORS[code].httpStatus, code, 0);
  }

  tcpCluster(authority: string): UpstreamCluster | undefined {
    if (this.direction === 'inbound') return undefined;
    return this.world.tcpClusterOf(authority.slice(0, authority.lastIndexOf(':')).toLowerCase());
  }
}
