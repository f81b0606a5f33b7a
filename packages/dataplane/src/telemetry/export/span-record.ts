// What a span says of a request: OpenTelemetry's semantic conventions for HTTP and gRPC, and what they have no name for under `heddle.`. Queries are left out,
// as they may hold secrets.
import type { Attributes, AttributeValue, SpanWriter } from '@heddle/api/otlp';
import type { RequestSpan, SpanTry } from '../request-span.ts';
import type { HeldRequest } from './held-requests.ts';
import { isGrpcFailure, isOwnError, shortPath } from './request-facts.ts';

/** RFC 9110 §9, RFC 5789: other names are as many as their senders like. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']);
const OTHER_METHOD = '_OTHER';
const PORT = /:(\d{1,5})$/;

/**
 * Returns its size in bytes.
 * @param attributes keys and values in turn, on every span.
 * @param wallMs what is to be added to the clock that measures, to have the time of day.
 */
export function writeSpan(to: SpanWriter, span: RequestSpan, held: HeldRequest, attributes: Attributes, wallMs: number): number {
  const isServer = held.labels.direction === 'inbound';
  const startMs = span.startMs + wallMs;
  const endMs = startMs + held.durationMs;
  to.begin(span, nameOf(held), isServer ? 'server' : 'client', startMs, endMs);
  writeCommon(to, held);
  if (isServer) writeServer(to, held);
  else writeClient(to, held, span);
  for (let at = 0; at + 1 < attributes.length; at += 2) to.attribute(attributes[at] as string, attributes[at + 1]!);
  if (!isServer) for (const one of span.tries) writeTry(to, one, wallMs, endMs);
  return to.end(errorOf(held, isServer));
}

/** Of few values, as the conventions want it. */
function nameOf({ method, path, protocol, labels }: HeldRequest): string {
  if (protocol === 'grpc' && path.length <= 256) return shortPath(path).slice(1);
  return `${METHODS.has(method) ? method : 'HTTP'} ${serviceName(labels.destination)}`;
}

function writeCommon(to: SpanWriter, held: HeldRequest): void {
  const { method, labels, status, error, protocol, route, grpcStatus } = held;
  const path = shortPath(held.path);
  const isKnown = METHODS.has(method);
  to.attribute('http.request.method', isKnown ? method : OTHER_METHOD);
  if (!isKnown) to.attribute('http.request.method_original', method.slice(0, 64));
  to.attribute('url.path', path);
  writeServerAddress(to, held.authority);
  if (status !== 0) to.attribute('http.response.status_code', status);
  to.attribute('network.protocol.name', 'http');
  to.attribute('network.protocol.version', held.httpVersion);
  to.attribute('http.request.body.size', held.requestBytes);
  to.attribute('http.response.body.size', held.responseBytes);
  const type = errorType(held);
  if (type !== undefined) to.attribute('error.type', type);
  to.attribute('heddle.source', labels.source);
  to.attribute('heddle.destination', labels.destination);
  if (route !== '') to.attribute('heddle.route', route);
  if (error !== '') to.attribute('heddle.error.code', error);
  if (protocol === 'grpc') writeGrpc(to, path, grpcStatus);
}

function writeServerAddress(to: SpanWriter, authority: string): void {
  if (authority === '') return;
  const port = PORT.exec(authority)?.[1];
  to.attribute('server.address', port === undefined ? authority : authority.slice(0, -port.length - 1));
  if (port !== undefined) to.attribute('server.port', Number(port));
}

/** `/package.Service/Method`. */
function writeGrpc(to: SpanWriter, path: string, grpcStatus: number | undefined): void {
  const [, service = '', method = ''] = path.split('/');
  to.attribute('rpc.system', 'grpc');
  to.attribute('rpc.service', service);
  to.attribute('rpc.method', method);
  if (grpcStatus !== undefined) to.attribute('rpc.grpc.status_code', grpcStatus);
}

function writeServer(to: SpanWriter, { peerAddress, peerIdentity, userAgent }: HeldRequest): void {
  to.attribute('url.scheme', 'http');
  if (peerAddress !== '') to.attribute('network.peer.address', peerAddress);
  if (peerIdentity !== '') to.attribute('heddle.peer.identity', peerIdentity);
  if (userAgent !== undefined) to.attribute('user_agent.original', userAgent.slice(0, 256));
}

function writeClient(to: SpanWriter, { authority, path, instance, tries }: HeldRequest, { tries: told }: RequestSpan): void {
  const last = told.findLast((one) => one.outcome === '') ?? told.at(-1);
  to.attribute('url.full', `http://${authority}${shortPath(path)}`);
  to.attribute('heddle.tries', tries);
  if (tries > 1) to.attribute('http.request.resend_count', tries - 1);
  if (instance !== '') to.attribute('heddle.instance', instance);
  if (last !== undefined) writePeer(to, last);
}

function writePeer(to: SpanWriter, { address, port }: SpanTry): void {
  to.attribute('network.peer.address', address);
  to.attribute('network.peer.port', port);
}

/** An event at its beginning, with how it ended. */
function writeTry(to: SpanWriter, one: SpanTry, wallMs: number, spanEndMs: number): void {
  const { startMs, endMs, instance, isHedge, outcome } = one;
  const untilMs = endMs === -1 ? spanEndMs : endMs + wallMs;
  to.beginEvent('heddle.try', startMs + wallMs);
  to.attribute('heddle.instance', instance);
  writePeer(to, one);
  to.attribute('heddle.try.kind', isHedge ? 'hedge' : 'try');
  to.attribute('heddle.try.outcome', outcome === '' ? 'answered' : outcome);
  to.attribute('heddle.try.duration_ms', Math.max(0, Math.round((untilMs - startMs - wallMs) * 1_000) / 1_000));
  to.endEvent();
}

function errorType({ error, status, grpcStatus }: HeldRequest): string | undefined {
  if (error !== '') return error;
  if (grpcStatus !== undefined && grpcStatus !== 0) return String(grpcStatus);
  return status >= 500 ? String(status) : undefined;
}

/** A server is not at fault for what its client did wrong. */
function errorOf(held: HeldRequest, isServer: boolean): string | undefined {
  const { error, status, grpcStatus } = held;
  if (isOwnError(held)) return error;
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
