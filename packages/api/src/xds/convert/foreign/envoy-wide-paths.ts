// Paths of rules that deny, as RE2: in all the ways in which some server may read a path, as our own engine sees them (`foldedPath` and `trimmedPath` of
// core/authz/path.ts). Letters in either case, also those that are not ASCII; a slash at the end or none; dots and blanks at the end of segments. Where a
// pattern of the user's cannot be widened, it denies what it could have meant.
import { foldedPath } from '@heddle/core';
import type { PathMatch } from '@heddle/core';
import { escaped } from './envoy-match.ts';

/** What some servers ignore at the end of a segment, and the segments that are nothing else. */
const TRIMMED = '(?:\\.|%20)';
const TAIL = `${TRIMMED}*`;
const SLASH = `${TAIL}/(?:${TRIMMED}+/)*`;
const END = `${TAIL}(?:/(?:${TRIMMED}+/)*${TAIL})?`;
const BELOW = `${TAIL}(?:/.*)?`;
/** Of characters that are the same when they are encoded, and of those that Envoy leaves as they are. */
const EITHER_WAY = /[!$&'()*+,:=@"<>[\]^`{|}]/;
/** The same, as they stand in a path. */
const SAME_ENCODED = '%(?:2[146-9A-Ca-c]|3[ADad]|40)';
/** More than one letter becomes of few characters, side by side even less often. */
const CLUSTER_MAX = 8;

/** RE2 for a whole path that the rule denies. Within it the case of letters that are ASCII, and of hexadecimal digits, is no matter. */
export function widePattern({ kind, value }: PathMatch): string {
  return kind === 'regex' ? `(?i:${wideRegex(value)})` : `(?i:${widePath(kind, value)})`;
}

function widePath(kind: Exclude<PathMatch['kind'], 'regex'>, value: string): string {
  const bare = value.replace(/\/$/, '');
  switch (kind) {
    case 'exact':
      return `${wide(bare)}${END}`;
    case 'segments':
      return `${wide(bare)}${BELOW}`;
    case 'prefix':
      return value.endsWith('/') ? `${wide(bare)}${BELOW}` : `${wide(value, true)}.*`;
    case 'template':
      return value.endsWith('=**}') ? `${wideTemplate(value.slice(0, value.lastIndexOf('/')))}${BELOW}` : `${wideTemplate(bare)}${END}`;
  }
}

/** A variable takes one segment. */
function wideTemplate(value: string): string {
  const segments = value.split('/').map((segment) => (segment.startsWith('{') ? '[^/]+' : wide(segment)));
  return segments.join(SLASH);
}

/** @param text of a path in the form that rules compare. @param isOpen it goes on, perhaps within a character that becomes several letters. */
function wide(text: string, isOpen = false): string {
  const units = unitsOf(foldedPath(text));
  let pattern = '';
  for (let at = 0; at < units.length; ) {
    const end = clusterEnd(units, at);
    pattern += end - at > CLUSTER_MAX ? '[^/]*' : tilings(units, at, end, isOpen);
    at = end;
  }
  return pattern;
}

/** One that was encoded, or that stands for itself. */
function unitsOf(folded: string): string[] {
  return folded.match(/%(?:[0-7][0-9a-f]|[c-d][0-9a-f]%[0-9a-f]{2}|e[0-9a-f](?:%[0-9a-f]{2}){2}|f[0-9a-f](?:%[0-9a-f]{2}){3})|[^]/g) ?? [];
}

interface Spelling {
  /** What it becomes. */
  readonly units: readonly string[];
  readonly encoding: string;
}

let known: ReadonlyMap<string, readonly Spelling[]> | undefined;

/** Characters that become something else when the case of letters is no matter, by the first of what they become. */
function spellings(): ReadonlyMap<string, readonly Spelling[]> {
  known ??= allSpellings();
  return known;
}

/** There are letters with case in the first two planes alone. */
const LETTERS_END = 0x20000;
const SURROGATES = { from: 0xd800, to: 0xdfff };

function allSpellings(): Map<string, Spelling[]> {
  const found = new Map<string, Spelling[]>();
  for (let code = 0x80; code < LETTERS_END; code++) {
    if (code >= SURROGATES.from && code <= SURROGATES.to) continue;
    const character = String.fromCodePoint(code);
    // Nearly all are not touched by it.
    if (character.toUpperCase() === character && character.toLowerCase() === character) continue;
    const encoding = encodeURIComponent(character);
    const becomes = foldedPath(encoding);
    if (becomes === encoding.toLowerCase()) continue;
    const units = unitsOf(becomes);
    const others = found.get(units[0]!);
    if (others === undefined) found.set(units[0]!, [{ units, encoding }]);
    else others.push({ units, encoding });
  }
  return found;
}

/** Those that may stand here for one unit or several. */
function* spellingsAt(units: readonly string[], at: number, isOpen: boolean): Iterable<Spelling> {
  for (const spelling of spellings().get(units[at]!) ?? []) {
    const left = units.length - at;
    const isWhole = spelling.units.length <= left;
    if ((isWhole || isOpen) && spelling.units.every((unit, index) => index >= left || unit === units[at + index])) yield spelling;
  }
}

/** Behind the units that one character could stand for together, from here on. */
function clusterEnd(units: readonly string[], start: number): number {
  let end = start + 1;
  for (let at = start; at < end; at++)
    for (const spelling of spellingsAt(units, at, false)) end = Math.max(end, Math.min(at + spelling.units.length, units.length));
  return end;
}

function tilings(units: readonly string[], at: number, end: number, isOpen: boolean): string {
  if (at >= end) return '';
  const ways = [`${unitPattern(units[at]!)}${tilings(units, at + 1, end, isOpen)}`];
  for (const { units: covered, encoding } of spellingsAt(units, at, isOpen))
    ways.push(`${encoding}${tilings(units, at + covered.length, end, isOpen)}`);
  return ways.length === 1 ? ways[0]! : `(?:${ways.join('|')})`;
}

function unitPattern(unit: string): string {
  if (unit === '/') return SLASH;
  const character = unit.length === 3 ? String.fromCharCode(Number.parseInt(unit.slice(1), 16)) : unit;
  return EITHER_WAY.test(character) && unit.length <= 3 ? eitherWay(character) : escaped(unit);
}

/** RE2 for the character, encoded or not. Hexadecimal digits in either case. */
export function eitherWay(character: string): string {
  const digits = character.charCodeAt(0).toString(16).padStart(2, '0');
  return `(?:${escaped(character)}|%${digits.replace(/[a-f]/g, (digit) => `[${digit.toUpperCase()}${digit}]`)})`;
}

/** Patterns of these pieces alone do not care how a character is encoded. */
const PLAIN_PIECES = /^(?:\.[*+]|\[\^\/\][*+]|\(\?:|[A-Za-z0-9/_~|()?-]|\\\.|\[[A-Za-z0-9_-]+\][*+]?|\{[0-9,]+\})*$/;

/** A pattern for what is below a path is one for the path with its slash, too; and what it could not be asked about is denied. */
function wideRegex(value: string): string {
  const below = value.replace(/\/(?:\(?\.\*\)?)?$/, '');
  const unsure = [`.*${TRIMMED}(?:/.*)?`, ...(PLAIN_PIECES.test(value) ? foldedInto(value) : [`.*(?:${SAME_ENCODED}|%[89A-F]).*`])];
  return `(?:${value})/?|(?:${below})/?|${unsure.join('|')}`;
}

/** Characters that become letters which the pattern speaks of. */
function foldedInto(value: string): string[] {
  const letters = new Set(value.toLowerCase());
  const encodings = [...spellings().values()]
    .flat()
    .filter(({ units }) => units.every((unit) => /^[a-z]$/.test(unit) && (letters.has('[') || letters.has(unit))));
  return encodings.length === 0 ? [] : [`.*(?:${encodings.map(({ encoding }) => encoding).join('|')}).*`];
}
