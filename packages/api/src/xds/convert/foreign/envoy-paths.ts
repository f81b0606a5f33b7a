// Paths of access rules in Envoy's words. Envoy resolves dot segments, merges slashes and decodes what needs no encoding, as our own data planes do
// (core/authz/path.ts); what is left to compare is in which form a character stands, and which paths nobody can be sure about.
import type { PathMatch } from '@heddle/core';
import type { Permission } from '../../../gen/foreign/envoy/config/rbac/v3/rbac.ts';
import type { StringMatcher } from '../../../gen/foreign/envoy/type/matcher/v3/string.ts';
import { escaped } from './envoy-match.ts';
import { eitherWay, widePattern } from './envoy-wide-paths.ts';

const HEX = '[0-9A-Fa-f]';
/** A byte of a character that is not the first (RFC 3629 §4). */
const MORE = `%[89ABab]${HEX}`;
/** What may stand in a path that is understood: characters as they are or encoded, and whole ones of UTF-8. */
const PIECES = [
  '[A-Za-z0-9._~!$&\'()*+,=:@/"<>\\[\\]^`{|}-]',
  '%(?:2[0-9A-Ea-e]|3[0-9AC-Fac-f]|[46][0-9A-Fa-f]|5[0-9ABD-Fabd-f]|7[0-9A-Ea-e])',
  `%(?:[Cc][2-9A-Fa-f]|[Dd]${HEX})${MORE}`,
  `%(?:[Ee]0%[ABab]${HEX}|[Ee][1-9A-CE-Fa-ce-f]${MORE}|[Ee][Dd]%[89]${HEX})${MORE}`,
  `%(?:[Ff]0%[9ABab]${HEX}|[Ff][1-3]${MORE}|[Ff]4%8${HEX})${MORE}${MORE}`,
];
export const UNDERSTOOD = `\\*|/(?:${PIECES.join('|')})*`;
/** Of slashes alone Envoy leaves two, where it makes one of them in all other paths: nobody knows what servers take that for. */
export const SLASHES_ALONE = '//';
/** Somewhere in a path: something else to whoever decodes twice. */
export const ENCODED_TWICE = `%25${HEX}{2}`;
/** Those that our own data planes encode and Envoy leaves as they are. */
const EITHER_WAY = /["<>[\]^`{|}]/;
/** In a rule: what may be written in another way in a path. */
const SEVERAL_WAYS = /[%!$&'()*+,:=@]/;

export function allOf(rules: readonly Permission[]): Permission {
  const [one, ...others] = rules;
  if (one === undefined) return { rule: { $case: 'any', value: true } };
  return others.length === 0 ? one : { rule: { $case: 'andRules', value: { rules: [...rules] } } };
}

export function oneOf(rules: readonly Permission[]): Permission {
  const [one, ...others] = rules;
  return one !== undefined && others.length === 0 ? one : { rule: { $case: 'orRules', value: { rules: [...rules] } } };
}

export function not(rule: Permission): Permission {
  return { rule: { $case: 'notRule', value: rule } };
}

function path(matcher: StringMatcher): Permission {
  return { rule: { $case: 'urlPath', value: { rule: { $case: 'path', value: matcher } } } };
}

function like(regex: string): Permission {
  return path({ matchPattern: { $case: 'safeRegex', value: { regex } } });
}

function beginsWith(value: string): Permission {
  return path({ matchPattern: { $case: 'prefix', value } });
}

/** Whether it is known what servers will take the path for. */
const PATH_IS_UNDERSTOOD: Permission = allOf([like(UNDERSTOOD), not(like(`.*${ENCODED_TWICE}.*`)), not(beginsWith(SLASHES_ALONE))]);

/** What is not understood is not allowed by path, and denied. */
export function pathPermission(paths: readonly PathMatch[], denies: boolean): Permission {
  return denies ? oneOf([...paths.map(denied), not(PATH_IS_UNDERSTOOD)]) : allOf([oneOf(paths.map(allowed)), PATH_IS_UNDERSTOOD]);
}

function allowed({ kind, value }: PathMatch): Permission {
  if (kind === 'regex') return like(value);
  if (kind === 'template') return like(template(value));
  if (value === '/' && kind !== 'exact') return { rule: { $case: 'any', value: true } };
  if (kind === 'segments') return like(`${literal(value)}(?:/.*)?`);
  if (!SEVERAL_WAYS.test(value)) return path({ matchPattern: { $case: kind, value } });
  return like(kind === 'exact' ? literal(value) : `${literal(value)}.*`);
}

/** Whatever the case of letters, with a slash at the end and without: servers there are to which that is the same. */
function denied(match: PathMatch): Permission {
  const { kind, value } = match;
  if (value === '/' && kind !== 'exact' && kind !== 'regex') return { rule: { $case: 'any', value: true } };
  return like(widePattern(match));
}

/** A variable takes one segment, or all that is left. */
function template(value: string): string {
  return value
    .split('/')
    .map((segment) => (segment.startsWith('{') ? (segment.endsWith('=**}') ? '.*' : '[^/]+') : literal(segment)))
    .join('/');
}

/** RE2 for the text, which is in the form that rules compare, whichever way its characters are encoded. */
function literal(text: string): string {
  return text
    .split(/(%[0-9A-Fa-f]{2}|[!$&'()*+,:=@])/)
    .map((piece, index) => (index % 2 === 0 ? escaped(piece) : piece.length === 1 ? eitherWay(piece) : encodedCharacter(piece)))
    .join('');
}

function encodedCharacter(piece: string): string {
  const character = String.fromCharCode(Number.parseInt(piece.slice(1), 16));
  return EITHER_WAY.test(character)
    ? eitherWay(character)
    : piece.replace(/[A-Fa-f]/g, (digit) => `[${digit.toUpperCase()}${digit.toLowerCase()}]`);
}
