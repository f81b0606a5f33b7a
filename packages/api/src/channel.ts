// How every client of the control plane connects: TLS 1.3, trusting the mesh's roots and nothing else, and the server is known
// by its SPIFFE id instead of by a host name. Workloads show their certificate, operators a bearer token. A connection that is dead
// is noticed within seconds, and can be dropped for good.
import type { Socket } from 'node:net';
import { createSecureContext, type PeerCertificate } from 'node:tls';
import { ChannelCredentials, type ChannelOptions, Metadata } from '@grpc/grpc-js';
import { DEFAULT_LIMITS, readSvid } from '@heddle/core';

export interface ControlChannelOptions {
  readonly rootsPem: string;
  /** Certificate and key of a workload, leaf first: both or neither. */
  readonly certificatePem?: string;
  readonly keyPem?: string;
  /** `spiffe://<trust domain>/ns/heddle-system/svc/control`. */
  readonly expectedSpiffeId: string;
}

/** Sent as SNI and `:authority`; the control plane's certificate carries it too. An IP address must not stand there (RFC 6066 3). */
export const CONTROL_SERVER_NAME = 'control.mesh.internal';

/**
 * When a connection to the control plane counts as dead: it is asked for a sign of life so long after the last one, and has so long to give
 * it. Together below 5 s, within which everything heals. One PING of 17 bytes every 2 s for each connection: for 1,000 data planes some
 * 500 a second, which the control plane's HTTP/2 answers below JavaScript.
 */
export const CONTROL_KEEPALIVE = { timeMs: 2_000, timeoutMs: 2_500 } as const;

export type ControlCredentials = ChannelCredentials & {
  /**
   * Destroys every connection that was made with these credentials, and any that is still to come. `close` of a client says goodbye and
   * waits for the peer, for ever where the peer is gone and the network does not say so; see `endControlClient`.
   */
  dropConnections(): void;
};

/** Throws Error when the PEM texts cannot be used. A new certificate needs new credentials and a new client. */
export function controlChannelCredentials(options: ControlChannelOptions): ControlCredentials {
  const { rootsPem, certificatePem, keyPem, expectedSpiffeId } = options;
  if ((certificatePem === undefined) !== (keyPem === undefined)) throw new Error('a certificate needs its key, and a key its certificate');
  const secureContext = createSecureContext({ ca: rootsPem, cert: certificatePem, key: keyPem, minVersion: 'TLSv1.3' });
  return withDrop(
    ChannelCredentials.createFromSecureContext(secureContext, {
      // TLS has verified the chain against the roots by now; a session is never resumed, so this is asked on every connection.
      checkServerIdentity: (_host: string, certificate: PeerCertificate) => wrongIdentity(certificate, expectedSpiffeId),
    }),
  );
}

function withDrop(credentials: ChannelCredentials): ControlCredentials {
  const sockets = new Set<Socket>();
  let isDropped = false;
  const create = credentials._createSecureConnector.bind(credentials);
  credentials._createSecureConnector = (...args) => {
    const connector = create(...args);
    const connect = connector.connect.bind(connector);
    connector.connect = (socket) => {
      if (isDropped) return Promise.reject(new Error('the connection has been given up'));
      sockets.add(socket);
      // grpc-js does not time the handshake: without an end by the socket itself its promise would stay open.
      const closed = new Promise<never>((_resolve, reject) => {
        socket.once('close', () => {
          sockets.delete(socket);
          reject(new Error('the connection was closed during the TLS handshake'));
        });
      });
      return Promise.race([connect(socket), closed]);
    };
    return connector;
  };
  return Object.assign(credentials, {
    dropConnections: () => {
      isDropped = true;
      for (const socket of sockets) socket.destroy();
    },
  });
}

/** Closes a client and drops its connections in the next turn, so that a control plane that lives hears goodbye, and a dead one is left. */
export function endControlClient(client: { close(): void }, credentials: ControlCredentials): void {
  client.close();
  setImmediate(() => credentials.dropConnections());
}

function wrongIdentity(certificate: PeerCertificate, expected: string): Error | undefined {
  const svid = readSvid(certificate.raw);
  if (!svid.ok) return new Error(`the server's certificate ${svid.reason}`);
  return svid.uri === expected ? undefined : new Error(`the server is ${svid.uri}, not ${expected}`);
}

/** `host:port` as grpc-js resolves it; IPv6 addresses get their brackets. */
export function controlTarget(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/**
 * Channel options for the control plane.
 * @param patience factor for the time in which it must answer a PING. Default 1.
 */
export function controlChannelOptions(patience = 1): ChannelOptions {
  return {
    'grpc.ssl_target_name_override': CONTROL_SERVER_NAME,
    'grpc.default_authority': CONTROL_SERVER_NAME,
    // A peer that vanished without a word is noticed on idle streams, too.
    'grpc.keepalive_time_ms': CONTROL_KEEPALIVE.timeMs,
    'grpc.keepalive_timeout_ms': CONTROL_KEEPALIVE.timeoutMs * patience,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.initial_reconnect_backoff_ms': 200,
    // Callers back off themselves; two such waits would add up.
    'grpc.max_reconnect_backoff_ms': 1_000,
    // The environment's HTTP_PROXY may well be the mesh's own: calls to the control plane never go through it.
    'grpc.enable_http_proxy': 0,
    'grpc.max_receive_message_length': DEFAULT_LIMITS.discoveryMessageBytesMax,
    // Service configurations out of DNS have no say in how the control plane is called.
    'grpc.service_config_disable_resolution': 1,
  };
}

/** What an operator's calls carry; only ever send it over `controlChannelCredentials`. */
export function operatorMetadata(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}
