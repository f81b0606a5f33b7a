// A server of HTTP/2 over TLS that does with each call what a test says, and a channel to it. Tests only.
import { once } from 'node:events';
import http2, { type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import type { TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { grpcPrefix, GrpcReader } from '@heddle/wire/grpc';
import type { GrpcChannel, GrpcChannelOptions, GrpcError, GrpcHeaders, GrpcStreamHandler } from '../../../ports/grpc-client.ts';
import type { CertificateAndKey } from '../../../ports/network.ts';
import { TestAuthority } from '../../../testing/certificates.ts';
import { nodeGrpc } from '../index.ts';

export const authority = new TestAuthority();
export const CONTROL_ID = 'spiffe://shop.test/ns/heddle-system/svc/control';
export const SERVER_NAME = 'control.mesh.internal';
export const control = authority.leaf({ uris: [CONTROL_ID] });

export interface Peer {
  readonly port: number;
  readonly sessions: ServerHttp2Session[];
  readonly sockets: TLSSocket[];
}

export type Answer = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

export async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

export async function startPeer(t: TestContext, answer: Answer, leaf: CertificateAndKey = control): Promise<Peer> {
  const server = http2.createSecureServer({
    cert: leaf.certificatePem,
    key: leaf.keyPem,
    ca: authority.rootsPem,
    requestCert: true,
    rejectUnauthorized: false,
  });
  const sessions: ServerHttp2Session[] = [];
  const sockets: TLSSocket[] = [];
  server.on('secureConnection', (socket) => void sockets.push(socket));
  server.on('session', (session) => {
    sessions.push(session);
    session.on('error', () => {});
    t.after(() => session.destroy());
  });
  server.on('sessionError', () => {}).on('tlsClientError', () => {});
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    answer(stream as ServerHttp2Stream, headers);
  });
  return { port: await listen(t, server as unknown as Server), sessions, sockets };
}

export function open(t: TestContext, port: number, change: Partial<GrpcChannelOptions> = {}): GrpcChannel {
  const channel = nodeGrpc.open({
    address: '127.0.0.1',
    port,
    tls: { rootsPem: authority.rootsPem, peerId: CONTROL_ID, serverName: SERVER_NAME },
    keepalive: { timeMs: 10_000, timeoutMs: 10_000 },
    messageBytesMax: 1_048_576,
    ...change,
  });
  t.after(() => channel.drop());
  return channel;
}

export const message = (bytes: Uint8Array | string): Buffer => Buffer.concat([grpcPrefix(bytes.length), Buffer.from(bytes)]);

/** What a server of gRPC does to answer a call with messages and a status. */
export function reply(
  stream: ServerHttp2Stream,
  messages: readonly (Uint8Array | string)[],
  trailers: Record<string, string> = { 'grpc-status': '0' },
): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  for (const bytes of messages) stream.write(message(bytes));
  stream.end();
}

/** Calls with each whole message that comes. */
export function onMessages(stream: ServerHttp2Stream, take: (bytes: Buffer) => void): void {
  let parts: Buffer[] = [];
  const reader = new GrpcReader(
    {
      onMessage() {},
      onData: (bytes, start, end) => void parts.push(Buffer.from(bytes.subarray(start, end))),
      onMessageEnd() {
        take(Buffer.concat(parts));
        parts = [];
      },
    },
    2 ** 30,
  );
  stream.on('data', (bytes: Buffer) => void reader.push(bytes));
}

/** Takes everything down that a stream of messages hears. */
export class Heard implements GrpcStreamHandler {
  readonly messages: Buffer[] = [];
  headers: GrpcHeaders | undefined;
  drained = 0;
  readonly #end = Promise.withResolvers<{ readonly error: GrpcError | undefined; readonly trailers: GrpcHeaders }>();
  ends = 0;

  get ended(): Promise<{ readonly error: GrpcError | undefined; readonly trailers: GrpcHeaders }> {
    return this.#end.promise;
  }

  onHeaders(headers: GrpcHeaders): void {
    this.headers = headers;
  }

  onMessage(bytes: Buffer): void {
    this.messages.push(bytes);
  }

  onDrained(): void {
    this.drained += 1;
  }

  onEnd(error: GrpcError | undefined, trailers: GrpcHeaders): void {
    this.ends += 1;
    this.#end.resolve({ error, trailers });
  }
}

/** Resolves when it holds; rejects after 10 s. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const endMs = Date.now() + 10_000;
  while (!holds()) {
    if (Date.now() > endMs) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
