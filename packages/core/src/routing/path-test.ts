// PathMatch, compiled. Every kind but the regular expression begins with a text that is compared first, by the matcher itself.
import type { PathMatch } from '../model/route.ts';
import { compilePattern } from './pattern.ts';
import type { Pattern } from './pattern.ts';
import { RouteFault } from './error.ts';
import { pathEnd } from './request.ts';

/** What is left to ask once the path begins with `literal`. */
export interface PathTest {
  /** @param path with its query. */
  fits(path: string): boolean;
}

export interface CompiledPath {
  /** Every path that fits begins with it. */
  readonly literal: string;
  /** Absent: all paths fit that begin with it. */
  readonly rest: PathTest | undefined;
  /** Takes every path, also the `*` of `OPTIONS *`. */
  readonly isAll: boolean;
}

/** @throws RouteFault for what is no path, and bad templates and regular expressions. */
export function compilePath(match: PathMatch): CompiledPath {
  const { kind, value } = match;
  if (kind === 'regex') return { literal: '', rest: new RegexPath(compilePattern(value)), isAll: false };
  if (!value.startsWith('/') || !/^[\x21-\x7e]*$/.test(value) || /[?#]/.test(value)) {
    throw new RouteFault(
      `${kind} "${value}" is not a path`,
      'begin it with "/" and write no "?", "#", blanks or characters that are not ASCII (percent-encode them)',
    );
  }
  switch (kind) {
    case 'prefix':
      return { literal: value, rest: undefined, isAll: value === '/' };
    case 'exact':
      return { literal: value, rest: new ExactPath(value.length), isAll: false };
    case 'segments':
      if (value === '/') return { literal: '/', rest: undefined, isAll: true };
      if (value.endsWith('/'))
        throw new RouteFault(
          `segments "${value}" ends with "/"`,
          `write "${value.replace(/\/+$/, '') || '/'}", which takes all below it too`,
        );
      return { literal: value, rest: new SegmentsPath(value.length), isAll: false };
    case 'template':
      return compileTemplate(value);
  }
}

const SLASH = 0x2f;
const QUESTION_MARK = 0x3f;

class ExactPath implements PathTest {
  private readonly length: number;

  constructor(length: number) {
    this.length = length;
  }

  fits(path: string): boolean {
    return path.length === this.length || path.charCodeAt(this.length) === QUESTION_MARK;
  }
}

class SegmentsPath implements PathTest {
  private readonly length: number;

  constructor(length: number) {
    this.length = length;
  }

  fits(path: string): boolean {
    if (path.length === this.length) return true;
    const next = path.charCodeAt(this.length);
    return next === SLASH || next === QUESTION_MARK;
  }
}

class RegexPath implements PathTest {
  private readonly pattern: Pattern;

  constructor(pattern: Pattern) {
    this.pattern = pattern;
  }

  fits(path: string): boolean {
    const end = pathEnd(path);
    return this.pattern.matches(end === path.length ? path : path.slice(0, end));
  }
}

/** One segment of a template: a text, a variable, or the variable that takes the rest. */
export type TemplatePart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'one'; readonly name: string }
  | { readonly kind: 'rest'; readonly name: string };

const VARIABLE = /^\{([A-Za-z_][A-Za-z0-9_]*)(=\*\*)?\}$/;

/** @throws RouteFault */
export function parseTemplate(template: string): readonly TemplatePart[] {
  const wrong = (why: string): RouteFault =>
    new RouteFault(`template "${template}" ${why}`, 'write it as in "/orders/{id}/items" or "/files/{path=**}"');
  const names = new Set<string>();
  const segments = template.slice(1).split('/');
  const parts = segments.map((segment, index): TemplatePart => {
    if (!/[{}*]/.test(segment)) return { kind: 'text', text: segment };
    const [, name, rest] = VARIABLE.exec(segment) ?? [];
    if (name === undefined) throw wrong(`has the segment "${segment}", which is neither a text nor one variable in braces`);
    if (names.has(name)) throw wrong(`has the variable "${name}" twice`);
    names.add(name);
    if (rest === undefined) return { kind: 'one', name };
    if (index < segments.length - 1) throw wrong(`goes on after "${segment}", which takes all that follows`);
    return { kind: 'rest', name };
  });
  if (names.size === 0) throw wrong('has no variable');
  return parts;
}

function compileTemplate(template: string): CompiledPath {
  const parts = parseTemplate(template);
  return { literal: template.slice(0, template.indexOf('{')), rest: new TemplatePath(parts), isAll: false };
}

/** Segments are told apart by slashes; one that a variable takes is not empty, the rest may be. */
export class TemplatePath implements PathTest {
  private readonly parts: readonly TemplatePart[];

  constructor(parts: readonly TemplatePart[]) {
    this.parts = parts;
  }

  fits(path: string): boolean {
    return this.read(path, undefined);
  }

  /** What the variables take, by name; undefined: the path does not fit. */
  variables(path: string): ReadonlyMap<string, string> | undefined {
    const values = new Map<string, string>();
    return this.read(path, values) ? values : undefined;
  }

  private read(path: string, values: Map<string, string> | undefined): boolean {
    const end = pathEnd(path);
    // Of the slash in front of the segment that is looked at.
    let at = 0;
    for (let index = 0; index < this.parts.length; index++) {
      if (at >= end || path.charCodeAt(at) !== SLASH) return false;
      const part = this.parts[index] as TemplatePart;
      if (part.kind === 'rest') {
        values?.set(part.name, path.slice(at + 1, end));
        return true;
      }
      let next = path.indexOf('/', at + 1);
      if (next === -1 || next > end) next = end;
      if (part.kind === 'one') {
        if (next === at + 1) return false;
        values?.set(part.name, path.slice(at + 1, next));
      } else if (next - at - 1 !== part.text.length || !path.startsWith(part.text, at + 1)) return false;
      at = next;
    }
    return at === end;
  }
}
