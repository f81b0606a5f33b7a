// What RFC 9113 §8 says about one field, found out once per field and kept in its `note`: fields of HPACK's tables come back with every
// request, so on a busy connection nearly nothing is examined twice.

import { COLON, IS_TOKEN, SP, HTAB } from '../bytes/chars.ts';
import type { HeaderField } from '../hpack/index.ts';
import { isAuthority } from '../http1/target.ts';
import type { StreamViolationCode } from './errors.ts';

/** What a field is, and whether it may be. 0 is left for "not examined". */
export const RULE = {
  plain: 1,
  cookie: 2,
  host: 3,
  contentLength: 4,
  /** `te: trailers`; any other value is forbidden. */
  te: 5,
  method: 6,
  scheme: 7,
  authority: 8,
  path: 9,
  protocol: 10,
  status: 11,
  /** From here on: violations. */
  badName: 12,
  badValue: 13,
  connectionField: 14,
  unknownPseudo: 15,
  badMethod: 16,
  badScheme: 17,
  badAuthority: 18,
  badPath: 19,
  badStatus: 20,
  badLength: 21,
} as const;

export type Rule = (typeof RULE)[keyof typeof RULE];

const FIRST_VIOLATION = RULE.badName;

const VIOLATION_OF: Readonly<Record<number, StreamViolationCode>> = {
  [RULE.badName]: 'BAD_FIELD_NAME',
  [RULE.badValue]: 'BAD_FIELD_VALUE',
  [RULE.connectionField]: 'CONNECTION_FIELD',
  [RULE.unknownPseudo]: 'UNKNOWN_PSEUDO',
  [RULE.badMethod]: 'BAD_METHOD',
  [RULE.badScheme]: 'BAD_SCHEME',
  [RULE.badAuthority]: 'BAD_AUTHORITY',
  [RULE.badPath]: 'BAD_PATH',
  [RULE.badStatus]: 'BAD_STATUS',
  [RULE.badLength]: 'BAD_CONTENT_LENGTH',
};

/** Digits accepted in a Content-Length, as in HTTP/1.1: the number stays exact. */
const LENGTH_DIGITS_MAX = 15;

/** RFC 9113 §8.2.1: names are tokens in lower case. */
const IS_NAME = IS_TOKEN.map((allowed, byte) => (byte >= 0x41 && byte <= 0x5a ? 0 : allowed));

/** The complements of IS_FIELD_VALUE and IS_TARGET: a third faster than a loop over the characters. */
const NOT_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const NOT_IN_TARGET = /[^\x21\x22\x24-\x7e]/;

/** RFC 3986 §3.1. */
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*$/;

export function ruleOf(field: HeaderField): Rule {
  if (field.note === 0) field.note = examine(field.name, field.value);
  return field.note as Rule;
}

/** The violation that a rule stands for, if it is one. */
export function violationOf(rule: Rule): StreamViolationCode | undefined {
  return rule < FIRST_VIOLATION ? undefined : VIOLATION_OF[rule];
}

function examine(name: string, value: string): Rule {
  if (name.charCodeAt(0) === COLON) return examinePseudo(name, value);
  if (name === '' || !isAll(IS_NAME, name)) return RULE.badName;
  if (!isFieldValue(value)) return RULE.badValue;
  switch (name) {
    case 'cookie':
      return RULE.cookie;
    case 'host':
      // Empty where the target has no authority.
      return value === '' || isAuthority(value, 0, value.length, false) ? RULE.host : RULE.badAuthority;
    case 'content-length':
      return isLength(value) ? RULE.contentLength : RULE.badLength;
    case 'te':
      return value.toLowerCase() === 'trailers' ? RULE.te : RULE.connectionField;
    case 'connection':
    case 'keep-alive':
    case 'proxy-connection':
    case 'transfer-encoding':
    case 'upgrade':
      return RULE.connectionField;
    default:
      return RULE.plain;
  }
}

function examinePseudo(name: string, value: string): Rule {
  switch (name) {
    case ':method':
      return isToken(value) ? RULE.method : RULE.badMethod;
    case ':scheme':
      return SCHEME.test(value) ? RULE.scheme : RULE.badScheme;
    case ':authority':
      return isAuthority(value, 0, value.length, false) ? RULE.authority : RULE.badAuthority;
    case ':path':
      return isPath(value) ? RULE.path : RULE.badPath;
    case ':protocol':
      return isProtocol(value) ? RULE.protocol : RULE.badValue;
    case ':status':
      return isStatus(value) ? RULE.status : RULE.badStatus;
    default:
      return RULE.unknownPseudo;
  }
}

function isPath(value: string): boolean {
  return value === '*' || (value.charCodeAt(0) === 0x2f && !NOT_IN_TARGET.test(value));
}

/** As in Upgrade (RFC 8441 §4, RFC 9110 §7.8): a name, perhaps a slash and a version. */
function isProtocol(value: string): boolean {
  const slash = value.indexOf('/');
  const name = slash === -1 ? value : value.slice(0, slash);
  return isToken(name) && (slash === -1 || isToken(value.slice(slash + 1)));
}

function isToken(value: string): boolean {
  return value !== '' && isAll(IS_TOKEN, value);
}

/** 101 does not exist in HTTP/2 (RFC 9113 §8.6). */
function isStatus(value: string): boolean {
  return value.length === 3 && value >= '100' && value <= '999' && isDigits(value) && value !== '101';
}

function isLength(value: string): boolean {
  return value !== '' && value.length <= LENGTH_DIGITS_MAX && isDigits(value);
}

function isDigits(value: string): boolean {
  for (let at = 0; at < value.length; at++) if (value.charCodeAt(at) < 0x30 || value.charCodeAt(at) > 0x39) return false;
  return true;
}

/** RFC 9110 §5.5 without white space at the ends, which RFC 9113 §8.2.1 forbids. */
export function isFieldValue(value: string): boolean {
  if (value === '') return true;
  return !NOT_IN_VALUE.test(value) && !isSpace(value.charCodeAt(0)) && !isSpace(value.charCodeAt(value.length - 1));
}

function isSpace(code: number): boolean {
  return code === SP || code === HTAB;
}

/** Characters above 255 have no entry and fail. */
function isAll(table: Uint8Array, text: string): boolean {
  for (let at = 0; at < text.length; at++) if (table[text.charCodeAt(at)] !== 1) return false;
  return true;
}
