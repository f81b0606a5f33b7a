// Heads into header blocks, from HTTP/2 heads as well as from heads that an HTTP/1.1 parser made: fields go from the one text or list
// straight to the encoder, without an object in between.

import { HeaderField, type BlockWriter, type HpackEncoder } from '../hpack/index.ts';
import { LocalProtocolError } from '../http1/errors.ts';
import { HOP_BY_HOP, KIND } from '../http1/field-kind.ts';
import { RequestHead, ResponseHead, type Trailers } from '../http1/head.ts';
import { HeaderBlock, type HeaderNames } from '../http1/header-block.ts';
import { RULE, ruleOf } from './field-rule.ts';
import { type Http2Fields, type Http2RequestHead, type Http2ResponseHead, type Http2Trailers } from './head.ts';
import { lowerName } from './lower-name.ts';

/** How a section is passed on. Keep one object per route and reuse it. */
export interface Http2Rendering {
  /** Fields to leave out; those that belong to one hop are left out anyway. */
  drop?: HeaderNames;
  /** Fields to append, made by `http2Field`. */
  add?: readonly HeaderField[];
  /** The Content-Length to send instead of the received one; -1 for none. Default: as received. */
  contentLength?: number;
}

/** Where something is given, it takes the place of what the head says. */
export interface Http2RequestRendering extends Http2Rendering {
  method?: string;
  /** Default for HTTP/1.1 heads: that of an absolute target, else `http`. */
  scheme?: string;
  authority?: string;
  path?: string;
  /** RFC 8441: makes an extended CONNECT out of an HTTP/1.1 upgrade. */
  protocol?: string;
}

export interface Http2ResponseRendering extends Http2Rendering {
  status?: number;
}

export const NO_RENDERING: Readonly<Http2Rendering> = {};

const NOT_IN_REQUEST = HOP_BY_HOP | (1 << KIND.host);
/** Spaces and control characters would make the peer reset the stream, and the encoder cannot write characters above 255. */
const VISIBLE = /^[!-~]*$/;
/** A slice keeps its whole text in memory for as long as it is in the encoder's table: up to this size that costs less than a copy. */
const LARGE_HEAD_CHARS = 4_096;
const LENGTH_BIT = 1 << KIND.contentLength;

/** Throws LocalProtocolError before anything is written, since a block that was begun has to be sent (RFC 9113 §8.3.1). */
export function encodeRequestHead(
  encoder: HpackEncoder,
  into: BlockWriter,
  head: Http2RequestHead | RequestHead,
  rendering: Http2RequestRendering,
): void {
  if (head instanceof RequestHead) return encodeHttp1Request(encoder, into, head, rendering);
  const { method = head.method, scheme = head.scheme, authority = head.authority, path = head.path, protocol = head.protocol } = rendering;
  const isAsReceived =
    head.received &&
    method === head.method &&
    scheme === head.scheme &&
    authority === head.authority &&
    path === head.path &&
    protocol === head.protocol;
  if (!isAsReceived) checkTarget(method, scheme, authority, path, protocol);
  encoder.begin(into);
  if (isAsReceived && !head.authorityIsHost) passPseudo(encoder, head);
  else encodeTarget(encoder, method, scheme, authority, path, protocol);
  encodeFields(encoder, head, rendering);
}

/** The pseudo-header fields as they were received. */
function passPseudo(encoder: HpackEncoder, section: Http2Fields): void {
  const { fields } = section.list;
  for (let at = 0; at < section.first; at++) encoder.pass(fields[at]!);
}

function encodeHttp1Request(encoder: HpackEncoder, into: BlockWriter, head: RequestHead, rendering: Http2RequestRendering): void {
  const { protocol = '', authority = head.authority, path = head.path } = rendering;
  const method = rendering.method ?? (protocol === '' ? head.method : 'CONNECT');
  const scheme = rendering.scheme ?? (head.scheme === '' ? 'http' : head.scheme);
  if (rendering !== NO_RENDERING) checkTarget(method, scheme, authority, path, protocol);
  encoder.begin(into);
  const isLarge = head.text.length > LARGE_HEAD_CHARS;
  encodeTarget(encoder, method, scheme, isLarge ? detached(authority) : authority, isLarge ? detached(path) : path, protocol);
  encodeHttp1Fields(encoder, head, NOT_IN_REQUEST, keptLength(head, head.framing === 'length', rendering), rendering);
  if (head.acceptsTrailers) encoder.field('te', 'trailers');
}

function checkTarget(method: string, scheme: string, authority: string, path: string, protocol: string): void {
  if (method === '' || (method !== 'CONNECT' && (path === '' || scheme === ''))) {
    throw new LocalProtocolError('BAD_ARGUMENT', 'A request head needs a method and, unless it is CONNECT, a scheme and a path.');
  }
  if (!VISIBLE.test(method) || !VISIBLE.test(scheme) || !VISIBLE.test(authority) || !VISIBLE.test(path) || !VISIBLE.test(protocol)) {
    throw new LocalProtocolError('BAD_ARGUMENT', 'Method, scheme, authority, path and protocol of a request are visible ASCII.');
  }
}

function encodeTarget(encoder: HpackEncoder, method: string, scheme: string, authority: string, path: string, protocol: string): void {
  const isPlainConnect = method === 'CONNECT' && protocol === '';
  encoder.field(':method', method);
  // RFC 9113 §8.5: CONNECT has neither scheme nor path; with :protocol it has (RFC 8441 §4).
  if (!isPlainConnect) {
    encoder.field(':scheme', scheme);
    if (authority !== '') encoder.field(':authority', authority);
    encoder.field(':path', path);
    if (protocol !== '') encoder.field(':protocol', protocol);
  } else encoder.field(':authority', authority);
}

/** Throws LocalProtocolError before anything is written (RFC 9113 §8.3.2). */
export function encodeResponseHead(
  encoder: HpackEncoder,
  into: BlockWriter,
  head: Http2ResponseHead | ResponseHead,
  rendering: Http2ResponseRendering,
): void {
  const { status = head.status } = rendering;
  if (!Number.isInteger(status) || status < 100 || status > 999 || status === 101) {
    throw new LocalProtocolError('BAD_ARGUMENT', `${status} is no status of an HTTP/2 response.`);
  }
  encoder.begin(into);
  encoder.pass(statusField(status));
  if (!(head instanceof ResponseHead)) return encodeFields(encoder, head, rendering);
  // RFC 9110 §8.6: never in 1xx and 204; in answers to HEAD and in 304 it tells what a GET would have got.
  const mayHaveLength = status >= 200 && status !== 204 && (head.framing === 'length' || head.framing === 'none');
  encodeHttp1Fields(encoder, head, HOP_BY_HOP, keptLength(head, mayHaveLength, rendering), rendering);
}

/** One for each status, made when it is needed. */
const statusFields: HeaderField[] = [];

function statusField(status: number): HeaderField {
  return (statusFields[status] ??= new HeaderField(':status', String(status), false));
}

export function encodeTrailers(
  encoder: HpackEncoder,
  into: BlockWriter,
  trailers: Http2Trailers | Trailers,
  rendering: Http2Rendering,
): void {
  encoder.begin(into);
  if (trailers instanceof HeaderBlock) encodeHttp1Fields(encoder, trailers, HOP_BY_HOP, undefined, rendering);
  else encodeFields(encoder, trailers, rendering);
}

function encodeFields(encoder: HpackEncoder, section: Http2Fields, rendering: Http2Rendering): void {
  const { fields, count } = section.list;
  const { drop, contentLength } = rendering;
  for (let at = section.first; at < count; at++) {
    const field = fields[at]!;
    const { name } = field;
    if (drop !== undefined && drop.matches(name, 0, name.length)) continue;
    if (contentLength !== undefined && ruleOf(field) === RULE.contentLength) continue;
    encoder.pass(field);
  }
  encodeOwn(encoder, rendering);
}

/** What to do about Content-Length: undefined keeps the line. */
function keptLength(head: RequestHead | ResponseHead, applies: boolean, rendering: Http2Rendering): number | undefined {
  if (rendering.contentLength !== undefined) return rendering.contentLength;
  if (!applies) return -1;
  return head.lengthNormalised ? head.contentLength : undefined;
}

/** The same text in memory of its own. */
function detached(slice: string): string {
  return Buffer.from(slice, 'latin1').toString('latin1');
}

function encodeHttp1Fields(
  encoder: HpackEncoder,
  block: HeaderBlock,
  notSent: number,
  contentLength: number | undefined,
  rendering: Http2Rendering,
): void {
  const { text } = block;
  const { count, kinds, offsets } = block.fields;
  const { drop } = rendering;
  const isLarge = text.length > LARGE_HEAD_CHARS;
  const skipped = contentLength === undefined ? notSent : notSent | LENGTH_BIT;
  for (let line = 0; line < count; line++) {
    if ((skipped & (1 << kinds[line]!)) !== 0) continue;
    const at = line * 4;
    const nameStart = offsets[at]!;
    const nameEnd = offsets[at + 1]!;
    if (drop !== undefined && drop.matches(text, nameStart, nameEnd)) continue;
    const value = text.slice(offsets[at + 2], offsets[at + 3]);
    encoder.field(lowerName(text, nameStart, nameEnd), isLarge ? detached(value) : value);
  }
  if (contentLength !== undefined && contentLength >= 0 && rendering.contentLength === undefined) {
    encoder.field('content-length', String(contentLength));
  }
  encodeOwn(encoder, rendering);
}

function encodeOwn(encoder: HpackEncoder, rendering: Http2Rendering): void {
  const { add, contentLength } = rendering;
  if (contentLength !== undefined && contentLength >= 0) encoder.field('content-length', String(contentLength));
  if (add === undefined) return;
  for (let at = 0; at < add.length; at++) encoder.pass(add[at]!);
}
