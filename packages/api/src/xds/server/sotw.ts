// The state-of-the-world variant of ADS, server side: each request names everything wanted; for listeners and clusters each response holds
// everything there is, so that what is missing does not exist. Endpoints, routes and secrets come as far as they changed.
import type { ResourceKind } from '@heddle/core';
import type { DiscoveryRequest, DiscoveryResponse } from '../../gen/envoy/envoy/service/discovery/v3/discovery.ts';
import type { EncodedResource } from '../convert/index.ts';
import { digestText } from '../digest.ts';
import { isWildcardKind, TYPE_URLS } from '../kinds.ts';
import type { Difference, KindState } from './kind-state.ts';
import { AdsSession, checkCount, checkName, refusalOf } from './session.ts';

export class SotwAdsSession extends AdsSession<DiscoveryRequest, DiscoveryResponse, EncodedResource> {
  /** Nonce of the last response for each kind. */
  readonly #nonces = new Map<ResourceKind, string>();
  /** Kinds of which this stream has asked for something by name. */
  readonly #named = new Set<ResourceKind>();

  /**
   * A request with a stale nonce, or on a running stream with none, was sent before the client saw the newest response, and acknowledges
   * nothing. What it wants counts all the same: a name dropped here and wanted again in the next request is one the client no longer has.
   */
  protected override accept(state: KindState<EncodedResource>, request: DiscoveryRequest, isFirst: boolean, nowMs: number): void {
    const nonce = request.responseNonce ?? '';
    if (!isFirst && nonce !== '' && nonce === this.#nonces.get(state.kind)) state.settle(nonce, refusalOf(request), nowMs);
    const names = request.resourceNames ?? [];
    checkCount(names.length, state.kind);
    if (names.length > 0) this.#named.add(state.kind);
    // Without names a stream that never named any means everything; one that did has unsubscribed from all.
    const wildcard = names.includes('*') || (isWildcardKind(state.kind) && !this.#named.has(state.kind));
    const wanted = new Set(names.filter((name) => name !== '*'));
    let hasNew = wildcard && !state.wildcard;
    state.setWildcard(wildcard);
    for (const name of state.names) if (!wanted.has(name)) state.dropName(name);
    for (const name of wanted) {
      checkName(name);
      if (state.addName(name)) hasNew = true;
    }
    state.forgetUnwanted();
    if ((isFirst || hasNew) && isWildcardKind(state.kind) && (wildcard || wanted.size > 0)) state.owesAnswer = true;
  }

  /** Only where a response is complete by itself does it say what is gone. */
  protected override saysMissing(kind: ResourceKind): { removed: boolean; absent: boolean } {
    return { removed: isWildcardKind(kind), absent: false };
  }

  protected override limit(difference: Difference): Difference {
    return difference;
  }

  protected override held(resource: EncodedResource): EncodedResource {
    return resource;
  }

  protected override compose(state: KindState<EncodedResource>, { upserts }: Difference, nonce: string): DiscoveryResponse {
    this.#nonces.set(state.kind, nonce);
    // What is to be removed but still held back for make-before-break is in `sent` and goes along; so does the version before of what was
    // refused, since leaving it out would remove it.
    const resources = isWildcardKind(state.kind) ? [...state.sent.values()] : upserts;
    return {
      // Equal sets have equal versions, whichever control plane serves them.
      versionInfo: digestText(state.sent.digest),
      typeUrl: TYPE_URLS[state.kind],
      nonce,
      resources: resources.map(({ any }) => any),
    };
  }

  /** Such a client waits for an answer to its first request; an empty one lets it go on. */
  protected override answerUnknownType(request: DiscoveryRequest, typeUrl: string): DiscoveryResponse[] {
    if ((request.responseNonce ?? '') !== '') return [];
    return [{ versionInfo: '', typeUrl, nonce: String(this.nextNonce()), resources: [] }];
  }
}
