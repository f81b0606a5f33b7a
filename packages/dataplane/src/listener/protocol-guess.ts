// What the first bytes of a connection say about its protocol. Pure; asked again from the start when more bytes have come.
import { CLIENT_PREFACE, readTlsHello } from '@heddle/wire';

/** `more`: it cannot be told yet. `tls`: a ClientHello; the server name is empty when there is none. */
export type ProtocolGuess = 'http1' | 'http2' | 'other' | 'more' | { readonly serverName: string };

/** RFC 9110 §9, RFC 5789, RFC 4918, RFC 3253: what an HTTP request may begin with. */
const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'PROPFIND',
  'PROPPATCH',
  'MKCOL',
  'COPY',
  'MOVE',
  'LOCK',
  'UNLOCK',
  'REPORT',
  'SEARCH',
  'QUERY',
] as const;
const METHOD_CHARS_MAX = 9;
/** What a connection begins with whose client speaks TLS (RFC 8446 §5.1). */
export const TLS_HANDSHAKE = 0x16;
const SPACE = 0x20;
/** What a request target begins with: a path, an absolute URL, or the server as a whole (RFC 9112 §3.2). */
const TARGET_STARTS = new Set(['/', 'h', 'H', '*']);

/** @param bytes everything that has come, at least one byte. */
export function guessProtocol(bytes: Buffer): ProtocolGuess {
  if (bytes[0] === TLS_HANDSHAKE) return guessTls(bytes);
  const prefaceBytes = Math.min(bytes.length, CLIENT_PREFACE.length);
  if (bytes.compare(CLIENT_PREFACE, 0, prefaceBytes, 0, prefaceBytes) === 0)
    return prefaceBytes === CLIENT_PREFACE.length ? 'http2' : 'more';
  return guessHttp1(bytes);
}

function guessTls(bytes: Buffer): ProtocolGuess {
  const result = readTlsHello(bytes);
  if (result.kind === 'need-more') return 'more';
  return result.kind === 'hello' ? { serverName: result.hello.serverName?.toLowerCase() ?? '' } : 'other';
}

function guessHttp1(bytes: Buffer): ProtocolGuess {
  const space = bytes.subarray(0, METHOD_CHARS_MAX + 1).indexOf(SPACE);
  if (space === -1) {
    const start = bytes.toString('latin1', 0, METHOD_CHARS_MAX + 1);
    return METHODS.some((method) => method.startsWith(start)) ? 'more' : 'other';
  }
  const method = bytes.toString('latin1', 0, space);
  if (!METHODS.includes(method as (typeof METHODS)[number])) return 'other';
  if (bytes.length === space + 1) return 'more';
  // CONNECT is followed by a host and a port.
  return method === 'CONNECT' || TARGET_STARTS.has(String.fromCharCode(bytes[space + 1]!)) ? 'http1' : 'other';
}
