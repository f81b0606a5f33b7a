// TLS of two kinds. Between proxies both sides show SPIFFE identities; at the edge there are ordinary names. Where a client's certificate
// matters no session is ever resumed: on Node a resumed session escapes verification against the roots of today, so tickets are of no
// use there, and chain, identity and protocol are checked here after each handshake, never by Node, which could not say why (tls-alerts.ts).
import { constants } from 'node:crypto';
import type { X509Certificate } from 'node:crypto';
import net from 'node:net';
import type tls from 'node:tls';
import { ALPN_HTTP1, DEFAULT_LIMITS, parseSpiffeId, readSvid } from '@heddle/core';
import { NetworkError } from '../ports/network.ts';
import type { ClientTlsOptions, PeerGuard, ServerTlsOptions, TlsContext, TlsRefusal } from '../ports/network.ts';
import { chainRefusal, toNetworkError } from './network-errors.ts';

/** Loaded on first use: a proxy without TLS is 8 MB smaller. */
const nodeTls = (): typeof tls => process.getBuiltinModule('node:tls');

export class ServerTls implements TlsContext {
  readonly kind = 'server';
  readonly guard: PeerGuard | undefined;
  /** Under way. */
  handshakes = 0;
  private readonly options: ServerTlsOptions;
  private readonly contextOptions: tls.SecureContextOptions;

  constructor(options: ServerTlsOptions) {
    const { certificatePem, keyPem, rootsPem, trustDomain, minVersion, guard } = options;
    if (trustDomain !== undefined && rootsPem === undefined)
      throw new NetworkError('tls', 'a trust domain can only be checked with the roots that its certificates lead to');
    this.options = options;
    this.guard = guard;
    this.contextOptions = {
      cert: certificatePem,
      key: keyPem,
      ...(rootsPem === undefined ? {} : { ca: rootsPem }),
      ...parameters(minVersion, rootsPem !== undefined),
    };
    checkedContext(this.contextOptions);
  }

  /** A TLS server that never listens: sockets are handed to it one by one. Whoever it lets through is to be put to `verify`. */
  server(): tls.Server {
    const { rootsPem, alpn } = this.options;
    return nodeTls().createServer({
      ...this.contextOptions,
      requestCert: rootsPem !== undefined,
      rejectUnauthorized: false,
      handshakeTimeout: DEFAULT_LIMITS.tlsHandshakeTimeoutMs,
      ALPNProtocols: alpn.length === 0 ? undefined : [...alpn],
    });
  }

  /** The peer's SPIFFE id; empty where none is asked for. Throws NetworkError when the peer is not who may call here. */
  verify(socket: tls.TLSSocket): string {
    const { rootsPem, trustDomain, alpn, guard } = this.options;
    const certificate = rootsPem === undefined ? undefined : checkedLeaf(socket);
    const id = trustDomain === undefined ? '' : provenId(certificate!);
    if (trustDomain !== undefined && parseSpiffeId(id)?.trustDomain !== trustDomain)
      throw refusal('trust-domain', `the peer's identity ${id} is not of trust domain ${trustDomain}`);
    if (id !== '') checkGuard(guard, id);
    checkProtocol(socket, alpn, trustDomain === undefined);
    return id;
  }
}

export class ClientTls implements TlsContext {
  readonly kind = 'client';
  readonly secureContext: tls.SecureContext;
  readonly guard: PeerGuard | undefined;
  private readonly peerIds: ReadonlySet<string>;
  private readonly serverName: string | undefined;
  private readonly alpn: readonly string[];

  constructor({ identity, rootsPem, withPlatformRoots, peerIds, serverName, alpn, minVersion, guard }: ClientTlsOptions) {
    if (serverName !== undefined && peerIds.length > 0)
      throw new NetworkError('tls', 'a server is known by its name or by SPIFFE ids, not by both');
    if (rootsPem === undefined && peerIds.length > 0)
      throw new NetworkError('tls', 'SPIFFE ids can only be checked with the roots that their certificates lead to');
    this.secureContext = checkedContext({
      ...(identity === undefined ? {} : { cert: identity.certificatePem, key: identity.keyPem }),
      ca: rootsPem === undefined ? platformRoots() : withPlatformRoots === true ? [...platformRoots(), rootsPem] : rootsPem,
      ...parameters(minVersion, true),
    });
    this.peerIds = new Set(peerIds);
    this.serverName = serverName;
    this.alpn = alpn;
    this.guard = guard;
  }

  /** To be put to `verify` once it is connected. */
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
        rejectUnauthorized: false,
        // RFC 6066 §3: no addresses in SNI.
        servername: serverName === undefined || net.isIP(serverName) !== 0 ? '' : serverName,
        checkServerIdentity: () => undefined,
      };
    return nodeTls().connect(options);
  }

  /** The peer's SPIFFE id; empty where the server is known by its name. Throws NetworkError when it is not who it should be. */
  verify(socket: tls.TLSSocket): string {
    const certificate = checkedLeaf(socket);
    const id = this.serverName === undefined ? this.expectedId(certificate) : '';
    if (this.serverName !== undefined) checkName(certificate, this.serverName);
    checkProtocol(socket, this.alpn, this.serverName !== undefined);
    return id;
  }

  private expectedId(certificate: X509Certificate): string {
    const id = provenId(certificate);
    if (!this.peerIds.has(id))
      throw refusal('wrong-identity', `the peer is ${id}, not ${[...this.peerIds].join(' or ') || 'anybody that was expected'}`);
    checkGuard(this.guard, id);
    return id;
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

/** RFC 9325 §4.2, in our order: with forward secrecy, and none that HTTP/2 forbids (RFC 9113 §9.2.2). Those of TLS 1.3 come first. */
const CIPHERS_WITH_TLS12 = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** A handshake within a connection (TLS 1.2) could put another peer in the place of the one that was verified. */
function parameters(minVersion: '1.2' | undefined, mattersWho: boolean): tls.SecureContextOptions {
  const secureOptions = constants.SSL_OP_NO_RENEGOTIATION | (mattersWho ? constants.SSL_OP_NO_TICKET : 0);
  if (minVersion === undefined) return { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', secureOptions };
  return { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', ciphers: CIPHERS_WITH_TLS12, honorCipherOrder: true, secureOptions };
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
  if (alpn.length > 0 && !alpn.includes(agreed))
    throw new NetworkError('tls', `no common protocol: offered ${alpn.join(', ')}`, undefined, 'no-common-protocol');
}

/** The peer's certificate, whose chain leads to the roots. Asked for once: there are versions of Node (24.21) in which a client's second question gets no answer. */
function checkedLeaf(socket: tls.TLSSocket): X509Certificate {
  if (socket.isSessionReused())
    throw refusal('resumed-session', 'the peer resumed a TLS session, which proves nothing about its certificate of today');
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw refusal('no-certificate', 'the peer showed no certificate');
  if (socket.authorized) return certificate;
  // A string in Node, whatever its types say.
  const code = String(socket.authorizationError);
  throw refusal(chainRefusal(code), `the peer's certificate was not accepted: ${code}`);
}

/** `checkServerIdentity` of a handshake would not be asked about resumed sessions, and Node would end the connection without an alert. */
function checkName(certificate: X509Certificate, serverName: string): void {
  const error = nodeTls().checkServerIdentity(serverName, certificate.toLegacyObject());
  if (error !== undefined) throw toNetworkError(error);
}

function checkGuard(guard: PeerGuard | undefined, id: string): void {
  if (guard?.isDenied(id) === true) throw refusal('denied', `the peer's identity ${id} is denied in this mesh`);
}

function provenId(certificate: X509Certificate): string {
  const svid = readSvid(certificate.raw);
  if (!svid.ok) throw refusal('no-spiffe-id', `the peer's certificate ${svid.reason}`);
  return svid.uri;
}

function refusal(reason: TlsRefusal, message: string): NetworkError {
  return new NetworkError('identity', message, undefined, reason);
}
