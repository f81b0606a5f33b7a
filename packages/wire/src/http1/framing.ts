// Where the body ends and what holds for the connection: the headers that decide it, read strictly, since two parties that disagree here
// can be made to see different messages (RFC 9112 §6.3, §9.3, §11.2).

import { COMMA, HTAB, SEMICOLON, SP, equalsIgnoreCase } from '../bytes/chars.ts';
import type { ViolationCode } from './errors.ts';
import { KIND } from './field-kind.ts';
import type { Head } from './head.ts';

/** Digits accepted in a Content-Length: 999,999,999,999,999 bytes still fits exactly into a number. */
const LENGTH_DIGITS_MAX = 15;

/** Sets framing and contentLength from the two framing headers. A message without them is left with `none`. */
export function readFraming(head: Head): ViolationCode | undefined {
  const { seen } = head.fields;
  head.framing = 'none';
  head.contentLength = -1;
  head.lengthNormalised = false;
  const hasLength = (seen & (1 << KIND.contentLength)) !== 0;
  if ((seen & (1 << KIND.transferEncoding)) !== 0) {
    // RFC 9112 §6.3 allows to let Transfer-Encoding win; a proxy that is not sure what the next party does had better refuse.
    if (hasLength) return 'LENGTH_AND_CHUNKED';
    if (head.minorVersion === 0) return 'TRANSFER_ENCODING_IN_1_0';
    head.framing = 'chunked';
    return checkTransferEncoding(head);
  }
  if (!hasLength) return undefined;
  head.framing = 'length';
  return readContentLength(head);
}

/** RFC 9112 §6.3: equal values in a list or in several lines may be taken as one; differing ones are refused. */
function readContentLength(head: Head): ViolationCode | undefined {
  const { count, kinds, offsets } = head.fields;
  for (let line = head.fields.first[KIND.contentLength]!; line < count; line++) {
    if (kinds[line] !== KIND.contentLength) continue;
    const end = offsets[line * 4 + 3]!;
    for (let at = offsets[line * 4 + 2]!; ; at = skipElement(head.text, at, end) + 1) {
      const length = lengthOf(head.text, at, end);
      if (length < 0) return 'BAD_CONTENT_LENGTH';
      if (head.contentLength >= 0) {
        if (head.contentLength !== length) return 'DIFFERING_CONTENT_LENGTHS';
        head.lengthNormalised = true;
      }
      head.contentLength = length;
      if (skipElement(head.text, at, end) >= end) break;
    }
  }
  return undefined;
}

/** The number that the list element at `at` consists of; -1 when it is anything but digits. */
function lengthOf(text: string, from: number, limit: number): number {
  const start = skipSpace(text, from, limit);
  const end = trimSpace(text, start, skipElement(text, start, limit));
  if (end === start || end - start > LENGTH_DIGITS_MAX) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** RFC 9112 §6.1, §7: exactly one coding, `chunked`. */
function checkTransferEncoding(head: Head): ViolationCode | undefined {
  const { count, kinds, offsets } = head.fields;
  const { text } = head;
  let codings = 0;
  let fault: ViolationCode | undefined;
  for (let line = head.fields.first[KIND.transferEncoding]!; line < count; line++) {
    if (kinds[line] !== KIND.transferEncoding) continue;
    const limit = offsets[line * 4 + 3]!;
    for (let at = offsets[line * 4 + 2]!; at < limit; at = skipElement(text, at, limit) + 1) {
      const start = skipSpace(text, at, limit);
      const end = trimSpace(text, start, skipElement(text, start, limit));
      const nameEnd = codingNameEnd(text, start, end);
      if (nameEnd === start) continue;
      if (!equalsIgnoreCase(text, start, nameEnd, 'chunked')) return 'UNKNOWN_TRANSFER_CODING';
      if (nameEnd !== end) fault = 'BAD_TRANSFER_ENCODING';
      codings++;
    }
  }
  return codings === 1 ? fault : 'BAD_TRANSFER_ENCODING';
}

function codingNameEnd(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && text.charCodeAt(at) !== SEMICOLON) at++;
  return trimSpace(text, start, at);
}

/** Reads Connection (RFC 9110 §7.6.1): sets keepAlive and upgrade, and marks the lines that it names. */
export function readConnection(head: Head, optionsMax: number): ViolationCode | undefined {
  const { count, kinds, offsets, seen } = head.fields;
  head.upgrade = '';
  // RFC 9112 §9.3: 1.1 persists unless told otherwise, 1.0 only when told so.
  head.keepAlive = head.minorVersion === 1;
  if ((seen & (1 << KIND.connection)) === 0) return undefined;
  const { text } = head;
  let options = 0;
  let close = false;
  for (let line = head.fields.first[KIND.connection]!; line < count; line++) {
    if (kinds[line] !== KIND.connection) continue;
    const limit = offsets[line * 4 + 3]!;
    for (let at = offsets[line * 4 + 2]!; at < limit; at = skipElement(text, at, limit) + 1) {
      const start = skipSpace(text, at, limit);
      const end = trimSpace(text, start, skipElement(text, start, limit));
      if (++options > optionsMax) return 'TOO_MANY_CONNECTION_OPTIONS';
      if (equalsIgnoreCase(text, start, end, 'close')) close = true;
      else if (equalsIgnoreCase(text, start, end, 'keep-alive')) head.keepAlive = true;
      else if (equalsIgnoreCase(text, start, end, 'upgrade')) takeUpgrade(head);
      else if (end > start) nominate(head, start, end);
    }
  }
  if (close) head.keepAlive = false;
  return undefined;
}

function takeUpgrade(head: Head): void {
  // RFC 9110 §7.8: Upgrade in an HTTP/1.0 message is ignored.
  if (head.minorVersion === 1 && (head.fields.seen & (1 << KIND.upgrade)) !== 0) head.upgrade = head.list('upgrade') ?? '';
}

/** Marks lines of this name for removal. Lines of a known kind follow their own rules: naming Host, Expect or the framing headers must not
 *  change what the message is. */
function nominate(head: Head, start: number, end: number): void {
  const { count, kinds, offsets } = head.fields;
  const name = head.text.slice(start, end).toLowerCase();
  for (let line = 0; line < count; line++) {
    if (kinds[line] !== KIND.other) continue;
    if (equalsIgnoreCase(head.text, offsets[line * 4]!, offsets[line * 4 + 1]!, name)) head.fields.nominate(line);
  }
}

/** Whether a list-valued header of a known kind has this member (lower case; parameters ignored). */
export function hasMember(head: Head, kind: typeof KIND.te | typeof KIND.expect, member: string): boolean {
  const { count, kinds, offsets, seen } = head.fields;
  if ((seen & (1 << kind)) === 0) return false;
  for (let line = head.fields.first[kind]!; line < count; line++) {
    if (kinds[line] !== kind) continue;
    const limit = offsets[line * 4 + 3]!;
    for (let at = offsets[line * 4 + 2]!; at < limit; at = skipElement(head.text, at, limit) + 1) {
      const start = skipSpace(head.text, at, limit);
      const end = skipElement(head.text, start, limit);
      if (equalsIgnoreCase(head.text, start, codingNameEnd(head.text, start, end), member)) return true;
    }
  }
  return false;
}

function skipElement(text: string, from: number, limit: number): number {
  let at = from;
  while (at < limit && text.charCodeAt(at) !== COMMA) at++;
  return at;
}

function skipSpace(text: string, from: number, limit: number): number {
  let at = from;
  while (at < limit && (text.charCodeAt(at) === SP || text.charCodeAt(at) === HTAB)) at++;
  return at;
}

function trimSpace(text: string, start: number, end: number): number {
  let at = end;
  while (at > start && (text.charCodeAt(at - 1) === SP || text.charCodeAt(at - 1) === HTAB)) at--;
  return at;
}
