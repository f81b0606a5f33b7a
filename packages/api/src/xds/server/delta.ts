// The delta variant of ADS, server side: only what changed travels, and a reconnecting client says what it has.
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from '../../gen/envoy/envoy/service/discovery/v3/discovery.ts';
import type { EncodedResource } from '../convert/index.ts';
import { isWildcardKind, TYPE_URLS } from '../kinds.ts';
import type { Difference, KindState } from './kind-state.ts';
import { AdsSession, checkCount, checkName, refusalOf } from './session.ts';
import type { ResourceSource } from './snapshot.ts';

/**
 * What does not fit comes in a further response, once this one is acknowledged: when all data planes connect at once, each has so much under
 * way and not a whole mesh. One resource that is larger comes alone; gRPC's default limit for a message is 4 MiB.
 */
const RESPONSE_BYTES_MAX = 64 * 1024;
const REMOVALS_PER_RESPONSE_MAX = 10_000;

export interface Version {
  readonly version: string;
}

export class DeltaAdsSession extends AdsSession<DeltaDiscoveryRequest, DeltaDiscoveryResponse, Version> {
  /** Subscriptions count even when the nonce is stale: in this variant they are changes, not states. */
  protected override accept(state: KindState<Version>, request: DeltaDiscoveryRequest, isFirst: boolean, nowMs: number): void {
    if ((request.responseNonce ?? '') !== '') state.settle(request.responseNonce ?? '', refusalOf(request), nowMs);
    const held = isFirst ? (request.initialResourceVersions ?? {}) : {};
    checkCount(Object.keys(held).length, state.kind);
    subscribe(state, request.resourceNamesSubscribe ?? [], isFirst);
    unsubscribe(state, request.resourceNamesUnsubscribe ?? []);
    for (const [name, version] of Object.entries(held)) {
      if (state.wants(name)) state.sent.set(name, { version });
    }
    if (isFirst && state.wildcard && state.sent.size === 0) state.owesAnswer = true;
  }

  protected override saysMissing(): { removed: boolean; absent: boolean } {
    return { removed: true, absent: true };
  }

  protected override limit({ upserts, removed, absent }: Difference): Difference {
    return {
      upserts: firstBytes(upserts),
      removed: removed.slice(0, REMOVALS_PER_RESPONSE_MAX),
      absent: absent.slice(0, Math.max(0, REMOVALS_PER_RESPONSE_MAX - removed.length)),
    };
  }

  /** The resource itself: it is there anyhow, and one object for all streams. */
  protected override held(resource: EncodedResource): Version {
    return resource;
  }

  protected override compose(
    state: KindState<Version>,
    { upserts, removed, absent }: Difference,
    nonce: string,
    source: ResourceSource,
  ): DeltaDiscoveryResponse {
    return {
      systemVersionInfo: source.version,
      typeUrl: TYPE_URLS[state.kind],
      nonce,
      resources: upserts.map(({ entry }) => entry),
      removedResources: [...removed, ...absent],
    };
  }

  /** Names asked for are told not to exist; other requests (acknowledgements among them) need no answer. */
  protected override answerUnknownType(request: DeltaDiscoveryRequest, typeUrl: string): DeltaDiscoveryResponse[] {
    const names = (request.resourceNamesSubscribe ?? []).filter((name) => name !== '*');
    const isAnswer = (request.responseNonce ?? '') !== '';
    if (isAnswer && names.length === 0) return [];
    return [{ systemVersionInfo: '', typeUrl, nonce: String(this.nextNonce()), resources: [], removedResources: names }];
  }
}

/** A name that is subscribed again is sent again: the client says that it lost it. */
function subscribe(state: KindState<Version>, names: readonly string[], isFirst: boolean): void {
  // Without names, a first request means everything for listeners and clusters (xDS protocol, "How the client specifies what resources to
  // return").
  if (names.includes('*') || (isFirst && names.length === 0 && isWildcardKind(state.kind))) state.setWildcard(true);
  for (const name of names) {
    if (name === '*') continue;
    checkName(name);
    state.addName(name);
    state.forget(name);
    checkCount(state.names.size, state.kind);
  }
}

function unsubscribe(state: KindState<Version>, names: readonly string[]): void {
  for (const name of names) {
    if (name === '*') state.setWildcard(false);
    else {
      state.dropName(name);
      // Where everything is subscribed, the resource is sent once more, so that the client knows it still gets it.
      state.forget(name);
    }
  }
  if (names.includes('*')) state.forgetUnwanted();
}

function firstBytes<T extends { readonly any: { readonly value: Uint8Array } }>(resources: readonly T[]): readonly T[] {
  let bytes = 0;
  const end = resources.findIndex((resource, index) => {
    bytes += resource.any.value.length;
    return index > 0 && bytes > RESPONSE_BYTES_MAX;
  });
  return end === -1 ? resources : resources.slice(0, end);
}
