// One ADS stream: a session of `@heddle/api` joined to a gRPC call. Requests are read one at a time, and the next only when the
// answers to the last have left; snapshots in between only mark the stream as due. So a slow data plane holds a handful of messages.
import { status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { AdsProtocolError } from '@heddle/api';
import type { AdsNode, DeltaDiscoveryRequest, DiscoveryRequest, KindSync, Snapshot } from '@heddle/api';
import type { SocketAddress } from '@heddle/core';
import { RegistryError } from '../registry/errors.ts';
import { Reader } from '../registry/reader.ts';
import { CallError } from '../server/status.ts';

/** What both variants of a session have. */
export interface Session<Request, Response> {
  readonly node: AdsNode | undefined;
  onRequest(request: Request, nowMs: number): Response[];
  onSnapshot(snapshot: Snapshot): Response[];
  retryRefused(): Response[];
  sync(): KindSync[];
}

export interface StreamHost {
  /** Unix time in milliseconds. */
  nowMs(): number;
  /** What the data plane that presents itself should have; later ones come by `AdsStream.offer`. */
  open(node: AdsNode, outboundProxy: SocketAddress | undefined): Snapshot;
  /** It asked for something or acknowledged something. */
  progressed(): void;
}

export class AdsStream<Request extends DiscoveryRequest | DeltaDiscoveryRequest, Response> {
  readonly #call: ServerDuplexStream<Request, Response>;
  readonly #session: Session<Request, Response>;
  readonly #host: StreamHost;
  readonly #queue: Response[] = [];
  #writing = false;
  #offered: (() => Snapshot) | undefined;
  #opened = false;
  #over = false;
  #wake: (() => void) | undefined;

  constructor(call: ServerDuplexStream<Request, Response>, session: Session<Request, Response>, host: StreamHost) {
    this.#call = call;
    this.#session = session;
    this.#host = host;
  }

  sync(): KindSync[] {
    return this.#session.sync();
  }

  /** There is a newer snapshot. It is taken when the stream is ready for it; of several only the last one. */
  offer(take: () => Snapshot): void {
    this.#offered = take;
    this.#pump();
  }

  retryRefused(): void {
    if (!this.#over && this.#queue.length === 0) this.#send(this.#session.retryRefused());
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
    try {
      this.#send(this.#session.onRequest(request, this.#host.nowMs()));
      if (!this.#opened) this.#open(request);
    } catch (error) {
      if (error instanceof AdsProtocolError) throw new CallError(error.grpcStatus, error.message);
      throw error;
    }
    this.#host.progressed();
  }

  #open(request: Request): void {
    const { node } = this.#session;
    if (node === undefined || node.id === '')
      throw new CallError(status.INVALID_ARGUMENT, 'the first request of a stream must say in `node.id` which data plane asks');
    this.#opened = true;
    this.#send(this.#session.onSnapshot(this.#host.open(node, readOutboundProxy(request))));
  }

  #send(responses: readonly Response[]): void {
    this.#queue.push(...responses);
    this.#pump();
  }

  #pump(): void {
    if (this.#writing || this.#over) return;
    if (this.#queue.length === 0 && this.#offered !== undefined && this.#opened) {
      const take = this.#offered;
      this.#offered = undefined;
      this.#queue.push(...this.#session.onSnapshot(take()));
    }
    const response = this.#queue.shift();
    if (response === undefined) {
      this.#wake?.();
      this.#wake = undefined;
      return;
    }
    this.#writing = true;
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
    this.#queue.length = 0;
    this.#offered = undefined;
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** `node.metadata.heddle.outboundProxy`: where this data plane has its shared HTTP proxy. Throws CallError INVALID_ARGUMENT. */
function readOutboundProxy(request: DiscoveryRequest | DeltaDiscoveryRequest): SocketAddress | undefined {
  const heddle: unknown = (request.node?.metadata as Record<string, unknown> | undefined)?.['heddle'];
  if (heddle === undefined || heddle === null) return undefined;
  try {
    const reader = new Reader(heddle, 'node.metadata.heddle');
    return reader.has('outboundProxy') ? reader.socketAddress('outboundProxy') : undefined;
  } catch (error) {
    throw error instanceof RegistryError ? new CallError(status.INVALID_ARGUMENT, error.message) : error;
  }
}
