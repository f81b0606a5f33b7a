// New paths in Envoy's words. Where a prefix and what follows it meet, there is one slash if there was one before; Envoy would only put texts
// together.
import type { PathMatch, PathRewrite } from '@heddle/core';
import type { RegexMatchAndSubstitute } from '../../../gen/foreign/envoy/type/matcher/v3/regex.ts';
import type { At } from '../rejection.ts';
import { escaped, templatePattern } from './envoy-match.ts';

/** RE2's substitutions know no more. */
const GROUPS_MAX = 9;

export type EnvoyRewrite =
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: RegexMatchAndSubstitute };

/** `match`: of the route. Throws XdsRejection for what Envoy has no way to say. */
export function envoyRewrite(rewrite: PathRewrite, match: PathMatch, at: At): EnvoyRewrite {
  if (rewrite.kind === 'regex') return regex(rewrite.pattern, rewrite.substitution);
  if (rewrite.kind === 'full') return wholePath(rewrite.value, match, at);
  if (match.kind === 'exact') return fixed(rewrite.value);
  if (match.kind !== 'prefix' && match.kind !== 'segments')
    return at.reject(`a match by ${match.kind} has no prefix that could be replaced`);
  const { value } = rewrite;
  if (match.value.endsWith('/')) return { kind: 'prefix', value: value.endsWith('/') ? value : `${value}/` };
  return value.endsWith('/') ? regex(`^${escaped(match.value)}/?`, literal(value)) : { kind: 'prefix', value };
}

function wholePath(value: string, match: PathMatch, at: At): EnvoyRewrite {
  if (match.kind !== 'template' || !value.includes('{')) return fixed(value);
  const { regex: pattern, names } = templatePattern(match.value);
  if (names.length > GROUPS_MAX)
    return at.reject(`the template has ${names.length} variables; Envoy can put ${GROUPS_MAX} into a new path`);
  const pieces = value.split(/\{([^{}]*)\}/);
  const substitution = pieces.map((piece, index) => (index % 2 === 0 ? literal(piece) : `\\${names.indexOf(piece) + 1}`)).join('');
  return regex(`^${pattern}$`, substitution);
}

function fixed(path: string): EnvoyRewrite {
  return regex('^.*$', literal(path));
}

/** In a substitution the backslash is the only sign. */
function literal(text: string): string {
  return text.replaceAll('\\', '\\\\');
}

function regex(pattern: string, substitution: string): EnvoyRewrite {
  return { kind: 'regex', value: { pattern: { regex: pattern }, substitution } };
}
