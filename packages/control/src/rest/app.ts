// From a request to an answer: host, route, token, origin, body, handler, in this order. Every call that may change something leaves a
// line in the log, with who made it and what became of it.
import { Hono } from 'hono';
import type { Context } from 'hono';
import type { HttpBindings } from '@hono/node-server';
import { CONTROL_METRICS } from '@heddle/core';
import type { Logger } from '@heddle/runtime';
import type { Doer } from '../audit/entry.ts';
import type { Authenticator } from '../server/authenticator.ts';
import type { Caller } from '../server/caller.ts';
import { JSON_BYTES_MAX, TEXT_BYTES_MAX, check, discardRest, hasBody, mediaTypeOf, parseJson, readText } from './body.ts';
import type { Incoming } from './body.ts';
import { isKnown } from './conditions.ts';
import { peerOf } from './door.ts';
import { authenticate, checkHost, checkOrigin, requireRole } from './guard.ts';
import type { GuardRules } from './guard.ts';
import { HANDLERS } from './handlers.ts';
import type { Conditions, Reply, RestContext } from './handler.ts';
import { OPERATIONS } from './operations.ts';
import type { Operation, OperationId } from './operations.ts';
import type { Pages } from './pages/serve.ts';
import { PROBLEMS, ProblemError, problemBody, problemOf } from './problems.ts';

export interface AppOptions {
  readonly context: RestContext;
  readonly rules: () => GuardRules;
  readonly authenticator: Authenticator;
  readonly pages: Pages;
  readonly logger: Logger;
}

type RestRequest = Context<{ Bindings: HttpBindings }>;

const JSON_TYPE = 'application/json';
/** For programs and for pages of this very server; nothing of it is to be shown, framed or guessed at by others. The pages have a policy of their own. */
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};
/** Answers may be kept by the client alone, and are asked about again each time: entity tags make that cheap. */
const CACHE = 'private, no-cache';

export function createApp(options: AppOptions): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>();
  const urls = new Map<string, string[]>();
  for (const [id, operation] of Object.entries(OPERATIONS) as [OperationId, Operation][]) {
    urls.set(operation.url, [...(urls.get(operation.url) ?? []), operation.method]);
    app.on(operation.method, routeOf(operation.url), (request) =>
      answer(request, options, (audit) => serve(id, operation, request, options, audit)),
    );
  }
  for (const [url, methods] of urls) {
    const allow = [...methods, ...(methods.includes('GET') ? ['HEAD'] : [])].sort().join(', ');
    app.all(routeOf(url), (request) =>
      answer(request, options, () => {
        throw new ProblemError('METHOD_NOT_ALLOWED', `${request.req.method} is not possible here`, {
          mend: `use ${allow}`,
          headers: { allow },
        });
      }),
    );
  }
  app.notFound((request) =>
    answer(request, options, () => {
      const page = pageFor(request, options.pages);
      if (page !== undefined) return page;
      throw new ProblemError('NOT_FOUND', 'there is nothing at this address', { mend: 'see /api/v1/openapi.json for what there is' });
    }),
  );
  app.onError((error, request) => failure(error, request, options.logger));
  return app;
}

/** Undefined: it is none of the dashboard. */
function pageFor({ req }: RestRequest, pages: Pages): Response | undefined {
  if (req.method !== 'GET' && req.method !== 'HEAD') return undefined;
  const page = pages.answer({ path: req.path, acceptEncoding: req.header('accept-encoding'), ifNoneMatch: req.header('if-none-match') });
  if (page !== undefined)
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) if (!page.headers.has(name)) page.headers.set(name, value);
  return page;
}

function routeOf(url: string): string {
  return url.replaceAll(/\{(\w+)\}/g, ':$1');
}

/** What is to be logged about a call, as far as it is known. */
interface Audit {
  id?: OperationId;
  operation?: Operation;
  caller?: Caller;
}

async function answer(
  request: RestRequest,
  options: AppOptions,
  run: (audit: Audit) => Reply | Response | Promise<Reply>,
): Promise<Response> {
  const audit: Audit = {};
  let response: Response;
  let reason: string | undefined;
  try {
    checkHost(request.req.header('host'), options.rules());
    const reply = await run(audit);
    response = reply instanceof Response ? reply : respond(reply, request);
  } catch (error) {
    response = failure(error, request, options.logger);
    reason = error instanceof Error ? error.message : String(error);
  }
  options.context.metrics.counter(CONTROL_METRICS.calls, { action: audit.id ?? 'none', code: String(response.status) }).add(1);
  log(request, response.status, reason, audit, options);
  // Who is still sending would not hear a word of the answer if the connection were closed under it.
  const isRead = !hasBody(request.req.raw.headers) || (await discardRest({ stream: request.env.incoming }));
  if (!isRead || options.context.isStopping()) response.headers.set('connection', 'close');
  return response;
}

/** What an operator changes or tries to change, and what is refused to anybody; heartbeats, which come all the time, only in detail. */
function log(request: RestRequest, status: number, reason: string | undefined, noted: Audit, { logger, context }: AppOptions): void {
  const { caller, operation, id } = noted;
  const { method } = request.req;
  const reads = method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
  const isRefused = status === 401 || status === 403 || status === 421 || (status === 429 && caller === undefined);
  if (!isRefused && (reads || operation?.changes === false)) return;
  const fields = {
    method,
    ...(id === undefined ? {} : { operation: id }),
    path: request.req.path.slice(0, 300),
    status,
    caller: caller === undefined || caller.kind === 'anonymous' ? 'nobody' : caller.uri,
    peer: peerOf(request.env.incoming.socket),
    ...(reason === undefined ? {} : { reason: reason.slice(0, 500) }),
  };
  if (isRefused && status !== 421) context.audit.refused(doerOf(request, noted), 'call', `${method} ${fields.path}`, reason ?? '');
  if (isRefused || (caller === undefined && operation?.role !== undefined)) logger.warn(fields, 'call of the REST API refused');
  else if (operation?.frequent === true && status < 300) logger.debug(fields, 'call of the REST API');
  else logger.info(fields, 'call of the REST API');
}

function doerOf(request: RestRequest, { caller = { kind: 'anonymous' } }: Audit): Doer {
  return { caller, from: peerOf(request.env.incoming.socket) };
}

async function serve(id: OperationId, operation: Operation, request: RestRequest, options: AppOptions, audit: Audit): Promise<Reply> {
  const { rules, authenticator, context } = options;
  const header = (name: string): string | undefined => request.req.header(name);
  const { method } = request.req;
  audit.id = id;
  audit.operation = operation;
  if (operation.role !== undefined) {
    const address = request.env.incoming.socket.remoteAddress ?? '';
    audit.caller = await authenticate(header('authorization'), authenticator, address);
    requireRole(audit.caller, operation.role);
  }
  if (method !== 'GET' && method !== 'HEAD')
    checkOrigin({ host: header('host'), origin: header('origin'), fetchSite: header('sec-fetch-site') }, rules());
  if (method === 'HEAD' && operation.answers[200]?.mediaType === 'text/event-stream')
    throw new ProblemError('METHOD_NOT_ALLOWED', 'a stream has no head alone', { headers: { allow: 'GET' } });
  const input = {
    path: operation.path === undefined ? {} : check(operation.path, request.req.param(), 'path'),
    query: readQuery(operation, request),
    ...(await readBody(operation, { headers: request.req.raw.headers, stream: request.env.incoming })),
  };
  const conditions: Conditions = {
    ...readConditions(operation, header('if-match'), header('if-none-match')),
    ...lastEventId(header('last-event-id')),
    accept: header('accept') ?? '',
  };
  const handle = HANDLERS[id] as (input: unknown, context: RestContext, conditions: Conditions, by: Doer) => Reply | Promise<Reply>;
  return await handle(input, context, conditions, doerOf(request, audit));
}

function readQuery({ query }: Operation, request: RestRequest): unknown {
  const given = Object.entries(request.req.queries()).map(([name, values]) => [name, values.length === 1 ? values[0] : values] as const);
  if (query !== undefined) return check(query, Object.fromEntries(given), 'query');
  const [unknown] = given;
  if (unknown !== undefined)
    throw new ProblemError('INVALID', `query: there is no parameter ${JSON.stringify(unknown[0].slice(0, 100))} here`);
  return {};
}

async function readBody(operation: Operation, request: Incoming): Promise<{ body: unknown; text: string }> {
  const { body, text, bodyOptional, bodyBytesMax = JSON_BYTES_MAX } = operation;
  const isJson = body !== undefined && mediaTypeOf(request) === JSON_TYPE;
  if (text !== undefined && !isJson)
    return { body: {}, text: await readText(request, [...text.mediaTypes, ...(body === undefined ? [] : [JSON_TYPE])], TEXT_BYTES_MAX) };
  if (body === undefined) {
    if (operation.method !== 'GET' && hasBody(request.headers)) throw new ProblemError('INVALID', 'this call takes no body');
    return { body: {}, text: '' };
  }
  const empty = bodyOptional === true && !hasBody(request.headers);
  const value = empty ? {} : parseJson(await readText(request, [JSON_TYPE], bodyBytesMax));
  return { body: check(body, value, 'body'), text: '' };
}

/** RFC 9110 §13.1.1, §13.1.2. An entity tag of a resource that can be changed is its revision. */
function readConditions(
  { conditional, method }: Operation,
  match: string | undefined,
  noneMatch: string | undefined,
): Pick<Conditions, 'expectedRevision'> {
  if (conditional !== true) return {};
  if (noneMatch !== undefined) {
    if (noneMatch.trim() === '*' && method === 'PUT' && match === undefined) return { expectedRevision: 0 };
    throw new ProblemError('INVALID', 'the header `if-none-match` can only be `*` here, and only with PUT');
  }
  if (match === undefined) return {};
  const revision = /^"(\d{1,15})"$/.exec(match.trim())?.[1];
  if (revision === undefined) throw new ProblemError('INVALID', 'the header `if-match` is not one entity tag, such as `"41"`');
  return { expectedRevision: Number(revision) };
}

function lastEventId(value: string | undefined): Pick<Conditions, 'lastEventId'> {
  return value === undefined || value === '' ? {} : { lastEventId: value.slice(0, 200) };
}

function respond(reply: Reply, request: RestRequest): Response {
  const headers: Record<string, string> = { ...SECURITY_HEADERS, 'cache-control': CACHE };
  if (reply.tag !== undefined) headers['etag'] = `"${reply.tag}"`;
  if (reply.tag !== undefined && request.req.method !== 'PUT' && isKnown(request.req.header('if-none-match'), reply.tag))
    return new Response(null, { status: 304, headers });
  if (reply.stream !== undefined) return new Response(reply.stream, { status: reply.status, headers: { ...headers, ...reply.headers } });
  const text = reply.text ?? (reply.value === undefined ? undefined : JSON.stringify(reply.value));
  if (text !== undefined) headers['content-type'] = 'application/json';
  return new Response(text ?? null, { status: reply.status, headers: { ...headers, ...reply.headers } });
}

function failure(error: unknown, request: RestRequest, logger: Logger): Response {
  const known = problemOf(error);
  if (known === undefined)
    logger.error({ error, path: request.req.path.slice(0, 300) }, 'a call of the REST API failed by a fault of the control plane');
  const problem = known ?? new ProblemError('INTERNAL', 'the control plane failed; its log says why');
  const headers = {
    ...SECURITY_HEADERS,
    'cache-control': 'no-store',
    'content-type': 'application/problem+json',
    ...(problem.code === 'UNAVAILABLE' ? { 'retry-after': '1' } : {}),
    ...problem.extras.headers,
  };
  return new Response(JSON.stringify(problemBody(problem, request.req.path.slice(0, 300))), {
    status: PROBLEMS[problem.code].status,
    headers,
  });
}
