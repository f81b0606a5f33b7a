// What grpc-js makes of a service, as types: the client with a function for each method, and the handlers that a server needs.
import type {
  CallOptions,
  ChannelCredentials,
  Client,
  ClientDuplexStream,
  ClientOptions,
  ClientReadableStream,
  ClientUnaryCall,
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServiceError,
} from '@grpc/grpc-js';
import type { Method } from '../services/method.ts';

type Done<Response> = (error: ServiceError | null, response: Response) => void;

interface UnaryCall<Request, Response> {
  (request: Request, done: Done<Response>): ClientUnaryCall;
  (request: Request, metadata: Metadata, done: Done<Response>): ClientUnaryCall;
  (request: Request, metadata: Metadata, options: Partial<CallOptions>, done: Done<Response>): ClientUnaryCall;
}

interface ServerStreamingCall<Request, Response> {
  (request: Request, metadata?: Metadata, options?: Partial<CallOptions>): ClientReadableStream<Response>;
}

interface BidiCall<Request, Response> {
  (metadata?: Metadata, options?: Partial<CallOptions>): ClientDuplexStream<Request, Response>;
}

type CallOf<M> =
  M extends Method<infer Request, infer Response, false, false>
    ? UnaryCall<Request, Response>
    : M extends Method<infer Request, infer Response, false, true>
      ? ServerStreamingCall<Request, Response>
      : M extends Method<infer Request, infer Response, true, true>
        ? BidiCall<Request, Response>
        : never;

type HandlerOf<M> =
  M extends Method<infer Request, infer Response, false, false>
    ? handleUnaryCall<Request, Response>
    : M extends Method<infer Request, infer Response, false, true>
      ? handleServerStreamingCall<Request, Response>
      : M extends Method<infer Request, infer Response, true, true>
        ? handleBidiStreamingCall<Request, Response>
        : never;

export type ClientOf<Service> = Client & { [K in keyof Service]: CallOf<Service[K]> };

export type ClientConstructor<Service> = new (
  address: string,
  credentials: ChannelCredentials,
  options?: Partial<ClientOptions>,
) => ClientOf<Service>;

/** For `Server.addService`. */
export type HandlersOf<Service> = { [K in keyof Service]: HandlerOf<Service[K]> };
