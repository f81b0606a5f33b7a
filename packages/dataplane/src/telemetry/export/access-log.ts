// Chooses the requests that get a line, and takes down what is in it.
import { isLogged, mayBeLogged } from '@heddle/core';
import type { AccessLogPolicy } from '@heddle/core';
import type { Context } from '../../stack/context.ts';
import type { EndedRequest, RequestObserver } from '../../stack/ended-request.ts';
import { headerOf } from '../../stack/request-view.ts';
import { accessLine } from './access-line.ts';
import type { LineFacts } from './access-line.ts';
import type { Tell } from './held-requests.ts';
import type { LineWriter } from './line-writer.ts';
import { httpStatusOf, isOwnError } from './request-facts.ts';

const HEADER_LENGTH_MAX = 512;

export class AccessLog implements RequestObserver {
  private readonly policy: AccessLogPolicy;
  private readonly writer: LineWriter;
  private readonly write: Tell<LineFacts>;
  private readonly clock: Context['clock'];
  private readonly random: Context['random'];

  constructor(policy: AccessLogPolicy, writer: LineWriter, node: string, { clock, random }: Pick<Context, 'clock' | 'random'>) {
    this.policy = policy;
    this.writer = writer;
    this.write = (held, facts) => writer.put(accessLine(held, facts, policy.format, node));
    this.clock = clock;
    this.random = random;
  }

  ended(request: EndedRequest): void {
    // Copies that nobody waits for are no requests to those who read the log.
    if (request.labels.direction === 'mirror') return;
    const drawn = this.random.next();
    if (!mayBeLogged(this.policy, drawn)) return;
    if (!isLogged(this.policy, drawn, httpStatusOf(request), request.durationMs, isOwnError(request))) return;
    const time = new Date(this.clock.wallMs() - request.durationMs).toISOString();
    this.writer.add(request, { time, headers: this.headersOf(request) }, this.write);
  }

  private headersOf({ head }: EndedRequest): LineFacts['headers'] {
    const names = this.policy.headers;
    if (names.length === 0) return undefined;
    const all: Record<string, string> = {};
    for (const name of names) {
      const value = headerOf(head, name);
      if (value !== undefined) all[name] = value.slice(0, HEADER_LENGTH_MAX);
    }
    return all;
  }
}
