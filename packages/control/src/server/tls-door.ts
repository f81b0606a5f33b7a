// The control plane's one port: TLS 1.3 always. Who shows no certificate comes in as nobody in particular; who shows one that is
// not of this mesh does not come in. No session is resumed, because a resumed session proves nothing about today's roots.
import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import tls from 'node:tls';
import { readPeerId } from '@heddle/runtime/node';
import type { Clock, Logger } from '@heddle/runtime';
import { listenOn } from './listening.ts';

/** Each has some 50 kB of TLS and HTTP/2 state: half a gigabyte at worst. */
const CONNECTIONS_MAX = 10_000;
const HANDSHAKE_TIMEOUT_MS = 10_000;

export interface ServerIdentity {
  /** Leaf first, the root last. */
  readonly chainPem: string;
  readonly keyPem: string;
}

export interface DoorOptions {
  readonly address: string;
  readonly port: number;
  readonly identity: ServerIdentity;
  readonly rootsPem: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A connection that is what the rule of this file says. */
  readonly onConnection: (socket: tls.TLSSocket) => void;
}

export interface Door {
  readonly address: string;
  readonly port: number;
  /** For new connections; those that exist go on. */
  setIdentity(identity: ServerIdentity): void;
  /** No new connections; those that exist go on. Resolves when the last has ended. */
  close(): Promise<void>;
  /** Ends all connections at once. */
  dropConnections(): void;
}

/** Rejects with ListenError. */
export async function openDoor(options: DoorOptions): Promise<Door> {
  const { rootsPem, logger } = options;
  const contextOf = ({ chainPem, keyPem }: ServerIdentity): tls.SecureContextOptions => ({
    cert: chainPem,
    key: keyPem,
    ca: rootsPem,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
  const server = tls.createServer({
    ...contextOf(options.identity),
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    // As a list, Node would keep a copy of it with every connection, each in a piece of memory of 64 KB that nothing else uses any more.
    ALPNCallback: ({ protocols }) => (protocols.includes('h2') ? 'h2' : undefined),
    noDelay: true,
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.on('tlsClientError', (error, socket) => {
    logger.debug({ peer: socket.remoteAddress, error: error.message }, 'a connection ended before its TLS handshake was complete');
    socket.destroy();
  });
  const connections = new Set<Socket>();
  // Before the handshake already: one that never ends must not keep the server from closing.
  server.on('connection', (socket: Socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  server.on('secureConnection', (socket) => admit(socket, options));
  await listenOn(server, options.address, options.port, { who: 'The control plane', how: 'with --listen ADDRESS:PORT' });
  server.on('error', (error) => logger.error({ error: error.message }, 'the listening socket failed'));
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('a TCP server has an address');
  return {
    address: bound.address,
    port: bound.port,
    setIdentity: (identity) => server.setSecureContext(contextOf(identity)),
    close: () => new Promise((resolve) => server.close(() => resolve())),
    dropConnections: () => {
      for (const socket of connections) socket.destroy();
    },
  };
}

function admit(socket: tls.TLSSocket, options: DoorOptions): void {
  const { logger, clock } = options;
  const peer = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? ''}`;
  // Whatever happens on it later is also seen by the HTTP/2 session; without a listener it would end the process.
  socket.on('error', (error) => logger.debug({ peer, error: error.message }, 'connection failed'));
  const refuse = (reason: string): void => {
    logger.warn({ peer, reason }, 'connection refused');
    socket.destroy();
  };
  if (socket.isSessionReused()) return refuse('it resumed a TLS session');
  if (socket.alpnProtocol !== 'h2') return refuse('it does not speak HTTP/2 (ALPN h2)');
  const certificate = socket.getPeerX509Certificate();
  if (certificate !== undefined) {
    if (!socket.authorized)
      return refuse(`its client certificate was not issued by this mesh, or is not valid now: ${String(socket.authorizationError)}`);
    const svid = readPeerId(certificate);
    if (!svid.ok) return refuse(`its client certificate ${svid.reason}`);
    if (svid.id.trustDomain !== options.trustDomain) return refuse(`its client certificate is of trust domain ${svid.id.trustDomain}`);
    // A connection must not outlive the identity it was made with: the client comes back with its renewed certificate.
    const end = clock.after(Math.max(0, svid.facts.notAfterMs + 1_000 - clock.wallMs()), () => socket.destroy());
    socket.once('close', () => end.cancel());
  }
  options.onConnection(socket);
}
