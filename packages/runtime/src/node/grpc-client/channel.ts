// One connection with the calls on it. HTTP/2 begins when TLS has proven who the peer is, so that nothing of a call, a token least of all, goes
// to anybody else. The first thing that goes wrong is what all calls are told.
import type http2 from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import type tls from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { ALPN_HTTP2 } from '@heddle/core';
import { GRPC_STATUS } from '@heddle/wire/grpc';
import {
  type GrpcChannel,
  type GrpcChannelOptions,
  GrpcError,
  type GrpcHeaders,
  type GrpcStream,
  type GrpcStreamHandler,
  type GrpcUnaryOptions,
} from '../../ports/grpc-client.ts';
import { toNetworkError } from '../network-errors.ts';
import { ClientTls } from '../network-tls.ts';
import { Call } from './call.ts';
import { watchPeer } from './keepalive.ts';
import { resetName } from './outcome.ts';

/** Loaded on first use: a proxy without a control plane needs neither. */
const nodeHttp2 = (): typeof http2 => process.getBuiltinModule('node:http2');
const nodeTls = (): typeof tls => process.getBuiltinModule('node:tls');

const CONNECT_TIMEOUT_MS = 20_000;
/** What the peer may send before it hears that some of it was taken: 1 MiB in 10 ms of round trip are 100 MB/s. */
const RECEIVE_WINDOW_BYTES = 1_048_576;
/** Of a head or trailers; the text of a status is the longest thing in there. */
const HEAD_BYTES_MAX = 65_536;
/** For a last word to leave; a peer that is gone takes none. */
const GOODBYE_MS = 500;
const NO_HEADERS: GrpcHeaders = {};

export class Channel implements GrpcChannel {
  readonly #options: GrpcChannelOptions;
  readonly #calls = new Set<Call>();
  readonly #socket: TLSSocket;
  readonly #connectTimer: NodeJS.Timeout;
  #session: ClientHttp2Session | undefined;
  #stopWatching: (() => void) | undefined;
  /** Why there will be no more calls; those that the peer has accepted may still go on. */
  #fault: GrpcError | undefined;

  /** @param isBackground whether the connection does not keep the process alive */
  constructor(options: GrpcChannelOptions, isBackground: boolean) {
    this.#options = options;
    const { address, port, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
    const { rootsPem, identity, peerId, serverName } = options.tls;
    const clientTls = new ClientTls({ rootsPem, ...(identity && { identity }), peerIds: [peerId], alpn: [ALPN_HTTP2] });
    this.#socket = nodeTls().connect({
      host: address,
      port,
      secureContext: clientTls.secureContext,
      servername: serverName,
      ALPNProtocols: [ALPN_HTTP2],
      // `verify` does, with more to say: chain, identity, protocol, and that no session was resumed.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    this.#socket.setNoDelay();
    if (isBackground) this.#socket.unref();
    this.#connectTimer = setTimeout(() => this.#break(`no connection within ${connectTimeoutMs} ms`), connectTimeoutMs);
    this.#connectTimer.unref();
    this.#socket.on('error', (error) => this.#break(reasonOf(error), error));
    this.#socket.on('close', () => this.#break('the connection was closed'));
    this.#socket.once('secureConnect', () => this.#proven(clientTls));
  }

  unary(method: string, request: Uint8Array, { timeoutMs, headers = NO_HEADERS, signal }: GrpcUnaryOptions = {}): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      let answer: Buffer | undefined;
      let answers = 0;
      const cancelled = (): void => call.fail(new GrpcError(GRPC_STATUS.CANCELLED, 'the call was given up', signal?.reason));
      const handler: GrpcStreamHandler = {
        onMessage: (bytes) => {
          answer = bytes;
          answers += 1;
        },
        onEnd: (error) => {
          signal?.removeEventListener('abort', cancelled);
          if (error !== undefined) reject(error);
          else if (answer !== undefined && answers === 1) resolve(answer);
          else reject(new GrpcError(GRPC_STATUS.INTERNAL, `the peer answered with ${answers} messages in place of one`));
        },
      };
      const call = this.#call(method, handler, headers, timeoutMs);
      call.write(request);
      call.end();
      if (signal?.aborted === true) cancelled();
      else signal?.addEventListener('abort', cancelled, { once: true });
    });
  }

  bidi(method: string, handler: GrpcStreamHandler, headers: GrpcHeaders = NO_HEADERS): GrpcStream {
    return this.#call(method, handler, headers, undefined);
  }

  close(): void {
    this.#endAll(new GrpcError(GRPC_STATUS.CANCELLED, 'the channel was closed'));
    const socket = this.#socket;
    const session = this.#session;
    if (session === undefined || socket.destroyed) return void socket.destroy();
    // Sends GOAWAY, and ends the connection when the peer knows that the calls are given up.
    session.close();
    setTimeout(() => socket.destroy(), GOODBYE_MS).unref();
  }

  drop(): void {
    this.#endAll(new GrpcError(GRPC_STATUS.CANCELLED, 'the channel was dropped'));
    this.#socket.destroy();
    this.#session?.destroy();
  }

  #call(method: string, handler: GrpcStreamHandler, headers: GrpcHeaders, timeoutMs: number | undefined): Call {
    const { tls, messageBytesMax } = this.#options;
    const onOver = (over: Call): void => void this.#calls.delete(over);
    const call = new Call({ method, authority: tls.serverName, headers, handler, messageBytesMax, timeoutMs, onOver });
    this.#calls.add(call);
    const fault = this.#fault;
    const session = this.#session;
    // Later, so that who makes the call has it in hand when it fails.
    if (fault !== undefined) process.nextTick(() => call.fail(fault));
    else if (session !== undefined) process.nextTick(() => call.start(session));
    return call;
  }

  #proven(clientTls: ClientTls): void {
    if (this.#fault !== undefined) return;
    clearTimeout(this.#connectTimer);
    try {
      clientTls.verify(this.#socket);
    } catch (error) {
      return this.#break(reasonOf(error as Error), error);
    }
    const session = nodeHttp2().connect(`https://${this.#options.tls.serverName}`, {
      createConnection: () => this.#socket,
      settings: { enablePush: false, initialWindowSize: RECEIVE_WINDOW_BYTES, maxHeaderListSize: HEAD_BYTES_MAX },
    });
    this.#session = session;
    session.setLocalWindowSize(RECEIVE_WINDOW_BYTES);
    session.on('error', (error) => this.#break(reasonOf(error), error));
    session.on('close', () => this.#break('the connection was closed'));
    session.on('goaway', (code) => this.#left(code));
    this.#stopWatching = watchPeer(
      session,
      () => this.#socket.bytesRead,
      this.#options.keepalive,
      () => this.#break('the peer has fallen silent and does not answer a PING'),
    );
    for (const call of this.#calls) call.start(session);
  }

  /** The peer takes no more calls. Those that it will not answer are refused by HTTP/2 itself (RFC 9113 §6.8), the others go on. */
  #left(code: number): void {
    if (code === 0) this.#fault ??= new GrpcError(GRPC_STATUS.UNAVAILABLE, 'the peer takes no more calls on this connection');
    else this.#break(`the peer ended the connection (GOAWAY, ${resetName(code)})`);
  }

  #break(reason: string, cause?: unknown): void {
    const fault = new GrpcError(GRPC_STATUS.UNAVAILABLE, reason, cause);
    this.#endAll(fault);
    this.#socket.destroy();
    this.#session?.destroy();
  }

  #endAll(fault: GrpcError): void {
    clearTimeout(this.#connectTimer);
    this.#stopWatching?.();
    this.#fault ??= fault;
    for (const call of this.#calls) call.fail(fault);
  }
}

/** Where a name has several addresses, Node says for each what was wrong. */
function reasonOf(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map((each) => reasonOf(each as Error)).join('; ');
  return toNetworkError(error).message;
}
