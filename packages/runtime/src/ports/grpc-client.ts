// gRPC as one who calls needs it: a channel is one connection to one peer that is known by its SPIFFE id, and never another one in its
// place. Messages are bytes. The node driver is `runtime/node/grpc-client`; a simulation can stand in its place.
import { grpcStatusName } from '@heddle/wire/grpc';
import type { CertificateAndKey } from './network.ts';

/** Names in lower case. Values under names that end in `-bin` are base64, as on the wire. */
export type GrpcHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** How a call ended that did not end well. */
export class GrpcError extends Error {
  /** A status of gRPC other than 0; `GRPC_STATUS` of `@heddle/wire` has their names. */
  readonly code: number;
  /** In the peer's words, or in ours where it has not said anything. */
  readonly details: string;
  constructor(code: number, details: string, cause?: unknown) {
    super(`${code} ${grpcStatusName(code)}: ${details}`, { cause });
    this.name = 'GrpcError';
    this.code = code;
    this.details = details;
  }
}

export interface GrpcTlsOptions {
  /** What the peer's certificate must lead to; PEM. */
  readonly rootsPem: string;
  /** What we show when asked. Absent: nothing. */
  readonly identity?: CertificateAndKey;
  /** The SPIFFE id that the peer must prove. Its names are not looked at. */
  readonly peerId: string;
  /** Sent as SNI and as `:authority`. */
  readonly serverName: string;
}

export interface GrpcChannelOptions {
  /** An IP address, or a name that the system resolves. */
  readonly address: string;
  readonly port: number;
  readonly tls: GrpcTlsOptions;
  /** Connecting and TLS handshake together. Default: 20 s. */
  readonly connectTimeoutMs?: number;
  /** A PING goes out so long after the peer's last byte, also while there is no call, and the peer has so long to send anything. */
  readonly keepalive: { readonly timeMs: number; readonly timeoutMs: number };
  /** Of one message that is received, and of what waits to be sent on one call. */
  readonly messageBytesMax: number;
}

export interface GrpcUnaryOptions {
  /** For the answer, what is left of connecting included. Default: none. */
  readonly timeoutMs?: number;
  readonly headers?: GrpcHeaders;
  /** Gives the call up: it rejects with CANCELLED. */
  readonly signal?: AbortSignal;
}

export interface GrpcStreamHandler {
  /** The peer has accepted the call. Not called where it says at once how the call ended. */
  onHeaders?(headers: GrpcHeaders): void;
  /** The bytes are the receiver's to keep. */
  onMessage(bytes: Buffer): void;
  /** After `write` returned false: there is room again. */
  onDrained?(): void;
  /** Once, last; never after `cancel`. Undefined: status OK. */
  onEnd(error: GrpcError | undefined, trailers: GrpcHeaders): void;
}

export interface GrpcStream {
  /** False: so much waits that one should stop until `onDrained`. Beyond `messageBytesMax` the call ends with RESOURCE_EXHAUSTED. Nothing after `end`. */
  write(message: Uint8Array): boolean;
  readonly isBlocked: boolean;
  /** Ends our direction after what was written. */
  end(): void;
  /** Gives the call up at once. The handler hears nothing more. */
  cancel(): void;
}

/**
 * Connects at once. Calls may be made before the connection is there. When it breaks or cannot be made, all calls end with UNAVAILABLE, and so
 * does every later one: who wants to try again makes a new channel. The same holds for calls after the peer has said GOAWAY, while those
 * that it accepted go on.
 */
export interface GrpcChannel {
  /** `method`: `/<package>.<service>/<method>`. Rejects with GrpcError. */
  unary(method: string, request: Uint8Array, options?: GrpcUnaryOptions): Promise<Buffer>;
  /** Never throws; failures arrive at `handler.onEnd`, not before this returns. */
  bidi(method: string, handler: GrpcStreamHandler, headers?: GrpcHeaders): GrpcStream;
  /** Calls that are open end with CANCELLED, the peer is told that the connection ends, and it is gone soon after, whether the peer answers or not. */
  close(): void;
  /** The same without a word to the peer. */
  drop(): void;
}

export interface GrpcClient {
  /** Throws NetworkError `tls` when the PEM cannot be used. */
  open(options: GrpcChannelOptions): GrpcChannel;
}
