// What can be wrong with the messages of a gRPC stream. The stream is over after that, the connection is not.

import { GRPC_STATUS } from './status.ts';

export const GRPC_VIOLATIONS = {
  BAD_COMPRESSED_FLAG: {
    grpcStatus: GRPC_STATUS.INTERNAL,
    rule: 'A gRPC message begins with a byte that says 0 (plain) or 1 (compressed).',
  },
  MESSAGE_TOO_LARGE: { grpcStatus: GRPC_STATUS.RESOURCE_EXHAUSTED, rule: 'A gRPC message is larger than the limit.' },
  TRUNCATED_MESSAGE: { grpcStatus: GRPC_STATUS.INTERNAL, rule: 'A gRPC stream ended in the middle of a message.' },
} as const satisfies Record<string, { grpcStatus: number; rule: string }>;

export type GrpcViolationCode = keyof typeof GRPC_VIOLATIONS;
