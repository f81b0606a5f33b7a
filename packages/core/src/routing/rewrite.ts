// Which path is asked for in place of the one that was received, and where redirects lead to. The query is never touched, only left out
// where that is said.
import type { PathMatch, PathRewrite, RedirectAction, RouteMatch } from '../model/route.ts';
import { RouteFault } from './error.ts';
import { parseTemplate, TemplatePath } from './path-test.ts';
import { compileReplacement } from './pattern.ts';
import type { Replacement } from './pattern.ts';
import { pathEnd } from './request.ts';
import type { RequestView } from './request.ts';

export interface PathRewriter {
  /**
   * The new path with the old query; undefined: it would be longer than any server takes (more than 65,536 characters).
   * @param path of a request that took the route, with its query.
   */
  rewrite(path: string): string | undefined;
}

/**
 * For all kinds, the `*` of `OPTIONS *` is no path and stays.
 * @param match of the route, whose prefix is replaced or whose template's variables may stand in a `full` rewrite, as `/v2/{id}`.
 * @throws RouteFault
 */
export function compileRewrite(rewrite: PathRewrite, match: RouteMatch): PathRewriter {
  if (match.kind === 'connect') throw new RouteFault('CONNECT has no path that could be rewritten', 'remove the rewrite');
  switch (rewrite.kind) {
    case 'prefix':
      return compilePrefix(rewrite.value, match.path);
    case 'full':
      return compileFull(rewrite.value, match.path);
    case 'regex':
      if (!/^[\x21-\x7e]*$/.test(rewrite.substitution) || /[?#]/.test(rewrite.substitution))
        throw new RouteFault(
          `the substitution "${rewrite.substitution}" cannot stand in a path: it holds "?", "#", blanks or characters that are not ASCII`,
          'percent-encode them',
        );
      return new RegexRewriter(compileReplacement(rewrite.pattern, rewrite.substitution));
  }
}

function checkPath(path: string, what: string): void {
  if (!path.startsWith('/') || !/^[\x21-\x7e]*$/.test(path) || /[?#]/.test(path))
    throw new RouteFault(
      `${what} "${path}" is not a path`,
      'begin it with "/" and write no "?", "#", blanks or characters that are not ASCII',
    );
}

function compilePrefix(value: string, match: PathMatch): PathRewriter {
  checkPath(value, 'the new prefix');
  if (match.kind === 'template' || match.kind === 'regex') {
    const instead = match.kind === 'template' ? ', with the variables as in "/v2/{id}"' : ' or by a regular expression';
    const mend = `match a prefix, or rewrite the path as a whole${instead}`;
    throw new RouteFault(`the prefix is to be replaced, but a match by ${match.kind} has none`, mend);
  }
  return match.kind === 'exact' ? new FixedRewriter(value) : new PrefixRewriter(match.value, value);
}

const SLASH = 0x2f;

/**
 * Where the two parts meet there is one slash if there was one before: `/v1` to `/` makes `/items` of `/v1/items`, `/` to `/v1` makes
 * `/v1/items` of `/items`.
 */
class PrefixRewriter implements PathRewriter {
  private readonly value: string;
  private readonly length: number;
  private readonly dropsSlash: boolean;

  constructor(prefix: string, value: string) {
    const endsInSlash = prefix.endsWith('/');
    this.length = endsInSlash ? prefix.length - 1 : prefix.length;
    this.value = endsInSlash && value.endsWith('/') ? value.slice(0, -1) : value;
    this.dropsSlash = !endsInSlash && value.endsWith('/');
  }

  rewrite(path: string): string {
    if (path === '*') return path;
    const { value, length } = this;
    return value + path.slice(this.dropsSlash && path.charCodeAt(length) === SLASH ? length + 1 : length);
  }
}

function compileFull(value: string, match: PathMatch): PathRewriter {
  checkPath(value, 'the new path');
  const template = match.kind === 'template' ? parseTemplate(match.value) : [];
  const names = new Set(template.flatMap((part) => (part.kind === 'text' ? [] : [part.name])));
  const pieces = value.split(/\{([^{}]*)\}/);
  for (const [index, piece] of pieces.entries()) {
    if (index % 2 === 1 && !names.has(piece)) {
      const known = names.size === 0 ? 'only a match by template has variables' : `the template has ${[...names].join(', ')}`;
      throw new RouteFault(
        `"{${piece}}" in the new path "${value}" is not known: ${known}`,
        'write a variable of the template, or percent-encode the braces',
      );
    }
    if (index % 2 === 0 && /[{}]/.test(piece))
      throw new RouteFault(`the new path "${value}" has a brace without its other half`, 'write variables as "{id}"');
  }
  return pieces.length === 1 ? new FixedRewriter(value) : new VariableRewriter(pieces, new TemplatePath(template));
}

class FixedRewriter implements PathRewriter {
  private readonly value: string;

  constructor(value: string) {
    this.value = value;
  }

  rewrite(path: string): string {
    return path === '*' ? path : this.value + path.slice(pathEnd(path));
  }
}

class VariableRewriter implements PathRewriter {
  /** Every second one is a variable's name. */
  private readonly pieces: readonly string[];
  private readonly template: TemplatePath;

  constructor(pieces: readonly string[], template: TemplatePath) {
    this.pieces = pieces;
    this.template = template;
  }

  rewrite(path: string): string | undefined {
    const variables = this.template.variables(path);
    let result = '';
    for (let index = 0; index < this.pieces.length; index++) {
      const piece = this.pieces[index] as string;
      result += index % 2 === 0 ? piece : (variables?.get(piece) ?? '');
    }
    result += path.slice(pathEnd(path));
    return result.length > PATH_LENGTH_MAX ? undefined : result;
  }
}

/** A variable may stand in the new path many times. */
const PATH_LENGTH_MAX = 65_536;

class RegexRewriter implements PathRewriter {
  private readonly replacement: Replacement;

  constructor(replacement: Replacement) {
    this.replacement = replacement;
  }

  rewrite(path: string): string | undefined {
    if (path === '*') return path;
    const end = pathEnd(path);
    const replaced = this.replacement.replace(path.slice(0, end));
    if (replaced === undefined) return undefined;
    return (replaced.startsWith('/') ? replaced : `/${replaced}`) + path.slice(end);
  }
}

/** Value of `location` for a request. */
export class Redirect {
  readonly status: RedirectAction['status'];
  private readonly action: RedirectAction;
  private readonly path: PathRewriter | undefined;

  /** @throws RouteFault also when nothing would change, so that clients went round in circles. */
  constructor(action: RedirectAction, match: RouteMatch) {
    const { status, scheme, authority, path, stripQuery } = action;
    if (![301, 302, 303, 307, 308].includes(status))
      throw new RouteFault(`${String(status)} does not redirect`, 'use 301, 302, 303, 307 or 308');
    if (scheme === undefined && authority === undefined && path === undefined && stripQuery !== true)
      throw new RouteFault('the redirect leads to where the request came from', 'say which host, path or scheme is another');
    if (authority !== undefined) checkAuthority(authority);
    this.status = status;
    this.action = action;
    this.path = path === undefined ? undefined : compileRewrite(path, match);
  }

  /**
   * Undefined: the path would be longer than any server takes.
   * @param scheme by which the request came.
   */
  location(request: RequestView, scheme: 'http' | 'https'): string | undefined {
    const { action } = this;
    // `OPTIONS *` asks the server as a whole.
    const asked = request.path === '*' ? '/' : request.path;
    const path = this.path === undefined ? asked : this.path.rewrite(asked);
    if (path === undefined) return undefined;
    const newScheme = action.scheme ?? scheme;
    const authority = action.authority ?? withoutPort(request.authority, scheme, newScheme);
    return `${newScheme}://${authority}${action.stripQuery === true ? path.slice(0, pathEnd(path)) : path}`;
  }
}

/** The usual port of the old scheme, if the request named it, is not that of the new one. */
function withoutPort(authority: string, scheme: 'http' | 'https', newScheme: 'http' | 'https'): string {
  if (scheme === newScheme) return authority;
  const port = scheme === 'http' ? ':80' : ':443';
  return authority.endsWith(port) ? authority.slice(0, -port.length) : authority;
}

/** @throws RouteFault */
export function checkAuthority(authority: string): void {
  if (!/^(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?$/.test(authority) || Number(/:(\d+)$/.exec(authority)?.[1] ?? 0) > 65_535)
    throw new RouteFault(`"${authority}" is not a host`, 'write a name or an address, with or without a port');
}
