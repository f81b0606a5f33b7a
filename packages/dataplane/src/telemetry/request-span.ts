// The span of one request that is traced, while the request is under way. There is none for other requests.
import { formatTraceparent } from '@heddle/core';

/** Of one request; the others are counted. Retries and hedges are limited, connections that turn out to be closed are not tries. */
const TRIES_MAX = 32;

export interface SpanTry {
  readonly startMs: number;
  /** -1: it has not ended. */
  endMs: number;
  readonly instance: string;
  readonly address: string;
  readonly port: number;
  readonly isHedge: boolean;
  /** A code of the error table, a status, `cancelled`; empty: its answer was passed on. */
  outcome: string;
}

export class RequestSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: the request came without a trace. */
  readonly parentId: string;
  /** Value of `tracestate`, checked; empty: none came. */
  readonly state: string;
  /** Of `traceparent`. */
  readonly flags: number;
  /** By the clock that measures. */
  readonly startMs: number;
  readonly tries: SpanTry[] = [];

  constructor(traceId: string, spanId: string, parentId: string, state: string, flags: number, startMs: number) {
    this.traceId = traceId;
    this.spanId = spanId;
    this.parentId = parentId;
    this.state = state;
    this.flags = flags;
    this.startMs = startMs;
  }

  /** What the request goes out with. */
  get traceparent(): string {
    return formatTraceparent(this.traceId, this.spanId, this.flags);
  }

  /** Undefined: there are too many already. */
  tryBegan(
    { instance, address, port }: { readonly instance: string; readonly address: string; readonly port: number },
    isHedge: boolean,
    startMs: number,
  ): SpanTry | undefined {
    if (this.tries.length >= TRIES_MAX) return undefined;
    const one: SpanTry = { startMs, endMs: -1, instance, address, port, isHedge, outcome: 'cancelled' };
    this.tries.push(one);
    return one;
  }
}

/** What a request is passed on with. */
export interface TraceCarrier {
  /** @param drop received headers that do not go on. */
  carryTrace(traceparent: string, span: RequestSpan | undefined, drop: readonly string[] | undefined): void;
}
