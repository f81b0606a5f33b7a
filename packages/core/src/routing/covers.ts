// Whether one match takes everything that another one takes. Says so only where that is certain: for two regular expressions that differ,
// for example, it never is.
import type { FieldMatch, PathMatch, RequestMatch, TextMatch } from '../model/route.ts';
import { compilePath, parseTemplate } from './path-test.ts';
import type { TemplatePart } from './path-test.ts';
import { compileText } from './text-test.ts';

/**
 * Whether every request that `inner` takes is taken by `outer`, too. Both must be matches that compile.
 * So a route behind one with `outer` and in front of nothing else that changes the request can never be reached.
 */
export function covers(outer: RequestMatch, inner: RequestMatch): boolean {
  return (
    coversPath(outer.path, inner.path) &&
    coversMethods(outer.methods, inner.methods) &&
    coversAuthority(outer.authority, inner.authority) &&
    coversFields(outer.headers, inner.headers, true) &&
    coversFields(outer.query, inner.query, false)
  );
}

export function coversPath(outer: PathMatch, inner: PathMatch): boolean {
  if (outer.kind === inner.kind && outer.value === inner.value) return true;
  // `*` is taken by these and by regular expressions only.
  if (takesAll(outer)) return true;
  if (takesAll(inner) || inner.kind === 'regex') return false;
  if (inner.kind === 'exact') {
    const { literal, rest } = compilePath(outer);
    return inner.value.startsWith(literal) && rest?.fits(inner.value) !== false;
  }
  if (outer.kind === 'template') return coversTemplate(parseTemplate(outer.value), inner);
  // Everything that the inner one takes begins with this, and may go on in any way behind it.
  const beginning = inner.kind === 'template' ? inner.value.slice(0, inner.value.indexOf('{')) : inner.value;
  switch (outer.kind) {
    case 'prefix':
      return beginning.startsWith(outer.value);
    case 'segments':
      return beginning.startsWith(`${outer.value}/`);
    case 'exact':
      return false;
    case 'regex':
      return outer.value === '/.*';
  }
}

function takesAll({ kind, value }: PathMatch): boolean {
  return kind === 'regex' ? value === '.*' : (kind === 'prefix' || kind === 'segments') && value === '/';
}

function coversTemplate(outer: readonly TemplatePart[], inner: PathMatch): boolean {
  if (inner.kind !== 'template') {
    const last = outer.length - 1;
    // Only texts and then the rest: the same as a prefix that ends with a slash.
    if (outer[last]?.kind !== 'rest' || outer.slice(0, last).some((part) => part.kind !== 'text')) return false;
    const prefix = `/${outer
      .slice(0, last)
      .map((part) => (part.kind === 'text' ? `${part.text}/` : ''))
      .join('')}`;
    return inner.value.startsWith(prefix);
  }
  const parts = parseTemplate(inner.value);
  for (let index = 0; index < outer.length; index++) {
    const [one, other] = [outer[index] as TemplatePart, parts[index]];
    if (other === undefined) return false;
    if (one.kind === 'rest') return true;
    if (other.kind === 'rest') return false;
    if (one.kind === 'one' && other.kind === 'text' && other.text === '') return false;
    if (one.kind === 'text' && (other.kind !== 'text' || other.text !== one.text)) return false;
  }
  return parts.length === outer.length;
}

function coversMethods(outer: readonly string[] | undefined, inner: readonly string[] | undefined): boolean {
  return outer === undefined || (inner !== undefined && inner.every((method) => outer.includes(method)));
}

function coversAuthority(outer: TextMatch | undefined, inner: TextMatch | undefined): boolean {
  if (outer === undefined) return true;
  return inner !== undefined && coversText(folded(outer), folded(inner));
}

/** Authorities are compared in lower case. */
function folded(match: TextMatch): TextMatch {
  return match.kind === 'regex' ? match : { kind: match.kind, value: match.value.toLowerCase() };
}

/** Each condition of the outer one follows from one of the inner one. */
function coversFields(outer: readonly FieldMatch[] = [], inner: readonly FieldMatch[] = [], areHeaders: boolean): boolean {
  const keyOf = ({ name }: FieldMatch): string => (areHeaders ? name.toLowerCase() : name);
  return outer.every((condition) => inner.some((given) => keyOf(given) === keyOf(condition) && follows(condition, given, areHeaders)));
}

function follows(condition: FieldMatch, given: FieldMatch, areHeaders: boolean): boolean {
  if (condition.invert === true) {
    if (condition.match === undefined) return given.match === undefined && given.invert === true;
    // A missing one fits whatever is inverted.
    if (given.invert === true) return given.match === undefined || coversText(given.match, condition.match);
    // A header may have another line, which fits; of a parameter only the first counts.
    return !areHeaders && given.match !== undefined && excludes(condition.match, given.match);
  }
  if (given.invert === true) return false;
  return condition.match === undefined || (given.match !== undefined && coversText(condition.match, given.match));
}

/** Whether no text that the second takes is taken by the first. */
function excludes(first: TextMatch, second: TextMatch): boolean {
  return isOneText(second) && !compileText(first).fits(second.value);
}

function isOneText(match: TextMatch): boolean {
  return match.kind === 'exact' && match.ignoreCase !== true;
}

/** Whether every text that the inner one takes is taken by the outer one. */
function coversText(outer: TextMatch, inner: TextMatch): boolean {
  if (outer.kind === 'regex')
    return outer.value === '.*' || (inner.kind === 'regex' && inner.value === outer.value) || fitsOneText(outer, inner);
  if (fitsOneText(outer, inner)) return true;
  if (inner.kind === 'regex' || (inner.ignoreCase === true && outer.ignoreCase !== true)) return false;
  const [wanted, given] = outer.ignoreCase === true ? [outer.value.toLowerCase(), inner.value.toLowerCase()] : [outer.value, inner.value];
  switch (outer.kind) {
    case 'exact':
      return inner.kind === 'exact' && given === wanted;
    case 'prefix':
      return (inner.kind === 'exact' || inner.kind === 'prefix') && given.startsWith(wanted);
    case 'suffix':
      return (inner.kind === 'exact' || inner.kind === 'suffix') && given.endsWith(wanted);
    case 'contains':
      return given.includes(wanted);
  }
}

function fitsOneText(outer: TextMatch, inner: TextMatch): boolean {
  return isOneText(inner) && compileText(outer).fits(inner.value);
}
