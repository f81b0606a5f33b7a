// From the errors of node:net and node:tls to the few kinds that a data plane acts on.
import { NetworkError } from '../ports/network.ts';
import type { ListenOptions, NetworkErrorKind, TlsRefusal } from '../ports/network.ts';

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
const CERTIFICATE_VERDICTS: Readonly<Record<string, TlsRefusal>> = {
  ERR_TLS_CERT_ALTNAME_INVALID: 'wrong-identity',
  UNABLE_TO_GET_ISSUER_CERT: 'unknown-authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unknown-authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unknown-authority',
  SELF_SIGNED_CERT_IN_CHAIN: 'unknown-authority',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'unknown-authority',
  CERT_HAS_EXPIRED: 'expired',
  CERT_NOT_YET_VALID: 'not-yet-valid',
  CERT_SIGNATURE_FAILURE: 'unknown-authority',
  CERT_UNTRUSTED: 'unknown-authority',
  CERT_REJECTED: 'bad-certificate',
  CERT_REVOKED: 'bad-certificate',
  INVALID_CA: 'bad-certificate',
  INVALID_PURPOSE: 'bad-certificate',
  PATH_LENGTH_EXCEEDED: 'bad-certificate',
  CERT_CHAIN_TOO_LONG: 'bad-certificate',
  UNABLE_TO_DECRYPT_CERT_SIGNATURE: 'bad-certificate',
  ERROR_IN_CERT_NOT_BEFORE_FIELD: 'bad-certificate',
  ERROR_IN_CERT_NOT_AFTER_FIELD: 'bad-certificate',
  UNSPECIFIED: 'bad-certificate',
};

/** OpenSSL's other reasons (ERR_SSL_…). */
const HANDSHAKE_REASONS: Readonly<Record<string, TlsRefusal>> = {
  HTTP_REQUEST: 'no-tls',
  HTTPS_PROXY_REQUEST: 'no-tls',
  WRONG_VERSION_NUMBER: 'no-tls',
  PACKET_LENGTH_TOO_LONG: 'no-tls',
  RECORD_TOO_SMALL: 'no-tls',
  UNSUPPORTED_PROTOCOL: 'tls-version',
  VERSION_TOO_LOW: 'tls-version',
  VERSION_TOO_HIGH: 'tls-version',
  TLSV1_ALERT_PROTOCOL_VERSION: 'tls-version',
  NO_SHARED_CIPHER: 'no-common-cipher',
  NO_SUITABLE_KEY_SHARE: 'no-common-cipher',
  NO_SUITABLE_GROUPS: 'no-common-cipher',
  NO_SUITABLE_SIGNATURE_ALGORITHM: 'no-common-cipher',
  NO_SHARED_SIGNATURE_ALGORITHMS: 'no-common-cipher',
  NO_APPLICATION_PROTOCOL: 'no-common-protocol',
  TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 'no-common-protocol',
  PEER_DID_NOT_RETURN_A_CERTIFICATE: 'no-certificate',
};

/** Alerts with which the peer says that it did not like our certificate (RFC 8446 §6.2). */
const CERTIFICATE_ALERTS =
  /ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_(REVOKED|EXPIRED|UNKNOWN|REQUIRED)|UNKNOWN_CA|ACCESS_DENIED)/;

const SSL_ERROR = 'ERR_SSL_';

export function toNetworkError(error: unknown): NetworkError {
  if (error instanceof NetworkError) return error;
  const { code = '', message } = error as { code?: string; message: string };
  return new NetworkError(kindOf(code), message, error, refusalOf(code));
}

/** Of an error that ended a handshake before it was complete. */
export function handshakeRefusal(error: unknown): TlsRefusal {
  return toNetworkError(error).refusal ?? 'closed';
}

/** @param code of what Node says about the peer's chain, such as `CERT_HAS_EXPIRED` */
export function chainRefusal(code: string): TlsRefusal {
  return Object.hasOwn(CERTIFICATE_VERDICTS, code) ? CERTIFICATE_VERDICTS[code]! : 'bad-certificate';
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
  if (Object.hasOwn(CERTIFICATE_VERDICTS, code) || CERTIFICATE_ALERTS.test(code)) return 'identity';
  if (code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) return 'tls';
  return 'other';
}

/** Of errors that only a handshake has. */
function refusalOf(code: string): TlsRefusal | undefined {
  if (Object.hasOwn(CERTIFICATE_VERDICTS, code)) return CERTIFICATE_VERDICTS[code];
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'timeout';
  if (!code.startsWith(SSL_ERROR)) return undefined;
  const reason = code.slice(SSL_ERROR.length);
  if (Object.hasOwn(HANDSHAKE_REASONS, reason)) return HANDSHAKE_REASONS[reason];
  return reason.includes('ALERT_') ? 'refused-by-peer' : 'other';
}
