// Which calls are gRPC: the content type says it, with the coding of the messages after `+` and parameters after `;`.

import { equalsIgnoreCase } from '../bytes/chars.ts';

/** `grpc-web` and `grpc-web-text` are what browsers speak: trailers come as the last message of the body, in the second kind as base64. */
export type GrpcKind = 'grpc' | 'grpc-web' | 'grpc-web-text';

const PREFIX = 'application/';
const KINDS: readonly GrpcKind[] = ['grpc', 'grpc-web', 'grpc-web-text'];

/** The kind of gRPC that a Content-Type names, ignoring letter case; undefined for every other one. */
export function grpcKindOf(contentType: string | undefined): GrpcKind | undefined {
  if (contentType === undefined || !equalsIgnoreCase(contentType, 0, Math.min(PREFIX.length, contentType.length), PREFIX)) return undefined;
  let end = PREFIX.length;
  while (end < contentType.length && !'+; \t'.includes(contentType[end]!)) end++;
  for (const kind of KINDS) if (equalsIgnoreCase(contentType, PREFIX.length, end, kind)) return kind;
  return undefined;
}
