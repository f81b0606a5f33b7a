// From `match` to the requests it means.
import type { FieldMatch, PathMatch, RequestMatch, TextMatch } from '../../model/route.ts';
import type { Path } from '../fault.ts';
import type { AuthorityOutput, GrpcOutput, HeadersOutput, PathOutput, RequestMatchOutput } from '../schema/match.ts';
import { listAt, textAt, type Scalar, type TextOf } from './values.ts';

const EVERYTHING = '/**';

export function buildMatch(input: RequestMatchOutput, textOf: TextOf, path: Path): RequestMatch {
  const { methods, headers, query, authority } = input;
  return {
    kind: 'request',
    path: buildPath(input),
    ...(methods !== undefined && { methods: listAt<string>(methods, path).map(({ item }) => item) }),
    ...(headers && { headers: buildHeaderMatches(headers, textOf, [...path, 'headers']) }),
    ...(query && { query: buildFields(query, (name) => name, textOf, [...path, 'query']) }),
    ...(authority !== undefined && { authority: buildAuthority(authority, textOf, [...path, 'authority']) }),
  };
}

function buildPath({ path, grpc }: RequestMatchOutput): PathMatch {
  if (grpc !== undefined) return grpcPath(grpc);
  return path === undefined ? { kind: 'prefix', value: '/' } : buildPathMatch(path);
}

export function grpcPath({ service, method }: GrpcOutput): PathMatch {
  return method === undefined ? { kind: 'prefix', value: `/${service}/` } : { kind: 'exact', value: `/${service}/${method}` };
}

export function buildPathMatch(path: PathOutput): PathMatch {
  if (typeof path === 'string') return plainPath(path);
  const [kind, value] = Object.entries(path)[0] as [PathMatch['kind'], string];
  return { kind, value };
}

/** What a path means that is written as a text alone. */
export function plainPath(text: string): PathMatch {
  if (text === EVERYTHING) return { kind: 'prefix', value: '/' };
  if (text.endsWith(EVERYTHING)) return { kind: 'segments', value: text.slice(0, -EVERYTHING.length) };
  return { kind: text.includes('{') ? 'template' : 'exact', value: text };
}

/** Names of headers have no case (RFC 9110 §5.1); those of parameters have. */
export function buildHeaderMatches(headers: HeadersOutput, textOf: TextOf, path: Path): FieldMatch[] {
  return buildFields(headers, (name) => name.toLowerCase(), textOf, path);
}

type FieldInput = NonNullable<RequestMatchOutput['headers']>[string];

function buildFields(
  fields: Readonly<Record<string, FieldInput>>,
  nameOf: (written: string) => string,
  textOf: TextOf,
  path: Path,
): FieldMatch[] {
  return Object.entries(fields).map(([written, value]): FieldMatch => {
    const inside = [...path, written];
    const name = nameOf(written);
    if (typeof value !== 'object') return { name, match: { kind: 'exact', value: textAt(value, textOf, inside) } };
    const { present, invert, ...words } = value;
    if (present !== undefined) return present ? { name } : { name, invert: true };
    return { name, match: buildText(words, textOf, inside), ...(invert && { invert }) };
  });
}

type WordsInput = { readonly [K in TextMatch['kind']]?: Scalar | undefined } & { readonly ignoreCase?: true | undefined };

function buildText({ ignoreCase, ...words }: WordsInput, textOf: TextOf, path: Path): TextMatch {
  const [kind, value] = Object.entries(words)[0] as [TextMatch['kind'], Scalar];
  const text = textAt(value, textOf, [...path, kind]);
  return kind === 'regex' ? { kind, value: text } : { kind, value: text, ...(ignoreCase && { ignoreCase }) };
}

export function buildAuthority(authority: AuthorityOutput, textOf: TextOf, path: Path): TextMatch {
  return typeof authority === 'string' ? { kind: 'exact', value: authority } : buildText(authority, textOf, path);
}
