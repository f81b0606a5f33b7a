// The client side of delta ADS without IO, as Heddle's data planes use it: it keeps the subscriptions, hands each response to `apply` as
// one whole, and acknowledges or refuses it by what comes back. Responses are handled strictly one after the other, in the order in which
// they came, so that make-before-break of the server holds here too. What was applied last stays until something else was applied.
import { type ResourceKind, type ResourceTypes, TRUST_BUNDLE } from '@heddle/core';
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from '../../gen/envoy/envoy/service/discovery/v3/discovery.ts';
import { DigestMap, digestText } from '../digest.ts';
import { decodeResource, XdsRejection } from '../convert/index.ts';
import { isWildcardKind, kindOfTypeUrl, MAKE_ORDER, TYPE_URLS } from '../kinds.ts';
import { AdsProtocolError } from '../protocol-error.ts';
import { type Accepted, readResponse } from './read-response.ts';
import type { ResourceUpdate } from './update.ts';

/** A server with one response under way per kind needs five; more than this is one that does not wait for answers. */
const QUEUE_LENGTH_MAX = 64;
/** What a server stores about a refusal is limited; so is what is worth reading. */
const REFUSAL_LENGTH_MAX = 4_096;
const INVALID_ARGUMENT = 3;

/** Undefined: applied as a whole. A text: refused as a whole, for this reason; nothing has changed. */
export type ApplyResult = string | undefined;

export interface AdsClientNode {
  /** The data plane's name. */
  readonly id: string;
  readonly cluster?: string;
  readonly version?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

export interface DeltaAdsClientOptions {
  readonly node: AdsClientNode;
  /**
   * Called for each update, and for the first response of a kind even when it is empty. The next update waits until this one is done. A
   * call of `subscribe` from inside goes out before the acknowledgement, which lets the server know what is needed before anything may
   * use it.
   */
  readonly apply: (update: ResourceUpdate) => ApplyResult | Promise<ApplyResult>;
  /** Called only between `connected` and `disconnected`. */
  readonly send: (request: DeltaDiscoveryRequest) => void;
}

export interface ClientKindStatus {
  readonly kind: ResourceKind;
  readonly resources: number;
  /** The server's name for the state that was applied last; empty before the first. */
  readonly version: string;
  /** When, in the time given to `receive`; 0 before the first. */
  readonly appliedMs: number;
  /** Why the last response was refused; empty when it was not. */
  readonly rejection: string;
  /** Digest of the names and versions of what is applied; the control plane can compute it, too. */
  readonly hash: string;
}

/** One resource of an earlier life of the data plane: what `encodeResource` gave. */
export interface KeptResource {
  readonly kind: ResourceKind;
  readonly name: string;
  readonly version: string;
  readonly value: Uint8Array;
}

interface KindState {
  /** Undefined: everything. */
  names: Set<string> | undefined;
  /** Name → version of what is applied. */
  readonly held: DigestMap<string>;
  /** Asked for on the present stream. */
  isOpen: boolean;
  /** Something was applied, if only that there is nothing. */
  isSynced: boolean;
  version: string;
  appliedMs: number;
  rejection: string;
}

interface Received {
  readonly response: DeltaDiscoveryResponse;
  readonly stream: number;
  readonly nowMs: number;
}

export class DeltaAdsClient {
  readonly #options: DeltaAdsClientOptions;
  readonly #states: { readonly [K in ResourceKind]: KindState };
  #queue: Received[] = [];
  #isApplying = false;
  #isConnected = false;
  /** Subscriptions have been sent on the present stream. */
  #isOpen = false;
  /** Counts streams: an answer belongs only on the stream its response came from. */
  #stream = 0;
  #sentNode = false;

  constructor(options: DeltaAdsClientOptions) {
    this.#options = options;
    const state = (kind: ResourceKind): KindState => ({
      names: isWildcardKind(kind) ? undefined : new Set(),
      held: new DigestMap((version) => version),
      isOpen: false,
      isSynced: false,
      version: '',
      appliedMs: 0,
      rejection: '',
    });
    this.#states = {
      listener: state('listener'),
      route: state('route'),
      cluster: state('cluster'),
      endpoints: state('endpoints'),
      secret: state('secret'),
    };
  }

  /**
   * A new stream is open. Sends what is wanted and what is already here, so that only differences come; while an update is being applied,
   * that waits, because only then is it known what is here.
   */
  connected(): void {
    this.#isConnected = true;
    this.#isOpen = false;
    this.#stream += 1;
    this.#sentNode = false;
    this.#queue = [];
    for (const kind of MAKE_ORDER) this.#states[kind].isOpen = false;
    if (!this.#isApplying) this.#openAll();
  }

  /** The stream is gone. Everything applied stays; what was being applied is finished, and counts. */
  disconnected(): void {
    this.#isConnected = false;
    this.#isOpen = false;
    this.#queue = [];
  }

  /**
   * From now on these are the names wanted of a kind that is subscribed by name. What is no longer named is forgotten here; dropping it is
   * the caller's.
   */
  subscribe(kind: 'route' | 'endpoints' | 'secret', wanted: Iterable<string>): void {
    const state = this.#states[kind];
    const before = state.names ?? new Set<string>();
    const after = new Set(wanted);
    state.names = after;
    for (const name of before) {
      if (!after.has(name)) state.held.delete(name);
    }
    if (!this.#isOpen) return;
    if (!state.isOpen) {
      if (after.size > 0) this.#open(kind);
      return;
    }
    const added = [...after].filter((name) => !before.has(name));
    const dropped = [...before].filter((name) => !after.has(name));
    if (added.length + dropped.length > 0) {
      this.#send({ typeUrl: TYPE_URLS[kind], resourceNamesSubscribe: added, resourceNamesUnsubscribe: dropped });
    }
  }

  /**
   * Takes a response; `apply` is called now or when earlier ones are done. Throws AdsProtocolError when the server does not wait for
   * answers: end the stream.
   */
  receive(response: DeltaDiscoveryResponse, nowMs: number): void {
    if (this.#queue.length >= QUEUE_LENGTH_MAX)
      throw new AdsProtocolError(8, `more than ${QUEUE_LENGTH_MAX} responses are waiting to be applied`);
    this.#queue.push({ response, stream: this.#stream, nowMs });
    this.#work();
  }

  /**
   * Asks for something that the server must answer, whatever has changed or not (xDS protocol, "Knowing When a Requested Resource Does Not
   * Exist" and delta: a name that is subscribed again is sent again): the small trust bundle. False when nothing can be asked now.
   */
  probe(): boolean {
    return this.#askAgain('secret', TRUST_BUNDLE);
  }

  /** Asks for resources anew, and applies the answer whatever it is. Of names that are not subscribed nothing is asked. */
  recheck(kind: 'route' | 'endpoints' | 'secret', name: string): void {
    const state = this.#states[kind];
    if (state.names?.has(name) !== true) return;
    state.held.delete(name);
    this.#askAgain(kind, name);
  }

  #askAgain(kind: 'route' | 'endpoints' | 'secret', name: string): boolean {
    if (!this.#isOpen) return false;
    if (this.#states[kind].isOpen) this.#send({ typeUrl: TYPE_URLS[kind], resourceNamesSubscribe: [name] });
    else this.#open(kind, name);
    return true;
  }

  /**
   * Applies what an earlier process had, kind by kind, before there is a stream. From then on it counts as held, and of a server only
   * differences come. Resolves to why kinds were left out; nothing of these has changed. While it runs, a stream that opens waits.
   */
  async restore(kept: readonly KeptResource[], nowMs: number): Promise<string[]> {
    const reasons: string[] = [];
    if (this.#isApplying || this.#isConnected) return ['there is a stream already'];
    this.#isApplying = true;
    for (const kind of MAKE_ORDER) {
      const reason = await this.#restoreKind(
        kind,
        kept.filter((resource) => resource.kind === kind),
        nowMs,
      );
      if (reason !== undefined) reasons.push(`${kind}: ${reason}`);
    }
    this.#applied();
    this.#work();
    return reasons;
  }

  async #restoreKind(kind: ResourceKind, kept: readonly KeptResource[], nowMs: number): Promise<ApplyResult> {
    const state = this.#states[kind];
    const upserts: ResourceTypes[ResourceKind][] = [];
    try {
      for (const { name, value } of kept) upserts.push(decodeResource(kind, { typeUrl: TYPE_URLS[kind], value }, name));
    } catch (error) {
      if (error instanceof XdsRejection) return error.message;
      throw error;
    }
    const reason = await this.#apply({ kind, upserts, removed: [], version: '' } as unknown as ResourceUpdate);
    if (reason !== undefined) return reason;
    for (const { name, version } of kept) {
      // What refers to it comes later, and says then whether it is wanted.
      state.names?.add(name);
      state.held.set(name, version);
    }
    state.appliedMs = nowMs;
    return undefined;
  }

  status(): ClientKindStatus[] {
    return MAKE_ORDER.map((kind) => {
      const { held, version, appliedMs, rejection } = this.#states[kind];
      return { kind, resources: held.size, version, appliedMs, rejection, hash: digestText(held.digest) };
    });
  }

  #openAll(): void {
    this.#isOpen = true;
    for (const kind of MAKE_ORDER) {
      const { names } = this.#states[kind];
      if (names === undefined || names.size > 0) this.#open(kind);
    }
  }

  #open(kind: ResourceKind, ...more: readonly string[]): void {
    const state = this.#states[kind];
    state.isOpen = true;
    this.#send({
      typeUrl: TYPE_URLS[kind],
      resourceNamesSubscribe: [...new Set([...(state.names ?? []), ...more])],
      initialResourceVersions: Object.fromEntries(state.held),
    });
  }

  #send(request: DeltaDiscoveryRequest): void {
    if (this.#sentNode) {
      this.#options.send(request);
      return;
    }
    this.#sentNode = true;
    const { id, cluster = '', version = '', metadata } = this.#options.node;
    const node = {
      id,
      cluster,
      userAgentName: 'heddle',
      userAgentVersionType: { $case: 'userAgentVersion' as const, value: version },
      metadata,
    };
    this.#options.send({ ...request, node });
  }

  #work(): void {
    while (!this.#isApplying) {
      const received = this.#queue.shift();
      if (received === undefined) return;
      this.#isApplying = true;
      const result = this.#handle(received);
      if (result instanceof Promise) {
        void result.then(() => {
          this.#applied();
          this.#work();
        });
        return;
      }
      this.#applied();
    }
  }

  #applied(): void {
    this.#isApplying = false;
    if (this.#isConnected && !this.#isOpen) this.#openAll();
  }

  /** A promise where `apply` takes its time; it never rejects. */
  #handle(received: Received): Promise<void> | undefined {
    const kind = kindOfTypeUrl(received.response.typeUrl ?? '');
    if (kind === undefined) {
      this.#answer(received, `resources of type ${JSON.stringify(received.response.typeUrl)} were not asked for`);
      return undefined;
    }
    const state = this.#states[kind];
    const read = readResponse(kind, received.response, (name) => state.names === undefined || state.names.has(name), state.held);
    if (typeof read === 'string') {
      this.#finish(state, received, undefined, read);
      return undefined;
    }
    if (read.isEmpty && state.isSynced) {
      this.#finish(state, received, read, undefined);
      return undefined;
    }
    const result = this.#apply(read.update);
    if (result instanceof Promise) return result.then((reason) => this.#finish(state, received, read, reason));
    this.#finish(state, received, read, result);
    return undefined;
  }

  /** A bug in `apply` is a refusal, too: nobody may believe that the update took effect. */
  #apply(update: ResourceUpdate): ApplyResult | Promise<ApplyResult> {
    try {
      const result = this.#options.apply(update);
      return result instanceof Promise ? result.catch(describeFailure) : result;
    } catch (error) {
      return describeFailure(error);
    }
  }

  #finish(state: KindState, received: Received, accepted: Accepted | undefined, reason: ApplyResult): void {
    if (accepted !== undefined && reason === undefined) {
      for (const [name, version] of accepted.versions) {
        if (state.names === undefined || state.names.has(name)) state.held.set(name, version);
      }
      for (const name of accepted.update.removed) state.held.delete(name);
      state.isSynced = true;
      state.version = accepted.update.version;
      state.appliedMs = received.nowMs;
      state.rejection = '';
    } else state.rejection = reason ?? '';
    this.#answer(received, reason);
  }

  #answer({ response, stream }: Received, reason: string | undefined): void {
    if (!this.#isConnected || stream !== this.#stream) return;
    const request: DeltaDiscoveryRequest = { typeUrl: response.typeUrl, responseNonce: response.nonce };
    if (reason === undefined) this.#send(request);
    else this.#send({ ...request, errorDetail: { code: INVALID_ARGUMENT, message: reason.slice(0, REFUSAL_LENGTH_MAX) } });
  }
}

function describeFailure(error: unknown): string {
  return `internal error while applying: ${error instanceof Error ? error.message : String(error)}`;
}
