// Decides whether a request is traced, by what came with it or else by its trace id, and hands what is to be told of it at its end to an exporter.
// A request that is not traced costs a look for a header, and where it begins its trace, the ids.
import {
  drawTraceparent,
  isTracestate,
  newSpanId,
  parentIdOf,
  SAMPLED,
  traceFlags,
  traceIdOf,
  TRACEPARENT,
  TRACESTATE,
} from '@heddle/core';
import type { TracingPolicy } from '@heddle/core';
import type { Clock, Random } from '@heddle/runtime';
import { RequestHead } from '@heddle/wire';
import type { EndedRequest, RequestObserver, TraceBeginning } from '../stack/ended-request.ts';
import { listOf } from '../stack/forwarding.ts';
import type { AnyRequestHead } from '../stack/messages.ts';
import { RequestSpan, type TraceCarrier } from './request-span.ts';

const PARENT_ONLY: readonly string[] = [TRACEPARENT];
const STATE_ONLY: readonly string[] = [TRACESTATE];
const BOTH: readonly string[] = [TRACEPARENT, TRACESTATE];
/** Of a `traceparent` of our own: where it says whether it is sampled. */
const FLAGS_END = 54;
const SAMPLED_DIGIT = 0x31;

export interface SpanExporter {
  add(request: EndedRequest, span: RequestSpan): void;
}

export interface TracerDeps {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly random: Random;
  readonly exporter: SpanExporter;
}

export class Tracer implements RequestObserver, TraceBeginning {
  readonly policy: TracingPolicy;
  private readonly deps: TracerDeps;
  private readonly next: () => number;

  constructor(policy: TracingPolicy, deps: TracerDeps) {
    this.policy = policy;
    this.deps = deps;
    this.next = () => deps.random.next();
  }

  begin(head: AnyRequestHead, carrier: TraceCarrier): void {
    const at = head.find(TRACEPARENT);
    if (at === -1) return this.beginTrace(carrier, head.has(TRACESTATE) ? STATE_ONLY : undefined);
    const value = head instanceof RequestHead ? head.value(at) : head.field(at).value;
    const flags = head.find(TRACEPARENT, at + 1) === -1 ? traceFlags(value) : -1;
    if (flags === -1) return this.beginTrace(carrier, BOTH);
    if ((flags & SAMPLED) === 0) return;
    const state = listOf(head, TRACESTATE);
    const isState = state === '' || isTracestate(state);
    const span = this.spanOf(traceIdOf(value), parentIdOf(value), isState ? state : '', flags);
    carrier.carryTrace(span.traceparent, span, isState ? PARENT_ONLY : BOTH);
  }

  private beginTrace(carrier: TraceCarrier, drop: readonly string[] | undefined): void {
    const { next } = this;
    const traceparent = drawTraceparent(this.policy.samplePercent, next);
    if (traceparent.charCodeAt(FLAGS_END) !== SAMPLED_DIGIT) {
      carrier.carryTrace(traceparent, undefined, drop);
      return;
    }
    const span = this.spanOf(traceIdOf(traceparent), '', '', SAMPLED);
    carrier.carryTrace(span.traceparent, span, drop);
  }

  private spanOf(traceId: string, parentId: string, state: string, flags: number): RequestSpan {
    return new RequestSpan(traceId, newSpanId(this.next), parentId, state, flags, this.deps.clock.nowMs());
  }

  ended(request: EndedRequest): void {
    if (request.span !== undefined) this.deps.exporter.add(request, request.span);
  }
}

/** The trace that came with a request, taken along as it is; empty: none came that can be read. */
export function traceIdIn(head: AnyRequestHead): string {
  const value = head.get(TRACEPARENT);
  return value === undefined || traceFlags(value) === -1 ? '' : traceIdOf(value);
}
