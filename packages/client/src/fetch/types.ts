// What undici's Dispatcher contract is made of, as far as it is used here: undici 6 to 8, and the copies inside Node 24 and 26. Written down here
// because an application need not have the package.
import type { Duplex } from 'node:stream';

/** A request, as `undici.request` or `fetch` gives it to its dispatcher. */
export interface DispatchOptions {
  readonly origin?: string | URL | undefined;
  /** Begins with `/`; an absolute URL stands for another origin. */
  readonly path: string;
  readonly method: string;
  readonly query?: Readonly<Record<string, unknown>> | undefined;
  readonly headers?: unknown;
  readonly body?: unknown;
  /** Protocol to change to: `websocket`. */
  readonly upgrade?: string | boolean | null | undefined;
  /** How long the head of the response may take. 0: for ever. Default: that of the dispatcher. */
  readonly headersTimeout?: number | null | undefined;
  /** How long the body of the response may be silent. 0: for ever. Default: that of the dispatcher. */
  readonly bodyTimeout?: number | null | undefined;
}

export type ResponseHeaders = Record<string, string | string[]>;

export interface Controller {
  readonly aborted: boolean;
  readonly reason: Error | null;
  readonly paused: boolean;
  readonly rawHeaders: readonly string[] | null;
  readonly rawTrailers: readonly string[] | null;
  abort(reason?: Error): void;
  pause(): void;
  resume(): void;
}

/** What hears of a request: undici 7's and 8's methods, or undici 6's, which Node 24 uses too. */
export interface DispatchHandler {
  onRequestStart?(controller: Controller, context: unknown): void;
  onRequestUpgrade?(controller: Controller, statusCode: number, headers: ResponseHeaders, socket: Duplex): void;
  onResponseStart?(controller: Controller, statusCode: number, headers: ResponseHeaders, statusMessage?: string): void;
  onResponseData?(controller: Controller, chunk: Buffer): void;
  onResponseEnd?(controller: Controller, trailers: ResponseHeaders): void;
  onResponseError?(controller: Controller | null, error: Error): void;

  onConnect?(abort: (reason?: Error) => void, context: unknown): void;
  onUpgrade?(statusCode: number, headers: readonly Buffer[], socket: Duplex): void;
  onHeaders?(statusCode: number, headers: readonly Buffer[], resume: () => void, statusText: string): boolean | void;
  onData?(chunk: Buffer): boolean | void;
  onComplete?(trailers: readonly Buffer[]): void;
  onError?(error: Error): void;

  onBodySent?(chunk: unknown): void;
  onRequestSent?(): void;
  onResponseStarted?(): void;
}

/** Any dispatcher of any of these versions. */
export interface Dispatching {
  dispatch(options: DispatchOptions, handler: DispatchHandler): boolean;
  close(...args: unknown[]): unknown;
  destroy(...args: unknown[]): unknown;
}
