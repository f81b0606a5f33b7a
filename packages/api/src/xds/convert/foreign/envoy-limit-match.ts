// Which requests of a route need a token, in Envoy's words: a limit holds for those that fit every condition of its descriptor. Envoy compares
// headers there, of which the path is one, with its query. Where only an expression could tell what belongs to what, there is one more condition.
import type { FieldMatch, PathMatch, RequestMatch } from '@heddle/core';
import type { RateLimitDescriptor_Entry } from '../../../gen/foreign/envoy/extensions/common/ratelimit/v3/ratelimit.ts';
import { Descriptor } from '../../../gen/foreign/envoy/extensions/rate_limit_descriptors/expr/v3/expr.ts';
import type { HeaderMatcher, RateLimit_Action } from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import { pack } from '../strict.ts';
import { escaped, headerConditions, matching, queryCondition, queryMatcher, stringMatcher, templatePattern } from './envoy-match.ts';

const LIMIT_KEY = 'limit';
const PATH_KEY = 'path';
const QUERY_KEY = 'query';
/** How Envoy writes the result of an expression that holds. */
const YES = 'true';

/** How a descriptor begins: what is asked of the request, and what comes of it for those that the limit is for. */
export interface LimitConditions {
  readonly actions: readonly RateLimit_Action[];
  readonly entries: readonly RateLimitDescriptor_Entry[];
}

/** `name`: of the limit, unique in the virtual host. */
export function limitConditions(name: string, match: RequestMatch | undefined): LimitConditions {
  const named = { descriptorKey: LIMIT_KEY, descriptorValue: name };
  const entry = { key: LIMIT_KEY, value: name };
  if (match === undefined) return { actions: [{ actionSpecifier: { $case: 'genericKey', value: named } }], entries: [entry] };
  const { path, query = [] } = match;
  const headers = [...pathCondition(path), ...headerConditions(match), ...query.filter((field) => !hasPattern(field)).map(queryCondition)];
  const parameters = query.filter(hasPattern).map(parameterAction);
  return {
    actions: [
      {
        actionSpecifier:
          headers.length === 0 ? { $case: 'genericKey', value: named } : { $case: 'headerValueMatch', value: { ...named, headers } },
      },
      ...(path.kind === 'regex' ? [pathAction(path.value)] : []),
      ...parameters,
    ],
    entries: [
      entry,
      ...(path.kind === 'regex' ? [{ key: PATH_KEY, value: YES }] : []),
      ...parameters.map(() => ({ key: QUERY_KEY, value: YES })),
    ],
  };
}

function pathCondition({ kind, value }: PathMatch): HeaderMatcher[] {
  // Every path, also `*`.
  if (kind === 'regex' || (value === '/' && (kind === 'prefix' || kind === 'segments'))) return [];
  if (kind === 'prefix') return [{ name: ':path', headerMatchSpecifier: { $case: 'stringMatch', value: stringMatcher({ kind, value }) } }];
  const path = kind === 'template' ? templatePattern(value).regex : escaped(value);
  return [matching(':path', kind === 'segments' ? `${path}(?:[/?].*)?` : `${path}(?:\\?.*)?`)];
}

/** Beside the pattern of a user, nothing can keep it from taking the query, too. */
function pathAction(pattern: string): RateLimit_Action {
  const text = `request.url_path.matches(${JSON.stringify(`^(?:${pattern})$`)})`;
  const typedConfig = pack(Descriptor, { descriptorKey: PATH_KEY, exprSpecifier: { $case: 'text', value: text } });
  return { actionSpecifier: { $case: 'extension', value: { name: 'envoy.rate_limit_descriptors.expr', typedConfig } } };
}

function hasPattern({ match }: FieldMatch): boolean {
  return match?.kind === 'regex';
}

/** As above: it might take the parameters that follow. Envoy decodes the value before it compares. */
function parameterAction(field: FieldMatch): RateLimit_Action {
  const named = { descriptorKey: QUERY_KEY, descriptorValue: YES };
  return {
    actionSpecifier: {
      $case: 'queryParameterValueMatch',
      value: { ...named, expectMatch: field.invert !== true, queryParameters: [queryMatcher(field)] },
    },
  };
}
