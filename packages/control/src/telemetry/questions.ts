// Questions about what would become of a request, asked of the data plane that would carry it, over the stream on which it is attached.
import { telemetry } from '@heddle/api';
import { serviceKey } from '@heddle/core';
import type { Clock, Timer } from '@heddle/runtime';
import type { Registry } from '../registry/registry.ts';
import { hasRole } from '../server/caller.ts';
import type { AttachedPlane } from './attached-plane.ts';
import type { TelemetryServer } from './server.ts';
import { OPERATOR, ownServiceOf } from './traffic-book.ts';

/** A person waits for it; proxies with workers ask these first, up to 2 s. */
const ANSWER_MS = 5_000;
/** Answers have up to some megabytes. */
const PENDING_MAX = 16;
const LISTED_MAX = 5;

export interface ExplainWish {
  /** Name of the data plane; undefined: one that hosts who calls. */
  readonly node?: string | undefined;
  /** NAMESPACE/SERVICE or NAMESPACE/SERVICE/INSTANCE that calls. */
  readonly from: string;
  readonly method: string;
  readonly url: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
}

export type ExplainReply =
  /** Text of JSON. */
  | { readonly kind: 'explained'; readonly explanation: string }
  | { readonly kind: 'invalid' | 'not-found' | 'refused' | 'unavailable' | 'limit'; readonly reason: string; readonly mend?: string };

interface Pending {
  readonly plane: AttachedPlane;
  readonly resolve: (reply: ExplainReply) => void;
  readonly timer: Timer;
}

export interface QuestionsOptions {
  readonly registry: Pick<Registry, 'service' | 'instancesOfNode'>;
  readonly server: TelemetryServer;
  readonly clock: Clock;
}

export class Questions {
  readonly #options: QuestionsOptions;
  readonly #pending = new Map<string, Pending>();
  #next = 1;

  constructor(options: QuestionsOptions) {
    this.#options = options;
    options.server.listen({
      onExplainAnswer: (plane, answer) => this.#answered(plane, answer),
      onLeft: (plane) => {
        for (const [id, pending] of this.#pending)
          if (pending.plane === plane)
            this.#end(id, { kind: 'unavailable', reason: `the data plane ${plane.node} went away before it answered` });
      },
    });
  }

  /** Never rejects. */
  ask(wish: ExplainWish): Promise<ExplainReply> {
    if (this.#pending.size >= PENDING_MAX)
      return Promise.resolve({ kind: 'limit', reason: `${PENDING_MAX} questions wait for their answers, which is the most there may be` });
    const found = this.#choose(wish);
    if (!(found instanceof Object && 'tell' in found)) return Promise.resolve(found);
    const id = String(this.#next++);
    const { from, method, url, headers } = wish;
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(ANSWER_MS, () =>
        this.#end(id, { kind: 'unavailable', reason: `the data plane ${found.node} gave no answer within ${ANSWER_MS} ms` }),
      );
      this.#pending.set(id, { plane: found, resolve, timer });
      const question: telemetry.ExplainQuestion = { id, from, method, url, headers: headers.map((header) => ({ ...header })) };
      if (!found.tell({ $case: 'explainQuestion', value: question }))
        this.#end(id, { kind: 'unavailable', reason: `the data plane ${found.node} does not read what it is asked` });
    });
  }

  close(): void {
    for (const id of [...this.#pending.keys()]) this.#end(id, { kind: 'unavailable', reason: 'the control plane is stopping' });
  }

  #choose({ node, from }: ExplainWish): AttachedPlane | ExplainReply {
    const [namespace = '', service = '', instance] = from.split('/');
    const caller = `${namespace}/${service}`;
    const planes = [...this.#options.server.planes()].sort((a, b) => (a.node < b.node ? -1 : 1));
    if (node !== undefined) {
      const named = planes.filter((plane) => plane.node === node);
      const hosting = named.find((plane) => this.#hosts(plane, caller, instance)) ?? named[0];
      return hosting ?? { kind: 'not-found', reason: `no data plane of ours of the name ${JSON.stringify(node)} is connected` };
    }
    const hosting = planes.find((plane) => this.#hosts(plane, caller, instance));
    if (hosting !== undefined) return hosting;
    const view = this.#options.registry.service(caller);
    if (view === undefined && caller !== OPERATOR) return { kind: 'not-found', reason: `there is no service ${caller}` };
    const instances = view?.instances ?? [];
    const places = [...new Set(instances.map((one) => one.node))];
    return {
      kind: 'refused',
      reason:
        instances.length === 0
          ? `no data plane that is connected hosts ${caller}: it has no instances`
          : `none of the data planes of ${caller} (${listed(places)}) tells what it would do: they are not connected, or not of Heddle`,
      mend: 'start it with `heddle run` or `heddle up`; of an Envoy ask its own admin API',
    };
  }

  #hosts({ node, caller }: AttachedPlane, service: string, instance: string | undefined): boolean {
    const own = ownServiceOf(caller);
    // Inside a process that nobody calls no instance is registered; the data plane is named after it.
    if (own === service && (instance === undefined || instance === node)) return true;
    const isOperator = hasRole(caller, 'operator');
    return this.#options.registry
      .instancesOfNode(node)
      .some(
        (one) => serviceKey(one.service) === service && (isOperator || own === service) && (instance === undefined || one.id === instance),
      );
  }

  #answered(plane: AttachedPlane, answer: telemetry.ExplainAnswer): void {
    if (this.#pending.get(answer.id)?.plane !== plane) return;
    const outcome = telemetry.readExplainAnswer(answer);
    if ('explanation' in outcome) return this.#end(answer.id, explained(plane, outcome.explanation));
    this.#end(answer.id, {
      kind: outcome.isQuestionAtFault ? 'invalid' : 'refused',
      reason: `the data plane ${plane.node}: ${outcome.problem}`,
    });
  }

  #end(id: string, reply: ExplainReply): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    pending.timer.cancel();
    pending.resolve(reply);
  }
}

/** What a peer says is JSON is looked at before it goes on. */
function explained({ node }: AttachedPlane, explanation: string): ExplainReply {
  try {
    const value: unknown = JSON.parse(explanation);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return { kind: 'explained', explanation: JSON.stringify(value) };
  } catch {
    // Told below.
  }
  return { kind: 'unavailable', reason: `the data plane ${node} answered with something that is no explanation` };
}

function listed(names: readonly string[]): string {
  const more = names.length - LISTED_MAX;
  return `${names.slice(0, LISTED_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
