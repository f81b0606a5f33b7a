// What a data plane answers in place of an application: redirects, fixed answers, refusals by a rule. How it is said depends on the version of HTTP and
// on whether the client speaks gRPC; that is the downstream side's affair.
import { describeRateLimit, ERROR_HEADER, ERRORS, Redirect } from '@heddle/core';
import type { ErrorCode, FaultStatus, HeaderFacts, RateLimit, RequestView, RespondAction, RouteAction, RouteMatch } from '@heddle/core';
import { grpcStatusOfHttp, httpStatusOfGrpc } from '@heddle/wire';
import type { HeaderRewrite, OwnHeader } from './header-rewrite.ts';

export interface LocalAnswer {
  /** Undefined: nothing went wrong. */
  readonly code: ErrorCode | undefined;
  readonly status: number;
  /** For gRPC clients, in place of the status. Undefined: they get the status, too. */
  readonly grpcStatus: number | undefined;
  /** In lower case, without content-type and content-length. */
  readonly headers: readonly OwnHeader[];
  readonly contentType: string;
  readonly body: string;
}

const TEXT = 'text/plain; charset=utf-8';
const CONTENT_TYPE = 'content-type';

/** The error table as an answer: a header names the code for the calling data plane, the body tells a person what happened and what to do. */
export function errorAnswer(code: ErrorCode, detail: string, status: number = ERRORS[code].httpStatus): LocalAnswer {
  // RFC 9110 §11.7.1: a 407 says how to authenticate.
  const headers: readonly OwnHeader[] =
    status === 407 ? [['proxy-authenticate', 'Basic realm="heddle"']] : status === 503 ? [['retry-after', '1']] : [];
  return refusal(code, status, ERRORS[code].grpcStatus, detail, headers);
}

/** Of a decision about access. @param challenge how to authenticate (RFC 9110 §11.6.1); empty: nothing would help. */
export function accessRefusal(code: ErrorCode, detail: string, challenge: string): LocalAnswer {
  const answer = errorAnswer(code, detail);
  return challenge === '' ? answer : { ...answer, headers: [...answer.headers, ['www-authenticate', challenge]] };
}

/** What an outside authorizer answers in our place. @param body empty: what the data plane says itself. */
export function authorizerRefusal(status: number, headers: readonly OwnHeader[], body: string): LocalAnswer {
  const contentType = headers.findLast(([name]) => name === CONTENT_TYPE)?.[1] ?? TEXT;
  const grpcStatus = status === 403 || status < 400 ? ERRORS.ACCESS_DENIED.grpcStatus : grpcStatusOfHttp(status);
  const answer = refusal(
    'ACCESS_DENIED',
    status,
    grpcStatus,
    'an authorizer refused it',
    headers.filter(([name]) => name !== CONTENT_TYPE),
  );
  return body === '' ? answer : { ...answer, contentType, body };
}

/** With what a route changes in responses. What a body is, who writes it says, unless the route sets another name for it. */
export function changedAnswer(answer: LocalAnswer, changes: HeaderRewrite | undefined, facts: HeaderFacts): LocalAnswer {
  if (changes === undefined) return answer;
  const own = changes.headers(facts);
  const contentType = own.findLast(([name]) => name === CONTENT_TYPE)?.[1] ?? answer.contentType;
  const kept = answer.headers.filter(([name]) => !changes.drop.includes(name));
  return { ...answer, contentType, headers: [...kept, ...own.filter(([name]) => name !== CONTENT_TYPE)] };
}

/** What happened and what to do, for people. */
export function errorText(code: ErrorCode, detail: string): string {
  const { meaning, mend } = ERRORS[code];
  return `${code}: ${meaning}${detail === '' ? '' : ` (${detail})`} ${mend}\n`;
}

/** An answer of the error table under a status of its own. */
function refusal(code: ErrorCode, status: number, grpcStatus: number, detail: string, headers: readonly OwnHeader[] = []): LocalAnswer {
  return { code, status, grpcStatus, headers: [[ERROR_HEADER, code], ...headers], contentType: TEXT, body: errorText(code, detail) };
}

/** RFC 9110 §10.2.3: whole seconds, and never too early. */
export function rateLimited(limit: RateLimit, retryAfterMs: number): LocalAnswer {
  const { httpStatus, grpcStatus } = ERRORS.RATE_LIMITED;
  const seconds = String(Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  const headers = [
    ['retry-after', seconds],
    ['grpc-retry-pushback-ms', String(Math.ceil(retryAfterMs))],
  ] as const;
  return refusal('RATE_LIMITED', httpStatus, grpcStatus, describeRateLimit(limit), headers);
}

export function injectedFault(status: FaultStatus): LocalAnswer {
  const { kind, code } = status;
  if (kind === 'http') return refusal('FAULT_INJECTED', code, grpcStatusOfHttp(code), `HTTP status ${code}`);
  return refusal('FAULT_INJECTED', httpStatusOfGrpc(code), code, `gRPC status ${code}`);
}

/** Of routes that answer by themselves. */
export interface AnsweringRoute {
  /** @param scheme by which the request came. */
  answer(request: RequestView, scheme: 'http' | 'https'): LocalAnswer;
}

/** Undefined for routes that pass requests on. @throws RouteFault */
export function answeringRoute(action: RouteAction, match: RouteMatch): AnsweringRoute | undefined {
  if (action.kind === 'respond') return new FixedAnswer(action);
  return action.kind === 'redirect' ? new RedirectAnswer(new Redirect(action, match)) : undefined;
}

class FixedAnswer implements AnsweringRoute {
  private readonly fixed: LocalAnswer;

  constructor({ status, body, contentType }: RespondAction) {
    this.fixed = { code: undefined, status, grpcStatus: undefined, headers: [], contentType, body };
  }

  answer(): LocalAnswer {
    return this.fixed;
  }
}

class RedirectAnswer implements AnsweringRoute {
  private readonly redirect: Redirect;

  constructor(redirect: Redirect) {
    this.redirect = redirect;
  }

  answer(request: RequestView, scheme: 'http' | 'https'): LocalAnswer {
    const location = this.redirect.location(request, scheme);
    if (location === undefined) return refusal('BAD_REQUEST', 414, 3, 'the path that it is redirected to would be too long');
    const { status } = this.redirect;
    return { code: undefined, status, grpcStatus: undefined, headers: [['location', location]], contentType: TEXT, body: '' };
  }
}
