// What a route that passes requests on makes of one: how long it may take, whether it is sent again, what it is hashed by.
import {
  callerTimeoutMs,
  compileRewrite,
  deadlineError,
  hashRequest,
  isIdempotent,
  parseRequestTimeout,
  REQUEST_TIMEOUT_HEADER,
  textOf,
} from '@heddle/core';
import type { ForwardAction, HashResult, PlainRequest, Route } from '@heddle/core';
import { grpcKindOf, parseGrpcTimeout } from '@heddle/wire';
import type { ForwardFacts, HashFacts, Rules, TimeFacts } from './types.ts';

const GRPC_TIMEOUT_HEADER = 'grpc-timeout';

/** Undefined path: the rewritten one would be longer than any server takes. */
export interface Forwarded {
  readonly facts: ForwardFacts;
  readonly path: string | undefined;
  readonly authority: string;
}

export function forwardFacts(route: Route, action: ForwardAction, request: PlainRequest, rules: Rules): Forwarded {
  const { retry, hedge = null, rewrite, splitByHash = false } = action;
  const isGrpc = request.method === 'POST' && grpcKindOf(request.header('content-type')) === 'grpc';
  const path = rewrite?.path === undefined ? request.path : compileRewrite(rewrite.path, route.match).rewrite(request.path);
  const authority = rewrite?.authority ?? request.authority;
  const mayRunTwice = isIdempotent(request.method) || retry.nonIdempotent;
  return {
    facts: {
      kind: 'forward',
      ...rules,
      time: timeFacts(action, request, isGrpc),
      retry,
      retryNote: retryNote(action, request, mayRunTwice),
      hedge,
      hedgeNote: hedgeNote(action, request, mayRunTwice),
      hash: action.hash.length === 0 ? null : hashFacts(action, request),
      splitByHash,
      rewrite: rewrite === undefined ? null : { path: path ?? '', authority },
    },
    path,
    authority,
  };
}

function timeFacts({ timeoutMs: routeMs, idleTimeoutMs: idleMs }: ForwardAction, request: PlainRequest, isGrpc: boolean): TimeFacts {
  const grpc = isGrpc ? request.header(GRPC_TIMEOUT_HEADER) : undefined;
  const other = request.header(REQUEST_TIMEOUT_HEADER);
  const grpcMs = grpc === undefined ? undefined : parseGrpcTimeout(grpc);
  const otherMs = other === undefined ? undefined : parseRequestTimeout(other);
  const callerMs = callerTimeoutMs(grpcMs, otherMs);
  const callerHeader = callerMs === undefined ? '' : callerMs === otherMs ? REQUEST_TIMEOUT_HEADER : GRPC_TIMEOUT_HEADER;
  const limitMs = callerMs === undefined ? routeMs : routeMs === 0 ? callerMs : Math.min(routeMs, callerMs);
  const isLimited = routeMs > 0 || callerMs !== undefined;
  return { routeMs, callerMs: callerMs ?? null, callerHeader, limitMs, idleMs, error: isLimited ? deadlineError(routeMs, callerMs) : null };
}

function retryNote({ retry }: ForwardAction, { method }: PlainRequest, mayRunTwice: boolean): string {
  if (retry.attempts === 0) return 'a request that fails is not sent again';
  if (!mayRunTwice) return `${method} is not idempotent: it is sent again only if no instance can have seen it`;
  return isIdempotent(method) ? `${method} is idempotent` : `${method} is not idempotent, but the service allows that it runs twice`;
}

function hedgeNote({ hedge }: ForwardAction, { method }: PlainRequest, mayRunTwice: boolean): string {
  if (hedge === undefined || hedge.attempts === 0) return '';
  return mayRunTwice ? 'the first answer counts' : `not for this request: ${method} is not idempotent`;
}

function hashFacts({ hash: sources }: ForwardAction, request: PlainRequest): HashFacts {
  const result: HashResult = { hash: undefined, setCookie: '' };
  hashRequest(sources, request, () => 0, result);
  const makesCookie = result.setCookie !== '';
  const source = sources.find((one) => textOf(one, request) !== undefined) ?? null;
  // The value of a cookie that is made is chance.
  const used = makesCookie ? null : source;
  return {
    sources,
    source: used,
    text: used === null ? '' : (textOf(used, request) ?? ''),
    hash: used === null ? null : (result.hash ?? null),
    makesCookie,
  };
}
