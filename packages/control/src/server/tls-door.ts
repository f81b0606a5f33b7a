// The control plane's one port: TLS 1.3 always. Who shows no certificate comes in as nobody in particular; who shows one that is
// not of this mesh does not come in. No session is resumed, because a resumed session proves nothing about today's roots.
import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import tls from 'node:tls';
import {
  chainRefusal,
  forgetHandshakeSecret,
  handshakeRefusal,
  keepHandshakeSecret,
  readPeerId,
  refuseWithAlert,
} from '@heddle/runtime/node';
import { type Clock, type Logger, type TlsRefusal, TlsRefusals } from '@heddle/runtime';
import type { AuditLog } from '../audit/log.ts';
import { listenOn } from './listening.ts';

/** Each has some 50 kB of TLS and HTTP/2 state: half a gigabyte at worst. */
const CONNECTIONS_MAX = 10_000;
const HANDSHAKE_TIMEOUT_MS = 10_000;

export interface ServerIdentity {
  /** Leaf first, the root last. */
  readonly chainPem: string;
  readonly keyPem: string;
  /** What certificates of clients must lead to. Default: what the door was opened with. */
  readonly rootsPem?: string;
}

export interface DoorOptions {
  readonly address: string;
  readonly port: number;
  readonly identity: ServerIdentity;
  readonly rootsPem: string;
  readonly trustDomain: string;
  /** Whether the identity was taken away. */
  readonly isDenied?: (uri: string) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Notes connections that are refused for what they show. */
  readonly audit?: Pick<AuditLog, 'refused'>;
  /** A connection that is what the rule of this file says. */
  readonly onConnection: (socket: tls.TLSSocket) => void;
}

export interface Door {
  readonly address: string;
  readonly port: number;
  /** For new connections; those that exist go on. */
  setIdentity(identity: ServerIdentity): void;
  /** Ends the connections of identities that are denied by now. */
  dropDenied(): void;
  /** No new connections; those that exist go on. Resolves when the last has ended. */
  close(): Promise<void>;
  /** Ends all connections at once. */
  dropConnections(): void;
}

/** Rejects with ListenError. */
export async function openDoor(options: DoorOptions): Promise<Door> {
  const { logger } = options;
  const contextOf = ({ chainPem, keyPem, rootsPem = options.rootsPem }: ServerIdentity): tls.SecureContextOptions => ({
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
  const refusals = new TlsRefusals({ clock: options.clock, logger, message: 'connection refused', fields: {} });
  server.on('keylog', (line, socket) => keepHandshakeSecret(socket, 'SERVER_TRAFFIC_SECRET_0', line));
  server.on('tlsClientError', (error, socket) => {
    refusals.add(handshakeRefusal(error), { peer: peerOf(socket) }, error.message);
    socket.destroy();
  });
  const connections = new Set<Socket>();
  const identified = new Map<tls.TLSSocket, string>();
  // Before the handshake already: one that never ends must not keep the server from closing.
  server.on('connection', (socket: Socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  server.on('secureConnection', (socket) => admit(socket, options, identified, refusals));
  await listenOn(server, options.address, options.port, { who: 'The control plane', how: 'with --listen ADDRESS:PORT' });
  server.on('error', (error) => logger.error({ error: error.message }, 'the listening socket failed'));
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('a TCP server has an address');
  return {
    address: bound.address,
    port: bound.port,
    setIdentity: (identity) => server.setSecureContext(contextOf(identity)),
    dropDenied: () => {
      for (const [socket, uri] of identified) {
        if (options.isDenied?.(uri) !== true) continue;
        logger.warn({ peer: uri }, 'connection closed: its identity is denied');
        socket.destroy();
      }
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
    dropConnections: () => {
      for (const socket of connections) socket.destroy();
    },
  };
}

function peerOf(socket: tls.TLSSocket): string {
  return `${socket.remoteAddress ?? ''}:${socket.remotePort ?? ''}`;
}

function admit(socket: tls.TLSSocket, options: DoorOptions, identified: Map<tls.TLSSocket, string>, refusals: TlsRefusals): void {
  const { logger, clock } = options;
  const peer = peerOf(socket);
  // Whatever happens on it later is also seen by the HTTP/2 session; without a listener it would end the process.
  socket.on('error', (error) => logger.debug({ peer, error: error.message }, 'connection failed'));
  const refuse = (reason: TlsRefusal, detail: string): void => {
    refusals.add(reason, { peer }, detail);
    options.audit?.refused({ caller: { kind: 'anonymous' }, from: peer }, 'connect', reason, detail);
    refuseWithAlert(socket, reason);
  };
  if (socket.isSessionReused()) return refuse('resumed-session', 'it resumed a TLS session');
  if (socket.alpnProtocol !== 'h2') return refuse('no-common-protocol', 'it does not speak HTTP/2 (ALPN h2)');
  const certificate = socket.getPeerX509Certificate();
  if (certificate !== undefined) {
    const verdict = String(socket.authorizationError);
    if (!socket.authorized)
      return refuse(chainRefusal(verdict), `its client certificate was not issued by this mesh, or is not valid now: ${verdict}`);
    const svid = readPeerId(certificate);
    if (!svid.ok) return refuse('no-spiffe-id', `its client certificate ${svid.reason}`);
    if (svid.id.trustDomain !== options.trustDomain)
      return refuse('trust-domain', `its client certificate is of trust domain ${svid.id.trustDomain}`);
    const { uri } = svid;
    if (options.isDenied?.(uri) === true) return refuse('denied', `its identity ${uri} is denied`);
    identified.set(socket, uri);
    socket.once('close', () => identified.delete(socket));
    // A connection must not outlive the identity it was made with: the client comes back with its renewed certificate.
    const end = clock.after(Math.max(0, svid.facts.notAfterMs + 1_000 - clock.wallMs()), () => socket.destroy());
    socket.once('close', () => end.cancel());
  }
  forgetHandshakeSecret(socket);
  options.onConnection(socket);
}
