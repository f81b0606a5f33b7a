// What a span says of a request: OpenTelemetry's semantic conventions for HTTP and gRPC, and what they have no name for under `heddle.`. Queries are left out,
// as they may hold secrets.
import type { Attributes, AttributeValue, OtlpSpan, SpanEvent } from '@heddle/api/otlp';
import type { TracingPolicy } from '@heddle/core';
import { RequestHead } from '@heddle/wire';
import type { EndedRequest } from '../../stack/ended-request.ts';
import type { RequestSpan, SpanTry } from '../request-span.ts';
import { isGrpcFailure, isOwnError, methodAndPath, shortPath } from './request-facts.ts';

/** RFC 9110 §9, RFC 5789: other names are as many as their senders like. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']);
const OTHER_METHOD = '_OTHER';
const PORT = /:(\d{1,5})$/;

/** @param wallMs what is to be added to the clock that measures, to have the time of day. */
export function spanRecord(request: EndedRequest, span: RequestSpan, { attributes }: TracingPolicy, wallMs: number): OtlpSpan {
  const { labels, durationMs } = request;
  const isServer = labels.direction === 'inbound';
  const startMs = span.startMs + wallMs;
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentId: span.parentId,
    state: span.state,
    flags: span.flags,
    name: nameOf(request),
    kind: isServer ? 'server' : 'client',
    startMs,
    endMs: startMs + durationMs,
    attributes: [...common(request), ...(isServer ? ofServer(request) : ofClient(request, span)), ...Object.entries(attributes)],
    events: isServer ? [] : span.tries.map((one) => eventOf(one, wallMs, startMs + durationMs)),
    error: errorOf(request, isServer),
  };
}

/** Of few values, as the conventions want it. */
function nameOf({ head, protocol, labels }: EndedRequest): string {
  if (protocol === 'grpc' && head.path.length <= 256) return shortPath(head.path).slice(1);
  return `${METHODS.has(head.method) ? head.method : 'HTTP'} ${serviceName(labels.destination)}`;
}

function common(request: EndedRequest): [string, AttributeValue][] {
  const { head, labels, status, error, protocol, route, grpcStatus, requestBytes, responseBytes } = request;
  const { method, path } = methodAndPath(head);
  const known = METHODS.has(method);
  const port = PORT.exec(head.authority)?.[1];
  const all: [string, AttributeValue | undefined][] = [
    ['http.request.method', known ? method : OTHER_METHOD],
    ['http.request.method_original', known || method === '' ? undefined : method.slice(0, 64)],
    ['url.path', path],
    ['server.address', head.authority === '' ? undefined : head.authority.replace(PORT, '')],
    ['server.port', port === undefined ? undefined : Number(port)],
    ['http.response.status_code', status === 0 ? undefined : status],
    ['network.protocol.name', 'http'],
    ['network.protocol.version', head instanceof RequestHead ? `1.${head.minorVersion}` : '2'],
    ['http.request.body.size', requestBytes],
    ['http.response.body.size', responseBytes],
    ['error.type', errorType(request)],
    ['heddle.source', labels.source],
    ['heddle.destination', labels.destination],
    ['heddle.route', route === '' ? undefined : route],
    ['heddle.error.code', error === '' ? undefined : error],
  ];
  if (protocol === 'grpc') all.push(...ofGrpc(path, grpcStatus));
  return all.filter((one): one is [string, AttributeValue] => one[1] !== undefined);
}

/** `/package.Service/Method`. */
function ofGrpc(path: string, grpcStatus: number | undefined): [string, AttributeValue | undefined][] {
  const [, service, method] = path.split('/');
  return [
    ['rpc.system', 'grpc'],
    ['rpc.service', service],
    ['rpc.method', method],
    ['rpc.grpc.status_code', grpcStatus],
  ];
}

function ofServer({ peer, head }: EndedRequest): [string, AttributeValue][] {
  const agent = head.get('user-agent');
  return [
    ['url.scheme', 'http'],
    ...(peer.peerAddress === '' ? [] : [['network.peer.address', peer.peerAddress] as [string, AttributeValue]]),
    ...(peer.sourceIdentity === '' ? [] : [['heddle.peer.identity', peer.sourceIdentity] as [string, AttributeValue]]),
    ...(agent === undefined ? [] : [['user_agent.original', agent.slice(0, 256)] as [string, AttributeValue]]),
  ];
}

function ofClient({ head, instance, tries }: EndedRequest, span: RequestSpan): [string, AttributeValue][] {
  const last = span.tries.findLast((one) => one.outcome === '') ?? span.tries.at(-1);
  const { path } = methodAndPath(head);
  return [
    ['url.full', `http://${head.authority}${path}`],
    ['heddle.tries', tries],
    ...(tries > 1 ? [['http.request.resend_count', tries - 1] as [string, AttributeValue]] : []),
    ...(instance === '' ? [] : [['heddle.instance', instance] as [string, AttributeValue]]),
    ...(last === undefined
      ? []
      : ([
          ['network.peer.address', last.address],
          ['network.peer.port', last.port],
        ] as [string, AttributeValue][])),
  ];
}

/** At its beginning, with how it ended. */
function eventOf({ startMs, endMs, instance, address, port, isHedge, outcome }: SpanTry, wallMs: number, spanEndMs: number): SpanEvent {
  const untilMs = endMs === -1 ? spanEndMs : endMs + wallMs;
  const attributes: Attributes = [
    ['heddle.instance', instance],
    ['network.peer.address', address],
    ['network.peer.port', port],
    ['heddle.try.kind', isHedge ? 'hedge' : 'try'],
    ['heddle.try.outcome', outcome === '' ? 'answered' : outcome],
    ['heddle.try.duration_ms', Math.max(0, Math.round((untilMs - startMs - wallMs) * 1_000) / 1_000)],
  ];
  return { timeMs: startMs + wallMs, name: 'heddle.try', attributes };
}

function errorType({ error, status, grpcStatus }: EndedRequest): string | undefined {
  if (error !== '') return error;
  if (grpcStatus !== undefined && grpcStatus !== 0) return String(grpcStatus);
  return status >= 500 ? String(status) : undefined;
}

/** A server is not at fault for what its client did wrong. */
function errorOf(request: EndedRequest, isServer: boolean): string | undefined {
  const { error, status, grpcStatus } = request;
  if (isOwnError(request)) return error;
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
  return [
    ['service.name', service.slice(at + 1)],
    ...(at === -1 ? [] : [['service.namespace', service.slice(0, at)] as const]),
    ...(workload === '' ? [] : [['service.instance.id', workload.slice(workload.lastIndexOf('/') + 1)] as const]),
    ['host.name', node],
    ['telemetry.sdk.name', 'heddle'],
    ['telemetry.sdk.language', 'nodejs'],
  ];
}
