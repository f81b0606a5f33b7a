// TLS of two kinds. Between proxies: 1.3, both sides show SPIFFE identities. At the edge: 1.2 or 1.3, ordinary names. Where a client's
// certificate matters no session is ever resumed: on Node a resumed session escapes verification against the roots of today, so tickets
// are off there, and chain, identity and protocol are checked again after each handshake.
import { constants } from 'node:crypto';
import net from 'node:net';
import type tls from 'node:tls';
import { ALPN_HTTP1, DEFAULT_LIMITS, parseSpiffeId, readSvid } from '@heddle/core';
import { NetworkError } from '../ports/network.ts';
import type { ClientTlsOptions, ServerTlsOptions, TlsContext } from '../ports/network.ts';
import { toNetworkError } from './network-errors.ts';

/** Loaded on first use: a proxy without TLS is 8 MB smaller. */
const nodeTls = (): typeof tls => process.getBuiltinModule('node:tls');

export class ServerTls implements TlsContext {
  readonly kind = 'server';
  private readonly options: ServerTlsOptions;
  private readonly contextOptions: tls.SecureContextOptions;

  constructor(options: ServerTlsOptions) {
    const { certificatePem, keyPem, rootsPem, trustDomain } = options;
    if (trustDomain !== undefined && rootsPem === undefined)
      throw new NetworkError('tls', 'a trust domain can only be checked with the roots that its certificates lead to');
    this.options = options;
    this.contextOptions = {
      cert: certificatePem,
      key: keyPem,
      ...(rootsPem === undefined ? {} : { ca: rootsPem, secureOptions: constants.SSL_OP_NO_TICKET }),
      ...versions(trustDomain !== undefined),
    };
    checkedContext(this.contextOptions);
  }

  /** A TLS server that never listens: sockets are handed to it one by one. */
  server(): tls.Server {
    const { rootsPem, alpn } = this.options;
    return nodeTls().createServer({
      ...this.contextOptions,
      requestCert: rootsPem !== undefined,
      rejectUnauthorized: rootsPem !== undefined,
      handshakeTimeout: DEFAULT_LIMITS.tlsHandshakeTimeoutMs,
      ALPNProtocols: alpn.length === 0 ? undefined : [...alpn],
    });
  }

  /** The peer's SPIFFE id; empty where none is asked for. Throws NetworkError when the peer is not who may call here. */
  verify(socket: tls.TLSSocket): string {
    const { rootsPem, trustDomain, alpn } = this.options;
    checkProtocol(socket, alpn, trustDomain === undefined);
    if (rootsPem !== undefined) checkChain(socket);
    if (trustDomain === undefined) return '';
    const id = provenId(socket);
    if (parseSpiffeId(id)?.trustDomain === trustDomain) return id;
    throw new NetworkError('identity', `the peer's identity ${id} is not of trust domain ${trustDomain}`);
  }
}

export class ClientTls implements TlsContext {
  readonly kind = 'client';
  readonly secureContext: tls.SecureContext;
  private readonly peerIds: ReadonlySet<string>;
  private readonly serverName: string | undefined;
  private readonly alpn: readonly string[];

  constructor({ identity, rootsPem, peerIds, serverName, alpn }: ClientTlsOptions) {
    if (serverName !== undefined && peerIds.length > 0)
      throw new NetworkError('tls', 'a server is known by its name or by SPIFFE ids, not by both');
    if (rootsPem === undefined && peerIds.length > 0)
      throw new NetworkError('tls', 'SPIFFE ids can only be checked with the roots that their certificates lead to');
    this.secureContext = checkedContext({
      ...(identity === undefined ? {} : { cert: identity.certificatePem, key: identity.keyPem }),
      ca: rootsPem ?? platformRoots(),
      secureOptions: constants.SSL_OP_NO_TICKET,
      ...versions(serverName === undefined),
    });
    this.peerIds = new Set(peerIds);
    this.serverName = serverName;
    this.alpn = alpn;
  }

  connect(address: string, port: number): tls.TLSSocket {
    const { serverName } = this;
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
        // RFC 6066 §3: no addresses in SNI.
        servername: serverName === undefined || net.isIP(serverName) !== 0 ? '' : serverName,
        // SPIFFE ids are checked by `verify`, since Node skips this call on resumed sessions.
        checkServerIdentity: (_host, certificate) =>
          serverName === undefined ? undefined : nodeTls().checkServerIdentity(serverName, certificate),
      };
    return nodeTls().connect(options);
  }

  /** The peer's SPIFFE id; empty where the server is known by its name. Throws NetworkError when it is not who it should be. */
  verify(socket: tls.TLSSocket): string {
    checkProtocol(socket, this.alpn, this.serverName !== undefined);
    checkChain(socket);
    if (this.serverName !== undefined) return '';
    const id = provenId(socket);
    if (this.peerIds.has(id)) return id;
    throw new NetworkError('identity', `the peer is ${id}, not ${[...this.peerIds].join(' or ') || 'anybody that was expected'}`);
  }
}

let foundRoots: string[] | undefined;

/** What the system trusts (on Linux: OpenSSL's files, or SSL_CERT_FILE and SSL_CERT_DIR); on one without any, what Node brings along. */
function platformRoots(): string[] {
  if (foundRoots === undefined) {
    const system = nodeTls().getCACertificates('system');
    foundRoots = system.length > 0 ? system : nodeTls().getCACertificates('default');
  }
  return foundRoots;
}

/** Proxies are of one make and need no older version; elsewhere clients and servers of all ages come (RFC 9325 §3.1.1: at least 1.2). */
function versions(isBetweenProxies: boolean): Pick<tls.SecureContextOptions, 'minVersion' | 'maxVersion'> {
  return { minVersion: isBetweenProxies ? 'TLSv1.3' : 'TLSv1.2', maxVersion: 'TLSv1.3' };
}

function checkedContext(options: tls.SecureContextOptions): tls.SecureContext {
  try {
    return nodeTls().createSecureContext(options);
  } catch (error) {
    throw new NetworkError('tls', `the certificate, key or roots cannot be used: ${toNetworkError(error).message}`, error);
  }
}

/** `canBeSilent`: a peer of another make, which may not know ALPN, and then speaks HTTP/1.1 (RFC 9113 §3.2 asks for ALPN only for `h2`). */
function checkProtocol(socket: tls.TLSSocket, alpn: readonly string[], canBeSilent: boolean): void {
  const agreed = socket.alpnProtocol || (canBeSilent ? ALPN_HTTP1 : '');
  if (alpn.length > 0 && !alpn.includes(agreed)) throw new NetworkError('tls', `no common protocol: offered ${alpn.join(', ')}`);
}

function checkChain(socket: tls.TLSSocket): void {
  if (!socket.authorized)
    throw new NetworkError('identity', `the peer's certificate was not accepted: ${String(socket.authorizationError)}`);
  if (socket.isSessionReused())
    throw new NetworkError('identity', 'the peer resumed a TLS session, which proves nothing about its certificate of today');
}

function provenId(socket: tls.TLSSocket): string {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw new NetworkError('identity', 'the peer showed no certificate');
  const svid = readSvid(certificate.raw);
  if (!svid.ok) throw new NetworkError('identity', `the peer's certificate ${svid.reason}`);
  return svid.uri;
}
