// The port of the REST API: HTTP on loopback, TLS 1.3 everywhere else. What a client can make it hold or wait for is bounded: headers,
// the time until a request is whole, connections, and how long nothing moves on one.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Clock, Logger } from '@heddle/runtime';
import { ListenError, listenOn } from '../server/listening.ts';
import type { ServerIdentity } from '../server/tls-door.ts';
import { isLoopback } from '../server/listening.ts';

export interface RestDoorLimits {
  readonly connectionsMax: number;
  readonly headerBytesMax: number;
  readonly headersMax: number;
  /** Until the head of a request is there; a client that sends it byte by byte is not waited for. */
  readonly headTimeoutMs: number;
  /** Until its body is there too. */
  readonly requestTimeoutMs: number;
  readonly keepAliveMs: number;
  /** Nothing has moved on the connection, not even into the kernel's buffer: a reader that does not read. */
  readonly stalledMs: number;
  readonly handshakeTimeoutMs: number;
}

export const REST_DOOR_LIMITS: RestDoorLimits = {
  connectionsMax: 512, // people, scripts and a dashboard, of some 30 kB each
  headerBytesMax: 16_384,
  headersMax: 64,
  headTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveMs: 30_000,
  stalledMs: 60_000, // four heartbeats of a watch
  handshakeTimeoutMs: 10_000,
};

export interface RestDoorOptions {
  readonly address: string;
  /** 0: the system chooses. */
  readonly port: number;
  readonly identity: ServerIdentity;
  readonly onRequest: (request: IncomingMessage, response: ServerResponse) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default: REST_DOOR_LIMITS. */
  readonly limits?: RestDoorLimits;
}

export interface RestDoor {
  readonly address: string;
  readonly port: number;
  readonly tls: boolean;
  /** For new connections. */
  setIdentity(identity: ServerIdentity): void;
  /** No new connections; what is under way may end within the time. */
  close(graceMs: number): Promise<void>;
}

const WORDS = { who: 'The REST API', how: 'with --rest-listen ADDRESS:PORT, or go without it with --rest-listen off' };

/** Rejects with ListenError. */
export async function openRestDoor(options: RestDoorOptions): Promise<RestDoor> {
  const { clock, logger, onRequest, limits = REST_DOOR_LIMITS } = options;
  const tls = !isLoopback(options.address);
  const settings: ServerOptions = {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveMs,
    // How often Node looks for clients that are late.
    connectionsCheckingInterval: Math.min(2_000, limits.headTimeoutMs / 4),
    requireHostHeader: true,
    noDelay: true,
  };
  const secure = tls
    ? createTlsServer({ ...settings, ...contextOf(options.identity), handshakeTimeout: limits.handshakeTimeoutMs }, onRequest)
    : undefined;
  const server = secure ?? createServer(settings, onRequest);
  server.maxConnections = limits.connectionsMax;
  server.maxHeadersCount = limits.headersMax;
  server.timeout = limits.stalledMs;
  // Without a listener of ours, Node answers what is no HTTP itself, and says which fault it was.
  server.on('drop', () =>
    logger.warn({ connections: limits.connectionsMax }, 'a connection to the REST API was refused: there are too many'),
  );
  await listenOn(server, options.address, options.port, WORDS);
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('a TCP server has an address');
  if (!tls && !isLoopback(bound.address)) {
    server.close();
    throw new ListenError(
      `The REST API cannot listen on ${options.address}: it is ${bound.address} on this machine, which is not loopback, so that it would serve without TLS. Give the address itself with --rest-listen ADDRESS:PORT.`,
      undefined,
    );
  }
  server.on('error', (error) => logger.error({ error: error.message }, 'the listening socket of the REST API failed'));
  return {
    address: bound.address,
    port: bound.port,
    tls,
    setIdentity: (identity) => secure?.setSecureContext(contextOf(identity)),
    close: (graceMs) => close(server, graceMs, clock),
  };
}

function contextOf({ chainPem, keyPem }: ServerIdentity) {
  return { cert: chainPem, key: keyPem, minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const;
}

async function close(server: Server | TlsServer, graceMs: number, clock: Clock): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const grace = clock.after(graceMs, () => server.closeAllConnections());
  await closed;
  grace.cancel();
}

/** Of the other end, for the log. */
export function peerOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ''}:${socket.remotePort ?? ''}`;
}
