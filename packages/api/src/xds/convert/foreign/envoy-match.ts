// Which requests a route takes, in Envoy's words. Templates become regular expressions: Envoy's own have limits of their own (five variables,
// names of 16 letters), which no mesh file should have to know.
import type { FieldMatch, PathMatch, RequestMatch, TextMatch } from '@heddle/core';
import type { HeaderMatcher, QueryParameterMatcher, RouteMatch } from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import type { StringMatcher } from '../../../gen/foreign/envoy/type/matcher/v3/string.ts';

/** `others`: conditions of Envoy's alone. */
export function envoyMatch(match: RequestMatch, others: readonly HeaderMatcher[] = []): RouteMatch {
  const { path, query = [] } = match;
  const [present, absent] = [query.filter(({ invert }) => invert !== true), query.filter(({ invert }) => invert === true)];
  return {
    pathSpecifier: pathSpecifier(path),
    // Envoy cannot ask for a parameter that is missing or another one, but for a path that does not look like that.
    headers: [...headerConditions(match), ...absent.map(queryCondition), ...others],
    queryParameters: present.map(queryMatcher),
  };
}

/** All but the path and its query. */
export function headerConditions({ methods, authority, headers = [] }: RequestMatch): HeaderMatcher[] {
  return [
    ...(methods === undefined ? [] : [matching(':method', methods.map(escaped).join('|'))]),
    ...(authority === undefined ? [] : [{ name: ':authority', headerMatchSpecifier: by(lowerCase(authority)) }]),
    ...headers.map(headerMatcher),
  ];
}

/** A parameter, asked of the path as a header, which has the query. */
export function queryCondition(field: FieldMatch): HeaderMatcher {
  return { ...matching(':path', queryPattern(field)), ...(field.invert === true && { invertMatch: true }) };
}

function pathSpecifier({ kind, value }: PathMatch): NonNullable<RouteMatch['pathSpecifier']> {
  if (kind === 'exact') return { $case: 'path', value };
  if (kind === 'regex') return { $case: 'safeRegex', value: { regex: value } };
  if (kind === 'template') return { $case: 'safeRegex', value: { regex: templatePattern(value).regex } };
  // Envoy wants no slash at the end of segments; that is a prefix then.
  return kind === 'segments' && value !== '/' ? { $case: 'pathSeparatedPrefix', value } : { $case: 'prefix', value };
}

/** RE2 for the whole path without its query, with a group for each variable; `names`: in the order of the groups. */
export function templatePattern(template: string): { readonly regex: string; readonly names: readonly string[] } {
  const names: string[] = [];
  const segments = template.split('/').map((segment) => {
    const [, name, rest] = /^\{([^}=]*)(=\*\*)?\}$/.exec(segment) ?? [];
    if (name === undefined) return escaped(segment);
    names.push(name);
    return rest === undefined ? '([^/?]+)' : '([^?]*)';
  });
  return { regex: segments.join('/'), names };
}

/** RE2 and JavaScript agree about these. */
export function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** The whole value. */
export function matching(name: string, regex: string): HeaderMatcher {
  return { name, headerMatchSpecifier: by({ kind: 'regex', value: regex }) };
}

function by(match: TextMatch): { $case: 'stringMatch'; value: StringMatcher } {
  return { $case: 'stringMatch', value: stringMatcher(match) };
}

export function stringMatcher(match: TextMatch): StringMatcher {
  if (match.kind === 'regex') return { matchPattern: { $case: 'safeRegex', value: { regex: match.value } } };
  return { matchPattern: { $case: match.kind, value: match.value }, ignoreCase: match.ignoreCase === true };
}

/** Authorities are compared in lower case. */
function lowerCase(match: TextMatch): TextMatch {
  return match.kind === 'regex' ? { kind: 'regex', value: `(?i:${match.value})` } : { ...match, ignoreCase: true };
}

export function headerMatcher({ name, match, ...field }: FieldMatch): HeaderMatcher {
  const invert = field.invert === true;
  if (match === undefined) return { name, headerMatchSpecifier: { $case: 'presentMatch', value: true }, invertMatch: invert };
  // Envoy lets a header that is not there fit nothing, inverted or not, unless it counts as an empty one.
  return { name, headerMatchSpecifier: by(match), invertMatch: invert, treatMissingHeaderAsEmpty: invert };
}

export function queryMatcher({ name, match }: FieldMatch): QueryParameterMatcher {
  return {
    name,
    queryParameterMatchSpecifier: match === undefined ? { $case: 'presentMatch', value: true } : by(match),
  };
}

/** A path whose first parameter of this name is so. */
function queryPattern({ name, match }: FieldMatch): string {
  const own = escaped(name);
  const value = match === undefined ? '[^&]*' : valuePattern(match);
  // Without a value at all, a parameter is an empty one.
  const isEmptyToo = match === undefined || (match.kind === 'exact' && match.value === '');
  const given = isEmptyToo ? `${own}(?:=${value})?` : `${own}=${value}`;
  const before = match === undefined ? '[^&]*' : otherParameter(name);
  return `[^?]*\\?(?:${before}&)*${given}(?:&.*)?`;
}

/** A parameter of another name, or nothing: one letter after the other, because RE2 has no way to say what must not follow. */
function otherParameter(name: string): string {
  const longer = '[^=&][^&]*';
  return [...name].reduceRight((rest, letter) => `(?:[^${inBrackets(letter)}&][^&]*|${escaped(letter)}${rest})?`, longer);
}

function inBrackets(letter: string): string {
  return /[\\\]^-]/.test(letter) ? `\\${letter}` : letter;
}

function valuePattern(match: TextMatch): string {
  if (match.kind === 'regex') return `(?:${match.value})`;
  const text = match.ignoreCase === true ? `(?i:${escaped(match.value)})` : escaped(match.value);
  const before = match.kind === 'suffix' || match.kind === 'contains' ? '[^&]*' : '';
  const after = match.kind === 'prefix' || match.kind === 'contains' ? '[^&]*' : '';
  return `${before}${text}${after}`;
}
