// What the application holds of a call, and what it hears of it. Everything that the data plane says waits for the next tick, so that code
// of the application never runs in the middle of an exchange; what the application says goes in at once.
import type { ErrorCode } from '@heddle/core';
import type { AnyTrailers } from '../stack/messages.ts';
import { directTrailers } from './request-head.ts';
import { type DirectCall, DirectCallError, type DirectUser, type FlatHeaders } from './types.ts';

const NOTHING = Buffer.alloc(0);

type News =
  | { readonly kind: 'interim' | 'head'; readonly status: number; readonly headers: FlatHeaders }
  | { readonly kind: 'body'; readonly bytes: Buffer }
  | { readonly kind: 'end'; readonly trailers: FlatHeaders | undefined }
  | { readonly kind: 'error'; readonly error: DirectCallError }
  | { readonly kind: 'drained' };

const DRAINED = { kind: 'drained' } as const;

/** The exchange, as the call sees it. */
export interface CallEnd {
  requestBody(bytes: Buffer, isLast: boolean): void;
  requestEnd(trailers: AnyTrailers | undefined): void;
  cancelled(): void;
  /** The application has room again. */
  applicationReads(): void;
}

/** How much of a response waits for the application, before its source is stopped. */
export interface DirectLimits {
  readonly bufferBytesMax: number;
}

export class OngoingCall implements DirectCall {
  private readonly user: DirectUser;
  private readonly limits: DirectLimits;
  /** Undefined: the exchange is over, and its end serves another call. */
  private end_: CallEnd | undefined;
  private readonly news: News[] = [];
  private readonly soon: (run: () => void) => void;
  private readonly tell: () => void;
  private waitingBytes = 0;
  private isScheduled = false;
  private isPaused = false;
  private isOver = false;
  private hasEnded = false;
  private isRequestBlocked = false;

  /** @param soon runs something in a later tick, in the application's context of this call. */
  constructor(user: DirectUser, limits: DirectLimits, soon: (run: () => void) => void) {
    this.user = user;
    this.limits = limits;
    this.soon = soon;
    this.tell = () => this.deliver();
  }

  // --- from the application

  write(bytes: Uint8Array, isLast: boolean): boolean {
    if (this.hasEnded) return true;
    this.hasEnded = isLast;
    this.end_?.requestBody(asBuffer(bytes), isLast);
    return !this.isRequestBlocked;
  }

  end(trailers?: FlatHeaders): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.end_?.requestEnd(trailers === undefined ? undefined : directTrailers(trailers));
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.schedule();
  }

  cancel(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.news.length = 0;
    const end = this.end_;
    this.end_ = undefined;
    end?.cancelled();
  }

  // --- from the exchange

  /** @internal */
  attach(end: CallEnd): void {
    this.end_ = end;
  }

  /** @internal More waits than the application should be given. */
  get isFull(): boolean {
    return this.waitingBytes >= this.limits.bufferBytesMax;
  }

  /** @internal */
  headCame(status: number, headers: FlatHeaders, isFinal: boolean): void {
    this.add({ kind: isFinal ? 'head' : 'interim', status, headers });
  }

  /** @internal Copies them. */
  bodyCame(bytes: Buffer, start: number, end: number): void {
    if (end === start) return;
    this.waitingBytes += end - start;
    this.add({ kind: 'body', bytes: Buffer.from(bytes.subarray(start, end)) });
  }

  /** @internal */
  endCame(trailers: AnyTrailers | undefined): void {
    this.add({ kind: 'end', trailers: trailers === undefined ? undefined : flat(trailers) });
  }

  /** @internal */
  broke(code: ErrorCode, message: string): void {
    this.end_ = undefined;
    this.add({ kind: 'error', error: new DirectCallError(code, message) });
  }

  /** @internal Nothing more is to be heard of the exchange. */
  exchangeOver(): void {
    this.end_ = undefined;
    if (this.isRequestBlocked) this.requestMayGoOn();
  }

  /** @internal */
  requestBlocked(): void {
    this.isRequestBlocked = true;
  }

  /** @internal */
  requestMayGoOn(): void {
    if (!this.isRequestBlocked) return;
    this.isRequestBlocked = false;
    this.add(DRAINED);
  }

  private add(news: News): void {
    if (this.isOver) return;
    this.news.push(news);
    this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled || this.isOver || this.news.length === 0) return;
    this.isScheduled = true;
    this.soon(this.tell);
  }

  private deliver(): void {
    this.isScheduled = false;
    const { news } = this;
    let at = 0;
    try {
      while (at < news.length && !this.isOver) {
        const next = news[at]!;
        if (this.isPaused && next.kind !== 'drained') break;
        at += 1;
        this.say(next);
      }
    } finally {
      news.splice(0, at);
      if (!this.isPaused) this.schedule();
    }
    if (this.waitingBytes < this.limits.bufferBytesMax) this.end_?.applicationReads();
  }

  private say(news: News): void {
    const { user } = this;
    switch (news.kind) {
      case 'body':
        this.waitingBytes -= news.bytes.length;
        return user.onBody(news.bytes);
      case 'head':
        return user.onHead(news.status, news.headers);
      case 'interim':
        return user.onInterim(news.status, news.headers);
      case 'drained':
        return user.onDrained();
      case 'end':
        this.isOver = true;
        return user.onEnd(news.trailers);
      case 'error':
        this.isOver = true;
        return user.onError(news.error);
    }
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  if (bytes.length === 0) return NOTHING;
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function flat(fields: Iterable<readonly [string, string]>): FlatHeaders {
  const headers: string[] = [];
  for (const [name, value] of fields) headers.push(name.toLowerCase(), value);
  return headers;
}
