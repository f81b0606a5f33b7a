// Calls by a bare method definition, as a client without any of our machinery makes them.
import { Client } from '@grpc/grpc-js';
import type { ClientDuplexStream, MethodDefinition, ServiceError } from '@grpc/grpc-js';
import { controlChannelOptions } from '@heddle/api/grpc-js';
import type { TestClient } from './client.ts';
import { until } from './wait.ts';

class Raw {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

/** A bidirectional call with everything that came. */
export class TestStream<Request, Response> {
  readonly received: Response[] = [];
  ended: ServiceError | undefined;
  readonly #client: Client;
  readonly #call: ClientDuplexStream<Request | Raw, Response>;

  constructor(as: TestClient, method: MethodDefinition<Request, Response>) {
    this.#client = new Client(as.target, as.credentials, controlChannelOptions());
    const serialize = (request: Request | Raw): Buffer => (request instanceof Raw ? request.bytes : method.requestSerialize(request));
    this.#call = this.#client.makeBidiStreamRequest(method.path, serialize, method.responseDeserialize, as.metadata);
    this.#call.on('data', (response: Response) => this.received.push(response));
    this.#call.on('error', (error: ServiceError) => {
      this.ended = error;
    });
  }

  send(request: Request): void {
    this.#call.write(request);
  }

  /** What no message of ours can be. */
  sendBytes(bytes: Uint8Array): void {
    this.#call.write(new Raw(Buffer.from(bytes)));
  }

  /** Takes out the oldest that came and was not taken yet. */
  async next(what: string): Promise<Response> {
    await until(what, () => this.received.length > 0 || this.ended !== undefined);
    const response = this.received.shift();
    if (response === undefined) throw this.ended ?? new Error('the stream ended');
    return response;
  }

  async refusal(): Promise<ServiceError> {
    return await until('the stream to be refused', () => this.ended);
  }

  close(): void {
    this.#call.on('error', () => {});
    this.#call.cancel();
    this.#client.close();
  }
}

/** Rejects with the ServiceError. */
export async function callOnce<Request, Response>(
  as: TestClient,
  method: MethodDefinition<Request, Response>,
  request: Request,
): Promise<Response> {
  const client = new Client(as.target, as.credentials, controlChannelOptions());
  try {
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        as.metadata,
        { deadline: Date.now() + 10_000 },
        (error, response) => (error === null ? resolve(response as Response) : reject(error)),
      );
    });
  } finally {
    client.close();
  }
}
