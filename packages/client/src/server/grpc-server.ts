// The door `@heddle/client/grpc-server`: what the mesh knows about a call that a server of grpc-js answers.
import type { Metadata, ServerInterceptingCall, ServerInterceptingCallInterface, ServerInterceptor } from '@grpc/grpc-js';
import { nodeClock } from '@heddle/runtime/process';
import { AskedRequest, CLAIMS_HEADER, type MeshRequest, PEER_HEADER, type Peer } from './mesh-request.ts';

export type { MeshRequest, Peer };

/** Of grpc-js. */
interface GrpcJs {
  readonly ServerInterceptingCall: typeof ServerInterceptingCall;
}

/** What an implementation of a method gets, of every kind. */
export interface ServerCall {
  readonly metadata: Metadata;
}

/** What Node's HTTP/2 has for the call. */
interface CallStream {
  readonly session?: { readonly socket?: unknown };
}

const asked = new WeakMap<Metadata, MeshRequest>();
/** Of a call that no interceptor has seen. */
const OUTSIDE: MeshRequest = Object.freeze({
  peer: undefined,
  claims: undefined,
  timeLeftMs: undefined,
  signal: new AbortController().signal,
});

/** `new grpc.Server({ interceptors: [meshInterceptor(grpc)] })`, ahead of those that put other metadata in the place of the received. */
export function meshInterceptor(grpc: GrpcJs): ServerInterceptor {
  return (_method, call) => {
    const controller = new AbortController();
    return new grpc.ServerInterceptingCall(call, {
      start: (next) => {
        next({
          onReceiveMetadata: (metadata, pass) => {
            asked.set(metadata, requestOf(call, metadata, controller));
            pass(metadata);
          },
          onReceiveMessage: (message, pass) => pass(message),
          onReceiveHalfClose: (pass) => pass(),
          onCancel: () => controller.abort(),
        });
      },
    });
  };
}

/** In the implementation of a method: `meshOf(call)`. Without `meshInterceptor` there is neither peer nor anything else. */
export function meshOf(call: ServerCall): MeshRequest {
  return asked.get(call.metadata) ?? OUTSIDE;
}

function requestOf(call: ServerInterceptingCallInterface, metadata: Metadata, { signal }: AbortController): MeshRequest {
  const headers = { [PEER_HEADER]: once(metadata, PEER_HEADER), [CLAIMS_HEADER]: once(metadata, CLAIMS_HEADER) };
  const deadline = call.getDeadline();
  const leftMs = Number(deadline) - nodeClock.wallMs();
  return new AskedRequest({
    headers,
    socket: streamOf(call)?.session?.socket,
    answer: signal,
    arrivedMs: nodeClock.nowMs(),
    ...(Number.isFinite(leftMs) && { givenMs: leftMs }),
  });
}

function once(metadata: Metadata, name: string): string | undefined {
  const values = metadata.get(name);
  return values.length === 1 && typeof values[0] === 'string' ? values[0] : undefined;
}

/** grpc-js has no door to it: the innermost call holds it. Where it does not, nobody is taken for a peer. */
function streamOf(call: ServerInterceptingCallInterface): CallStream | undefined {
  type Layer = { readonly nextCall?: Layer; readonly stream?: CallStream };
  let layer: Layer | undefined = call as Layer;
  while (layer?.nextCall !== undefined) layer = layer.nextCall;
  return layer?.stream;
}
