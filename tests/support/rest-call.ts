// The REST API, called by the table of its operations: every answer is held against what the document says about it.
import assert from 'node:assert/strict';
import { OPERATIONS } from '../../packages/control/src/rest/operations.ts';
import type { Operation, OperationId } from '../../packages/control/src/rest/operations.ts';
import { problemsOf } from '../../packages/control/src/rest/openapi.ts';
import { PROBLEMS } from '../../packages/control/src/rest/problems.ts';
import type { ProblemCode } from '../../packages/control/src/rest/problems.ts';
import { Problem } from '../../packages/control/src/rest/schema/common.ts';
import { WATCH_EVENTS } from '../../packages/control/src/rest/schema/watch.ts';

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

export interface WatchEvent {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: Body;
}

export class RestCaller {
  /** Operations that were called with success. */
  readonly seen = new Set<OperationId>();
  readonly #base: string;
  readonly #token: string;

  constructor(base: string, token: string) {
    this.#base = base;
    this.#token = token;
  }

  /** Calls an operation and holds the answer against what the document says about it. */
  async call(id: OperationId, options: CallOptions = {}): Promise<Answer> {
    const operation: Operation = OPERATIONS[id];
    const { path = {}, query = '', body, text, headers = {}, token = this.#token } = options;
    const url = operation.url.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? ''));
    const response = await fetch(`${this.#base}${url}${query}`, {
      method: operation.method,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined && text === undefined ? {} : { body: text ?? JSON.stringify(body) }),
    });
    const content = await response.text();
    const answer = {
      status: response.status,
      headers: response.headers,
      body: (content === '' ? {} : readBody(response, content)) as Body,
    };
    this.#hold(id, operation, answer, content);
    return answer;
  }

  /** Reads server-sent events of a watch until the predicate is content; each is held against its schema. */
  async watch(
    headers: Readonly<Record<string, string>>,
    query: string,
    isDone: (told: readonly WatchEvent[]) => boolean,
  ): Promise<readonly WatchEvent[]> {
    const told: WatchEvent[] = [];
    const stopped = new AbortController();
    const response = await fetch(`${this.#base}/api/v1/watch${query}`, {
      headers: { authorization: `Bearer ${this.#token}`, ...headers },
      signal: AbortSignal.any([stopped.signal, AbortSignal.timeout(20_000)]),
    });
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    this.seen.add('watch');
    let rest = '';
    for await (const chunk of response.body as ReadableStream<Uint8Array>) {
      const blocks = (rest + new TextDecoder().decode(chunk)).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
        const event = field('event');
        if (event === undefined) continue;
        const data = JSON.parse(field('data') ?? '') as Body;
        fits(WATCH_EVENTS[event as keyof typeof WATCH_EVENTS], data, event);
        told.push({ event, id: field('id'), data });
      }
      if (isDone(told)) break;
    }
    stopped.abort();
    return told;
  }

  #hold(id: OperationId, operation: Operation, { status, headers, body }: Answer, content: string): void {
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('access-control-allow-origin'), null);
    if (status < 400) {
      this.seen.add(id);
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
}

function readBody(response: Response, content: string): unknown {
  return /^application\/(problem\+)?json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(content) : content;
}

type Schema = NonNullable<Operation['answers'][number]['schema']>;

export function fits(schema: Schema, value: unknown, what: string): void {
  const result = schema.safeParse(value);
  assert.ok(result.success, `${what}: ${JSON.stringify(result.error?.issues)} in ${JSON.stringify(value).slice(0, 500)}`);
}
