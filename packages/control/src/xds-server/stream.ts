// One ADS stream: a session of `@heddle/api` joined to a gRPC call. Requests are read one at a time, and the next only when the
// answers to the last have left; changes in between only mark the stream as due. So a slow data plane holds a handful of messages.
import { status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { AdsProtocolError } from '@heddle/api';
import type {
  AdsNode,
  Confirmation,
  DeltaDiscoveryRequest,
  DiscoveryRequest,
  KindSync,
  OnSubscription,
  ResourceSource,
  SessionResource,
} from '@heddle/api';
import type { ResourceKind } from '@heddle/core';
import { CallError } from '../server/status.ts';
import { readNodeInfo } from './node-info.ts';
import type { NodeInfo } from './node-info.ts';
import { BUDGET_EXCEEDED, RequestBudget } from './request-budget.ts';
import type { ScopedSource } from './scoped-source.ts';

/** What both variants of a session have. */
export interface Session<Request, Response> {
  readonly node: AdsNode | undefined;
  onRequest(request: Request, nowMs: number): Response[];
  follow(source: ResourceSource, onSubscription: OnSubscription, nowMs: number): Response[];
  unfollow(): void;
  changed(kind: ResourceKind, name: string): void;
  flush(nowMs: number): Response[];
  retryRefused(): Response[];
  sync(): KindSync[];
  resources(): Iterable<SessionResource>;
  confirms(kind: ResourceKind, name: string, accepts: (version: string) => boolean): Confirmation;
  readonly hasAnswered: boolean;
  holdsAll(): Confirmation;
  subscription(kind: ResourceKind): { readonly wildcard: boolean; readonly names: ReadonlySet<string> } | undefined;
}

export interface StreamHost {
  /** Unix time in milliseconds. */
  nowMs(): number;
  /** What the data plane that presents itself should have; that it has changed is told by `AdsStream.due`. */
  open(node: NodeInfo): ScopedSource;
  /** It asked for something or acknowledged something. */
  progressed(): void;
  refused(typeUrl: string, reason: string): void;
}

export class AdsStream<Request extends DiscoveryRequest | DeltaDiscoveryRequest, Response> {
  readonly #call: ServerDuplexStream<Request, Response>;
  readonly #session: Session<Request, Response>;
  readonly #host: StreamHost;
  readonly #queue: Response[] = [];
  #writing = false;
  readonly #budget: RequestBudget;
  #source: ScopedSource | undefined;
  #isDue = false;
  #over = false;
  #wake: (() => void) | undefined;

  constructor(call: ServerDuplexStream<Request, Response>, session: Session<Request, Response>, host: StreamHost) {
    this.#call = call;
    this.#session = session;
    this.#host = host;
    this.#budget = new RequestBudget(host.nowMs());
  }

  /** There may be something to send. It is looked for when the stream is ready for it; of several states only the last one is sent. */
  due(): void {
    this.#isDue = true;
    this.#pump();
  }

  retryRefused(): void {
    if (this.#over || this.#queue.length > 0) return;
    this.#source?.refresh();
    this.#send(this.#session.retryRefused());
  }

  fail(error: object): void {
    if (this.#over) return;
    this.#finish();
    this.#call.emit('error', error);
  }

  stop(): void {
    this.#finish();
  }

  /** Runs until the stream is over. Rejects with what ends it: the caller tells the peer. */
  async run(): Promise<void> {
    // Not destroyed at the end of the requests: the answer is still to come.
    for await (const request of this.#call.iterator({ destroyOnReturn: false }) as AsyncIterable<Request>) {
      if (this.#over) return;
      this.#receive(request);
      await this.#drained();
    }
    if (this.#over) return;
    this.#finish();
    this.#call.end();
  }

  #receive(request: Request): void {
    const nowMs = this.#host.nowMs();
    if (!this.#budget.spend(namesIn(request), nowMs)) throw new CallError(status.RESOURCE_EXHAUSTED, BUDGET_EXCEEDED);
    this.#source?.refresh();
    try {
      this.#send(this.#session.onRequest(request, nowMs));
      if (this.#source === undefined) this.#open(request, nowMs);
    } catch (error) {
      if (error instanceof AdsProtocolError) throw new CallError(error.grpcStatus, error.message);
      throw error;
    }
    if (request.errorDetail !== undefined) this.#host.refused(request.typeUrl ?? '', request.errorDetail.message ?? '');
    this.#host.progressed();
  }

  #open(request: Request, nowMs: number): void {
    const source = this.#host.open(readNodeInfo(request.node));
    this.#source = source;
    source.refresh();
    this.#send(this.#session.follow(source, source.onSubscription, nowMs));
  }

  #send(responses: readonly Response[]): void {
    this.#queue.push(...responses);
    this.#pump();
  }

  #pump(): void {
    if (this.#writing || this.#over) return;
    if (this.#queue.length === 0 && this.#isDue && this.#source !== undefined) {
      this.#isDue = false;
      this.#source.refresh();
      this.#queue.push(...this.#session.flush(this.#host.nowMs()));
    }
    const response = this.#queue.shift();
    if (response === undefined) {
      this.#wake?.();
      this.#wake = undefined;
      return;
    }
    this.#writing = true;
    this.#budget.refund();
    this.#call.write(response, () => {
      this.#writing = false;
      this.#pump();
    });
  }

  #drained(): Promise<void> {
    if (this.#over || (!this.#writing && this.#queue.length === 0)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #finish(): void {
    this.#over = true;
    if (this.#source !== undefined) this.#session.unfollow();
    this.#queue.length = 0;
    this.#wake?.();
    this.#wake = undefined;
  }
}

function namesIn(request: DiscoveryRequest | DeltaDiscoveryRequest): number {
  if ('resourceNames' in request) return request.resourceNames?.length ?? 0;
  const { resourceNamesSubscribe, resourceNamesUnsubscribe, initialResourceVersions } = request as DeltaDiscoveryRequest;
  return (
    (resourceNamesSubscribe?.length ?? 0) +
    (resourceNamesUnsubscribe?.length ?? 0) +
    (initialResourceVersions === undefined ? 0 : Object.keys(initialResourceVersions).length)
  );
}
