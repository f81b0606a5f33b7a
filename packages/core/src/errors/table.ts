// Every error a data plane can answer with: one table, read by the proxy, the access log, the metrics and the reference page.

export type ErrorOrigin = 'local' | 'peer' | 'upstream' | 'policy';

export interface ErrorEntry {
  /** Who is at fault: `peer` is the downstream client, `upstream` the called side, `policy` a rule of the mesh, `local` ourselves. */
  readonly origin: ErrorOrigin;
  /** Whether another try can be made although the method is not idempotent: the application never saw the request. */
  readonly neverDelivered: boolean;
  readonly httpStatus: number;
  /** gRPC status code (grpc/status.proto). */
  readonly grpcStatus: number;
  readonly meaning: string;
  readonly mend: string;
}

export const ERRORS = {
  NO_SUCH_SERVICE: {
    origin: 'policy',
    neverDelivered: true,
    httpStatus: 404,
    grpcStatus: 5,
    meaning: 'No route leads to the authority that was asked for.',
    mend: 'Check the name and the port against `heddle get services`.',
  },
  NO_HEALTHY_INSTANCE: {
    origin: 'upstream',
    neverDelivered: true,
    httpStatus: 503,
    grpcStatus: 14,
    meaning: 'The service exists but no instance of it is healthy.',
    mend: 'See `heddle get instances` for the reason of each instance.',
  },
  CONNECT_FAILED: {
    origin: 'upstream',
    neverDelivered: true,
    httpStatus: 503,
    grpcStatus: 14,
    meaning: 'No connection to the chosen instance could be made.',
    mend: 'See `heddle get instances`; the instance or its data plane is gone.',
  },
  CONNECT_TIMEOUT: {
    origin: 'upstream',
    neverDelivered: true,
    httpStatus: 503,
    grpcStatus: 14,
    meaning: 'The connection to the chosen instance was not made in time.',
    mend: 'Check that the instance runs and the network reaches it.',
  },
  PEER_NOT_TRUSTED: {
    origin: 'upstream',
    neverDelivered: true,
    httpStatus: 503,
    grpcStatus: 14,
    meaning: 'The called side did not show the identity of the service that was asked for.',
    mend: 'Check `heddle check` on both machines; a foreign process may hold the port, or the roots differ.',
  },
  APPLICATION_REFUSED: {
    origin: 'upstream',
    neverDelivered: true,
    httpStatus: 503,
    grpcStatus: 14,
    meaning: 'The data plane of the instance could not connect to its application.',
    mend: 'The application is not listening on its port: see its output.',
  },
  NO_IDENTITY: {
    origin: 'local',
    neverDelivered: true,
    httpStatus: 503,
    grpcStatus: 14,
    meaning: 'The calling workload has no certificate yet.',
    mend: 'See the proxy log: it could not join, or the control plane cannot be reached.',
  },
  STREAM_REFUSED: {
    origin: 'upstream',
    neverDelivered: true,
    httpStatus: 503,
    grpcStatus: 14,
    meaning: 'The instance refused the request before doing anything with it.',
    mend: 'It is stopping or at its limit of requests at once; such requests are sent to another instance.',
  },
  UPSTREAM_RESET: {
    origin: 'upstream',
    neverDelivered: false,
    httpStatus: 502,
    grpcStatus: 14,
    meaning: 'The instance closed the connection before the response was complete.',
    mend: 'The application crashed or was stopped during the request; idempotent requests are retried.',
  },
  UPSTREAM_PROTOCOL: {
    origin: 'upstream',
    neverDelivered: false,
    httpStatus: 502,
    grpcStatus: 13,
    meaning: 'The instance answered with something that is not valid HTTP.',
    mend: 'Check the protocol declared for the service.',
  },
  REQUEST_TIMEOUT: {
    origin: 'upstream',
    neverDelivered: false,
    httpStatus: 504,
    grpcStatus: 4,
    meaning: 'The response did not come within the time limit of the route.',
    mend: 'Raise `timeout` of the service, or see why it is slow.',
  },
  TRY_TIMEOUT: {
    origin: 'upstream',
    neverDelivered: false,
    httpStatus: 504,
    grpcStatus: 4,
    meaning: 'The instance did not answer within the time for one try, and no other try was made or none came through.',
    mend: 'Raise `retry.perTry` of the service, list `timeout` among `retry.on`, or see why the instance is slow.',
  },
  DEADLINE_EXCEEDED: {
    origin: 'upstream',
    neverDelivered: false,
    httpStatus: 504,
    grpcStatus: 4,
    meaning: 'The response did not come within the time that the caller gave by `grpc-timeout` or `x-request-timeout`.',
    mend: 'Let the caller give more time, or see why the service is slow; a longer `timeout` of the service does not help.',
  },
  IDLE_TIMEOUT: {
    origin: 'upstream',
    neverDelivered: false,
    httpStatus: 504,
    grpcStatus: 4,
    meaning: 'No byte of the request or its response moved for longer than the idle limit of the route.',
    mend: 'Raise `idleTimeout` of the service, or send something now and then.',
  },
  BAD_REQUEST: {
    origin: 'peer',
    neverDelivered: true,
    httpStatus: 400,
    grpcStatus: 3,
    meaning: 'The request is not valid HTTP.',
    mend: 'The message names the violated rule.',
  },
  HEAD_TOO_LARGE: {
    origin: 'peer',
    neverDelivered: true,
    httpStatus: 431,
    grpcStatus: 8,
    meaning: 'Request line or headers exceed the limit.',
    mend: 'Send less in headers.',
  },
  BODY_TOO_LARGE: {
    origin: 'peer',
    neverDelivered: false,
    httpStatus: 413,
    grpcStatus: 8,
    meaning: 'The body of the request exceeds the limit.',
    mend: 'Send it in parts.',
  },
  NOT_IMPLEMENTED: {
    origin: 'peer',
    neverDelivered: true,
    httpStatus: 501,
    grpcStatus: 12,
    meaning: 'The request uses a feature this proxy does not carry.',
    mend: 'The message names it.',
  },
  CLIENT_TIMEOUT: {
    origin: 'peer',
    neverDelivered: true,
    httpStatus: 408,
    grpcStatus: 4,
    meaning: 'The client did not send its request in time.',
    mend: 'Send the whole head without pauses.',
  },
  UNKNOWN_WORKLOAD: {
    origin: 'peer',
    neverDelivered: true,
    httpStatus: 407,
    grpcStatus: 16,
    meaning: 'The proxy credential names no workload of this data plane, or none was given where one is needed.',
    mend: 'Use the HTTP_PROXY value that heddle put into the environment.',
  },
  RATE_LIMITED: {
    origin: 'policy',
    neverDelivered: true,
    httpStatus: 429,
    // RESOURCE_EXHAUSTED, which clients do not repeat by themselves; UNAVAILABLE, Envoy's default, would ask them to come again at once.
    grpcStatus: 8,
    meaning: 'The caller has used up its share of a rate limit.',
    mend: 'Send again after the time in `retry-after`; `rateLimit` of the service or the rule sets the limit.',
  },
  FAULT_INJECTED: {
    origin: 'policy',
    neverDelivered: true,
    httpStatus: 503,
    grpcStatus: 14,
    meaning: 'A rule asks for this failure, to try out how callers take it; its status is that of the rule.',
    mend: 'Remove `fault` from the rule when the trial is over.',
  },
  EGRESS_REFUSED: {
    origin: 'policy',
    neverDelivered: true,
    httpStatus: 403,
    grpcStatus: 7,
    meaning: 'The host lies outside the mesh and is not among those that may be called.',
    mend: 'Add it to `egress` in the mesh file, with its port and protocol; if a service is meant, see `heddle get services` for its names.',
  },
  ACCESS_DENIED: {
    origin: 'policy',
    neverDelivered: true,
    httpStatus: 403,
    grpcStatus: 7,
    meaning: 'The rules of the called service do not allow this caller this request.',
    mend: 'See which rule decides with `heddle explain`; rules are in `security.access` of the mesh file.',
  },
  TOKEN_REQUIRED: {
    origin: 'policy',
    neverDelivered: true,
    httpStatus: 401,
    grpcStatus: 16,
    meaning: 'The rules of the called service allow this request only with a token, and none came with it.',
    mend: 'Send a token of an issuer that the service accepts; `heddle explain` says which.',
  },
  TOKEN_INVALID: {
    origin: 'policy',
    neverDelivered: true,
    httpStatus: 401,
    grpcStatus: 16,
    meaning: 'A token came with the request that is not valid for this service.',
    mend: 'Get a new token. The reason is in the log of the called data plane, the answer names the kind of fault alone.',
  },
  AUTHORIZER_UNAVAILABLE: {
    origin: 'upstream',
    neverDelivered: true,
    httpStatus: 503,
    grpcStatus: 14,
    meaning: 'Whether the request is allowed could not be found out: the authorizer, or the issuer of its token, did not answer.',
    mend: 'See that the authorizer of `security.access` and the issuer of the token can be reached from the called instance.',
  },
  CIRCUIT_OPEN: {
    origin: 'policy',
    neverDelivered: true,
    httpStatus: 503,
    grpcStatus: 14,
    meaning: 'As many requests to the service are under way, or wait, as its breaker allows.',
    mend: 'See why its instances are slow; raise `breaker` of the service, or add instances.',
  },
  OVERLOADED: {
    origin: 'local',
    neverDelivered: true,
    httpStatus: 503,
    grpcStatus: 8,
    meaning: 'A limit of this data plane is reached, or more requests are under way than the called side has lately answered well.',
    mend: 'Retry later; raise the limit or add instances.',
  },
  DRAINING: {
    origin: 'local',
    neverDelivered: true,
    httpStatus: 503,
    grpcStatus: 14,
    meaning: 'This data plane is shutting down.',
    mend: 'Retry; another instance answers.',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** Response header in which a data plane names the error it answered with; removed from what applications send. */
export const ERROR_HEADER = 'x-heddle-error';
