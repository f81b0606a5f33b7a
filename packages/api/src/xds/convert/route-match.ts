// Which requests a route takes, beyond the prefix of the path: heddle.config.v1.RequestMatch.
import type { FieldMatch, PathMatch, RequestMatch, TextMatch } from '@heddle/core';
import type {
  FieldMatch as FieldMessage,
  PathMatch as PathMessage,
  RequestMatch as MatchMessage,
  TextMatch as TextMessage,
} from '../../gen/own/heddle/config/v1/route.ts';
import { headerName } from './extension.ts';
import type { At } from './rejection.ts';
import { required, requiredText } from './values.ts';

/** RFC 9110 §9.1: a token, and case counts. */
const METHOD = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;

/** Nothing but the prefix of the path: Envoy's field for that says it all. */
export function isPlainMatch({ path, methods, headers, query, authority }: RequestMatch): boolean {
  return path.kind === 'prefix' && methods === undefined && headers === undefined && query === undefined && authority === undefined;
}

/** Throws XdsRejection for what would mean something else on the wire. */
export function encodeMatch({ path, methods, headers = [], query = [], authority }: RequestMatch, at: At): MatchMessage {
  if (methods?.length === 0) at.field('methods').reject('must have at least one entry, or be left out');
  return {
    path: encodePath(path),
    methods: [...(methods ?? [])],
    headers: headers.map(encodeField),
    query: query.map(encodeField),
    ...(authority !== undefined && { authority: encodeText(authority) }),
  };
}

export function encodePath({ kind, value }: PathMatch): PathMessage {
  return { kind: { $case: kind, value } };
}

export function encodeField({ name, match, invert }: FieldMatch): FieldMessage {
  return { name, ...(match !== undefined && { match: encodeText(match) }), invert: invert === true };
}

export function encodeText(match: TextMatch): TextMessage {
  return { kind: { $case: match.kind, value: match.value }, ignoreCase: match.kind !== 'regex' && match.ignoreCase === true };
}

export function decodeMatch(message: MatchMessage, at: At): RequestMatch {
  const { methods = [], headers = [], query = [], authority } = message;
  return {
    kind: 'request',
    path: decodePath(message.path, at.field('path')),
    ...(methods.length > 0 && { methods: decodeMethods(methods, at) }),
    ...(headers.length > 0 && { headers: decodeFields(headers, at) }),
    ...(query.length > 0 && {
      query: query.map((field, index) => {
        const inside = at.item('query', index);
        return decodeField(field, requiredText(field.name, inside.field('name')), inside);
      }),
    }),
    ...(authority !== undefined && { authority: decodeText(authority, at.field('authority')) }),
  };
}

/** `at`: of the message with the field `methods`. */
export function decodeMethods(methods: readonly string[], at: At): readonly string[] {
  methods.forEach((method, index) => {
    if (!METHOD.test(method)) at.item('methods', index).reject(`${JSON.stringify(method)} is not a method`);
  });
  return methods;
}

/** `at`: of the message with the field `headers`. */
export function decodeFields(headers: readonly FieldMessage[], at: At): FieldMatch[] {
  return headers.map((field, index) => {
    const inside = at.item('headers', index);
    return decodeField(field, headerName(field.name, inside.field('name')), inside);
  });
}

export function decodePath(message: PathMessage | undefined, at: At): PathMatch {
  const { $case: kind, value } = required(message?.kind, at);
  const inside = at.field(kind);
  if (kind === 'regex') return { kind, value: requiredText(value, inside) };
  if (!value.startsWith('/')) inside.reject(`must begin with '/', not ${JSON.stringify(value)}`);
  return { kind, value };
}

function decodeField(message: FieldMessage, name: string, at: At): FieldMatch {
  return {
    name,
    ...(message.match !== undefined && { match: decodeText(message.match, at.field('match')) }),
    ...(message.invert === true && { invert: true }),
  };
}

export function decodeText(message: TextMessage, at: At): TextMatch {
  const { $case: kind, value } = required(message.kind, at);
  const ignoresCase = message.ignoreCase === true;
  if (kind === 'regex') {
    if (ignoresCase) at.field('ignore_case').reject('is not supported beside regex: write (?i) or both cases');
    return { kind, value: requiredText(value, at.field(kind)) };
  }
  // Every text begins with, ends with and has nothing in it: whoever means that needs no match.
  if (kind !== 'exact') requiredText(value, at.field(kind));
  return { kind, value, ...(ignoresCase && { ignoreCase: true }) };
}
