// One ADS stream, server side, without IO: requests and snapshots go in, responses come out. This is what both variants share: which kind
// may be sent when. Make before break (xDS protocol, "Eventual consistency considerations"): listeners and routes wait until what they may
// refer to has been acknowledged, and a cluster, its endpoints or a secret is taken away only when no listener or route needs it any more.
import type { ResourceKind } from '@heddle/core';
import type { Node } from '../../gen/envoy/envoy/config/core/v3/base.ts';
import type { EncodedResource } from '../convert/index.ts';
import { kindOfTypeUrl, TYPE_URLS } from '../kinds.ts';
import { AdsProtocolError } from '../protocol-error.ts';
import { type Confirmation, type Difference, type Due, KindState, type KindSync, type ResourceSync } from './kind-state.ts';
import type { ResourceSource } from './snapshot.ts';

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

/** One resource as a stream has it, with what the control plane would send now. */
export interface SessionResource extends ResourceSync {
  readonly kind: ResourceKind;
  readonly typeUrl: string;
  /** Undefined: there is no such resource. */
  readonly present: EncodedResource | undefined;
}

/** Hears of what a stream wants: a name of the kind, or everything of it (`undefined`). */
export type OnSubscription = (kind: ResourceKind, name: string | undefined, isWanted: boolean) => void;

export abstract class AdsSession<Request extends AdsRequest, Response, Held extends { readonly version: string }> {
  readonly #only: ResourceKind | undefined;
  #node: AdsNode | undefined;
  #source: ResourceSource | undefined;
  #onSubscription: OnSubscription | undefined;
  #nonce = 0;
  /** The latest that is known. */
  #nowMs = 0;
  readonly #states = new Map<ResourceKind, KindState<Held>>();

  /** @param only the one kind of a single-type stream. Default: an aggregated stream. */
  constructor(only?: ResourceKind) {
    this.#only = only;
  }

  /** Known after the first request. */
  get node(): AdsNode | undefined {
    return this.#node;
  }

  /**
   * Takes a request and returns what is to be sent now. Before the first snapshot nothing is answered: an empty answer would mean
   * "there is nothing" and make a reconnecting data plane drop what it has. Throws AdsProtocolError.
   */
  onRequest(request: Request, nowMs: number): Response[] {
    this.#nowMs = nowMs;
    if (this.#node === undefined && request.node !== undefined) this.#node = readNode(request.node);
    const typeUrl = this.#typeUrlOf(request);
    if (Object.keys(request._unknownFields ?? {}).some((tag) => LOCATOR_FIELDS.has(Number(tag) >>> 3))) {
      throw new AdsProtocolError(3, 'resource locators are not supported: subscribe by resource_names');
    }
    const kind = kindOfTypeUrl(typeUrl);
    if (kind === undefined) return this.answerUnknownType(request, typeUrl);
    const existing = this.#states.get(kind);
    const state = existing ?? this.#begin(kind);
    this.accept(state, request, existing === undefined, nowMs);
    return this.#flush();
  }

  #typeUrlOf({ typeUrl = '' }: Request): string {
    if (this.#only === undefined) {
      if (typeUrl === '') throw new AdsProtocolError(3, 'type_url is required on an aggregated stream');
      return typeUrl;
    }
    // Optional there (DiscoveryRequest.type_url: "implicit in requests made via singleton xDS APIs").
    const own = TYPE_URLS[this.#only];
    if (typeUrl !== '' && typeUrl !== own)
      throw new AdsProtocolError(
        3,
        `this stream is for ${own} alone, not for ${typeUrl.slice(0, NAME_LENGTH_MAX)}: use the aggregated service`,
      );
    return own;
  }

  #begin(kind: ResourceKind): KindState<Held> {
    const state = new KindState<Held>(kind);
    this.#states.set(kind, state);
    if (this.#onSubscription !== undefined) this.#follow(state, this.#onSubscription);
    return state;
  }

  #follow(state: KindState<Held>, onSubscription: OnSubscription): void {
    state.follow((name, isWanted) => onSubscription(state.kind, name, isWanted));
  }

  /**
   * From now on this is what the data plane should have: a whole state, compared with all that it has. Returns what is to be sent now.
   * `nowMs`: as in `onRequest`.
   */
  onSnapshot(source: ResourceSource, nowMs = this.#nowMs): Response[] {
    const before = this.#source;
    this.#source = source;
    for (const [kind, state] of this.#states) if (before?.resources[kind] !== source.resources[kind]) state.allChanged();
    return this.flush(nowMs);
  }

  /**
   * From now on the data plane should have what the source holds, which may change: each change of what is subscribed is to be told by
   * `changed`. `onSubscription` hears at once what that is, and whenever it changes. Returns what is to be sent now.
   */
  follow(source: ResourceSource, onSubscription: OnSubscription, nowMs: number): Response[] {
    this.#onSubscription = onSubscription;
    for (const state of this.#states.values()) this.#follow(state, onSubscription);
    return this.onSnapshot(source, nowMs);
  }

  /** The end of `follow`: `onSubscription` hears that nothing is wanted any more. */
  unfollow(): void {
    for (const state of this.#states.values()) state.unfollow();
    this.#onSubscription = undefined;
  }

  /** The resource came, changed or went in the source; `flush` sends what follows from it. */
  changed(kind: ResourceKind, name: string): void {
    this.#states.get(kind)?.changed(name);
  }

  /** What is to be sent now after changes. */
  flush(nowMs: number): Response[] {
    this.#nowMs = nowMs;
    return this.#flush();
  }

  /** Offers what was refused once more, unchanged, each alone. To be called now and then: the reason may have gone. */
  retryRefused(): Response[] {
    for (const state of this.#states.values()) state.retryRefused();
    return this.#flush();
  }

  /** One entry for each kind the data plane has asked for. */
  sync(): KindSync[] {
    this.#markInSync();
    return [...this.#states.values()].map((state) => state.sync());
  }

  /** Everything that it has asked for or has, with how far it is. */
  *resources(): Generator<SessionResource> {
    for (const state of this.#states.values()) {
      const known = this.#source?.resources[state.kind];
      const typeUrl = TYPE_URLS[state.kind];
      for (const resource of state.resources()) yield { ...resource, kind: state.kind, typeUrl, present: known?.get(resource.name) };
    }
  }

  /** It has acknowledged or refused something: then all that it asked for at the start of the stream has been read. */
  get hasAnswered(): boolean {
    for (const state of this.#states.values()) if (state.hasAnswered) return true;
    return false;
  }

  /** Whether the data plane can have no other version of the resource than `accepts` takes; also where it has none. Looks at the one name. */
  confirms(kind: ResourceKind, name: string, accepts: (version: string) => boolean): Confirmation {
    // Where it is told that there is none, it has to acknowledge that, too: what it asks for anew it may still have.
    const exists = this.saysMissing(kind).absent || (this.#source?.resources[kind].has(name) ?? true);
    return this.#states.get(kind)?.confirms(name, accepts, exists) ?? 'yes';
  }

  /** Whether the data plane has acknowledged everything that it should have now, of all that it asked for. */
  holdsAll(): Confirmation {
    const source = this.#source;
    if (source === undefined) return 'unacknowledged';
    for (const kind of this.#states.keys()) if (!this.#isDone(kind, source)) return 'unacknowledged';
    for (const state of this.#states.values()) if (state.isRefusing) return 'refused';
    return 'yes';
  }

  /** Undefined: it has not asked for this kind. */
  subscription(kind: ResourceKind): { readonly wildcard: boolean; readonly names: ReadonlySet<string> } | undefined {
    const state = this.#states.get(kind);
    return state === undefined ? undefined : { wildcard: state.wildcard, names: state.names };
  }

  /** Reads answer and subscription into the state. */
  protected abstract accept(state: KindState<Held>, request: Request, isFirst: boolean, nowMs: number): void;

  /** As much of it as one response may hold. */
  protected abstract limit(difference: Difference): Difference;

  /** What is to be remembered of a resource that was sent. */
  protected abstract held(resource: EncodedResource): Held;

  /** Builds the response that brings the difference; `state.sent` has it already. */
  protected abstract compose(state: KindState<Held>, difference: Difference, nonce: string, source: ResourceSource): Response;

  /** A type that Heddle has no resources of: say so, or leave it at that. */
  protected abstract answerUnknownType(request: Request, typeUrl: string): Response[];

  /** What this variant can say about resources of the kind that do not exist. */
  protected abstract saysMissing(kind: ResourceKind): { readonly removed: boolean; readonly absent: boolean };

  protected nextNonce(): number {
    this.#nonce += 1;
    return this.#nonce;
  }

  #flush(): Response[] {
    const source = this.#source;
    if (source === undefined) return [];
    const responses: Response[] = [];
    for (const kind of FOUNDATION) this.#push(kind, false, source, responses);
    if (FOUNDATION.every((kind) => this.#isMade(kind, source))) {
      for (const kind of ENTRIES) this.#push(kind, true, source, responses);
    }
    if (this.#knowsEntries && ENTRIES.every((kind) => this.#isDone(kind, source))) {
      for (const kind of FOUNDATION.toReversed()) this.#push(kind, true, source, responses);
    }
    this.#markInSync();
    return responses;
  }

  /**
   * A data plane that comes back asks for one kind after the other, at once. Before it has come to listeners and routes, those that it has may need
   * what is gone meanwhile. One that asks for neither has said so when it answers.
   */
  get #knowsEntries(): boolean {
    return this.#only !== undefined || ENTRIES.every((kind) => this.#states.has(kind)) || this.hasAnswered;
  }

  /** Kinds of which nothing is left to send are as new as the source, whatever else has changed in it. */
  #markInSync(): void {
    const source = this.#source;
    if (source === undefined) return;
    for (const [kind, state] of this.#states) if (this.#isDone(kind, source)) state.markInSync(source.version);
  }

  #push(kind: ResourceKind, withRemovals: boolean, source: ResourceSource, responses: Response[]): void {
    const state = this.#states.get(kind);
    if (state === undefined || state.inFlight !== undefined) return;
    const due = this.#due(state, withRemovals, source);
    if (due === undefined) return;
    const difference = this.limit(state.next(due));
    const nonce = String(this.nextNonce());
    state.send(difference, nonce, source.version, (resource) => this.held(resource), this.#nowMs);
    responses.push(this.compose(state, difference, nonce, source));
  }

  /**
   * True when the data plane has answered for everything of the kind that is new to it. Changes of what it has hold nothing up: endpoints
   * may change all the time, and listeners and routes must get through nevertheless.
   */
  #isMade(kind: ResourceKind, source: ResourceSource): boolean {
    const state = this.#states.get(kind);
    if (state === undefined) return true;
    if (state.inFlight?.makes === true) return false;
    const due = this.#due(state, false, source);
    return due === undefined || !state.hasNew(due, source.resources[kind]);
  }

  /** True when everything was sent and answered. */
  #isDone(kind: ResourceKind, source: ResourceSource): boolean {
    const state = this.#states.get(kind);
    return state === undefined || (state.inFlight === undefined && this.#due(state, true, source) === undefined);
  }

  /** Undefined when no response is needed. */
  #due(state: KindState<Held>, withRemovals: boolean, source: ResourceSource): Due | undefined {
    if (!state.mayBeDue) return undefined;
    const says = this.saysMissing(state.kind);
    const removals = says.removed ? (withRemovals ? 'send' : 'hold') : 'forget';
    const due = state.due(source.resources[state.kind], { removals, tellsAbsent: says.absent });
    const isTogether = due.upserts.length + due.removed.length + due.absent.length > 0;
    return isTogether || due.apart !== undefined || state.owesAnswer ? due : undefined;
  }
}

function readNode(node: Node): AdsNode {
  const agent = [node.userAgentName, agentVersion(node)].filter((part) => part !== undefined && part !== '').join(' ');
  const text = (value: string | undefined) => (value ?? '').slice(0, NAME_LENGTH_MAX);
  return { id: text(node.id), cluster: text(node.cluster), userAgent: text(agent) };
}

/** Envoy gives it in numbers, the gRPC libraries as a text. */
function agentVersion({ userAgentVersionType: version }: Node): string | undefined {
  if (version?.$case !== 'userAgentBuildVersion') return version?.value;
  const { majorNumber = 0, minorNumber = 0, patch = 0 } = version.value.version ?? {};
  return `${majorNumber}.${minorNumber}.${patch}`;
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
