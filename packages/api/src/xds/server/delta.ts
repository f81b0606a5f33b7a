// The delta variant of ADS, server side: only what changed travels, and a reconnecting client says what it has.
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from '../../gen/envoy/envoy/service/discovery/v3/discovery.ts';
import type { EncodedResource } from '../convert/index.ts';
import { isWildcardKind, TYPE_URLS } from '../kinds.ts';
import type { Difference, KindState } from './kind-state.ts';
import { AdsSession, checkCount, checkName, refusalOf } from './session.ts';
import type { Snapshot } from './snapshot.ts';

/** gRPC's default limit for a message is 4 MiB; what does not fit comes in a further response. */
const RESPONSE_BYTES_MAX = 2 * 1024 * 1024;
const REMOVALS_PER_RESPONSE_MAX = 10_000;

export interface Version {
  readonly version: string;
}

export class DeltaAdsSession extends AdsSession<DeltaDiscoveryRequest, DeltaDiscoveryResponse, Version> {
  /** Subscriptions count even when the nonce is stale: in this variant they are changes, not states. */
  protected override accept(state: KindState<Version>, request: DeltaDiscoveryRequest, isFirst: boolean, nowMs: number): boolean {
    if ((request.responseNonce ?? '') !== '') state.settle(request.responseNonce ?? '', refusalOf(request), nowMs);
    const held = isFirst ? (request.initialResourceVersions ?? {}) : {};
    checkCount(Object.keys(held).length, state.kind);
    subscribe(state, request.resourceNamesSubscribe ?? [], isFirst);
    unsubscribe(state, request.resourceNamesUnsubscribe ?? []);
    for (const [name, version] of Object.entries(held)) {
      if (state.wants(name)) state.sent.set(name, { version });
    }
    if (isFirst && state.wildcard && state.sent.size === 0) state.owesAnswer = true;
    return true;
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

  protected override held({ version }: EncodedResource): Version {
    return { version };
  }

  protected override compose(
    state: KindState<Version>,
    { upserts, removed, absent }: Difference,
    nonce: string,
    snapshot: Snapshot,
  ): DeltaDiscoveryResponse {
    return {
      systemVersionInfo: snapshot.version,
      typeUrl: TYPE_URLS[state.kind],
      nonce,
      resources: upserts.map(({ name, version, any }) => ({ name, version, resource: any })),
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
  if (names.includes('*') || (isFirst && names.length === 0 && isWildcardKind(state.kind))) state.wildcard = true;
  for (const name of names) {
    if (name === '*') continue;
    checkName(name);
    state.names.add(name);
    state.forget(name);
    checkCount(state.names.size, state.kind);
  }
  state.touch();
}

function unsubscribe(state: KindState<Version>, names: readonly string[]): void {
  for (const name of names) {
    if (name === '*') state.wildcard = false;
    else {
      state.names.delete(name);
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
