// gRPC over HTTP/2 (the protocol's own document, doc/PROTOCOL-HTTP2.md of grpc/grpc) without IO.

export { grpcKindOf, type GrpcKind } from './content-type.ts';
export { GrpcReader, GRPC_MESSAGE_BYTES_MAX, GRPC_PREFIX_BYTES, grpcPrefix, writeGrpcMessage, type GrpcHandler } from './framing.ts';
export { decodeGrpcMessage, encodeGrpcMessage } from './message.ts';
export { GRPC_STATUS, grpcStatusName, grpcStatusOfHttp, httpStatusOfGrpc, readGrpcStatus, type GrpcStatusName } from './status.ts';
export { formatGrpcTimeout, parseGrpcTimeout } from './timeout.ts';
export { GRPC_VIOLATIONS, type GrpcViolationCode } from './violations.ts';
