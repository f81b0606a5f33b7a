// Calls of the REST API by the table of its operations, each answer held against what the table says of it.
import assert from 'node:assert/strict';
import { problemsOf } from '../../../packages/control/src/rest/openapi.ts';
import { OPERATIONS } from '../../../packages/control/src/rest/operations.ts';
import type { Operation, OperationId } from '../../../packages/control/src/rest/operations.ts';
import { PROBLEMS } from '../../../packages/control/src/rest/problems.ts';
import type { ProblemCode } from '../../../packages/control/src/rest/problems.ts';
import { Problem } from '../../../packages/control/src/rest/schema/common.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- answers are checked against their schema; assertions say what they hold
export type Body = Record<string, any>;

export interface CallOptions {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: string;
  readonly body?: unknown;
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly token?: string | null;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

export interface RestPlace {
  readonly base: string;
  readonly operatorToken: string;
  /** Operations that have been called with success. */
  readonly seen: Set<OperationId>;
}

/** Calls an operation and holds the answer against what the document says about it. */
export async function callOperation({ base, operatorToken, seen }: RestPlace, id: OperationId, options: CallOptions): Promise<Answer> {
  const operation: Operation = OPERATIONS[id];
  const { path = {}, query = '', body, text, headers = {}, token = operatorToken } = options;
  const url = operation.url.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? ''));
  const response = await fetch(`${base}${url}${query}`, {
    method: operation.method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined && text === undefined ? {} : { body: text ?? JSON.stringify(body) }),
  });
  const content = await response.text();
  const answer = { status: response.status, headers: response.headers, body: (content === '' ? {} : readBody(response, content)) as Body };
  if (answer.status < 400) seen.add(id);
  hold(id, operation, answer, content);
  return answer;
}

function readBody(response: Response, content: string): unknown {
  return /^application\/(problem\+)?json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(content) : content;
}

function hold(id: OperationId, operation: Operation, { status, headers, body }: Answer, content: string): void {
  assert.equal(headers.get('x-content-type-options'), 'nosniff');
  assert.equal(headers.get('access-control-allow-origin'), null);
  if (status < 400) {
    const said = operation.answers[status];
    if (status === 304) assert.equal(operation.tagged, true);
    else assert.notEqual(said, undefined, `${id} answered ${status}`);
    if (said?.schema === undefined) assert.equal(content, '');
    else fits(said.schema, body, id);
    return;
  }
  assert.equal(headers.get('content-type'), 'application/problem+json');
  fits(Problem, body, id);
  assert.equal(body['status'], status);
  assert.ok(problemsOf(operation).includes(body['code'] as ProblemCode), `${id} refused with ${body['code']}`);
  assert.equal(PROBLEMS[body['code'] as ProblemCode].status, status);
}

type Schema = NonNullable<Operation['answers'][number]['schema']>;

export function fits(schema: Schema, value: unknown, what: string): void {
  const result = schema.safeParse(value);
  assert.ok(result.success, `${what}: ${JSON.stringify(result.error?.issues)} in ${JSON.stringify(value).slice(0, 500)}`);
}
