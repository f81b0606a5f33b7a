// The network as the data plane needs it: byte streams with one handler each, no emitters, no pipes. The node driver is
// `runtime/node/network.ts`; a simulation can stand in its place.

export interface CertificateAndKey {
  /** Leaf first, then intermediates; PEM. */
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** Opaque and shared by all connections that use it. */
export interface TlsContext {
  readonly kind: 'server' | 'client';
}

/** Why a TLS handshake came to nothing, as far as our side knows. */
export type TlsRefusal =
  /** The peer's first bytes are not those of TLS. */
  | 'no-tls'
  | 'no-certificate'
  /** The certificate leads to none of our roots. */
  | 'unknown-authority'
  | 'expired'
  | 'not-yet-valid'
  /** The certificate is not made for this, or its chain is broken. */
  | 'bad-certificate'
  | 'no-spiffe-id'
  | 'trust-domain'
  /** Proven, but not who was called. */
  | 'wrong-identity'
  /** Proven, but denied by the mesh. */
  | 'denied'
  | 'resumed-session'
  | 'tls-version'
  /** No cipher, group or signature algorithm in common. */
  | 'no-common-cipher'
  /** No protocol in common (ALPN, RFC 7301). */
  | 'no-common-protocol'
  /** The peer did not like what we showed, and said so. */
  | 'refused-by-peer'
  | 'timeout'
  /** The peer hung up. */
  | 'closed'
  /** Too many handshakes are under way. */
  | 'overload'
  | 'other';

export interface RefusedHandshake {
  readonly reason: TlsRefusal;
  /** For people. */
  readonly detail: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

/** Whom to refuse although the certificate is good, and who hears which connections there are with whom. One for each list of roots. */
export interface PeerGuard {
  /** Asked in each handshake, with the SPIFFE id that was proven. */
  isDenied(peerId: string): boolean;
  /** Before the connection is given to anybody. */
  opened(connection: Connection): void;
  closed(connection: Connection): void;
}

export interface ServerTlsOptions extends CertificateAndKey {
  /** Clients must show a certificate that leads to these. Absent: none is asked for. */
  readonly rootsPem?: string;
  /** Clients must show a SPIFFE identity of this trust domain. Absent: any name will do. Needs `rootsPem`. */
  readonly trustDomain?: string;
  /** Protocols in order of preference. A client must offer one of them; one that offers nothing is taken as `http/1.1` where that is among
   *  them and no identity is checked. Empty: none is agreed on. */
  readonly alpn: readonly string[];
  /** Absent: TLS 1.3. Of TLS 1.2 only what RFC 9325 §4.2 recommends. */
  readonly minVersion?: '1.2';
  /** Only with `trustDomain`. */
  readonly guard?: PeerGuard;
}

export interface ClientTlsOptions {
  /** What we show when asked. Absent: nothing. */
  readonly identity?: CertificateAndKey;
  /** Absent: the authorities that the platform trusts. Not with `peerIds`. */
  readonly rootsPem?: string;
  /** `rootsPem` counts besides the authorities that the platform trusts, not in their place. Not with `peerIds`. */
  readonly withPlatformRoots?: true;
  /** Of these SPIFFE ids the peer must show one. Empty only with `serverName`. */
  readonly peerIds: readonly string[];
  /** Sent as SNI, and the name that the peer's certificate must be for. Only without `peerIds`. */
  readonly serverName?: string;
  readonly alpn: readonly string[];
  /** As for servers. */
  readonly minVersion?: '1.2';
  /** Only with `peerIds`. */
  readonly guard?: PeerGuard;
}

/** What became of a connection. `identity`: the peer's certificate or SPIFFE id was not accepted. */
export type NetworkErrorKind =
  | 'refused'
  | 'timeout'
  | 'reset'
  | 'unreachable'
  | 'identity'
  | 'tls'
  | 'address-in-use'
  | 'not-permitted'
  | 'other';

export class NetworkError extends Error {
  readonly kind: NetworkErrorKind;
  /** Where a TLS handshake came to nothing. */
  readonly refusal: TlsRefusal | undefined;
  constructor(kind: NetworkErrorKind, message: string, cause?: unknown, refusal?: TlsRefusal) {
    super(message, { cause });
    this.name = 'NetworkError';
    this.kind = kind;
    this.refusal = refusal;
  }
}

export interface ConnectionHandler {
  /** Outgoing connections only: connected, TLS handshake and identity check included. */
  onConnected?(): void;
  /** The bytes are the driver's, valid during the call: who keeps some of them copies them. */
  onBytes(bytes: Buffer): void;
  /** After `write` returned false: the buffered bytes have been flushed. */
  onDrained(): void;
  /** The peer has ended its direction; ours is still open. */
  onEnd(): void;
  /** Exactly once, last. */
  onClose(error: NetworkError | undefined): void;
}

/** A handler for connections that nobody has taken over yet. */
export const NOBODY: ConnectionHandler = { onBytes() {}, onDrained() {}, onEnd() {}, onClose() {} };

export interface Connection {
  /** Must be set before the first event can arrive: synchronously in `onConnection`, or passed to `connect`. */
  handler: ConnectionHandler;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  /** The protocol agreed by ALPN; empty without TLS. */
  readonly alpn: string;
  /** The peer's SPIFFE id; empty where none was checked. */
  readonly peerId: string;
  /** False: core's `connectionBufferBytesMax` or more are buffered; stop until `onDrained`. */
  write(bytes: Uint8Array): boolean;
  /** `write` copies what it is given, so that may change right after. */
  readonly copiesWrites: boolean;
  /** Whether bytes that were written may still be read by the connection: then they must not change. Undefined: it can never tell. */
  readonly holdsBytes: boolean | undefined;
  /** Between cork and uncork, writes are gathered into one system call. */
  cork(): void;
  uncork(): void;
  pause(): void;
  resume(): void;
  /** Ends our direction after what was written. */
  end(): void;
  /** Drops the connection at once. The peer may see a plain end. */
  destroy(): void;
  /** Drops the connection at once so that the peer sees an error rather than an end, where the transport can say so (TCP: RST). */
  reset(): void;
}

export interface ListenOptions {
  readonly address: string;
  /** 0: the system chooses; see `ListeningSocket.port`. */
  readonly port: number;
  /** Several sockets may listen on the same port, each with its share of the connections (SO_REUSEPORT). Default false. */
  readonly shared?: boolean;
}

export type OnConnection = (connection: Connection) => void;
export type OnRefused = (refused: RefusedHandshake) => void;

export interface ListeningSocket {
  readonly address: string;
  readonly port: number;
  /** From now on new connections are handled so. Undefined: they are closed at once (a reserved port). With `tls`, `onConnection` is
   *  called after a handshake that proved what the context asks for; others never reach it, but are told by the TLS alert that fits, and
   *  `onRefused` hears of each. Live connections are untouched. */
  accept(onConnection: OnConnection | undefined, tls?: TlsContext, onRefused?: OnRefused): void;
  /** Stops listening; live connections go on. */
  close(): Promise<void>;
}

export interface ConnectOptions {
  readonly address: string;
  readonly port: number;
  readonly tls?: TlsContext;
  /** Connecting and handshake together. */
  readonly timeoutMs: number;
  /** All that is written is HTTP of our own making, so that headers which only we may say are true. Absent: bytes of others may pass. */
  readonly isOwnHttp?: true;
}

export interface Network {
  /** Calls once, after everything that has arrived on any socket by now was handled: what it caused can then be written in one go. */
  afterEvents(run: () => void): void;
  /** Throws NetworkError: `address-in-use`, `not-permitted`, or `other`. */
  listen(options: ListenOptions): Promise<ListeningSocket>;
  /**
   * An accepted connection without TLS turns out to begin a TLS handshake, of which `received` has come. It goes on as if it had been accepted
   * with `tls`: exactly one of the functions is called, and the handler that the connection had hears nothing more. To be called while the
   * bytes are handled, or when none have come.
   */
  secure(connection: Connection, received: Buffer, tls: TlsContext, onConnection: OnConnection, onRefused: OnRefused): void;
  /** Never throws; failures arrive at `handler.onClose`. */
  connect(options: ConnectOptions, handler: ConnectionHandler): Connection;
  /** Throws NetworkError `tls` when the PEM cannot be used. */
  serverTls(options: ServerTlsOptions): TlsContext;
  clientTls(options: ClientTlsOptions): TlsContext;
}
