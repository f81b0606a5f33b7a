// Reads what a decoded field list means and refuses malformed messages (RFC 9113 §8): nothing lenient, since such messages are how requests
// are smuggled through a translation to HTTP/1.1.

import { equalsIgnoreCase } from '../bytes/chars.ts';
import { HeaderField } from '../hpack/index.ts';
import { isAuthority } from '../http1/target.ts';
import type { StreamViolationCode } from './errors.ts';
import { RULE, ruleOf, violationOf } from './field-rule.ts';
import type { Http2Fields, Http2RequestHead, Http2ResponseHead } from './head.ts';

const ALL_THREE = (1 << RULE.method) | (1 << RULE.scheme) | (1 << RULE.path);
const PSEUDO_REQUEST = ALL_THREE | (1 << RULE.authority) | (1 << RULE.protocol);

/** `allowProtocol`: extended CONNECT was announced. */
export function readRequestHead(head: Http2RequestHead, allowProtocol: boolean): StreamViolationCode | undefined {
  head.received = true;
  head.method = '';
  head.scheme = '';
  head.authority = '';
  head.authorityIsHost = false;
  head.path = '';
  head.protocol = '';
  head.contentLength = -1;
  head.acceptsTrailers = false;
  const { fields, count } = head.list;
  let seen = 0;
  let at = 0;
  for (; at < count; at++) {
    const field = fields[at]!;
    const rule = ruleOf(field);
    const bit = 1 << rule;
    if ((PSEUDO_REQUEST & bit) === 0) break;
    if ((seen & bit) !== 0) return 'REPEATED_PSEUDO';
    seen |= bit;
    setPseudo(head, rule, field.value);
  }
  head.first = at;
  return readRequestFields(head, at) ?? checkTarget(head, seen, allowProtocol);
}

function setPseudo(head: Http2RequestHead, rule: number, value: string): void {
  switch (rule) {
    case RULE.method:
      head.method = value;
      break;
    case RULE.scheme:
      head.scheme = value;
      break;
    case RULE.authority:
      head.authority = value;
      break;
    case RULE.path:
      head.path = value;
      break;
    default:
      head.protocol = value;
  }
}

function readRequestFields(head: Http2RequestHead, first: number): StreamViolationCode | undefined {
  const { fields, count } = head.list;
  let cookies = 0;
  let host: string | undefined;
  for (let at = first; at < count; at++) {
    const field = fields[at]!;
    const rule = ruleOf(field);
    if (rule === RULE.plain) continue;
    if (rule === RULE.cookie) cookies++;
    else if (rule === RULE.te) head.acceptsTrailers = true;
    else if (rule === RULE.contentLength) {
      if (head.contentLength >= 0) return 'BAD_CONTENT_LENGTH';
      head.contentLength = Number(field.value);
    } else if (rule === RULE.host) {
      if (host !== undefined) return 'HOST_DIFFERS';
      host = field.value;
    } else {
      return violationOf(rule) ?? misplaced(rule, PSEUDO_REQUEST);
    }
  }
  if (host !== undefined) {
    if (head.authority === '') {
      head.authority = host;
      head.authorityIsHost = true;
    }
    // RFC 9113 §8.3.1. Host names are compared without regard to case (RFC 3986 §6.2.2.1).
    else if (!equalsIgnoreCase(host, 0, host.length, head.authority.toLowerCase())) return 'HOST_DIFFERS';
  }
  if (host !== undefined || cookies > 1) compact(head, cookies > 1);
  return undefined;
}

/** A pseudo-header field where it cannot be: of the other kind of message, or after other fields. */
function misplaced(rule: number, known: number): StreamViolationCode {
  return (known & (1 << rule)) !== 0 ? 'PSEUDO_AFTER_FIELD' : 'UNKNOWN_PSEUDO';
}

/** Takes Host out, which `authority` stands for, and joins the crumbs of Cookie (RFC 9113 §8.2.3). */
function compact(head: Http2RequestHead, joinCookies: boolean): void {
  const { list } = head;
  const { fields, count } = list;
  let to = head.first;
  let cookieAt = -1;
  let cookie = '';
  let neverIndexed = false;
  for (let at = head.first; at < count; at++) {
    const field = fields[at]!;
    const rule = ruleOf(field);
    if (rule === RULE.host) continue;
    if (joinCookies && rule === RULE.cookie) {
      neverIndexed ||= field.neverIndexed;
      cookie = cookieAt === -1 ? field.value : `${cookie}; ${field.value}`;
      if (cookieAt !== -1) continue;
      cookieAt = to;
    }
    fields[to++] = field;
  }
  list.count = to;
  if (cookieAt !== -1) fields[cookieAt] = new HeaderField('cookie', cookie, neverIndexed);
}

/** RFC 9113 §8.3.1, §8.5; RFC 8441 §4. */
function checkTarget(head: Http2RequestHead, seen: number, allowProtocol: boolean): StreamViolationCode | undefined {
  if ((seen & (1 << RULE.method)) === 0) return 'MISSING_PSEUDO';
  if (head.method === 'CONNECT' && head.protocol === '') {
    if ((seen & PSEUDO_REQUEST & ~((1 << RULE.method) | (1 << RULE.authority))) !== 0) return 'BAD_CONNECT';
    return isAuthority(head.authority, 0, head.authority.length, true) ? undefined : 'BAD_CONNECT';
  }
  if (head.protocol !== '' && (!allowProtocol || head.method !== 'CONNECT')) return 'BAD_CONNECT';
  if ((seen & ALL_THREE) !== ALL_THREE) return 'MISSING_PSEUDO';
  if (head.path === '*' && head.method !== 'OPTIONS') return 'BAD_PATH';
  return head.authority === '' ? 'MISSING_AUTHORITY' : undefined;
}

export function readResponseHead(head: Http2ResponseHead): StreamViolationCode | undefined {
  head.contentLength = -1;
  head.first = 1;
  const { fields, count } = head.list;
  if (count === 0) return 'MISSING_PSEUDO';
  const rule = ruleOf(fields[0]!);
  if (rule !== RULE.status) return violationOf(rule) ?? (((1 << rule) & PSEUDO_REQUEST) !== 0 ? 'UNKNOWN_PSEUDO' : 'MISSING_PSEUDO');
  head.status = Number(fields[0]!.value);
  for (let at = 1; at < count; at++) {
    const field = fields[at]!;
    const rule = ruleOf(field);
    if (rule === RULE.plain) continue;
    if (rule === RULE.contentLength) {
      if (head.contentLength >= 0) return 'BAD_CONTENT_LENGTH';
      head.contentLength = Number(field.value);
    } else if (rule === RULE.status) return at === 1 ? 'REPEATED_PSEUDO' : 'PSEUDO_AFTER_FIELD';
    else if (rule > RULE.te) return violationOf(rule) ?? 'UNKNOWN_PSEUDO';
  }
  return undefined;
}

/** RFC 9113 §8.1; RFC 9110 §6.5.1: fields that frame or route a message cannot come after it. */
export function readTrailers(trailers: Http2Fields): StreamViolationCode | undefined {
  trailers.first = 0;
  const { fields, count } = trailers.list;
  for (let at = 0; at < count; at++) {
    const rule = ruleOf(fields[at]!);
    if (rule === RULE.plain || rule === RULE.cookie) continue;
    if (rule === RULE.contentLength) return 'BAD_CONTENT_LENGTH';
    if (rule === RULE.host) return 'HOST_DIFFERS';
    if (rule === RULE.te) return 'CONNECTION_FIELD';
    return violationOf(rule) ?? 'PSEUDO_IN_TRAILERS';
  }
  return undefined;
}
