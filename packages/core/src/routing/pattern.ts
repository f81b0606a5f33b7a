// Regular expressions of routes. What they are matched with comes from strangers, so they run on a machine of our own, whose time grows
// with the length of the text only; JavaScript's own can be made to work for minutes by a path of a few hundred characters.
import { RouteFault } from './error.ts';
import { Dfa } from './regex/dfa.ts';
import { compileProgram } from './regex/program.ts';
import { Replacer } from './regex/replace.ts';
import type { Substitution } from './regex/replace.ts';

export interface Pattern {
  /** Whether the whole text matches. */
  matches(text: string): boolean;
}

/** @throws RouteFault for what is no regular expression, or uses what RE2 and JavaScript do not both have. */
export function compilePattern(source: string): Pattern {
  return new Dfa(compileProgram(source));
}

const SUBSTITUTION_LENGTH_MAX = 256;
/** Of a path after it was rewritten; more than any server takes. */
const RESULT_LENGTH_MAX = 65_536;

export interface Replacement {
  /** With everything replaced that the pattern matches; undefined: that would be longer than 65,536 characters. */
  replace(text: string): string | undefined;
}

/**
 * @param substitution with `\1` to `\9` for what the groups took, `\0` for all of it, `\\` for a backslash.
 * @throws RouteFault
 */
export function compileReplacement(source: string, substitution: string): Replacement {
  const program = compileProgram(source);
  const parts = parseSubstitution(substitution, program.groups);
  const replacer = new Replacer(program);
  return { replace: (text) => replacer.replaceAll(text, parts, RESULT_LENGTH_MAX) };
}

function parseSubstitution(substitution: string, groups: number): Substitution {
  if (substitution.length > SUBSTITUTION_LENGTH_MAX)
    throw new RouteFault(`the substitution has ${substitution.length} characters`, `at most ${SUBSTITUTION_LENGTH_MAX} are taken`);
  const parts: (string | number)[] = [];
  for (const [piece] of substitution.matchAll(/\\(?:.|$)|[^\\]+/gs)) {
    if (!piece.startsWith('\\')) parts.push(piece);
    else if (piece === '\\\\') parts.push('\\');
    else if (!/^\\\d$/.test(piece))
      throw new RouteFault(
        `"${piece}" in the substitution "${substitution}" means nothing`,
        'write "\\1" for the first group, "\\\\" for a backslash',
      );
    else if (Number(piece[1]) > groups)
      throw new RouteFault(
        `the substitution "${substitution}" uses ${piece}, of ${groups === 0 ? 'no' : `only ${groups}`} groups in parentheses`,
        'put what is meant in parentheses',
      );
    else parts.push(Number(piece[1]));
  }
  return parts;
}
