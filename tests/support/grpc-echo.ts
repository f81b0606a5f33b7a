// A gRPC service of one method: bytes in, bytes out, with nothing in between that would cost.
import grpc from '@grpc/grpc-js';

const asIs = (bytes: Buffer): Buffer => bytes;

export const ECHO = {
  echo: {
    path: '/test.Echo/Echo',
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
} as const satisfies grpc.ServiceDefinition;

type Echo = (request: Buffer, done: (error: Error | null) => void) => void;

export interface EchoClient {
  /** Rejects with ServiceError. */
  echo(message: Buffer): Promise<void>;
  close(): void;
}

export function echoClient(target: string): EchoClient {
  const Client = grpc.makeGenericClientConstructor(ECHO, 'Echo');
  const client = new Client(target, grpc.credentials.createInsecure()) as unknown as grpc.Client & Record<'echo', Echo>;
  return {
    echo: (message) => new Promise((resolve, reject) => client.echo(message, (error) => (error === null ? resolve() : reject(error)))),
    close: () => client.close(),
  };
}
