// How a data plane reaches the control plane: a gRPC channel that trusts the mesh's roots and nothing else, to a server that proves to be the
// control plane; and calls on it in messages instead of bytes.
import { CONTROL_KEEPALIVE, CONTROL_SERVER_NAME, type Method, type UnaryMethod } from '@heddle/api';
import { controlPlaneId, DEFAULT_LIMITS, formatSpiffeId, type SpiffeId } from '@heddle/core';
import { type CertificateAndKey, type GrpcChannel, type GrpcClient, GrpcError, type GrpcUnaryOptions } from '@heddle/runtime';
import { GRPC_STATUS } from '@heddle/wire/grpc';

export interface ControlAddress {
  readonly address: string;
  readonly port: number;
}

export interface ControlTrust {
  readonly rootsPem: string;
  readonly trustDomain: string;
  /** What we show. Absent: nothing, as before there is a certificate. */
  readonly identity?: CertificateAndKey;
}

/** Throws NetworkError when the PEM cannot be used. @param patience factor for the time in which it must answer a PING. Default 1. */
export function controlChannel(grpc: GrpcClient, control: ControlAddress, trust: ControlTrust, patience = 1): GrpcChannel {
  const { rootsPem, trustDomain, identity } = trust;
  return grpc.open({
    address: control.address,
    port: control.port,
    tls: {
      rootsPem,
      ...(identity && { identity }),
      peerId: formatSpiffeId(controlPlaneId(trustDomain)),
      serverName: CONTROL_SERVER_NAME,
    },
    keepalive: { timeMs: CONTROL_KEEPALIVE.timeMs, timeoutMs: CONTROL_KEEPALIVE.timeoutMs * patience },
    messageBytesMax: DEFAULT_LIMITS.discoveryMessageBytesMax,
  });
}

/** As a certified workload. */
export function workloadChannel(
  grpc: GrpcClient,
  control: ControlAddress,
  held: CertificateAndKey & { readonly id: SpiffeId; readonly rootsPem: string },
  patience = 1,
): GrpcChannel {
  return controlChannel(grpc, control, { rootsPem: held.rootsPem, trustDomain: held.id.trustDomain, identity: held }, patience);
}

/** Rejects with GrpcError. */
export async function callControl<Request, Response>(
  channel: GrpcChannel,
  method: UnaryMethod<Request, Response>,
  request: Request,
  options: GrpcUnaryOptions,
): Promise<Response> {
  const bytes = await channel.unary(method.path, method.requestSerialize(request), options);
  try {
    return method.responseDeserialize(bytes);
  } catch (error) {
    throw unreadable(error);
  }
}

export interface ControlStreamHandler<Response> {
  /** The control plane has accepted the stream. */
  onHeaders?(): void;
  onMessage(message: Response): void;
  /** Once, last; never after `cancel`. Undefined: it ended well. */
  onEnd(error: GrpcError | undefined): void;
}

export interface ControlStream<Request> {
  /** False: so much waits that one should stop while `isBlocked`. */
  write(message: Request): boolean;
  readonly isBlocked: boolean;
  /** Ends our direction. */
  end(): void;
  /** Gives the stream up at once. The handler hears nothing more. */
  cancel(): void;
}

/** Never throws; failures arrive at `handler.onEnd`, not before this returns. */
export function openControlStream<Request, Response>(
  channel: GrpcChannel,
  method: Method<Request, Response>,
  handler: ControlStreamHandler<Response>,
): ControlStream<Request> {
  const stream = channel.bidi(method.path, {
    onHeaders: () => handler.onHeaders?.(),
    onMessage(bytes) {
      let message: Response;
      try {
        message = method.responseDeserialize(bytes);
      } catch (error) {
        stream.cancel();
        return handler.onEnd(unreadable(error));
      }
      handler.onMessage(message);
    },
    onEnd: (error) => handler.onEnd(error),
  });
  return {
    write: (message) => stream.write(method.requestSerialize(message)),
    get isBlocked() {
      return stream.isBlocked;
    },
    end: () => stream.end(),
    cancel: () => stream.cancel(),
  };
}

function unreadable(error: unknown): GrpcError {
  return new GrpcError(GRPC_STATUS.INTERNAL, `the control plane sent a message that cannot be read: ${(error as Error).message}`, error);
}
