// Names that a foreign data plane's bootstrap and its resources must agree on.

/** The certificate provider in the bootstrap of a gRPC library: the files that `heddle identity watch` keeps. */
export const GRPC_CERTIFICATE_PROVIDER = 'heddle';
