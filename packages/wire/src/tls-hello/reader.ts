// Finds the ClientHello in the first bytes of a connection (RFC 8446 §5.1): records of type handshake, of which the message may take several.
// The bytes stay the caller's, who passes them on or gives them to a TLS library; call again from the start when more have come.

import { readClientHello, type TlsHello } from './client-hello.ts';
import type { TlsHelloViolationCode } from './violations.ts';

export { type TlsHello } from './client-hello.ts';
export { TLS_HELLO_VIOLATIONS, type TlsHelloViolationCode } from './violations.ts';

export interface TlsHelloLimits {
  /** The message without record headers. Default 16,384: with post-quantum key shares and padding it is about 2,000. */
  readonly helloBytesMax: number;
  /** Records over which it is spread. Default 32: normally it is one, and each costs another look for every read. */
  readonly recordsMax: number;
}

export const TLS_HELLO_LIMITS: TlsHelloLimits = { helloBytesMax: 16_384, recordsMax: 32 };

export type TlsHelloResult =
  | { readonly kind: 'need-more' }
  | { readonly kind: 'not-tls' }
  | { readonly kind: 'hello'; readonly hello: TlsHello }
  | { readonly kind: 'error'; readonly code: TlsHelloViolationCode };

const NEED_MORE: TlsHelloResult = { kind: 'need-more' };
const NOT_TLS: TlsHelloResult = { kind: 'not-tls' };

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const RECORD_HEADER_BYTES = 5;
const RECORD_BYTES_MAX = 16_384;
const MESSAGE_HEADER_BYTES = 4;

/**
 * Reads the first bytes of a connection, bytes[start, end). Whatever they are, it answers: `not-tls` as early as one can tell, `error` for
 * what began like TLS and is wrong, `need-more` up to the limits. Never throws.
 */
export function readTlsHello(
  bytes: Buffer,
  start: number = 0,
  end: number = bytes.length,
  limits: TlsHelloLimits = TLS_HELLO_LIMITS,
): TlsHelloResult {
  // RFC 8446 §5.1: the major version of the record layer is 3 in every version of TLS.
  if (start < end && bytes[start] !== HANDSHAKE) return NOT_TLS;
  if (start + 1 < end && bytes[start + 1] !== 3) return NOT_TLS;
  let message: Buffer | undefined;
  let at = start;
  for (let records = 0; at < end; records++) {
    if (records === limits.recordsMax) return { kind: 'error', code: 'TOO_MANY_RECORDS' };
    const fault = checkRecordHeader(bytes, at, end);
    if (fault !== undefined) return { kind: 'error', code: fault };
    if (end - at < RECORD_HEADER_BYTES) return NEED_MORE;
    const from = at + RECORD_HEADER_BYTES;
    const to = from + bytes.readUInt16BE(at + 3);
    const fragment = bytes.subarray(from, Math.min(to, end));
    // Nearly always there is one record, and nothing is copied.
    message = message === undefined ? fragment : Buffer.concat([message, fragment]);
    const result = readMessage(message, limits);
    if (result !== NEED_MORE) return result;
    at = to;
  }
  return NEED_MORE;
}

/** As far as it has come. */
function checkRecordHeader(bytes: Buffer, at: number, end: number): TlsHelloViolationCode | undefined {
  if (bytes[at] !== HANDSHAKE) return 'BAD_RECORD';
  if (at + 1 < end && bytes[at + 1] !== 3) return 'BAD_RECORD';
  if (end - at < RECORD_HEADER_BYTES) return undefined;
  const length = bytes.readUInt16BE(at + 3);
  return length === 0 || length > RECORD_BYTES_MAX ? 'BAD_RECORD' : undefined;
}

/** The handshake message, as far as it has come. */
function readMessage(message: Buffer, limits: TlsHelloLimits): TlsHelloResult {
  if (message.length > 0 && message[0] !== CLIENT_HELLO) return { kind: 'error', code: 'NOT_CLIENT_HELLO' };
  if (message.length < MESSAGE_HEADER_BYTES) return NEED_MORE;
  const messageEnd = MESSAGE_HEADER_BYTES + message.readUIntBE(1, 3);
  if (messageEnd > limits.helloBytesMax) return { kind: 'error', code: 'HELLO_TOO_LARGE' };
  if (message.length < messageEnd) return NEED_MORE;
  const hello = readClientHello(message, MESSAGE_HEADER_BYTES, messageEnd);
  return typeof hello === 'string' ? { kind: 'error', code: hello } : { kind: 'hello', hello };
}
