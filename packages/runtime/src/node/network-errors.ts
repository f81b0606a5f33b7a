// From the errors of node:net and node:tls to the few kinds that a data plane acts on.
import { NetworkError } from '../ports/network.ts';
import type { ListenOptions, NetworkErrorKind } from '../ports/network.ts';

const KINDS: Readonly<Record<string, NetworkErrorKind>> = {
  ECONNREFUSED: 'refused',
  ETIMEDOUT: 'timeout',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ECONNABORTED: 'reset',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETDOWN: 'unreachable',
  EADDRINUSE: 'address-in-use',
  EACCES: 'not-permitted',
  EPERM: 'not-permitted',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'timeout',
};

/** Verdicts on a certificate: OpenSSL's on the chain (X509_V_ERR_…), and Node's on the name. */
const CERTIFICATE_VERDICTS = new Set([
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'CERT_REVOKED',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'CERT_CHAIN_TOO_LONG',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  'ERROR_IN_CERT_NOT_AFTER_FIELD',
  'UNSPECIFIED',
]);

/** Alerts with which the peer says that it did not like our certificate (RFC 8446 §6.2). */
const CERTIFICATE_ALERTS =
  /ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_(REVOKED|EXPIRED|UNKNOWN|REQUIRED)|UNKNOWN_CA|ACCESS_DENIED)/;

export function toNetworkError(error: unknown): NetworkError {
  if (error instanceof NetworkError) return error;
  const { code = '', message } = error as { code?: string; message: string };
  return new NetworkError(kindOf(code), message, error);
}

export function listenError(cause: Error, { address, port }: ListenOptions): NetworkError {
  const error = toNetworkError(cause);
  const reason =
    error.kind === 'address-in-use'
      ? 'another process (or listener) holds that port'
      : error.kind === 'not-permitted'
        ? 'this user may not use that port'
        : error.message;
  return new NetworkError(error.kind, `cannot listen on ${address}:${port}: ${reason}`, error);
}

function kindOf(code: string): NetworkErrorKind {
  const known = KINDS[code];
  if (known !== undefined) return known;
  if (CERTIFICATE_VERDICTS.has(code) || CERTIFICATE_ALERTS.test(code)) return 'identity';
  if (code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) return 'tls';
  return 'other';
}
