// Messages of our own: header lines, chunk framing, whole requests (health checks) and responses (errors of the proxy). Names, values and
// targets are checked, so that nothing a program puts in can split a message in two; a violation is our own fault.

import { HTAB, IS_FIELD_VALUE, IS_TARGET, IS_TOKEN, SP } from '../bytes/chars.ts';
import { LocalProtocolError } from './errors.ts';
import { reasonPhrase } from './reason.ts';

/** Names and values in the order in which they are sent. */
export type HeaderList = Iterable<readonly [name: string, value: string]>;

const MADE_HERE: ReadonlySet<string> = new Set(['host', 'date', 'connection', 'content-length', 'transfer-encoding']);

/** Ends the data of a chunk. */
export const CHUNK_END = '\r\n';

/** `name: value` with its line end. Throws LocalProtocolError for a name that is no token, or a value with control or non-latin1 characters
 *  or with white space at its ends. */
export function headerLine(name: string, value: string): string {
  if (!isAll(IS_TOKEN, name)) throw new LocalProtocolError('BAD_ARGUMENT', `${JSON.stringify(name)} is not a header name.`);
  if (!isFieldValue(value))
    throw new LocalProtocolError('BAD_ARGUMENT', `The value of header ${name} cannot be sent: ${JSON.stringify(value)}.`);
  return `${name}: ${value}\r\n`;
}

/** Several lines, to be computed once and used as `add` of a rendering. */
export function headerLines(headers: HeaderList): string {
  let lines = '';
  for (const [name, value] of headers) lines += headerLine(name, value);
  return lines;
}

/** Framing before the data of a chunk; CHUNK_END goes after it (RFC 9112 §7.1). `size` > 0, since a chunk of size 0 is the last one. */
export function chunkHeader(size: number): string {
  if (!Number.isSafeInteger(size) || size <= 0)
    throw new LocalProtocolError('BAD_ARGUMENT', `${size} is not the size of a chunk with data.`);
  return `${size.toString(16)}\r\n`;
}

/** Ends a chunked body. `trailers`: lines from `headerLine(s)` or `renderTrailers`. */
export function lastChunk(trailers: string = ''): string {
  return `0\r\n${trailers}\r\n`;
}

export interface OwnRequest {
  readonly method: string;
  /** Origin, absolute, authority or asterisk form, already encoded. */
  readonly target: string;
  readonly host: string;
  /** Without Host and framing headers, which are made here. */
  readonly headers?: HeaderList;
  /** Default: none. Pass an empty string where `content-length: 0` is expected (POST, PUT). */
  readonly body?: Uint8Array | string;
  /** Bytes of a body that the caller sends after this head; `body` must be left out. */
  readonly bodyLength?: number;
  /** Default false. True: the caller sends chunks after this head, and `body` must be left out. */
  readonly chunked?: boolean;
  /** Tell the server that no request follows. Default false. */
  readonly close?: boolean;
}

/** A whole request as bytes. Throws LocalProtocolError when a part cannot be sent. */
export function renderRequest(request: OwnRequest): Buffer {
  const { method, target, host, body, bodyLength } = request;
  if (!isAll(IS_TOKEN, method)) throw new LocalProtocolError('BAD_ARGUMENT', `${JSON.stringify(method)} is not a method.`);
  if (!isAll(IS_TARGET, target)) throw new LocalProtocolError('BAD_ARGUMENT', `${JSON.stringify(target)} is not a request target.`);
  const head = `${method} ${target} HTTP/1.1\r\n${headerLine('host', host)}${ownLines(request.headers, request.close)}`;
  if (Number(request.chunked === true) + Number(body !== undefined) + Number(bodyLength !== undefined) > 1)
    throw new LocalProtocolError('BAD_ARGUMENT', 'Pass a body, its length or `chunked`, and only one of them.');
  if (request.chunked === true) return Buffer.from(`${head}transfer-encoding: chunked\r\n\r\n`, 'latin1');
  if (bodyLength !== undefined) return headOfLength(head, bodyLength);
  if (body === undefined) return Buffer.from(`${head}\r\n`, 'latin1');
  return withBody(head, bytesOf(body), false);
}

export interface OwnResponse {
  readonly status: number;
  /** Default: the standard phrase. */
  readonly reason?: string;
  /** Without Date, Connection and framing headers, which are made here. */
  readonly headers?: HeaderList;
  /** Default: empty. Text is sent as UTF-8. Not sent with 1xx, 204 and 304. */
  readonly body?: Uint8Array | string;
  /** Value of Date, see `httpDate` (RFC 9110 §6.6.1: origin servers with a clock send one). Default: no Date. */
  readonly date?: string;
  /** Close the connection afterwards: needed after a RemoteProtocolError. Default false. */
  readonly close?: boolean;
  /** The request was HEAD: the length is told, the body is not sent. Default false. */
  readonly toHead?: boolean;
}

/** A whole response as bytes. Throws LocalProtocolError when a part cannot be sent. */
export function renderResponse(response: OwnResponse): Buffer {
  const { status } = response;
  const reason = response.reason ?? reasonPhrase(status);
  if (!Number.isInteger(status) || status < 100 || status > 999)
    throw new LocalProtocolError('BAD_ARGUMENT', `${status} is not a status code.`);
  if (reason !== '' && !isFieldValue(reason))
    throw new LocalProtocolError('BAD_ARGUMENT', `${JSON.stringify(reason)} is not a reason phrase.`);
  const date = response.date === undefined ? '' : headerLine('date', response.date);
  const head = `HTTP/1.1 ${status} ${reason}\r\n${date}${ownLines(response.headers, response.close)}`;
  // RFC 9110 §8.6, §15.4.5: no content and, for 1xx and 204, no length either.
  if (status < 200 || status === 204 || status === 304) return Buffer.from(`${head}\r\n`, 'latin1');
  return withBody(head, bytesOf(response.body ?? ''), response.toHead === true);
}

/** IMF-fixdate (RFC 9110 §5.6.7) of a time in milliseconds since the epoch. */
export function httpDate(wallMs: number): string {
  return new Date(wallMs).toUTCString();
}

function ownLines(headers: HeaderList = [], close: boolean = false): string {
  let lines = '';
  for (const [name, value] of headers) {
    if (MADE_HERE.has(name.toLowerCase()))
      throw new LocalProtocolError('BAD_ARGUMENT', `Header ${name} is made by the encoder; do not pass it.`);
    lines += headerLine(name, value);
  }
  return close ? `${lines}connection: close\r\n` : lines;
}

function withBody(head: string, body: Uint8Array, withoutBody: boolean): Buffer {
  const whole = headOfLength(head, body.length);
  return withoutBody || body.length === 0 ? whole : Buffer.concat([whole, body]);
}

function headOfLength(head: string, bodyLength: number): Buffer {
  if (!Number.isSafeInteger(bodyLength) || bodyLength < 0)
    throw new LocalProtocolError('BAD_ARGUMENT', `${bodyLength} is not the length of a body.`);
  return Buffer.from(`${head}content-length: ${bodyLength}\r\n\r\n`, 'latin1');
}

function bytesOf(body: Uint8Array | string): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body, 'utf8') : body;
}

function isFieldValue(value: string): boolean {
  if (value === '') return true;
  return isAll(IS_FIELD_VALUE, value) && !isSpace(value.charCodeAt(0)) && !isSpace(value.charCodeAt(value.length - 1));
}

function isSpace(code: number): boolean {
  return code === SP || code === HTAB;
}

/** Not empty, and every character is in the table. */
function isAll(table: Uint8Array, text: string): boolean {
  for (let at = 0; at < text.length; at++) if (table[text.charCodeAt(at)] !== 1) return false;
  return text !== '';
}
