// Clients for tests: made from the .proto files alone, as a stranger would, and joined to the mesh as a data plane would.
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Metadata, credentials, loadPackageDefinition } from '@grpc/grpc-js';
import type { ChannelCredentials, Client, ClientDuplexStream, ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { controlChannelCredentials, controlChannelOptions, operatorMetadata } from '@heddle/api/grpc-js';
import { createCsr, generateKeyPair } from '@heddle/runtime/node';
import type { KeyPair } from '@heddle/runtime/node';
import type { RunningControl } from '../start.ts';

const PROTO = fileURLToPath(new URL('../../../api/proto', import.meta.url));
const definitions = loadPackageDefinition(
  loadSync(
    ['example/discovery.proto', 'heddle/discovery/v1/discovery.proto', 'heddle/identity/v1/identity.proto', 'heddle/admin/v1/admin.proto'],
    { includeDirs: [PROTO], keepCase: true, longs: Number, enums: String, defaults: true },
  ),
);

// oxlint-disable-next-line typescript/no-explicit-any -- messages of clients without generated types; assertions say what they hold
export type Message = Record<string, any>;
type Untyped = Client & Message;
type Constructor = new (target: string, credentials: ChannelCredentials, options: object) => Untyped;

export type ServiceName = 'example.Discovery' | 'heddle.discovery.v1.Discovery' | 'heddle.identity.v1.Identity' | 'heddle.admin.v1.Admin';

export class TestClient {
  readonly #clients = new Map<string, Untyped>();
  readonly #target: string;
  readonly #credentials: ChannelCredentials;
  readonly #metadata: Metadata;

  constructor(control: RunningControl, identity?: { certificatePem: string; key: KeyPair }, token?: string) {
    this.#target = `${control.address}:${control.port}`;
    this.#credentials = controlChannelCredentials({
      rootsPem: control.rootsPem,
      expectedSpiffeId: `spiffe://${control.trustDomain}/ns/heddle-system/svc/control`,
      ...(identity === undefined ? {} : { certificatePem: identity.certificatePem, keyPem: identity.key.keyPem }),
    });
    this.#metadata = token === undefined ? new Metadata() : operatorMetadata(token);
  }

  get target(): string {
    return this.#target;
  }

  get credentials(): ChannelCredentials {
    return this.#credentials;
  }

  get metadata(): Metadata {
    return this.#metadata;
  }

  /** Rejects with the ServiceError. */
  call(service: ServiceName, method: string, request: Message = {}): Promise<Message> {
    return new Promise((resolve, reject) => {
      this.#client(service)[method](
        request,
        this.#metadata,
        { deadline: Date.now() + 10_000 },
        (error: ServiceError | null, response: Message) => (error === null ? resolve(response) : reject(error)),
      );
    });
  }

  watch(service: ServiceName, method: string, request: Message = {}): ClientReadableStream<Message> {
    return this.#client(service)[method](request, this.#metadata);
  }

  register(): Registering {
    return new Registering(this.#client('heddle.discovery.v1.Discovery')['Register'](this.#metadata));
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }

  #client(service: ServiceName): Untyped {
    let client = this.#clients.get(service);
    if (client === undefined) {
      const create = service.split('.').reduce((node: Message, part) => node[part], definitions) as unknown as Constructor;
      client = new create(this.#target, this.#credentials, controlChannelOptions());
      this.#clients.set(service, client);
    }
    return client;
  }
}

/** A Register stream: `send` resolves with the answer, or rejects with what ended the stream. */
export class Registering {
  readonly #call: ClientDuplexStream<Message, Message>;
  #ended: ServiceError | undefined;

  constructor(call: ClientDuplexStream<Message, Message>) {
    this.#call = call;
    call.on('error', (error: ServiceError) => {
      this.#ended = error;
    });
  }

  async send(message: Message): Promise<Message> {
    if (this.#ended !== undefined) throw this.#ended;
    const answer = once(this.#call, 'data');
    this.#call.write(message);
    const [response] = await answer;
    return response as Message;
  }

  /** What comes next, unasked. */
  async next(): Promise<Message> {
    const [response] = await once(this.#call, 'data');
    return response as Message;
  }

  /** What ended the stream. */
  get ended(): ServiceError | undefined {
    return this.#ended;
  }

  /** As often as it is told, without waiting for answers. */
  flood(message: Message, count: number): void {
    for (let index = 0; index < count; index += 1) this.#call.write(message);
  }

  ignoreAnswers(): void {
    this.#call.resume();
  }

  /** Reads nothing any more. */
  pause(): void {
    this.#call.pause();
  }

  /** As when a process is killed. */
  break(): void {
    this.#call.cancel();
  }

  async end(): Promise<void> {
    const ended = once(this.#call, 'end');
    this.#call.end();
    this.#call.resume();
    await ended;
  }
}

export function operator(control: RunningControl): TestClient {
  return new TestClient(control, undefined, control.operatorToken);
}

/** Makes a token as the operator, has a key certified with it, and returns what is needed to connect as that workload. */
export async function join(
  control: RunningControl,
  service: string,
  namespace = 'default',
): Promise<{ certificatePem: string; key: KeyPair; token: string; spiffeId: string }> {
  const admin = operator(control);
  const stranger = new TestClient(control);
  try {
    const { token } = await admin.call('heddle.admin.v1.Admin', 'CreateToken', { namespace, service });
    const key = generateKeyPair();
    const signed = await stranger.call('heddle.identity.v1.Identity', 'Sign', { csr_der: createCsr(key), join_token: token });
    return { certificatePem: signed['certificate_pem'], key, token, spiffeId: signed['spiffe_id'] };
  } finally {
    admin.close();
    stranger.close();
  }
}

export function instanceMessage(service: string, index: number, over: Message = {}): Message {
  return {
    id: `${service}-${index}`,
    namespace: 'default',
    service,
    node: 'node-1',
    inbound: { address: '127.0.0.1', port: 20_000 + index },
    application: { address: '127.0.0.1', port: 30_000 + index },
    outbounds: [],
    version: 'v1',
    labels: { zone: 'a' },
    metadata: { owner: 'team-a' },
    ports: { metrics: 9_100 },
    locality: { region: 'eu', zone: 'eu-1', sub_zone: '' },
    weight: 0,
    ...over,
  };
}

export const plaintext = credentials.createInsecure();
