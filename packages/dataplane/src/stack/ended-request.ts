// The one place where the end of a request is told: to whoever makes spans, lines of a log, or a live view of it. The exchange itself is what
// they look at, so that nothing is put together for a request that nobody looks at. All of it holds during the call alone.
import type { ErrorCode } from '@heddle/core';
import { Http2RequestHead, RequestHead } from '@heddle/wire';
import type { PairLabels } from '../telemetry/requests.ts';
import type { RequestSpan, TraceCarrier } from '../telemetry/request-span.ts';
import type { AnyRequestHead } from './messages.ts';

export type RequestProtocol = 'http1' | 'http2' | 'grpc';

/** Who made the request, as its connection tells. */
export interface RequestPeer {
  /** SPIFFE id that was proven; empty: none was. */
  readonly sourceIdentity: string;
  readonly peerAddress: string;
}

export interface EndedRequest {
  /** Direction, source and destination, as in metrics. */
  readonly labels: PairLabels;
  /** Name of the route; empty: none was found. */
  readonly route: string;
  readonly protocol: RequestProtocol;
  /** As received. */
  readonly head: AnyRequestHead;
  readonly peer: RequestPeer;
  /** Of the answer; 0: there was none. */
  readonly status: number;
  /** Of gRPC; undefined: it was not said. */
  readonly grpcStatus: number | undefined;
  /** What this data plane, or the one that was called, ended it with; empty: the application answered. */
  readonly error: ErrorCode | 'CLIENT_GONE' | '';
  readonly durationMs: number;
  /** Of the bodies. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Hedges included; 0: it was not passed on. */
  readonly tries: number;
  /** That answered, or was tried last; empty: none was. */
  readonly instance: string;
  /** Of a request that is traced. */
  readonly span: RequestSpan | undefined;
  /** Of a request that has a trace, sampled or not; empty: it has none. */
  readonly traceId: string;
}

export interface RequestObserver {
  ended(request: EndedRequest): void;
}

/** Decides about the traces of requests. */
export interface TraceBeginning {
  /** Of a request that begins: what it is passed on with. */
  begin(head: AnyRequestHead, carrier: TraceCarrier): void;
}

/** Who looks at the requests of a whole data plane, for a while. */
export interface Onlookers {
  list: readonly RequestObserver[];
}

/** Of one listener; what belongs to it changes with its configuration, while connections go on. */
export class RequestWatch {
  tracer: TraceBeginning | undefined;
  private observers: readonly RequestObserver[] = [];
  private readonly onlookers: Onlookers;

  constructor(onlookers: Onlookers) {
    this.onlookers = onlookers;
  }

  set(tracer: (TraceBeginning & RequestObserver) | undefined, log: RequestObserver | undefined): void {
    this.tracer = tracer;
    this.observers = [tracer, log].filter((one) => one !== undefined);
  }

  get isOn(): boolean {
    return this.observers.length > 0 || this.onlookers.list.length > 0;
  }

  tell(request: EndedRequest): void {
    for (const observer of this.observers) observer.ended(request);
    for (const observer of this.onlookers.list) observer.ended(request);
  }
}

export const UNWATCHED = new RequestWatch({ list: [] });
export const NO_PEER: RequestPeer = { sourceIdentity: '', peerAddress: '' };
/** Of a request that was not understood. */
const NO_HEAD = new Http2RequestHead();

/** @param isGrpc by its content type. */
export function protocolOf(head: AnyRequestHead, isGrpc: boolean): RequestProtocol {
  return isGrpc ? 'grpc' : head instanceof RequestHead ? 'http1' : 'http2';
}

/** Answered before there was an exchange. */
export class RefusedRequest implements EndedRequest {
  readonly labels: PairLabels;
  readonly route: string;
  readonly protocol: RequestProtocol;
  readonly head: AnyRequestHead;
  readonly peer: RequestPeer;
  readonly status: number;
  readonly grpcStatus: number | undefined;
  readonly error: ErrorCode | '';
  readonly durationMs = 0;
  readonly requestBytes = 0;
  readonly responseBytes = 0;
  readonly tries = 0;
  readonly instance = '';
  readonly span: RequestSpan | undefined;
  readonly traceId: string;

  /** @param head undefined: it was not understood. */
  constructor(
    of: Pick<EndedRequest, 'labels' | 'route' | 'peer' | 'status' | 'grpcStatus' | 'span' | 'traceId'> & { readonly error: ErrorCode | '' },
    head: AnyRequestHead | undefined,
  ) {
    this.labels = of.labels;
    this.route = of.route;
    this.peer = of.peer;
    this.status = of.status;
    this.grpcStatus = of.grpcStatus;
    this.error = of.error;
    this.span = of.span;
    this.traceId = of.traceId;
    this.head = head ?? NO_HEAD;
    this.protocol = protocolOf(this.head, of.grpcStatus !== undefined);
  }
}
