// The alert that tells a peer why it is refused (RFC 8446 §6.2). Node asks about certificates only once the handshake is complete, and has no
// way to send an alert then. So it is sealed here, with the traffic secret that Node hands out for key logs (RFC 8446 §7.3, §5.2), and
// written below the TLS socket, on which nothing else is said any more. What is below, Node keeps to itself and may keep otherwise tomorrow: where anything
// of it is not as expected, the connection just ends.
import { createCipheriv, createHmac } from 'node:crypto';
import net from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { TlsRefusal } from '../ports/network.ts';

/** RFC 8446 §6. */
const ALERTS: Partial<Readonly<Record<TlsRefusal, number>>> = {
  'no-certificate': 116, // certificate_required
  'resumed-session': 116,
  'unknown-authority': 48, // unknown_ca
  expired: 45, // certificate_expired: or not currently valid
  'not-yet-valid': 45,
  'bad-certificate': 42, // bad_certificate
  'no-spiffe-id': 46, // certificate_unknown
  'wrong-identity': 42, // what TLS libraries say when a name does not fit
  'trust-domain': 49, // access_denied: valid, but not let in
  denied: 49,
  'no-common-protocol': 120, // no_application_protocol
};
const FATAL = 2;
const CONTENT_TYPE_ALERT = 21;
const RECORD_HEADER = { applicationData: 23, legacyVersion: 0x0303 };
const TAG_BYTES = 16;
const NONCE_BYTES = 12;
/** So long the peer may take to read the alert and close; what it sends meanwhile is thrown away. */
const LINGER_MS = 1_000;
/** OpenSSL's default (SSL_CTX_set_num_tickets), which Node leaves as it is. */
const TICKETS = 2;

interface Suite {
  readonly hash: 'sha256' | 'sha384';
  readonly cipher: 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305';
  readonly keyBytes: number;
}

/** RFC 8446 §B.4: those that OpenSSL has on by default. */
const SUITES: Readonly<Record<string, Suite>> = {
  TLS_AES_128_GCM_SHA256: { hash: 'sha256', cipher: 'aes-128-gcm', keyBytes: 16 },
  TLS_AES_256_GCM_SHA384: { hash: 'sha384', cipher: 'aes-256-gcm', keyBytes: 32 },
  TLS_CHACHA20_POLY1305_SHA256: { hash: 'sha256', cipher: 'chacha20-poly1305', keyBytes: 32 },
};

/** Of a secret. */
const HASH_BYTES = { sha256: 32, sha384: 48 };

const SECRET = Symbol('traffic secret');

type KeyedSocket = TLSSocket & { [SECRET]?: Buffer | undefined };

/** The stream below a TLS socket, as Node keeps it. */
interface LowerHandle {
  readonly bytesWritten: number;
}

/** Listens to the key log of a handshake; `forgetHandshakeSecret` or `refuseWithAlert` ends that. @param line `LABEL <client random> <secret>`, in hexadecimal */
export function keepHandshakeSecret(socket: TLSSocket, label: 'SERVER_TRAFFIC_SECRET_0' | 'CLIENT_TRAFFIC_SECRET_0', line: Buffer): void {
  const text = line.toString('latin1').trimEnd();
  if (!text.startsWith(label)) return;
  (socket as KeyedSocket)[SECRET] = Buffer.from(text.slice(text.lastIndexOf(' ') + 1), 'hex');
}

export function forgetHandshakeSecret(socket: TLSSocket): void {
  (socket as KeyedSocket)[SECRET] = undefined;
}

/** Ends a connection whose handshake has just been completed, with the alert for the reason. Nothing may have been written to it. Throws nothing. */
export function refuseWithAlert(socket: TLSSocket, reason: TlsRefusal): void {
  const secret = (socket as KeyedSocket)[SECRET];
  forgetHandshakeSecret(socket);
  socket.on('error', () => {});
  try {
    const alert = ALERTS[reason];
    const suite = socket.getProtocol() === 'TLSv1.3' ? SUITES[socket.getCipher().standardName] : undefined;
    const below = lowerHandle(socket);
    if (alert !== undefined && below !== undefined && suite !== undefined && secret?.length === HASH_BYTES[suite.hash])
      alertAfterTurn(socket, below, (records) => alertRecord(alert, suite, secret, records));
    else socket.destroy();
  } catch {
    socket.destroy();
  }
}

/** When this turn has ended, all of our handshake is written; a server may have added its tickets, which count as records. */
function alertAfterTurn(socket: TLSSocket, below: LowerHandle, seal: (records: number) => Buffer): void {
  const writtenBytes = below.bytesWritten;
  setImmediate(() => {
    if (socket.destroyed) return;
    try {
      if (lowerHandle(socket) !== below) throw new Error('it has changed');
      const records = below.bytesWritten > writtenBytes && isServer(socket) ? TICKETS : 0;
      writeBelow(socket, below, seal(records));
    } catch {
      socket.destroy();
    }
  });
}

function writeBelow(socket: TLSSocket, below: LowerHandle, record: Buffer): void {
  const raw = new net.Socket({ handle: below, allowHalfOpen: true } as unknown as net.SocketConstructorOpts);
  raw.on('error', () => socket.destroy());
  raw.end(record);
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', () => socket.destroy());
  // Unread bytes would turn our end into a reset, which can overtake the alert.
  socket.resume();
}

function lowerHandle(socket: TLSSocket): LowerHandle | undefined {
  const below = (socket as unknown as { readonly _handle?: { readonly _parent?: Partial<LowerHandle> } | null })._handle?._parent;
  return typeof below?.bytesWritten === 'number' ? (below as LowerHandle) : undefined;
}

function isServer(socket: TLSSocket): boolean {
  return (socket as unknown as { readonly server?: object }).server !== undefined;
}

/** RFC 8446 §5.2: a sealed record, whose nonce is made of its number. */
function alertRecord(alert: number, { hash, cipher, keyBytes }: Suite, secret: Buffer, number: number): Buffer {
  const content = Buffer.from([FATAL, alert, CONTENT_TYPE_ALERT]);
  const header = Buffer.from([
    RECORD_HEADER.applicationData,
    RECORD_HEADER.legacyVersion >> 8,
    RECORD_HEADER.legacyVersion & 0xff,
    0,
    content.length + TAG_BYTES,
  ]);
  const nonce = expandLabel(hash, secret, 'iv', NONCE_BYTES);
  nonce[NONCE_BYTES - 1]! ^= number;
  const sealing = createCipheriv(cipher as 'aes-128-gcm', expandLabel(hash, secret, 'key', keyBytes), nonce, { authTagLength: TAG_BYTES });
  sealing.setAAD(header);
  return Buffer.concat([header, sealing.update(content), sealing.final(), sealing.getAuthTag()]);
}

/** HKDF-Expand-Label (RFC 8446 §7.1) with an empty context, for no more than one block of the hash. */
function expandLabel(hash: Suite['hash'], secret: Buffer, label: string, lengthBytes: number): Buffer {
  const full = Buffer.from(`tls13 ${label}`, 'latin1');
  const info = Buffer.concat([Buffer.from([lengthBytes >> 8, lengthBytes & 0xff, full.length]), full, Buffer.from([0])]);
  return createHmac(hash, secret)
    .update(info)
    .update(Buffer.from([1]))
    .digest()
    .subarray(0, lengthBytes);
}
