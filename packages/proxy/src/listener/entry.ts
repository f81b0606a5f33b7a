// The way of a request from its head to its exchange: who calls, by which route, to which cluster. One object per downstream connection,
// which keeps what nearly always is the same for the next request.
import type { ErrorCode } from '@heddle/core';
import type { Connection } from '@heddle/runtime';
import { grpcKindOf, RequestHead } from '@heddle/wire';
import { Forwarding, FORWARDED_FOR, FORWARDED_PROTO, listOf, REQUEST_ID_HEADER } from '../stack/forwarding.ts';
import type { AnyRequestHead } from '../stack/messages.ts';
import type { RouteStack } from '../stack/routes.ts';
import type { RequestMetrics } from '../telemetry/requests.ts';
import type { UpstreamCluster } from '../upstream/cluster.ts';
import type { HttpService } from './http-service.ts';

const PROXY_AUTHORIZATION = 'proxy-authorization';

export class Entry {
  readonly service: HttpService;
  /** The request is a CONNECT to a service that speaks HTTP: what comes in the tunnel is HTTP that is handled here. */
  isTunnelledHttp = false;
  /** What was found by `find`. */
  workload = '';
  stack!: RouteStack;
  cluster!: UpstreamCluster;
  /** Why `find` found nothing. */
  code: ErrorCode = 'BAD_REQUEST';
  detail = '';
  private readonly knownWorkload: string | undefined;
  private readonly remoteAddress: string;
  /** `<namespace>/<service>` of the peer, on inbound listeners. */
  private readonly source: string;
  private readonly version: 'http1' | 'http2';
  private readonly peerId: string;
  private lastCluster: UpstreamCluster | undefined;
  private lastWorkload = '';
  private lastMetrics: RequestMetrics | undefined;

  /** @param workload on whose behalf the calls are made, where a CONNECT before has told. */
  constructor(service: HttpService, connection: Connection, version: 'http1' | 'http2', workload: string | undefined) {
    this.knownWorkload = workload;
    this.service = service;
    this.remoteAddress = connection.remoteAddress;
    this.peerId = connection.peerId;
    this.source = service.sourceOf(connection.peerId);
    this.version = version;
  }

  /** One for each request that can be under way at the same time. */
  createForwarding(): Forwarding {
    const { service } = this;
    return new Forwarding(service.droppedRequestHeaders, this.version, service.direction === 'inbound' ? this.peerId : '');
  }

  /** Finds caller, route and cluster. False: `code` and `detail` say why not. */
  find(head: AnyRequestHead): boolean {
    const { service } = this;
    service.requests += 1;
    const isHttp1 = head instanceof RequestHead;
    const credential = isHttp1 ? head.proxyAuthorization : head.get(PROXY_AUTHORIZATION);
    const workload = this.knownWorkload ?? service.workloadOf(credential);
    if (workload === undefined)
      return this.refuse(
        'UNKNOWN_WORKLOAD',
        credential === undefined ? 'no Proxy-Authorization was sent' : 'the credential is not known here',
      );
    this.workload = workload;
    const { table } = service.routes;
    if (table === undefined)
      return this.refuse('NO_HEALTHY_INSTANCE', `the route configuration "${service.routes.name}" has not arrived yet`);
    const isConnect = isHttp1 ? head.isConnect : head.method === 'CONNECT' && head.protocol === '';
    if (isHttp1 && head.scheme === 'https')
      return this.refuse('NOT_IMPLEMENTED', 'https through the proxy without CONNECT; use http://, the mesh encrypts by itself');
    if (head.contentLength > service.requestBodyBytesMax && grpcKindOf(head.get('content-type')) === undefined)
      return this.refuse('BODY_TOO_LARGE', `it is to have ${head.contentLength} bytes, more than ${service.requestBodyBytesMax}`);
    const stack = isConnect ? table.matchConnect(head.authority) : table.match(head.authority, head.path);
    const isHttp = isConnect && stack === undefined && table.match(head.authority, '/') !== undefined;
    this.isTunnelledHttp = isHttp && service.direction === 'outbound';
    if (this.isTunnelledHttp) return true;
    if (isHttp) return this.refuse('NOT_IMPLEMENTED', `CONNECT ${head.authority}: this instance takes requests, not connections`);
    if (stack === undefined) return this.noRoute(head, isConnect);
    const { cluster } = stack.slot;
    if (cluster === undefined) return this.refuse('NO_HEALTHY_INSTANCE', `the cluster "${stack.slot.name}" has not arrived yet`);
    this.stack = stack;
    this.cluster = cluster;
    return true;
  }

  /** Fills what the passed-on request gets besides what was received. */
  mark(head: AnyRequestHead, forwarding: Forwarding): void {
    const { service } = this;
    const isOutbound = service.direction === 'outbound';
    const requestId = isOutbound && !head.has(REQUEST_ID_HEADER) ? service.nextRequestId() : '';
    if (!service.useRemoteAddress) return forwarding.begin(requestId, '', '');
    const before = listOf(head, FORWARDED_FOR);
    const forwardedFor = before === '' ? this.remoteAddress : `${before}, ${this.remoteAddress}`;
    forwarding.begin(requestId, forwardedFor, head.has(FORWARDED_PROTO) ? '' : service.scheme);
  }

  /** Of what `find` found. */
  metrics(): RequestMetrics {
    const { cluster, workload } = this;
    if (cluster !== this.lastCluster || workload !== this.lastWorkload) {
      this.lastCluster = cluster;
      this.lastWorkload = workload;
      this.lastMetrics = cluster.requestsFrom(this.service.sourceName(this.source, workload), this.service.direction);
    }
    return this.lastMetrics!;
  }

  /** Counts a request that was refused before there was an exchange. */
  refused(code: ErrorCode): void {
    this.service.refused(this.source, code);
  }

  private noRoute({ authority }: AnyRequestHead, isConnect: boolean): false {
    if (authority === '') return this.refuse('NO_SUCH_SERVICE', 'the request names no authority');
    return this.refuse('NO_SUCH_SERVICE', isConnect ? `CONNECT ${authority}: no service has this name and port` : `asked for ${authority}`);
  }

  private refuse(code: ErrorCode, detail: string): false {
    this.code = code;
    this.detail = detail;
    return false;
  }
}
