// What a route has besides where it leads: header changes, failures on purpose, rate limits and whom they count the request as.
import { describeRateLimit, whyNotMatch } from '@heddle/core';
import type { PlainRequest, Route, RouteRateLimit } from '@heddle/core';
import type { LimitFacts, Rules } from './types.ts';

/** @param identity by which limits of kind `identity` know the caller; empty: not known. */
export function rulesOf({ requestHeaders, responseHeaders, fault, rateLimits }: Route, request: PlainRequest, identity: string): Rules {
  return {
    requestHeaders: requestHeaders ?? null,
    responseHeaders: responseHeaders ?? null,
    fault: fault ?? null,
    rateLimits: (rateLimits ?? []).map((limit) => limitFacts(limit, request, identity)),
  };
}

function limitFacts(limit: RouteRateLimit, request: PlainRequest, identity: string): LimitFacts {
  const { by, match } = limit;
  const why = match === undefined ? '' : whyNotMatch(match, request);
  const key = by.kind === 'identity' ? identity : by.kind === 'header' ? request.header(by.name.toLowerCase()) : undefined;
  return {
    text: describeRateLimit(limit),
    by: by.kind === 'header' ? `header ${by.name}` : by.kind,
    key: key ?? null,
    applies: why === '',
    why,
  };
}
