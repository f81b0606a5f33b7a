// One ADS stream, server side, without IO: requests and snapshots go in, responses come out. This is what both variants share: which kind
// may be sent when. Make before break (xDS protocol, "Eventual consistency considerations"): listeners and routes wait until what they may
// refer to has been acknowledged, and a cluster, its endpoints or a secret is taken away only when no listener or route needs it any more.
import type { ResourceKind } from '@heddle/core';
import type { Node } from '../../gen/envoy/envoy/config/core/v3/base.ts';
import type { EncodedResource } from '../convert/index.ts';
import { kindOfTypeUrl, MAKE_ORDER } from '../kinds.ts';
import { AdsProtocolError } from '../protocol-error.ts';
import { type Difference, type Due, KindState, type KindSync } from './kind-state.ts';
import type { Snapshot } from './snapshot.ts';

/** Names one stream may ask for, per kind: ten times the largest mesh aimed at. */
export const SUBSCRIPTIONS_MAX = 100_000;
/** Longer than any name that Heddle makes. */
export const NAME_LENGTH_MAX = 2_048;

/** resource_locators of DiscoveryRequest (7) and DeltaDiscoveryRequest (8, 9): a subscription that must not be overlooked. */
const LOCATOR_FIELDS = new Set([7, 8, 9]);

const FOUNDATION: readonly ResourceKind[] = ['secret', 'cluster', 'endpoints'];
const ENTRIES: readonly ResourceKind[] = ['listener', 'route'];

/** Who is at the other end, as it says itself; the authenticated identity is the transport's business. */
export interface AdsNode {
  readonly id: string;
  readonly cluster: string;
  readonly userAgent: string;
}

export interface AdsRequest {
  readonly node?: Node | undefined;
  readonly typeUrl?: string | undefined;
  readonly responseNonce?: string | undefined;
  readonly errorDetail?: { readonly message?: string | undefined } | undefined;
  readonly _unknownFields?: Readonly<Record<number, unknown>> | undefined;
}

export abstract class AdsSession<Request extends AdsRequest, Response, Held extends { readonly version: string }> {
  #node: AdsNode | undefined;
  #snapshot: Snapshot | undefined;
  #nonce = 0;
  readonly #states = new Map<ResourceKind, KindState<Held>>();

  /** Known after the first request. */
  get node(): AdsNode | undefined {
    return this.#node;
  }

  /**
   * Takes a request and returns what is to be sent now. Before the first snapshot nothing is answered: an empty answer would mean
   * "there is nothing" and make a reconnecting data plane drop what it has. Throws AdsProtocolError.
   */
  onRequest(request: Request, nowMs: number): Response[] {
    if (this.#node === undefined && request.node !== undefined) this.#node = readNode(request.node);
    const typeUrl = request.typeUrl ?? '';
    if (typeUrl === '') throw new AdsProtocolError(3, 'type_url is required on an aggregated stream');
    if (Object.keys(request._unknownFields ?? {}).some((tag) => LOCATOR_FIELDS.has(Number(tag) >>> 3))) {
      throw new AdsProtocolError(3, 'resource locators are not supported: subscribe by resource_names');
    }
    const kind = kindOfTypeUrl(typeUrl);
    if (kind === undefined) return this.answerUnknownType(request, typeUrl);
    const existing = this.#states.get(kind);
    const state = existing ?? new KindState<Held>(kind);
    this.#states.set(kind, state);
    return this.accept(state, request, existing === undefined, nowMs) ? this.#flush() : [];
  }

  /** From now on this is what the data plane should have. Returns what is to be sent now. */
  onSnapshot(snapshot: Snapshot): Response[] {
    this.#snapshot = snapshot;
    return this.#flush();
  }

  /** Offers what was refused once more, unchanged and one by one. To be called now and then: the reason may have gone. */
  retryRefused(): Response[] {
    for (const state of this.#states.values()) state.retryRefused();
    return this.#flush();
  }

  /** One entry for each kind the data plane has asked for. */
  sync(): KindSync[] {
    return [...this.#states.values()].map((state) => state.sync());
  }

  /** Undefined: it has not asked for this kind. */
  subscription(kind: ResourceKind): { readonly wildcard: boolean; readonly names: ReadonlySet<string> } | undefined {
    const state = this.#states.get(kind);
    return state === undefined ? undefined : { wildcard: state.wildcard, names: state.names };
  }

  /** Reads answer and subscription into the state. False: the request counts for nothing. */
  protected abstract accept(state: KindState<Held>, request: Request, isFirst: boolean, nowMs: number): boolean;

  /** As much of it as one response may hold. */
  protected abstract limit(difference: Difference): Difference;

  /** What is to be remembered of a resource that was sent. */
  protected abstract held(resource: EncodedResource): Held;

  /** Builds the response that brings the difference; `state.sent` has it already. */
  protected abstract compose(state: KindState<Held>, difference: Difference, nonce: string, snapshot: Snapshot): Response;

  /** A type that Heddle has no resources of: say so, or leave it at that. */
  protected abstract answerUnknownType(request: Request, typeUrl: string): Response[];

  /** What this variant can say about resources of the kind that do not exist. */
  protected abstract saysMissing(kind: ResourceKind): { readonly removed: boolean; readonly absent: boolean };

  protected nextNonce(): number {
    this.#nonce += 1;
    return this.#nonce;
  }

  #flush(): Response[] {
    const snapshot = this.#snapshot;
    if (snapshot === undefined) return [];
    const responses: Response[] = [];
    for (const kind of FOUNDATION) this.#push(kind, false, snapshot, responses);
    if (FOUNDATION.every((kind) => this.#isMade(kind, snapshot))) {
      for (const kind of ENTRIES) this.#push(kind, true, snapshot, responses);
    }
    if (ENTRIES.every((kind) => this.#isDone(kind, snapshot))) {
      for (const kind of FOUNDATION.toReversed()) this.#push(kind, true, snapshot, responses);
    }
    for (const kind of MAKE_ORDER) {
      const state = this.#states.get(kind);
      if (state !== undefined && this.#isDone(kind, snapshot)) state.markInSync(snapshot.version);
    }
    return responses;
  }

  #push(kind: ResourceKind, withRemovals: boolean, snapshot: Snapshot, responses: Response[]): void {
    const state = this.#states.get(kind);
    if (state === undefined || state.inFlight !== undefined) return;
    const due = this.#due(state, withRemovals, snapshot);
    if (due === undefined) return;
    const difference = this.limit(state.next(due));
    const nonce = String(this.nextNonce());
    state.send(difference, nonce, snapshot.version, (resource) => this.held(resource));
    responses.push(this.compose(state, difference, nonce, snapshot));
  }

  /**
   * True when the data plane has answered for everything of the kind that is new to it. Changes of what it has hold nothing up: endpoints
   * may change all the time, and listeners and routes must get through nevertheless.
   */
  #isMade(kind: ResourceKind, snapshot: Snapshot): boolean {
    const state = this.#states.get(kind);
    if (state === undefined) return true;
    const due = this.#due(state, false, snapshot);
    return state.inFlight?.makes !== true && (due === undefined || !state.hasNew(due));
  }

  /** True when everything was sent and answered. */
  #isDone(kind: ResourceKind, snapshot: Snapshot): boolean {
    const state = this.#states.get(kind);
    return state === undefined || (state.inFlight === undefined && this.#due(state, true, snapshot) === undefined);
  }

  /** Undefined when no response is needed. */
  #due(state: KindState<Held>, withRemovals: boolean, snapshot: Snapshot): Due | undefined {
    const says = this.saysMissing(state.kind);
    const removals = says.removed ? (withRemovals ? 'send' : 'hold') : 'forget';
    const due = state.due(snapshot.resources[state.kind], { removals, tellsAbsent: says.absent });
    const count = due.upserts.length + due.removed.length + due.absent.length + due.apart.length;
    return count > 0 || state.owesAnswer ? due : undefined;
  }
}

function readNode(node: Node): AdsNode {
  const agent = [node.userAgentName, node.userAgentVersionType?.value].filter((part) => part !== undefined && part !== '').join(' ');
  const text = (value: string | undefined) => (value ?? '').slice(0, NAME_LENGTH_MAX);
  return { id: text(node.id), cluster: text(node.cluster), userAgent: text(agent) };
}

/** The text of a refusal; undefined when the request refuses nothing. */
export function refusalOf(request: AdsRequest): string | undefined {
  return request.errorDetail === undefined ? undefined : (request.errorDetail.message ?? '');
}

/** Throws AdsProtocolError when the stream asks for too much. */
export function checkCount(count: number, kind: ResourceKind): void {
  if (count > SUBSCRIPTIONS_MAX) throw new AdsProtocolError(8, `more than ${SUBSCRIPTIONS_MAX} ${kind} names are given`);
}

export function checkName(name: string): void {
  if (name.length > NAME_LENGTH_MAX)
    throw new AdsProtocolError(3, `a resource name of ${name.length} characters is asked for; ${NAME_LENGTH_MAX} are allowed`);
}
