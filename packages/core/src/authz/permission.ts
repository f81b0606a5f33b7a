// What a rule is about, compiled. A path that is not understood fits what is denied, and not what is allowed.
import { ANY_REQUEST } from '../model/defaults.ts';
import type { Permission } from '../model/security.ts';
import type { PathMatch } from '../model/route.ts';
import { checkMatch } from '../routing/check.ts';
import { RouteFault } from '../routing/error.ts';
import { compileAuthority } from '../routing/matcher.ts';
import { compilePath, type CompiledPath } from '../routing/path-test.ts';
import { FieldTest, type TextTest } from '../routing/text-test.ts';
import type { Facts } from './facts.ts';
import { comparedPath, foldedPath, normalizePath } from './path.ts';

export class CompiledPermission {
  readonly config: Permission;
  readonly denies: boolean;
  readonly paths: readonly CompiledPath[] | undefined;
  /** Upper case where it denies: servers there are to which `get` is GET. */
  readonly methods: readonly string[] | undefined;
  private readonly authorities: readonly TextTest[] | undefined;
  private readonly headers: readonly FieldTest[];
  /** Asks for what byte streams do not have. */
  readonly isForRequests: boolean;

  /** @throws RouteFault */
  constructor(config: Permission, denies: boolean) {
    const { methods, paths, authorities, headers } = config;
    for (const [what, list] of Object.entries({ methods, paths, authorities }))
      if (list?.length === 0) throw new RouteFault(`the list of ${what} is empty, so that no request fits`, 'leave it out for all');
    if (methods?.includes('CONNECT') === true)
      throw new RouteFault('CONNECT makes a stream of bytes, which rules see without a method', 'leave the methods out');
    checkMatch({ ...ANY_REQUEST, ...(methods && { methods }), ...(headers && { headers }) });
    this.config = config;
    this.denies = denies;
    this.methods = denies ? methods?.map((method) => method.toUpperCase()) : methods;
    this.paths = paths?.map((path) => compileComparedPath(path, denies));
    this.authorities = authorities?.map(compileAuthority);
    this.headers = (headers ?? []).map((header) => new FieldTest('header', header));
    this.isForRequests =
      methods !== undefined || paths !== undefined || authorities !== undefined || (headers !== undefined && headers.length > 0);
  }

  fits(facts: Facts): boolean {
    if (!this.isForRequests) return true;
    if (facts.view.isStream) return false;
    return this.methodFits(facts) && this.pathFits(facts) && this.authorityFits(facts) && this.headersFit(facts);
  }

  methodFits({ view: { method } }: Facts): boolean {
    return this.methods === undefined || this.methods.includes(this.denies ? method.toUpperCase() : method);
  }

  pathFits(facts: Facts): boolean {
    const { paths } = this;
    if (paths === undefined) return true;
    const { path: asked } = facts;
    if (asked === undefined) return this.denies;
    for (let index = 0; index < paths.length; index++) {
      const path = paths[index] as CompiledPath;
      if (this.denies ? fitsSomehow(path, facts) : fitsAsItIs(path, asked)) return true;
    }
    return false;
  }

  /** With or without the port: the same server is meant, and no rule says by which of the two it is called. */
  authorityFits(facts: Facts): boolean {
    const { authorities } = this;
    if (authorities === undefined) return true;
    for (let index = 0; index < authorities.length; index++) {
      const test = authorities[index] as TextTest;
      if (test.fits(facts.host) || test.fits(facts.authority)) return true;
    }
    return false;
  }

  headersFit({ view }: Facts): boolean {
    for (let index = 0; index < this.headers.length; index++) if (!(this.headers[index] as FieldTest).fits(view)) return false;
    return true;
  }

  /** The first header that does not fit, for explanations. */
  misfit({ view }: Facts): FieldTest | undefined {
    return this.headers.find((header) => !header.fits(view));
  }
}

function fitsAsItIs({ literal, rest, isAll }: CompiledPath, path: string): boolean {
  if (isAll) return true;
  return path.startsWith(literal) && (rest === undefined || rest.fits(path));
}

/** In one of the ways in which servers may read it. */
function fitsSomehow(path: CompiledPath, { wide, bare }: Facts): boolean {
  return path.isAll || fitsWide(path, wide) || (bare !== wide && fitsWide(path, bare));
}

/** With the slash at the end and without it. */
function fitsWide({ literal, rest }: CompiledPath, wide: string): boolean {
  if (!wide.startsWith(literal)) return false;
  return rest === undefined || rest.fits(wide) || (wide.length > 1 && rest.fits(wide.slice(0, -1)));
}

/**
 * What a path is compared with has the form of what is compared: else it could never fit.
 * @throws RouteFault
 */
function compileComparedPath(match: PathMatch, denies: boolean): CompiledPath {
  // Says what is wrong with it in the words it was written in.
  const compiled = compilePath(match);
  if (match.kind === 'regex') return compileRegex(match.value, denies);
  const pieces = match.kind === 'template' ? match.value.split(/(\{[^}]*\})/) : [match.value];
  const text = pieces.map((piece, index) => (index % 2 === 0 ? piece : 'v')).join('');
  const normalized = normalizePath(text);
  const normal = normalized && comparedPath(normalized);
  if (normal === undefined)
    throw new RouteFault(
      `${match.kind} "${match.value}" is a path that is not understood, so that no request fits`,
      'write no "%2F", "%5C", "%00", ";" or "\\" in it; the guide about access lists what is not understood',
    );
  if (normal !== text)
    throw new RouteFault(
      `${match.kind} "${match.value}" can never fit, because paths are compared in their normal form`,
      match.kind === 'template' ? 'write its texts in that form' : `write "${normal}"`,
    );
  if (!denies) return compiled;
  return compilePath({ kind: match.kind, value: pieces.map((piece, index) => (index % 2 === 0 ? foldedPath(piece) : piece)).join('') });
}

/** With the beginning that all its paths have in common, where it can be seen: by it most rules that do not fit are told from the others. */
function compileRegex(source: string, denies: boolean): CompiledPath {
  const compiled = compilePath({ kind: 'regex', value: denies ? `(?i:${source})` : source });
  const [plain = ''] = source.includes('|') ? [] : (/^[/A-Za-z0-9_~%-]*/.exec(source) ?? []);
  // A quantifier belongs to the last character alone.
  const literal = /[?*+{]/.test(source[plain.length] ?? '') ? plain.slice(0, -1) : plain;
  return { ...compiled, literal: denies ? literal.toLowerCase() : literal };
}
