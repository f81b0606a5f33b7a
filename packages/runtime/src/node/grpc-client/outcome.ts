// How a call ended, from what HTTP/2 brought (PROTOCOL-HTTP2.md and http-grpc-status-mapping.md of grpc/grpc): the peer's own word where there
// is one, otherwise what the HTTP status or the code of RST_STREAM says.
import { decodeGrpcMessage, GRPC_STATUS, grpcKindOf, grpcStatusOfHttp, readGrpcStatus } from '@heddle/wire/grpc';
import { GrpcError, type GrpcHeaders } from '../../ports/grpc-client.ts';

/** By their number, RFC 9113 §7. */
const RESETS: readonly (readonly [name: string, code: number])[] = [
  ['NO_ERROR', GRPC_STATUS.INTERNAL],
  ['PROTOCOL_ERROR', GRPC_STATUS.INTERNAL],
  ['INTERNAL_ERROR', GRPC_STATUS.INTERNAL],
  ['FLOW_CONTROL_ERROR', GRPC_STATUS.INTERNAL],
  ['SETTINGS_TIMEOUT', GRPC_STATUS.INTERNAL],
  ['STREAM_CLOSED', GRPC_STATUS.UNKNOWN],
  ['FRAME_SIZE_ERROR', GRPC_STATUS.INTERNAL],
  ['REFUSED_STREAM', GRPC_STATUS.UNAVAILABLE],
  ['CANCEL', GRPC_STATUS.CANCELLED],
  ['COMPRESSION_ERROR', GRPC_STATUS.INTERNAL],
  ['CONNECT_ERROR', GRPC_STATUS.INTERNAL],
  ['ENHANCE_YOUR_CALM', GRPC_STATUS.RESOURCE_EXHAUSTED],
  ['INADEQUATE_SECURITY', GRPC_STATUS.PERMISSION_DENIED],
  ['HTTP_1_1_REQUIRED', GRPC_STATUS.INTERNAL],
];

/** The name of an error code of HTTP/2, for people. */
export function resetName(code: number): string {
  return RESETS[code]?.[0] ?? `code ${code}`;
}

/** The peer reset the stream before it said how the call ended. */
export function errorOfReset(code: number): GrpcError {
  return new GrpcError(RESETS[code]?.[1] ?? GRPC_STATUS.UNKNOWN, `the peer reset the call (${resetName(code)})`);
}

/** Of the head of an answer: why what follows is no gRPC. Undefined: it is. */
export function errorOfHead(head: GrpcHeaders): GrpcError | undefined {
  if (first(head, 'grpc-status') !== undefined) return undefined;
  const status = httpStatus(head);
  if (status !== 200) return new GrpcError(grpcStatusOfHttp(status), `the peer answered with HTTP status ${status}`);
  const contentType = first(head, 'content-type');
  if (grpcKindOf(contentType) === 'grpc') return undefined;
  return new GrpcError(GRPC_STATUS.UNKNOWN, `the peer answered with ${contentType ?? 'no content type'}, which is not gRPC`);
}

/** Of trailers, or of a head that ends the stream. Undefined: OK. */
export function errorOfTrailers(trailers: GrpcHeaders): GrpcError | undefined {
  const status = first(trailers, 'grpc-status');
  if (status === undefined) return errorOfNoStatus();
  const code = readGrpcStatus(status);
  return code === GRPC_STATUS.OK ? undefined : new GrpcError(code, decodeGrpcMessage(first(trailers, 'grpc-message') ?? ''));
}

/** The peer ended the stream as HTTP does. */
export function errorOfNoStatus(): GrpcError {
  return new GrpcError(GRPC_STATUS.UNKNOWN, 'the peer ended the call without a status');
}

function httpStatus(head: GrpcHeaders): number {
  return Number(head[':status'] ?? 0);
}

function first(headers: GrpcHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'object' ? value[0] : value;
}
