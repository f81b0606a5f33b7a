// The four forms of a request target (RFC 9112 §3.2) and the syntax of authorities (RFC 3986 §3.2), read from a head's text.

import { COLON, IS_HOST, equalsIgnoreCase } from '../bytes/chars.ts';
import type { ViolationCode } from './errors.ts';
import type { RequestHead } from './head.ts';

const SLASH = 0x2f;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/** Fills form, scheme, authority and path from text[start, end), which is not empty. `method` must be set. */
export function readTarget(head: RequestHead, start: number, end: number): ViolationCode | undefined {
  const { text } = head;
  head.target = text.slice(start, end);
  head.scheme = '';
  head.authority = '';
  if (head.method === 'CONNECT') {
    // RFC 9112 §3.2.3: CONNECT takes the authority form and nothing else; the port is mandatory.
    head.form = 'authority';
    head.path = '';
    head.authority = head.target;
    return isAuthority(text, start, end, true) ? undefined : 'BAD_TARGET_FORM';
  }
  if (text.charCodeAt(start) === SLASH) {
    head.form = 'origin';
    head.path = head.target;
    return undefined;
  }
  if (head.target === '*') {
    head.form = 'asterisk';
    head.path = '*';
    return head.method === 'OPTIONS' ? undefined : 'BAD_TARGET_FORM';
  }
  return readAbsolute(head, start, end);
}

function readAbsolute(head: RequestHead, start: number, end: number): ViolationCode | undefined {
  const { text } = head;
  head.form = 'absolute';
  if (equalsIgnoreCase(text, start, start + 7, 'http://')) head.scheme = 'http';
  else if (equalsIgnoreCase(text, start, start + 8, 'https://')) head.scheme = 'https';
  else return 'BAD_TARGET_FORM';
  const from = start + head.scheme.length + 3;
  let to = from;
  // RFC 3986 §3.2: the authority ends with the first `/` or `?`.
  while (to < end && text.charCodeAt(to) !== SLASH && text.charCodeAt(to) !== 0x3f) to++;
  if (to === from || !isAuthority(text, from, to, false)) return 'BAD_AUTHORITY';
  head.authority = text.slice(from, to);
  if (text.charCodeAt(to) === SLASH) head.path = text.slice(to, end);
  // RFC 9112 §3.2.4: OPTIONS for a bare authority means the server as a whole. §3.2.1: an empty path is sent as `/`.
  else if (to === end) head.path = head.method === 'OPTIONS' ? '*' : '/';
  else head.path = `/${text.slice(to, end)}`;
  return undefined;
}

/** Whether text[start, end) is `host [":" port]`, with a port if `portNeeded`. User information is refused (RFC 9110 §4.2.4). */
export function isAuthority(text: string, start: number, end: number, portNeeded: boolean): boolean {
  let at = start;
  if (text.charCodeAt(at) === OPEN_BRACKET) {
    at++;
    while (at < end && (IS_HOST[text.charCodeAt(at)] !== 0 || text.charCodeAt(at) === COLON)) at++;
    if (at === start + 1 || at === end || text.charCodeAt(at) !== CLOSE_BRACKET) return false;
    at++;
  } else {
    while (at < end && IS_HOST[text.charCodeAt(at)] !== 0) at++;
    if (at === start) return false;
  }
  if (at === end) return !portNeeded;
  return text.charCodeAt(at) === COLON && isPort(text, at + 1, end, portNeeded);
}

/** RFC 3986 §3.2.3 lets the digits be missing after the colon. */
function isPort(text: string, start: number, end: number, needed: boolean): boolean {
  if (end - start > 5 || (needed && start === end)) return false;
  let port = 0;
  for (let at = start; at < end; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port <= 65_535;
}
