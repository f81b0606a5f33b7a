// What one data plane should have: either of one moment, immutable and replaced whole, or alive, with a word for each change.
import type { ResourceKind } from '@heddle/core';
import type { EncodedResource } from '../convert/index.ts';

export type ResourceMap = ReadonlyMap<string, EncodedResource>;

/** Resources of one kind by name: a ResourceMap, or something that looks like one. */
export type ResourceSet = Pick<ResourceMap, 'get' | 'has' | 'values'>;

/** Consistent in itself whenever a session looks at it. */
export interface ResourceSource {
  /** Names the state for people and for sync reports, for example the registry's revision. */
  readonly version: string;
  readonly resources: { readonly [K in ResourceKind]: ResourceSet };
}

export interface Snapshot extends ResourceSource {
  readonly resources: { readonly [K in ResourceKind]: ResourceMap };
}

/**
 * Sorts resources by kind and name. With `previous`, kinds in which nothing changed keep their very map, by which sessions see at once that
 * there is nothing to do. Throws when two resources of a kind have the same name: one would hide the other.
 */
export function createSnapshot(version: string, resources: Iterable<EncodedResource>, previous?: Snapshot): Snapshot {
  const maps: { [K in ResourceKind]: Map<string, EncodedResource> } = {
    listener: new Map(),
    route: new Map(),
    cluster: new Map(),
    endpoints: new Map(),
    secret: new Map(),
  };
  for (const resource of resources) {
    const map = maps[resource.kind];
    if (map.has(resource.name)) throw new Error(`two ${resource.kind} resources are named '${resource.name}'`);
    map.set(resource.name, resource);
  }
  const keep = (kind: ResourceKind): ResourceMap =>
    previous !== undefined && sameContent(previous.resources[kind], maps[kind]) ? previous.resources[kind] : maps[kind];
  return {
    version,
    resources: {
      listener: keep('listener'),
      route: keep('route'),
      cluster: keep('cluster'),
      endpoints: keep('endpoints'),
      secret: keep('secret'),
    },
  };
}

function sameContent(left: ResourceMap, right: ResourceMap): boolean {
  if (left.size !== right.size) return false;
  for (const [name, resource] of right) {
    if (left.get(name)?.version !== resource.version) return false;
  }
  return true;
}
