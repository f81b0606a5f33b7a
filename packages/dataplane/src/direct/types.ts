// Calls that the application makes from inside the data plane's own process: no connection, no bytes of HTTP between the two.
import type { ErrorCode } from '@heddle/core';

/** Names in lower case and values in turn: `['content-type', 'text/plain', …]`. */
export type FlatHeaders = readonly string[];

/** Who made a call. All of it is called in a later tick than what caused it, in order, and nothing after `onEnd`, `onError` or `cancel`. */
export interface DirectUser {
  /** A 1xx response, 101 never. */
  onInterim(status: number, headers: FlatHeaders): void;
  /** The response, which may be the data plane's own: then `x-heddle-error` names the reason. */
  onHead(status: number, headers: FlatHeaders): void;
  /** The bytes are the user's. */
  onBody(bytes: Buffer): void;
  onEnd(trailers: FlatHeaders | undefined): void;
  /** The response broke off after its head. */
  onError(error: DirectCallError): void;
  /** After `write` returned false. */
  onDrained(): void;
}

/** A call that has begun. */
export interface DirectCall {
  /** Part of the request's body, which the call may keep until the user has heard of the end. False: no more before `onDrained`. */
  write(bytes: Uint8Array, isLast: boolean): boolean;
  /** The request is complete. */
  end(trailers?: FlatHeaders): void;
  /** The user takes no more of the response for now. */
  pause(): void;
  resume(): void;
  /** The answer is not wanted any more. */
  cancel(): void;
}

/** A response that began and did not come to its end. */
export class DirectCallError extends Error {
  /** Of the error table. */
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string) {
    super(message);
    this.name = 'DirectCallError';
    this.code = code;
  }
}

export interface DirectRequest {
  /** As written; methods are case-sensitive (RFC 9110 §9.1). */
  readonly method: string;
  /** Whom the request is for: `orders.mesh.internal` or with a port. */
  readonly authority: string;
  /** With query; begins with `/`, or is `*`. */
  readonly path: string;
  /** In any letter case. */
  readonly headers: FlatHeaders;
}

/** Where calls of the application in this process begin. */
export interface DirectCalls {
  /**
   * Begins a call as the workload. `isComplete`: it has no body. It is never refused here: what goes wrong is told as a response, as a proxy would.
   * @param soon runs something in a later tick: `process.nextTick`, bound to the context of the call where there is one.
   * @throws LocalProtocolError for a method, host, path or header that may not be sent
   */
  begin(request: DirectRequest, isComplete: boolean, user: DirectUser, soon: (run: () => void) => void): DirectCall;
}
