// What a span says of a request: OpenTelemetry's semantic conventions for HTTP and gRPC, and what they have no name for under `heddle.`. Queries are left out,
// as they may hold secrets.
import type { Attributes, AttributeValue, OtlpSpan, SpanEvent } from '@heddle/api/otlp';
import type { ErrorCode } from '@heddle/core';
import { RequestHead } from '@heddle/wire';
import type { EndedRequest, RequestProtocol } from '../../stack/ended-request.ts';
import type { PairLabels } from '../requests.ts';
import type { RequestSpan, SpanTry } from '../request-span.ts';
import { isGrpcFailure, isOwnError, methodAndPath } from './request-facts.ts';

/** RFC 9110 §9, RFC 5789: other names are as many as their senders like. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']);
const OTHER_METHOD = '_OTHER';
const PORT = /:(\d{1,5})$/;
const NO_EVENTS: readonly SpanEvent[] = [];

/** What is kept of a traced request until its span is encoded: the request itself holds during the call alone. */
export class EndedSpan {
  readonly span: RequestSpan;
  readonly attributes: Attributes;
  readonly wallMs: number;
  readonly labels: PairLabels;
  readonly route: string;
  readonly protocol: RequestProtocol;
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly version: '1.0' | '1.1' | '2';
  readonly userAgent: string;
  readonly sourceIdentity: string;
  readonly peerAddress: string;
  readonly status: number;
  readonly grpcStatus: number | undefined;
  readonly error: ErrorCode | 'CLIENT_GONE' | '';
  readonly durationMs: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly tries: number;
  readonly instance: string;

  /**
   * @param attributes keys and values in turn, on every span.
   * @param wallMs what is to be added to the clock that measures, to have the time of day.
   */
  constructor(request: EndedRequest, span: RequestSpan, attributes: Attributes, wallMs: number) {
    const { head, peer } = request;
    const { method, path } = methodAndPath(head);
    this.span = span;
    this.attributes = attributes;
    this.wallMs = wallMs;
    this.labels = request.labels;
    this.route = request.route;
    this.protocol = request.protocol;
    this.method = method;
    this.path = path;
    this.authority = head.authority;
    this.version = head instanceof RequestHead ? (head.minorVersion === 1 ? '1.1' : '1.0') : '2';
    this.userAgent = request.labels.direction === 'inbound' ? (head.get('user-agent') ?? '') : '';
    this.sourceIdentity = peer.sourceIdentity;
    this.peerAddress = peer.peerAddress;
    this.status = request.status;
    this.grpcStatus = request.grpcStatus;
    this.error = request.error;
    this.durationMs = request.durationMs;
    this.requestBytes = request.requestBytes;
    this.responseBytes = request.responseBytes;
    this.tries = request.tries;
    this.instance = request.instance;
  }
}

export function spanRecord(ended: EndedSpan): OtlpSpan {
  const { span, attributes, wallMs, labels, durationMs } = ended;
  const isServer = labels.direction === 'inbound';
  const startMs = span.startMs + wallMs;
  const endMs = startMs + durationMs;
  const all: AttributeValue[] = [];
  addCommon(all, ended);
  if (isServer) addServer(all, ended);
  else addClient(all, ended);
  for (const own of attributes) all.push(own);
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentId: span.parentId,
    state: span.state,
    flags: span.flags,
    name: nameOf(ended),
    kind: isServer ? 'server' : 'client',
    startMs,
    endMs,
    attributes: all,
    events: isServer ? NO_EVENTS : span.tries.map((one) => eventOf(one, wallMs, endMs)),
    error: errorOf(ended, isServer),
  };
}

/** Of few values, as the conventions want it. */
function nameOf({ method, path, protocol, labels }: EndedSpan): string {
  if (protocol === 'grpc' && path.length <= 256) return path.slice(1);
  return `${METHODS.has(method) ? method : 'HTTP'} ${serviceName(labels.destination)}`;
}

function addCommon(to: AttributeValue[], ended: EndedSpan): void {
  const { method, path, authority, version, labels, status, error, protocol, route, grpcStatus, requestBytes, responseBytes } = ended;
  if (METHODS.has(method)) to.push('http.request.method', method);
  else to.push('http.request.method', OTHER_METHOD, 'http.request.method_original', method.slice(0, 64));
  to.push('url.path', path);
  addServerAddress(to, authority);
  if (status !== 0) to.push('http.response.status_code', status);
  to.push('network.protocol.name', 'http', 'network.protocol.version', version);
  to.push('http.request.body.size', requestBytes, 'http.response.body.size', responseBytes);
  const type = errorType(ended);
  if (type !== undefined) to.push('error.type', type);
  to.push('heddle.source', labels.source, 'heddle.destination', labels.destination);
  if (route !== '') to.push('heddle.route', route);
  if (error !== '') to.push('heddle.error.code', error);
  if (protocol === 'grpc') addGrpc(to, path, grpcStatus);
}

function addServerAddress(to: AttributeValue[], authority: string): void {
  if (authority === '') return;
  const port = PORT.exec(authority)?.[1];
  if (port === undefined) to.push('server.address', authority);
  else to.push('server.address', authority.slice(0, -port.length - 1), 'server.port', Number(port));
}

/** `/package.Service/Method`. */
function addGrpc(to: AttributeValue[], path: string, grpcStatus: number | undefined): void {
  const [, service = '', method = ''] = path.split('/');
  to.push('rpc.system', 'grpc', 'rpc.service', service, 'rpc.method', method);
  if (grpcStatus !== undefined) to.push('rpc.grpc.status_code', grpcStatus);
}

function addServer(to: AttributeValue[], { peerAddress, sourceIdentity, userAgent }: EndedSpan): void {
  to.push('url.scheme', 'http');
  if (peerAddress !== '') to.push('network.peer.address', peerAddress);
  if (sourceIdentity !== '') to.push('heddle.peer.identity', sourceIdentity);
  if (userAgent !== '') to.push('user_agent.original', userAgent.slice(0, 256));
}

function addClient(to: AttributeValue[], { authority, path, instance, tries, span }: EndedSpan): void {
  const last = span.tries.findLast((one) => one.outcome === '') ?? span.tries.at(-1);
  to.push('url.full', `http://${authority}${path}`, 'heddle.tries', tries);
  if (tries > 1) to.push('http.request.resend_count', tries - 1);
  if (instance !== '') to.push('heddle.instance', instance);
  if (last !== undefined) to.push('network.peer.address', last.address, 'network.peer.port', last.port);
}

/** At its beginning, with how it ended. */
function eventOf({ startMs, endMs, instance, address, port, isHedge, outcome }: SpanTry, wallMs: number, spanEndMs: number): SpanEvent {
  const untilMs = endMs === -1 ? spanEndMs : endMs + wallMs;
  const attributes: AttributeValue[] = ['heddle.instance', instance, 'network.peer.address', address, 'network.peer.port', port];
  attributes.push('heddle.try.kind', isHedge ? 'hedge' : 'try', 'heddle.try.outcome', outcome === '' ? 'answered' : outcome);
  attributes.push('heddle.try.duration_ms', Math.max(0, Math.round((untilMs - startMs - wallMs) * 1_000) / 1_000));
  return { timeMs: startMs + wallMs, name: 'heddle.try', attributes };
}

function errorType({ error, status, grpcStatus }: EndedSpan): string | undefined {
  if (error !== '') return error;
  if (grpcStatus !== undefined && grpcStatus !== 0) return String(grpcStatus);
  return status >= 500 ? String(status) : undefined;
}

/** A server is not at fault for what its client did wrong. */
function errorOf(ended: EndedSpan, isServer: boolean): string | undefined {
  const { error, status, grpcStatus } = ended;
  if (isOwnError(ended)) return error;
  if (error !== '') return isServer ? undefined : error;
  if (grpcStatus !== undefined) return isGrpcFailure(grpcStatus, isServer) ? `gRPC status ${grpcStatus}` : undefined;
  return status >= (isServer ? 500 : 400) ? '' : undefined;
}

/** `orders` of `default/orders`. */
function serviceName(key: string): string {
  return key.slice(key.indexOf('/') + 1);
}

/** Of whom the span is: `service.name` and what else tells the instances of a service apart. @param workload empty: it is known by its service alone. */
export function resourceOf(service: string, workload: string, node: string): Attributes {
  const at = service.indexOf('/');
  const all: AttributeValue[] = ['service.name', service.slice(at + 1)];
  if (at !== -1) all.push('service.namespace', service.slice(0, at));
  if (workload !== '') all.push('service.instance.id', workload.slice(workload.lastIndexOf('/') + 1));
  all.push('host.name', node, 'telemetry.sdk.name', 'heddle', 'telemetry.sdk.language', 'nodejs');
  return all;
}
