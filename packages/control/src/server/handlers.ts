// gRPC handlers as plain functions of (request, caller): errors thrown become statuses. Streams are written one message at a
// time: the next one is made when the last has left, so a slow reader costs one message and gets the newest state.
import { status } from '@grpc/grpc-js';
import type { Metadata, ServerDuplexStream, ServerUnaryCall, ServerWritableStream, handleUnaryCall } from '@grpc/grpc-js';
import type { Logger } from '@heddle/runtime';
import type { Doer } from '../audit/entry.ts';
import { doerOf, noteRefusal } from './access.ts';
import type { Caller } from './caller.ts';
import { statusOf } from './status.ts';

export function unary<Request, Response>(
  logger: Logger,
  handle: (request: Request, caller: Caller, by: Doer) => Promise<Response> | Response,
): handleUnaryCall<Request, Response> {
  return (call: ServerUnaryCall<Request, Response>, callback) => {
    // In a promise, so that what is thrown at once and what is rejected later take the same way.
    Promise.resolve()
      .then(() => {
        const by = doerOf(call.metadata);
        return handle(call.request, by.caller, by);
      })
      .then(
        (response) => callback(null, response),
        (error: unknown) => {
          const refused = statusOf(error, logger);
          logRefusal(call, refused, logger);
          callback(refused);
        },
      );
  };
}

/** What is wrong with a call, for whoever reads the log; faults of the control plane itself have been logged. */
export function logRefusal(
  call: { readonly metadata: Metadata; getPath(): string; getPeer(): string },
  { code, details }: { readonly code: status; readonly details: string },
  logger: Logger,
): void {
  if (code === status.UNAVAILABLE || code === status.INTERNAL) return;
  noteRefusal(call, { code, details });
  logger.warn({ method: call.getPath(), peer: call.getPeer(), status: status[code], reason: details }, 'call refused');
}

interface Writable<Response> {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  write(message: Response, written: () => void): boolean;
  end(): void;
  on(event: 'cancelled' | 'close', listener: () => void): unknown;
  emit(event: 'error', error: object): boolean;
}

/** The streams that are open, to be ended when the control plane stops. */
export class OpenStreams {
  readonly #streams = new Set<{ fail(error: object): void }>();

  /** Until the call is over, however it ends. */
  add(
    call: { on(event: 'close' | 'cancelled', listener: () => void): unknown },
    stream: { fail(error: object): void; stop(): void },
  ): void {
    this.#streams.add(stream);
    const gone = (): void => {
      stream.stop();
      this.#streams.delete(stream);
    };
    call.on('cancelled', gone);
    call.on('close', gone);
  }

  failAll(error: object): void {
    for (const stream of [...this.#streams]) stream.fail(error);
    this.#streams.clear();
  }
}

/** One direction of a call on which `next` is asked for a message whenever there may be one and the last has left. */
export class PacedWriter<Response> {
  readonly #call: Writable<Response>;
  readonly #next: () => Response | undefined;
  #writing = false;
  #ended = false;

  constructor(call: ServerWritableStream<never, Response> | ServerDuplexStream<never, Response>, next: () => Response | undefined) {
    this.#call = call as unknown as Writable<Response>;
    this.#next = next;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** There may be something to say. */
  poke(): void {
    if (this.#writing || this.#ended || this.#call.cancelled) return;
    const message = this.#next();
    if (message === undefined) return;
    this.#writing = true;
    this.#call.write(message, () => {
      this.#writing = false;
      this.poke();
    });
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#call.end();
  }

  fail(error: object): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#call.emit('error', error);
  }

  /** The peer has gone: nothing more is written. */
  stop(): void {
    this.#ended = true;
  }
}
