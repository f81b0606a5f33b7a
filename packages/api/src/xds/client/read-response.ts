// From a delta response to an update, all or nothing: one resource that cannot be used refuses the whole response, with every reason.
import { type ResourceKind, type ResourceTypes, resourceName } from '@heddle/core';
import type { DeltaDiscoveryResponse, Resource } from '../../gen/envoy/envoy/service/discovery/v3/discovery.ts';
import { decodeResource, XdsRejection } from '../convert/index.ts';
import { At } from '../convert/rejection.ts';
import { rejectUnknown } from '../convert/strict.ts';
import { isWildcardKind, KIND_TITLES } from '../kinds.ts';
import type { ResourceUpdate } from './update.ts';

/** Enough to see a pattern. */
const REASONS_MAX = 10;

export interface Accepted {
  readonly update: ResourceUpdate;
  /** Of the resources in the update, by name. */
  readonly versions: ReadonlyMap<string, string>;
  readonly isEmpty: boolean;
}

/** A text: the response must be refused for this reason. What is not wanted (any more) is passed over: the server may not know yet. */
export function readResponse<K extends ResourceKind>(
  kind: K,
  response: DeltaDiscoveryResponse,
  isWanted: (name: string) => boolean,
  held: ReadonlyMap<string, string>,
): Accepted | string {
  const reasons: string[] = [];
  const upserts: ResourceTypes[K][] = [];
  const versions = new Map<string, string>();
  for (const resource of response.resources ?? []) {
    const name = resource.name ?? '';
    if (!isWanted(name)) continue;
    // Asked for once more, and the very same: applying it again would only disturb.
    if (resource.version !== undefined && resource.version !== '' && held.get(name) === resource.version) continue;
    try {
      if (versions.has(name)) new At(`${KIND_TITLES[kind]} '${name}'`).reject('is in the response twice');
      upserts.push(readResource(kind, resource, name));
      versions.set(name, resource.version ?? '');
    } catch (error) {
      if (!(error instanceof XdsRejection)) throw error;
      reasons.push(error.message);
    }
  }
  if (reasons.length > REASONS_MAX) reasons.splice(REASONS_MAX, reasons.length, `and ${reasons.length - REASONS_MAX} more`);
  if (reasons.length > 0) return reasons.join('; ');
  // Of what is subscribed by name, a removal also says that something asked for does not exist.
  const removed = (response.removedResources ?? []).filter((name) => isWanted(name) && (held.has(name) || !isWildcardKind(kind)));
  const update = { kind, upserts, removed, version: response.systemVersionInfo ?? '' } as unknown as ResourceUpdate;
  return { update, versions, isEmpty: upserts.length + removed.length === 0 };
}

function readResource<K extends ResourceKind>(kind: K, resource: Resource, name: string): ResourceTypes[K] {
  const at = new At(`${KIND_TITLES[kind]} '${name}'`);
  rejectUnknown(resource, at);
  if (resource.resource === undefined) return at.reject('has no content');
  const { typeUrl = '', value = new Uint8Array() } = resource.resource;
  const decoded = decodeResource(kind, { typeUrl, value }, name);
  const inner = resourceName(kind, decoded);
  return inner === name ? decoded : at.reject(`calls itself '${inner}'`);
}
