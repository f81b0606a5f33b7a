// A gRPC service in grpc-js for tests, and calls of it. Messages are plain bytes. Metadata steers it: `x-status` fails the call, `x-wait` with
// a name waits until the call is cancelled, the first call with a name in `x-flaky` is answered with UNAVAILABLE. The Python twin is
// python/grpc_server.py.
import { createHash } from 'node:crypto';
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type ServiceError,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import { type Cleanup, LOOPBACK } from '../../support/planes.ts';

const SERVICE = 'interop.Echo';
/** By which a proxy says who has called. */
const PEER_HEADER = 'x-heddle-peer';
const asIs = (bytes: Buffer): Buffer => bytes;

function definition(): ServiceDefinition {
  const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
    path: `/${SERVICE}/${name}`,
    requestStream,
    responseStream,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  });
  return {
    Unary: method('Unary', false, false),
    Collect: method('Collect', true, false),
    Count: method('Count', false, true),
    Chat: method('Chat', true, true),
    Cancelled: method('Cancelled', false, false),
  };
}

interface Handled {
  readonly metadata: Metadata;
  sendMetadata(metadata: Metadata): void;
  getAuthContext: ServerUnaryCall<Buffer, Buffer>['getAuthContext'];
  on(event: 'cancelled', listener: () => void): unknown;
}

/** What has been cancelled, by the name in `x-wait`. Only for calls that wait. */
type CancelledCalls = Set<string>;

/** True: the call waits for its cancellation, and is not to be answered. */
function waits(call: Handled, cancelled: CancelledCalls): boolean {
  const [name] = call.metadata.get('x-wait');
  if (name === undefined) return false;
  call.on('cancelled', () => cancelled.add(String(name)));
  return true;
}

function greet(call: Handled, name: string): void {
  const answer = new Metadata();
  answer.set('x-server', name);
  for (const value of call.metadata.get(PEER_HEADER)) answer.set('x-peer', value);
  const shown = call.getAuthContext().sslPeerCertificate?.subjectaltname;
  if (shown !== undefined) answer.set('x-peer', shown.replace(/^URI:/, ''));
  for (const value of call.metadata.get('x-ask')) answer.add('x-answer', value);
  for (const value of call.metadata.get('x-ask-bin')) answer.add('x-answer-bin', value);
  call.sendMetadata(answer);
}

function last(): Metadata {
  const trailers = new Metadata();
  trailers.set('x-last', 'word');
  return trailers;
}

function failure(call: Handled): (Partial<StatusObject> & { code: number }) | undefined {
  const [code] = call.metadata.get('x-status');
  if (code === undefined) return undefined;
  const metadata = last();
  metadata.set('grpc-status-details-bin', Buffer.from([8, 5, 255, 0]));
  return { code: Number(code), details: 'nicht da: 100 % Käse', metadata };
}

function firstFailure(call: Handled, flaky: Set<string>): { code: number; details: string } | undefined {
  const [key] = call.metadata.get('x-flaky').map(String);
  if (key === undefined || flaky.has(key)) return undefined;
  flaky.add(key);
  return { code: status.UNAVAILABLE, details: 'not this time' };
}

function implementation(name: string) {
  const cancelled: CancelledCalls = new Set();
  const flaky = new Set<string>();
  const unary: handleUnaryCall<Buffer, Buffer> = (call, callback) => {
    if (waits(call, cancelled)) return;
    const failed = failure(call) ?? firstFailure(call, flaky);
    if (failed === undefined) greet(call, name);
    if (failed === undefined) callback(null, call.request, last());
    else callback(failed);
  };
  const collect: handleClientStreamingCall<Buffer, Buffer> = (call, callback) => {
    const hash = createHash('sha256');
    let count = 0;
    call.on('data', (message: Buffer) => {
      hash.update(message);
      count += 1;
    });
    call.on('end', () => callback(null, Buffer.from(`${count} ${hash.digest('hex')}`), last()));
  };
  const count: handleServerStreamingCall<Buffer, Buffer> = (call) => {
    greet(call, name);
    call.write(Buffer.from('0'));
    if (waits(call, cancelled)) return;
    for (let index = 1; index < Number(call.request.toString()); index++) call.write(Buffer.from(String(index)));
    const failed = failure(call);
    if (failed === undefined) call.end(last());
    else call.emit('error', failed);
  };
  const chat: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    greet(call, name);
    waits(call, cancelled);
    call.on('data', (message: Buffer) => call.write(message));
    call.on('end', () => call.end(last()));
  };
  const wasCancelled: handleUnaryCall<Buffer, Buffer> = (call, callback) =>
    callback(null, Buffer.from(cancelled.has(call.request.toString()) ? 'yes' : 'no'));
  return { Unary: unary, Collect: collect, Count: count, Chat: chat, Cancelled: wasCancelled };
}

/** Has the server offer the service; returns its port. */
export function serveEcho(server: Server, name: string, address: string, credentials: ServerCredentials): Promise<number> {
  server.addService(definition(), implementation(name));
  return new Promise<number>((resolve, reject) => {
    server.bindAsync(address, credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
}

/** Returns its port. */
export async function grpcServer(cleanup: Cleanup, name: string): Promise<number> {
  const server = new Server();
  const port = await serveEcho(server, name, `${LOOPBACK}:0`, ServerCredentials.createInsecure());
  cleanup.add(() => server.forceShutdown());
  return port;
}

export interface Reply {
  readonly messages: readonly string[];
  /** Initial metadata. */
  readonly metadata: Metadata;
  readonly status: StatusObject;
}

/** Fields a call sends. */
export function fields(values: Readonly<Record<string, string | Buffer>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(values)) metadata.set(name, value);
  return metadata;
}

interface Call {
  on(event: 'metadata', listener: (metadata: Metadata) => void): unknown;
  on(event: 'status', listener: (status: StatusObject) => void): unknown;
}

/** One channel to the service. */
export class EchoClient {
  readonly #client: Client;

  constructor(cleanup: Cleanup, target: string, proxied = false) {
    this.#client = new Client(target, credentials.createInsecure(), { 'grpc.enable_http_proxy': proxied ? 1 : 0 });
    cleanup.add(() => this.#client.close());
  }

  #reply(call: Call, messages: readonly string[]): Promise<Reply> {
    return new Promise((resolve) => {
      let metadata = new Metadata();
      call.on('metadata', (initial: Metadata) => void (metadata = initial));
      call.on('status', (status: StatusObject) => resolve({ messages, metadata, status }));
    });
  }

  /** Never rejects: the status says what failed. `abort` ends the call. */
  unary(message: Buffer | string, metadata = new Metadata(), deadlineMs = 20_000, abort?: AbortSignal): Promise<Reply> {
    return this.#single('Unary', message, metadata, deadlineMs, abort);
  }

  /** Whether the server knows that the call which waits by this name was cancelled. */
  async wasCancelled(name: string): Promise<boolean> {
    return (await this.#single('Cancelled', name, new Metadata(), 20_000)).messages[0] === 'yes';
  }

  #single(method: string, message: Buffer | string, metadata: Metadata, deadlineMs: number, abort?: AbortSignal): Promise<Reply> {
    const messages: string[] = [];
    const done = (_error: ServiceError | null, value?: Buffer): void =>
      void (value !== undefined && messages.push(value.toString('latin1')));
    const options = { deadline: Date.now() + deadlineMs };
    const call = this.#client.makeUnaryRequest(`/${SERVICE}/${method}`, asIs, asIs, Buffer.from(message), metadata, options, done);
    abort?.addEventListener('abort', () => call.cancel());
    return this.#reply(call, messages);
  }

  collect(metadata = new Metadata()): { readonly call: ClientWritableStream<Buffer>; readonly reply: Promise<Reply> } {
    const messages: string[] = [];
    const done = (_error: ServiceError | null, value?: Buffer): void => void (value !== undefined && messages.push(value.toString()));
    const call = this.#client.makeClientStreamRequest(`/${SERVICE}/Collect`, asIs, asIs, metadata, {}, done);
    return { call, reply: this.#reply(call, messages) };
  }

  count(to: number, metadata = new Metadata()): { readonly call: ClientReadableStream<Buffer>; readonly reply: Promise<Reply> } {
    const call = this.#client.makeServerStreamRequest(`/${SERVICE}/Count`, asIs, asIs, Buffer.from(String(to)), metadata);
    return { call, reply: this.#collecting(call) };
  }

  chat(metadata = new Metadata()): { readonly call: ClientDuplexStream<Buffer, Buffer>; readonly reply: Promise<Reply> } {
    const call = this.#client.makeBidiStreamRequest(`/${SERVICE}/Chat`, asIs, asIs, metadata);
    return { call, reply: this.#collecting(call) };
  }

  #collecting(call: ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>): Promise<Reply> {
    const messages: string[] = [];
    call.on('data', (message: Buffer) => messages.push(message.toString()));
    call.on('error', () => {});
    return this.#reply(call, messages);
  }
}
