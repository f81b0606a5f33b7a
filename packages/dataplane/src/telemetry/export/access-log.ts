// Chooses the requests that get a line.
import { isLogged, mayBeLogged } from '@heddle/core';
import type { AccessLogPolicy } from '@heddle/core';
import type { Context } from '../../stack/context.ts';
import type { EndedRequest, RequestObserver } from '../../stack/ended-request.ts';
import { accessLine } from './access-line.ts';
import type { LineWriter } from './line-writer.ts';
import { httpStatusOf, isOwnError } from './request-facts.ts';

export class AccessLog implements RequestObserver {
  private readonly policy: AccessLogPolicy;
  private readonly writer: LineWriter;
  private readonly node: string;
  private readonly clock: Context['clock'];
  private readonly random: Context['random'];

  constructor(policy: AccessLogPolicy, writer: LineWriter, node: string, { clock, random }: Pick<Context, 'clock' | 'random'>) {
    this.policy = policy;
    this.writer = writer;
    this.node = node;
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
    this.writer.add(accessLine(request, this.policy, time, this.node));
  }
}
