// Status codes of gRPC (doc/statuscodes.md), and what an HTTP status means to a gRPC client when the answer did not come from gRPC
// (doc/http-grpc-status-mapping.md).

export const GRPC_STATUS = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type GrpcStatusName = keyof typeof GRPC_STATUS;

const NAMES = Object.keys(GRPC_STATUS) as GrpcStatusName[];

/** `UNKNOWN` for numbers that are no status. */
export function grpcStatusName(status: number): GrpcStatusName {
  return NAMES[status] ?? 'UNKNOWN';
}

/** The number in a `grpc-status` header. What is missing, no number, or no known status is UNKNOWN. */
export function readGrpcStatus(value: string | undefined): number {
  if (value === undefined || !/^[0-9]{1,2}$/.test(value)) return GRPC_STATUS.UNKNOWN;
  const status = Number(value);
  return status < NAMES.length ? status : GRPC_STATUS.UNKNOWN;
}

/** For answers without `grpc-status`. 200 is not in the mapping either: without a status it is UNKNOWN. */
export function grpcStatusOfHttp(httpStatus: number): number {
  switch (httpStatus) {
    case 400:
      return GRPC_STATUS.INTERNAL;
    case 401:
      return GRPC_STATUS.UNAUTHENTICATED;
    case 403:
      return GRPC_STATUS.PERMISSION_DENIED;
    case 404:
      return GRPC_STATUS.UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
      return GRPC_STATUS.UNAVAILABLE;
    default:
      return GRPC_STATUS.UNKNOWN;
  }
}

/** By status: what google/rpc/code.proto says stands for it in HTTP. */
const HTTP_STATUSES = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401] as const;

/** For those who know only HTTP: metrics, people. */
export function httpStatusOfGrpc(status: number): number {
  return HTTP_STATUSES[status] ?? HTTP_STATUSES[GRPC_STATUS.UNKNOWN];
}
