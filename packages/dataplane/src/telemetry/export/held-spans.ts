// Facts of traced requests, kept until several spans can be written in a row: what writes one span for every hundredth request finds neither itself nor its data
// in the processor's caches, so that 32 cost little more than one. In objects that are used again: new ones would grow old while they wait.
import { RequestHead } from '@heddle/wire';
import type { EndedRequest } from '../../stack/ended-request.ts';
import type { RequestSpan } from '../request-span.ts';
import { methodOf } from './request-facts.ts';

const IN_A_ROW = 32;

/** Of one request. Texts and objects that outlive it are shared, so they must not change. */
export type HeldSpan = Pick<
  EndedRequest,
  | 'labels'
  | 'route'
  | 'protocol'
  | 'status'
  | 'grpcStatus'
  | 'error'
  | 'durationMs'
  | 'requestBytes'
  | 'responseBytes'
  | 'tries'
  | 'instance'
> & {
  readonly span: RequestSpan;
  /** Of HTTP, of what stands for the request. */
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly authority: string;
  readonly httpVersion: '1.0' | '1.1' | '2';
  readonly userAgent: string | undefined;
  /** SPIFFE id that was proven; empty: none was. */
  readonly peerIdentity: string;
  readonly peerAddress: string;
};

/** @param held until it returns. */
export type TellSpan = (held: HeldSpan) => void;

type Slot = { -readonly [Key in keyof HeldSpan]: HeldSpan[Key] } & { tell: TellSpan };

export class HeldSpans {
  private readonly slots: Slot[] = [];
  count = 0;

  get isFull(): boolean {
    return this.count === IN_A_ROW;
  }

  /** There must be room. */
  add(request: EndedRequest, span: RequestSpan, tell: TellSpan): void {
    const at = this.count++;
    const slot = this.slots[at];
    if (slot === undefined) this.slots.push(slotOf(request, span, tell));
    else fill(slot, request, span, tell);
  }

  /** Tells all, the oldest first. */
  tellAll(): void {
    const { count, slots } = this;
    this.count = 0;
    for (let at = 0; at < count; at++) slots[at]!.tell(slots[at]!);
  }
}

function slotOf(request: EndedRequest, span: RequestSpan, tell: TellSpan): Slot {
  const { labels, protocol } = request;
  // Sizes and times may have fractions from the first on: the engine keeps a place for them then.
  const slot: Slot = {
    ...{ labels, route: '', protocol, status: 0, grpcStatus: undefined, error: '', durationMs: 0.5, requestBytes: 0, responseBytes: 0 },
    ...{ tries: 0, instance: '', span, method: '', path: '', authority: '', httpVersion: '2', userAgent: undefined },
    ...{ peerIdentity: '', peerAddress: '', tell },
  };
  fill(slot, request, span, tell);
  return slot;
}

function fill(slot: Slot, request: EndedRequest, span: RequestSpan, tell: TellSpan): void {
  const { head, peer } = request;
  slot.labels = request.labels;
  slot.route = request.route;
  slot.protocol = request.protocol;
  slot.status = request.status;
  slot.grpcStatus = request.grpcStatus;
  slot.error = request.error;
  slot.durationMs = request.durationMs;
  slot.requestBytes = request.requestBytes;
  slot.responseBytes = request.responseBytes;
  slot.tries = request.tries;
  slot.instance = request.instance;
  slot.span = span;
  slot.method = methodOf(head);
  slot.path = head.path;
  slot.authority = head.authority;
  slot.httpVersion = head instanceof RequestHead ? (head.minorVersion === 1 ? '1.1' : '1.0') : '2';
  slot.userAgent = head.get('user-agent');
  slot.peerIdentity = peer.sourceIdentity;
  slot.peerAddress = peer.peerAddress;
  slot.tell = tell;
}
