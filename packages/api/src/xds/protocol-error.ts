// What ends a stream: the other side does not keep to the protocol or to a limit.

/** The peer broke the xDS protocol or a limit: end the stream with this gRPC status. */
export class AdsProtocolError extends Error {
  /** INVALID_ARGUMENT (3) or RESOURCE_EXHAUSTED (8). */
  readonly grpcStatus: 3 | 8;
  constructor(grpcStatus: 3 | 8, message: string) {
    super(message);
    this.name = 'AdsProtocolError';
    this.grpcStatus = grpcStatus;
  }
}
