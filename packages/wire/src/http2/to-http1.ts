// HTTP/2 heads as HTTP/1.1 heads: one text and offsets into it, as if an HTTP/1.1 parser had read them. So routing, policies and rendering
// see one kind of head. What arrives here has passed `message.ts`: no field can break a line or change the framing.

import { KIND, kindOfName } from '../http1/field-kind.ts';
import { hasMember } from '../http1/framing.ts';
import type { BodyFraming, Head, RequestHead, ResponseHead, Trailers } from '../http1/head.ts';
import type { HeaderBlock } from '../http1/header-block.ts';
import { reasonPhrase } from '../http1/reason.ts';
import type { Http2Fields, Http2RequestHead, Http2ResponseHead } from './head.ts';

const HOST = 'host';

/**
 * Fills `into` (which the caller owns and reuses) from a received request. `endStream`: it has no body. An extended CONNECT (RFC 8441)
 * becomes a GET whose `upgrade` is the protocol; `Sec-WebSocket-Key` is the caller's to add.
 */
export function toHttp1Request(head: Http2RequestHead, endStream: boolean, into: RequestHead): void {
  const isConnect = head.method === 'CONNECT' && head.protocol === '';
  const method = head.protocol === '' ? head.method : 'GET';
  const target = isConnect ? head.authority : head.path;
  into.method = method;
  into.target = target;
  into.form = isConnect ? 'authority' : target === '*' ? 'asterisk' : 'origin';
  into.scheme = '';
  into.authority = head.authority;
  into.authorityIsHost = true;
  into.path = head.path;
  into.upgrade = head.protocol;
  const startLine = `${method} ${target} HTTP/1.1\r\n`;
  into.fields.reset();
  const nameEnd = startLine.length + HOST.length;
  const valueEnd = nameEnd + 2 + head.authority.length;
  into.fields.add(startLine.length, nameEnd, nameEnd + 2, valueEnd, KIND.host);
  fill(into, `${startLine}${HOST}: ${head.authority}\r\n`, startLine.length, head);
  // RFC 9113 §8.5: the content of a CONNECT stream is no body.
  const hasBody = !endStream && !isConnect && head.protocol === '';
  setFraming(into, framingOf(hasBody, head.contentLength), head.contentLength);
  into.expectContinue = hasBody && hasMember(into, KIND.expect, '100-continue');
  into.acceptsTrailers = head.acceptsTrailers;
}

/** Fills `into` from a received response. `toHead`: the request was HEAD. */
export function toHttp1Response(head: Http2ResponseHead, endStream: boolean, toHead: boolean, into: ResponseHead): void {
  const { status } = head;
  into.status = status;
  into.reason = reasonPhrase(status);
  into.upgrade = '';
  const startLine = `HTTP/1.1 ${status} ${into.reason}\r\n`;
  into.fields.reset();
  fill(into, startLine, startLine.length, head);
  const isBodyless = toHead || status < 200 || status === 204 || status === 304;
  if (isBodyless) return setFraming(into, 'none', head.contentLength);
  setFraming(into, endStream ? 'length' : framingOf(true, head.contentLength), head.contentLength);
  if (endStream && head.contentLength < 0) {
    // HTTP/1.1 has to be told that nothing comes (RFC 9112 §6.3).
    into.contentLength = 0;
    into.lengthNormalised = true;
  }
}

/** Fills `into` from received trailers. */
export function toHttp1Trailers(trailers: Http2Fields, into: Trailers): void {
  into.fields.reset();
  fill(into, '', 0, trailers);
}

function framingOf(hasBody: boolean, contentLength: number): BodyFraming {
  if (contentLength < 0) return hasBody ? 'chunked' : 'none';
  return hasBody || contentLength === 0 ? 'length' : 'none';
}

function setFraming(into: Head, framing: BodyFraming, contentLength: number): void {
  into.minorVersion = 1;
  into.keepAlive = true;
  into.framing = framing;
  into.contentLength = contentLength;
  into.lengthNormalised = false;
}

function fill(into: HeaderBlock, start: string, linesStart: number, section: Http2Fields): void {
  const { fields, count } = section.list;
  let text = start;
  let at = start.length;
  for (let index = section.first; index < count; index++) {
    const { name, value } = fields[index]!;
    text += `${name}: ${value}\r\n`;
    const nameEnd = at + name.length;
    const valueEnd = nameEnd + 2 + value.length;
    into.fields.add(at, nameEnd, nameEnd + 2, valueEnd, kindOfName(name));
    at = valueEnd + 2;
  }
  into.text = text;
  into.linesStart = linesStart;
  into.linesEnd = at;
}
