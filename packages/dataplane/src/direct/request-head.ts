// A request of the application as the head that an exchange takes. What belongs to one connection alone has no meaning here.
import { Http2RequestHead, Http2Trailers, LocalProtocolError } from '@heddle/wire';
import type { DirectRequest, FlatHeaders } from './types.ts';

/** RFC 9113 §8.2.2, and what the head has a property for. */
const NOT_PASSED = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'host',
  'expect',
  'http2-settings',
]);
const METHOD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const LENGTH = /^\d{1,15}$/;
const NOT_IN_TARGET = /[^\x21-\x7e]/;

/** @throws LocalProtocolError for what may not be sent, in words for the caller. */
export function directHead({ method, authority, path, headers }: DirectRequest): Http2RequestHead {
  if (!METHOD.test(method) || method === 'CONNECT') throw bad(`${JSON.stringify(method)} is no method that can be used here.`);
  if (authority === '' || NOT_IN_TARGET.test(authority)) throw bad(`${JSON.stringify(authority)} is no host.`);
  if ((path[0] !== '/' && path !== '*') || NOT_IN_TARGET.test(path)) throw bad(`${JSON.stringify(path)} is no path.`);
  const head = new Http2RequestHead();
  head.method = method;
  head.scheme = 'http';
  head.authority = authority;
  head.path = path;
  for (let at = 0; at + 1 < headers.length; at += 2) addHeader(head, headers[at]!.toLowerCase(), headers[at + 1]!);
  return head;
}

function addHeader(head: Http2RequestHead, name: string, value: string): void {
  if (NOT_PASSED.has(name)) return;
  if (name === 'te') {
    if (head.acceptsTrailers || !value.toLowerCase().includes('trailers')) return;
    head.acceptsTrailers = true;
    head.add(name, 'trailers');
    return;
  }
  if (name === 'content-length') {
    if (!LENGTH.test(value)) throw bad(`${JSON.stringify(value)} is no Content-Length.`);
    head.contentLength = Number(value);
  }
  head.add(name, value.trim());
}

/** @throws LocalProtocolError */
export function directTrailers(fields: FlatHeaders): Http2Trailers {
  const trailers = new Http2Trailers();
  for (let at = 0; at + 1 < fields.length; at += 2) trailers.add(fields[at]!.toLowerCase(), fields[at + 1]!.trim());
  return trailers;
}

function bad(message: string): LocalProtocolError {
  return new LocalProtocolError('BAD_ARGUMENT', message);
}
