// Calls from inside the process, with their answers in one piece. Tests only.
import { nextTick } from 'node:process';
import type { DirectCall, DirectCallError, DirectCalls, DirectUser, FlatHeaders } from '../direct/index.ts';

export interface DirectAnswer {
  readonly status: number;
  /** Of a name that came several times, the last. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly trailers: FlatHeaders | undefined;
  /** The body as UTF-8. */
  readonly text: string;
}

/** Hears one whole answer. */
export class AnswerListener implements DirectUser {
  /** Rejects with DirectCallError. */
  readonly answer: Promise<DirectAnswer>;
  readonly interims: number[] = [];
  bodyBytes = 0;
  onDrained = (): void => {};
  onBytes = (): void => {};
  private readonly chunks: Buffer[] = [];
  private status = 0;
  private readonly headers: Record<string, string> = {};
  private readonly settle: { readonly resolve: (answer: DirectAnswer) => void; readonly reject: (error: Error) => void };

  constructor() {
    const { promise, resolve, reject } = Promise.withResolvers<DirectAnswer>();
    this.answer = promise;
    this.settle = { resolve, reject };
    promise.catch(() => {});
  }

  onInterim(status: number): void {
    this.interims.push(status);
  }

  onHead(status: number, headers: FlatHeaders): void {
    this.status = status;
    for (let at = 0; at < headers.length; at += 2) this.headers[headers[at]!] = headers[at + 1]!;
  }

  onBody(bytes: Buffer): void {
    this.chunks.push(bytes);
    this.bodyBytes += bytes.length;
    this.onBytes();
  }

  onEnd(trailers: FlatHeaders | undefined): void {
    const { status, headers } = this;
    const body = Buffer.concat(this.chunks);
    this.settle.resolve({ status, headers, body, trailers, text: body.toString() });
  }

  onError(error: DirectCallError): void {
    this.settle.reject(error);
  }
}

export interface DirectAsked {
  /** Default: GET. */
  readonly method?: string;
  readonly authority: string;
  /** Default: `/`. */
  readonly path?: string;
  readonly headers?: FlatHeaders;
  /** Absent: the call is complete with its head. */
  readonly body?: Buffer | string;
}

export function beginDirect(
  calls: DirectCalls,
  { method = 'GET', authority, path = '/', headers = [], body }: DirectAsked,
): { readonly call: DirectCall; readonly listener: AnswerListener } {
  const listener = new AnswerListener();
  const call = calls.begin({ method, authority, path, headers }, body === undefined, listener, nextTick);
  if (body !== undefined) call.write(Buffer.from(body), true);
  return { call, listener };
}

/** Rejects with DirectCallError when the answer breaks off. */
export function askDirect(calls: DirectCalls, asked: DirectAsked): Promise<DirectAnswer> {
  return beginDirect(calls, asked).listener.answer;
}
