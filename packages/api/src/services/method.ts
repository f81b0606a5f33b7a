// Methods of gRPC contracts as plain objects: what a call is named, whether its sides are streams, and how messages become bytes. No library of
// gRPC is needed for them; `Server.addService` of grpc-js takes a record of them as it is.

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

export interface Method<Request, Response, RequestStream extends boolean = boolean, ResponseStream extends boolean = boolean> {
  /** `/<package>.<service>/<method>` */
  readonly path: string;
  readonly requestStream: RequestStream;
  readonly responseStream: ResponseStream;
  readonly requestSerialize: (message: Request) => Buffer;
  /** Throws when the bytes are no such message. */
  readonly requestDeserialize: (bytes: Buffer) => Request;
  readonly responseSerialize: (message: Response) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

export type BidiMethod<Request, Response> = Method<Request, Response, true, true>;
export type UnaryMethod<Request, Response> = Method<Request, Response, false, false>;

/** As the generated code describes a service. */
interface Definition {
  readonly fullName: string;
  readonly methods: Readonly<
    Record<
      string,
      {
        readonly name: string;
        readonly requestType: Codec<unknown>;
        readonly requestStream: boolean;
        readonly responseType: Codec<unknown>;
        readonly responseStream: boolean;
      }
    >
  >;
}

type MethodOf<M> = M extends {
  readonly requestType: Codec<infer Request>;
  readonly requestStream: infer RequestStream extends boolean;
  readonly responseType: Codec<infer Response>;
  readonly responseStream: infer ResponseStream extends boolean;
}
  ? Method<Request, Response, RequestStream, ResponseStream>
  : never;

export type ServiceOf<D extends Definition> = { readonly [K in keyof D['methods']]: MethodOf<D['methods'][K]> };

export function serviceOf<D extends Definition>({ fullName, methods }: D): ServiceOf<D> {
  const entries = Object.entries(methods).map(([key, { name, requestType, requestStream, responseType, responseStream }]) => [
    key,
    method(`/${fullName}/${name}`, requestType, responseType, requestStream, responseStream),
  ]);
  return Object.fromEntries(entries) as ServiceOf<D>;
}

/** For contracts that are not ours: their generated code brings messages only. `path`: `/<package>.<service>/<method>`. */
export function bidiMethod<Request, Response>(
  path: string,
  request: Codec<Request>,
  response: Codec<Response>,
): BidiMethod<Request, Response> {
  return method(path, request, response, true, true);
}

export function unaryMethod<Request, Response>(
  path: string,
  request: Codec<Request>,
  response: Codec<Response>,
): UnaryMethod<Request, Response> {
  return method(path, request, response, false, false);
}

function method<Request, Response, RequestStream extends boolean, ResponseStream extends boolean>(
  path: string,
  request: Codec<Request>,
  response: Codec<Response>,
  requestStream: RequestStream,
  responseStream: ResponseStream,
): Method<Request, Response, RequestStream, ResponseStream> {
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: (message) => toBuffer(request.encode(message).finish()),
    requestDeserialize: (bytes) => request.decode(bytes),
    responseSerialize: (message) => toBuffer(response.encode(message).finish()),
    responseDeserialize: (bytes) => response.decode(bytes),
  };
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
