// Which calls a route takes, in the words of gRPC libraries. A call is a POST to `/package.Service/Method` without a query: what asks for
// something else takes no call, what every call fulfils needs not be said.
import type { FieldMatch, PathMatch, RequestMatch } from '@heddle/core';
import type { HeaderMatcher, RouteMatch } from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import type { At } from '../rejection.ts';
import { escaped, stringMatcher, templatePattern } from './envoy-match.ts';

const METHOD = 'POST';
/** Each doubles the number of routes. */
const INVERTED_MAX = 3;

/** Several where it takes several to say it; none where no call can fit. Throws XdsRejection for what the libraries cannot compare. */
export function grpcMatches({ path, methods, headers = [], query = [], authority }: RequestMatch, at: At): readonly RouteMatch[] {
  if (authority !== undefined) return at.field('authority').reject('gRPC libraries do not look at the authority');
  const hidden = headers.find(({ name }) => name.endsWith('-bin') || name.startsWith('grpc-'));
  if (hidden !== undefined) return at.field('headers').reject(`gRPC libraries do not look at the header ${JSON.stringify(hidden.name)}`);
  if (methods !== undefined && !methods.includes(METHOD)) return [];
  if (query.some(({ invert }) => invert !== true)) return [];
  const inverted = headers.filter(({ match, invert }) => match !== undefined && invert === true).length;
  if (inverted > INVERTED_MAX)
    return at.field('headers').reject(`${inverted} headers must not have a value; gRPC libraries can be told of ${INVERTED_MAX} at most`);
  const pathSpecifier = grpcPath(path);
  return headers
    .reduce<HeaderMatcher[][]>((ways, field) => ways.flatMap((way) => grpcHeaders(field).map((matcher) => [...way, matcher])), [[]])
    .map((matchers) => ({ pathSpecifier, headers: matchers }));
}

export function grpcPath({ kind, value }: PathMatch): NonNullable<RouteMatch['pathSpecifier']> {
  switch (kind) {
    case 'exact':
      return { $case: 'path', value };
    case 'prefix':
      return { $case: 'prefix', value };
    case 'segments':
      return value === '/' ? { $case: 'prefix', value } : { $case: 'safeRegex', value: { regex: `${escaped(value)}(/.*)?` } };
    case 'template':
      return { $case: 'safeRegex', value: { regex: templatePattern(value).regex } };
    case 'regex':
      return { $case: 'safeRegex', value: { regex: value } };
  }
}

/** Any of these. Whether a header that is not there fits what is inverted, the libraries do not agree about. */
function grpcHeaders({ name, match, invert }: FieldMatch): HeaderMatcher[] {
  const invertMatch = invert === true;
  const present: HeaderMatcher = { name, headerMatchSpecifier: { $case: 'presentMatch', value: true }, invertMatch };
  if (match === undefined) return [present];
  const compared: HeaderMatcher = { name, headerMatchSpecifier: { $case: 'stringMatch', value: stringMatcher(match) }, invertMatch };
  return invertMatch ? [compared, present] : [compared];
}
