// Facts of requests that are traced or logged, kept until several can be told in a row: what writes one span or line for every hundredth request finds neither
// itself nor its data in the processor's caches, so that 32 cost little more than one. In objects that are used again: new ones would grow old while they wait.
import { RequestHead } from '@heddle/wire';
import type { EndedRequest } from '../../stack/ended-request.ts';
import { methodOf } from './request-facts.ts';

const IN_A_ROW = 32;

/** Of one request. Texts and objects that outlive it are shared, so they must not change. */
export type HeldRequest = Pick<
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
  | 'traceId'
> & {
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

/** @param held until it returns. @param more what else was kept with it. */
export type Tell<More> = (held: HeldRequest, more: More) => void;

type Slot<More> = { -readonly [Key in keyof HeldRequest]: HeldRequest[Key] } & { more: More; tell: Tell<More> };

export class HeldRequests<More> {
  private readonly slots: Slot<More>[] = [];
  count = 0;

  get isFull(): boolean {
    return this.count === IN_A_ROW;
  }

  /** There must be room. */
  add(request: EndedRequest, more: More, tell: Tell<More>): void {
    const at = this.count++;
    const slot = this.slots[at];
    if (slot === undefined) this.slots.push(slotOf(request, more, tell));
    else fill(slot, request, more, tell);
  }

  /** Tells all, the oldest first. */
  tellAll(): void {
    const { count, slots } = this;
    this.count = 0;
    for (let at = 0; at < count; at++) slots[at]!.tell(slots[at]!, slots[at]!.more);
  }
}

function slotOf<More>(request: EndedRequest, more: More, tell: Tell<More>): Slot<More> {
  const { labels, protocol } = request;
  // Sizes and times may have fractions from the first on: the engine keeps a place for them then.
  const slot: Slot<More> = {
    ...{ labels, route: '', protocol, status: 0, grpcStatus: undefined, error: '', durationMs: 0.5, requestBytes: 0, responseBytes: 0 },
    ...{ tries: 0, instance: '', traceId: '', method: '', path: '', authority: '', httpVersion: '2', userAgent: undefined },
    ...{ peerIdentity: '', peerAddress: '', more, tell },
  };
  fill(slot, request, more, tell);
  return slot;
}

function fill<More>(slot: Slot<More>, request: EndedRequest, more: More, tell: Tell<More>): void {
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
  slot.traceId = request.traceId;
  slot.method = methodOf(head);
  slot.path = head.path;
  slot.authority = head.authority;
  slot.httpVersion = head instanceof RequestHead ? (head.minorVersion === 1 ? '1.1' : '1.0') : '2';
  slot.userAgent = head.get('user-agent');
  slot.peerIdentity = peer.sourceIdentity;
  slot.peerAddress = peer.peerAddress;
  slot.more = more;
  slot.tell = tell;
}
