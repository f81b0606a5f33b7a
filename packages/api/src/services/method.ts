// Methods of contracts that are not ours, as grpc-js wants them: their generated code brings codecs, but no service definitions.
import type { MethodDefinition } from '@grpc/grpc-js';

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

/** `path`: `/<package>.<service>/<method>`. */
export function bidiMethod<Request, Response>(
  path: string,
  request: Codec<Request>,
  response: Codec<Response>,
): MethodDefinition<Request, Response> {
  return { ...unaryMethod(path, request, response), requestStream: true, responseStream: true };
}

export function unaryMethod<Request, Response>(
  path: string,
  request: Codec<Request>,
  response: Codec<Response>,
): MethodDefinition<Request, Response> {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: (message) => toBuffer(request.encode(message).finish()),
    requestDeserialize: (bytes) => request.decode(bytes),
    responseSerialize: (message) => toBuffer(response.encode(message).finish()),
    responseDeserialize: (bytes) => response.decode(bytes),
  };
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
