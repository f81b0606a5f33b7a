// TLS 1.3 with both sides authenticated. No session is ever resumed: on Node a resumed session escapes verification against the
// roots of today, so tickets are off, and chain, identity and protocol are checked again after each handshake.
import { constants } from 'node:crypto';
import tls from 'node:tls';
import { DEFAULT_LIMITS, parseSpiffeId, readSvid } from '@heddle/core';
import { NetworkError } from '../ports/network.ts';
import type { CertificateAndKey, ClientTlsOptions, ServerTlsOptions, TlsContext } from '../ports/network.ts';
import { toNetworkError } from './network-errors.ts';

export class ServerTls implements TlsContext {
  readonly kind = 'server';
  readonly options: ServerTlsOptions;

  constructor(options: ServerTlsOptions) {
    this.options = options;
    contextOf(options);
  }

  /** A TLS server that never listens: sockets are handed to it one by one. */
  server(): tls.Server {
    const { certificatePem, keyPem, rootsPem, alpn } = this.options;
    return tls.createServer({
      cert: certificatePem,
      key: keyPem,
      ca: rootsPem,
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      secureOptions: constants.SSL_OP_NO_TICKET,
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: DEFAULT_LIMITS.tlsHandshakeTimeoutMs,
      ALPNProtocols: alpn.length === 0 ? undefined : [...alpn],
    });
  }

  /** The peer's SPIFFE id. Throws NetworkError when the peer is not who may call here. */
  verify(socket: tls.TLSSocket): string {
    const id = provenId(socket, this.options.alpn);
    if (parseSpiffeId(id)?.trustDomain === this.options.trustDomain) return id;
    throw new NetworkError('identity', `the peer's identity ${id} is not of trust domain ${this.options.trustDomain}`);
  }
}

export class ClientTls implements TlsContext {
  readonly kind = 'client';
  readonly secureContext: tls.SecureContext;
  private readonly peerIds: ReadonlySet<string>;
  private readonly alpn: readonly string[];

  constructor(options: ClientTlsOptions) {
    this.secureContext = contextOf(options);
    this.peerIds = new Set(options.peerIds);
    this.alpn = options.alpn;
  }

  connect(address: string, port: number): tls.TLSSocket {
    const options: tls.ConnectionOptions & { allowHalfOpen: boolean; noDelay: boolean; keepAlive: boolean; keepAliveInitialDelay: number } =
      {
        host: address,
        port,
        secureContext: this.secureContext,
        allowHalfOpen: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: 60_000,
        ALPNProtocols: this.alpn.length === 0 ? undefined : [...this.alpn],
        rejectUnauthorized: true,
        // Names play no part: who the peer must be is checked by `verify`, on resumed sessions too, where Node would skip this call.
        checkServerIdentity: () => undefined,
      };
    return tls.connect(options);
  }

  verify(socket: tls.TLSSocket): string {
    const id = provenId(socket, this.alpn);
    if (this.peerIds.has(id)) return id;
    throw new NetworkError('identity', `the peer is ${id}, not ${[...this.peerIds].join(' or ')}`);
  }
}

function contextOf(options: CertificateAndKey & { readonly rootsPem: string }): tls.SecureContext {
  try {
    return tls.createSecureContext({
      cert: options.certificatePem,
      key: options.keyPem,
      ca: options.rootsPem,
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      secureOptions: constants.SSL_OP_NO_TICKET,
    });
  } catch (error) {
    throw new NetworkError('tls', `the certificate, key or roots cannot be used: ${toNetworkError(error).message}`, error);
  }
}

function provenId(socket: tls.TLSSocket, alpn: readonly string[]): string {
  if (!socket.authorized)
    throw new NetworkError('identity', `the peer's certificate was not accepted: ${String(socket.authorizationError)}`);
  if (socket.isSessionReused())
    throw new NetworkError('identity', 'the peer resumed a TLS session, which proves nothing about its certificate of today');
  if (alpn.length > 0 && !alpn.includes(socket.alpnProtocol || ''))
    throw new NetworkError('tls', `no common protocol: offered ${alpn.join(', ')}`);
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw new NetworkError('identity', 'the peer showed no certificate');
  const svid = readSvid(certificate.raw);
  if (!svid.ok) throw new NetworkError('identity', `the peer's certificate ${svid.reason}`);
  return svid.uri;
}
